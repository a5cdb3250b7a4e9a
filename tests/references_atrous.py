"""Atrous convolutions and the pyramid of them, written out in NumPy."""

import numpy as np
from references import convolve
from references_resizing import normalise


def relu(x):
    return np.maximum(x, 0)


def part(weights, name):
    return {key.removeprefix(f"{name}."): value for key, value in weights.items() if key.startswith(f"{name}.")}


def normalised(x, weights, conv, norm, rate=1):
    return relu(normalise(convolve(x, weights[f"{conv}.weight"], 0, rate), weights, norm))


def atrous_convolution(x, weights, rate=1, **_):
    return convolve(x, weights["weight"], weights.get("bias", 0), rate)


def atrous_separable_convolution(x, weights, rate=1, **_):
    kernels = weights["depthwise.weight"]
    each = [convolve(x[..., c : c + 1], kernels[c : c + 1], 0, rate) for c in range(x.shape[3])]
    x = relu(normalise(np.concatenate(each, axis=3), weights, "norm1"))
    return normalised(x, weights, "pointwise", "norm2")


def aspp(x, weights, rates=(6, 12, 18), separable=False, **_):
    maps = [normalised(x, weights, "convs.0.0", "convs.0.1")]
    for number, rate in enumerate(rates, start=1):
        if separable:
            maps.append(atrous_separable_convolution(x, part(weights, f"convs.{number}"), rate))
        else:
            maps.append(normalised(x, weights, f"convs.{number}.0", f"convs.{number}.1", rate))
    last = f"convs.{len(maps)}"
    average = normalised(x.mean((1, 2), keepdims=True), weights, f"{last}.1", f"{last}.2")
    maps.append(np.broadcast_to(average, maps[0].shape))
    return normalised(np.concatenate(maps, axis=3), weights, "project.0", "project.1")
