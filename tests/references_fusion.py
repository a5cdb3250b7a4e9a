"""What fusion computes, written down a second time (see ``references.py``)."""

import numpy as np
from references import along, convolve
from references_fpn import bilinear, nearest, resize


def average(row, size):
    edges = np.arange(size + 1) * len(row)
    return np.array([row[a // size : -(-b // size)].mean() for a, b in zip(edges, edges[1:])])


def align_levels(levels, size=None, interpolation="bilinear"):
    size = size if isinstance(size, tuple) else levels[size or 0].shape[1:3]
    enlarge = {"nearest": nearest, "bilinear": bilinear}[interpolation]

    def step(row, wanted):
        return average(row, wanted) if wanted < len(row) else enlarge(row, wanted)

    return [along(2, lambda row: step(row, size[1]), along(1, lambda row: step(row, size[0]), x)) for x in levels]


def projected(levels, weights, interpolation):
    """Each level after its 1×1 convolution, at the size of the finest."""
    return [
        resize(
            convolve(x, weights[f"laterals.{l}.weight"], weights[f"laterals.{l}.bias"]),
            levels[0].shape[1:3],
            interpolation,
        )
        for l, x in enumerate(levels)  # noqa: E741
    ]


def concat_fusion(levels, weights, interpolation="bilinear", **_):
    columns = np.concatenate([resize(x, levels[0].shape[1:3], interpolation) for x in levels], axis=3)
    return convolve(columns, weights["projection.weight"], weights["projection.bias"])


def sum_fusion(levels, weights, interpolation="bilinear", **_):
    return np.sum(projected(levels, weights, interpolation), axis=0)


def normalised(weights, normalisation):
    if normalisation == "softmax":
        return np.exp(weights) / np.exp(weights).sum()
    positive = np.where(weights > 0, weights, 0)
    return positive / (positive.sum() + 0.0001)


def weighted_fusion(levels, weights, normalisation="softmax", interpolation="bilinear", **_):
    shares = normalised(weights["level_weights"], normalisation)
    return sum(share * x for share, x in zip(shares, projected(levels, weights, interpolation)))


def channel_attention_fusion(levels, weights, kind="squeeze-excitation", interpolation="bilinear", **_):
    maps = np.stack(projected(levels, weights, interpolation), axis=1)  # (N, L, H, W, C)
    N, L, _, _, C = maps.shape
    if kind == "squeeze-excitation":
        averages = maps.mean((2, 3)).reshape(N, L * C)
        hidden = np.maximum(averages @ weights["reduce.weight"].T + weights["reduce.bias"], 0)
        gates = 1 / (1 + np.exp(-(hidden @ weights["expand.weight"].T + weights["expand.bias"])))
        gates = gates.reshape(N, L, 1, 1, C)
    else:
        hidden = maps.sum(1).mean((1, 2)) @ weights["reduce.weight"].T
        hidden = (hidden - weights["norm.running_mean"]) / np.sqrt(weights["norm.running_var"] + 1e-5)
        hidden = np.maximum(hidden * weights["norm.weight"] + weights["norm.bias"], 0)
        gates = np.exp((hidden @ weights["expand.weight"].T).reshape(N, L, 1, 1, C))
        gates = gates / gates.sum(1, keepdims=True)
    return (gates * maps).sum(1)
