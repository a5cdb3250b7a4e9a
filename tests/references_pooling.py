"""Pooling over grids, written out in NumPy bin by bin."""

import math

import numpy as np
from references_resizing import normalise, resize


def grid(x, bins, function):
    """Every bin by itself: shape (N, bins, bins, C)."""

    def part(i, size):
        return slice(math.floor(i * size / bins), math.ceil((i + 1) * size / bins))

    height, width = x.shape[1:3]
    rows = [[function(x[:, part(i, height), part(j, width)], axis=(1, 2)) for j in range(bins)] for i in range(bins)]
    return np.array(rows).transpose(2, 0, 1, 3)


def spatial_pyramid_pooling(x, weights=None, bins=(4, 2, 1), mode="max"):
    function = np.max if mode == "max" else np.mean
    return np.concatenate([np.moveaxis(grid(x, b, function), 3, 1).reshape(len(x), -1) for b in bins], axis=1)


def pyramid_pooling(x, weights, bins=(1, 2, 3, 6)):
    maps = [x]
    for number, b in enumerate(bins):
        small = grid(x, b, np.mean) @ weights[f"convs.{number}.weight"][:, :, 0, 0].T
        maps.append(resize(np.maximum(normalise(small, weights, f"norms.{number}"), 0), x.shape[1:3]))
    return np.concatenate(maps, axis=3)
