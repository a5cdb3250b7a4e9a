"""The learnable resizer, written out in NumPy."""

import numpy as np
from references import along, convolve


def resize(x, size, interpolation="bilinear", antialias=False):
    def resample(wanted):
        def one_row(row):
            return np.array([value_at(row, i, wanted) for i in range(wanted)])

        return one_row

    def value_at(row, i, wanted):
        n = len(row)
        ratio = n / wanted
        if interpolation == "nearest":
            return row[min((2 * i + 1) * n // (2 * wanted), n - 1)]
        centre, stretch = (i + 0.5) * ratio - 0.5, max(ratio, 1) if antialias else 1
        if interpolation == "bilinear" and not antialias:
            return np.interp(centre, np.arange(n), row)
        weights = np.array([kernel(abs(pixel - centre) / stretch) for pixel in range(n)])
        return row @ weights / weights.sum()

    def kernel(d):
        if interpolation == "bilinear":
            return max(1 - d, 0)
        return 1.5 * d**3 - 2.5 * d**2 + 1 if d < 1 else -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2 if d < 2 else 0

    return along(2, resample(size[1]), along(1, resample(size[0]), x))


def normalise(x, weights, name, epsilon=1e-5):
    mean, variance, scale, shift = (
        weights[f"{name}.{key}"] for key in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / np.sqrt(variance + epsilon) * scale + shift


def leaky(x):
    return np.where(x > 0, x, 0.2 * x)


def learnable_resizer(x, weights, size, num_res_blocks=1, interpolation="bilinear", antialias=False, **_):
    size = (size, size) if isinstance(size, int) else size

    def conv(x, name):
        return convolve(x, weights[f"{name}.weight"], weights.get(f"{name}.bias", 0))

    y = normalise(leaky(conv(leaky(conv(x, "conv1")), "conv2")), weights, "norm")
    before = y = resize(y, size, interpolation, antialias)
    for block in range(num_res_blocks):
        branch = leaky(normalise(conv(y, f"blocks.{block}.conv1"), weights, f"blocks.{block}.norm1"))
        y = y + normalise(conv(branch, f"blocks.{block}.conv2"), weights, f"blocks.{block}.norm2")
    y = before + normalise(conv(y, "conv3"), weights, "norm3")
    return resize(x, size, interpolation, antialias) + conv(y, "conv4")
