"""Attention within and across levels, written out in NumPy, one head at a time."""

import numpy as np
from references import along, convolve
from references_atrous import part
from references_fusion import average


def layer_norm(x, weights):
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-5) * weights["norm.weight"] + weights["norm.bias"]


def cells(x, keys):
    grid = along(2, lambda row: average(row, min(len(row), keys)), x)
    grid = along(1, lambda row: average(row, min(len(row), keys)), grid)
    return grid.reshape(len(x), -1, x.shape[3])


def attend(x, given, weights, heads, keys):
    """Pixels of ``x`` ask the cells of the maps in ``given``."""

    def dense(name, x):
        return x @ weights[f"{name}.weight"].T + weights.get(f"{name}.bias", 0)

    N, H, W, C = x.shape
    tokens = np.concatenate([cells(layer_norm(level, weights), keys) for level in given], axis=1)
    q = dense("q", layer_norm(x, weights).reshape(N, H * W, C))
    k, v = dense("k", tokens), dense("v", tokens)
    answers = np.empty_like(q)
    for head in np.split(np.arange(C), heads):
        scores = np.exp(np.einsum("nqc,nkc->nqk", q[:, :, head], k[:, :, head]) / np.sqrt(len(head)))
        answers[:, :, head] = np.einsum("nqk,nkc->nqc", scores / scores.sum(2, keepdims=True), v[:, :, head])
    return x + dense("out", answers).reshape(N, H, W, C)


def cross_level_attention(levels, weights, heads=4, keys=8, **_):
    levels = [
        convolve(x, weights[f"laterals.{number}.weight"], weights[f"laterals.{number}.bias"])
        for number, x in enumerate(levels)
    ]
    levels = [attend(x, [x], part(weights, "within"), heads, keys) for x in levels]
    others = [[level for level in levels if level is not x] for x in levels]
    return [attend(x, given, part(weights, "across"), heads, keys) for x, given in zip(levels, others)]
