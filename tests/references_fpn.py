"""What feature pyramid networks compute, written down a second time (see ``references.py``)."""

import numpy as np
from references import along, convolve


def nearest(row, size):
    return row[np.arange(size) * len(row) // size]


def bilinear(row, size):
    return np.interp((np.arange(size) + 0.5) * len(row) / size - 0.5, np.arange(len(row)), row)


def resize(x, size, interpolation):
    step = {"nearest": nearest, "bilinear": bilinear}[interpolation]
    return along(2, lambda row: step(row, size[1]), along(1, lambda row: step(row, size[0]), x))


def fpn(levels, weights, interpolation="nearest", smoothing=True, extra=None, **_):
    def conv(name, x):
        return convolve(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    merged = [conv(f"laterals.{number}", level) for number, level in enumerate(levels)]
    for number in reversed(range(len(levels) - 1)):
        merged[number] = merged[number] + resize(merged[number + 1], merged[number].shape[1:3], interpolation)
    if smoothing:
        merged = [conv(f"smooth.{number}", level) for number, level in enumerate(merged)]
    if extra == "pool":
        merged.append(merged[-1][:, ::2, ::2])
    if extra == "convolutions":
        merged.append(conv("p6", levels[-1])[:, ::2, ::2])
        merged.append(conv("p7", np.maximum(merged[-1], 0))[:, ::2, ::2])
    return merged
