"""BiFPN, written out in NumPy."""

import numpy as np
from references import convolve
from references_atrous import part
from references_fpn import resize
from references_resizing import normalise


def halved(x):
    """The largest of 3×3 pixels around every second one, those outside the map left out."""
    height, width = x.shape[1:3]
    rows = [x[:, max(i - 1, 0) : i + 2].max(1) for i in range(0, height, 2)]
    return np.stack([np.stack(rows, 1)[:, :, max(j - 1, 0) : j + 2].max(2) for j in range(0, width, 2)], 2)


def node(maps, weights):
    shares = np.maximum(weights["level_weights"], 0)
    fused = sum(share * x for share, x in zip(shares, maps)) / (shares.sum() + 1e-4)
    kernels = weights["depthwise.weight"]
    each = [convolve(fused[..., c : c + 1], kernels[c : c + 1], 0) for c in range(fused.shape[3])]
    x = normalise(convolve(np.concatenate(each, 3), weights["pointwise.weight"], 0), weights, "norm")
    return x * (1 + np.tanh(x / 2)) / 2  # x / (1 + exp(-x)), which overflows


def bifpn(levels, weights, layers=1, interpolation="nearest", **_):
    """Equations of section 3.3 for P_td and P_out, level by level."""
    P = [
        convolve(x, weights[f"laterals.{number}.weight"], weights[f"laterals.{number}.bias"])
        for number, x in enumerate(levels)
    ]
    last = len(P) - 1
    for layer in range(layers):
        td, out = {last: P[last]}, {}
        for number in range(last - 1, -1, -1):
            enlarged = resize(td[number + 1], P[number].shape[1:3], interpolation)
            td[number] = node([P[number], enlarged], part(weights, f"layers.{layer}.down.{number}"))
        out[0] = td[0]
        for number in range(1, last + 1):
            maps = [P[number], td[number], halved(out[number - 1])]
            if number == last:
                del maps[1]
            out[number] = node(maps, part(weights, f"layers.{layer}.up.{number - 1}"))
        P = [out[number] for number in range(last + 1)]
    return P
