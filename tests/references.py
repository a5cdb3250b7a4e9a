"""What the operators compute, written down a second time: plain NumPy in double precision, (N, H, W, C), no speed.

Borders are extended by ``numpy.pad``, sums are written out pixel by pixel, and nothing is shared with ``msvision``.
"""

import math

import numpy as np


def along(axis, function, x):
    """Apply a linear function of one row of pixels, shape (n,), to every row of ``x`` along ``axis``."""
    matrix = np.stack([function(row) for row in np.eye(x.shape[axis])], axis=1)
    return np.moveaxis(np.tensordot(matrix, x, (1, axis)), 0, axis)


def next_size(size, scale_factor):
    return math.ceil(round(size * scale_factor, 6))


def mirrored(row, margin):
    return np.pad(row, margin, mode="reflect")


# -- pyramids --------------------------------------------------------------------------------------------------------


def downsample(x, scale_factor=0.5):
    def halve(row):
        padded = mirrored(row, 2)
        return np.array([padded[i : i + 5] @ [1, 4, 6, 4, 1] / 16 for i in range(0, len(row), 2)])

    def shrink(row):
        sigma = math.sqrt((scale_factor**-2 - 1) / 3)
        radius = math.ceil(4 * sigma)
        bell = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * sigma**2))
        padded = mirrored(row, radius + 1)
        smooth = np.convolve(padded, bell / bell.sum(), mode="valid")  # one pixel longer at both ends
        places = np.arange(next_size(len(row), scale_factor)) / scale_factor
        return np.interp(places, np.arange(-1, len(row) + 1), smooth)

    step = halve if scale_factor == 0.5 else shrink
    return along(2, step, along(1, step, x))


def upsample(x, size=None, scale_factor=2.0):
    size = size or [next_size(n, scale_factor) for n in x.shape[1:3]]

    def double(row, wanted):
        padded = np.concatenate(
            (mirrored(row, 1)[:1], row, row[-1:])
        )  # mirrored before, repeated after, as OpenCV does
        spread = np.zeros(2 * len(padded))
        spread[::2] = padded
        return np.convolve(spread, np.array([1, 4, 6, 4, 1]) / 8)[4 : 4 + wanted]

    def interpolate(row, wanted):
        return np.interp(np.arange(wanted) / scale_factor, np.arange(len(row)), row)

    step = double if scale_factor == 2 else interpolate
    return along(2, lambda row: step(row, size[1]), along(1, lambda row: step(row, size[0]), x))


def gaussian_pyramid(x, levels, scale_factor=0.5):
    return [x] if levels == 1 else [x, *gaussian_pyramid(downsample(x, scale_factor), levels - 1, scale_factor)]


def laplacian_pyramid(x, levels, scale_factor=0.5):
    if levels == 1:
        return [x]
    coarser = downsample(x, scale_factor)
    detail = x - upsample(coarser, x.shape[1:3], 1 / scale_factor)
    return [detail, *laplacian_pyramid(coarser, levels - 1, scale_factor)]


def reconstruct(levels, scale_factor=0.5):
    if len(levels) == 1:
        return levels[0]
    return levels[0] + upsample(reconstruct(levels[1:], scale_factor), levels[0].shape[1:3], 1 / scale_factor)


def octaves(x, count, scales=3):
    images = []
    for first in gaussian_pyramid(x, count):
        images += [first] + [downsample(first, 0.5 ** (scale / scales)) for scale in range(1, scales)]
    return images


def gaussian_stack(x, levels):
    def smooth(row, rate):
        padded = mirrored(row, 2 * rate)
        return np.array([padded[i : i + 4 * rate + 1 : rate] @ [1, 4, 6, 4, 1] / 16 for i in range(len(row))])

    stack = [x]
    for level in range(levels - 1):
        rate = 2**level
        stack.append(along(2, lambda row: smooth(row, rate), along(1, lambda row: smooth(row, rate), stack[-1])))  # noqa: B023
    return stack


def blend(a, b, mask, levels):
    masks = gaussian_pyramid(mask, levels)
    bands = zip(laplacian_pyramid(a, levels), laplacian_pyramid(b, levels), masks)
    return reconstruct([m * band_a + (1 - m) * band_b for band_a, band_b, m in bands])


def merge_levels(levels):
    columns = []
    for number, level in enumerate(levels):
        for finer in reversed(levels[:number]):
            level = upsample(level, finer.shape[1:3])
        columns.append(level)
    return np.concatenate(columns, axis=3)


def pyramid_features(x, weights, levels, laplacian=False, shared=False, **_):
    pyramid = laplacian_pyramid if laplacian else gaussian_pyramid
    numbers = [0] * levels if shared else range(levels)
    return [
        convolve(level, weights[f"convs.{number}.weight"], weights[f"convs.{number}.bias"])
        for number, level in zip(numbers, pyramid(x, levels))
    ]


# -- layers ----------------------------------------------------------------------------------------------------------


def convolve(x, weight, bias, rate=1):
    """Convolution that keeps the size; kernels are (out, in, h, w), and even ones reach further after than before."""
    height, width = x.shape[1:3]
    padding = [((k - 1) * rate // 2, (k - 1) * rate - (k - 1) * rate // 2) for k in weight.shape[2:]]
    padded = np.pad(x, [(0, 0), *padding, (0, 0)])
    taps = [(i, j) for i in range(weight.shape[2]) for j in range(weight.shape[3])]

    def weighted(part, tap):  # all channels together, or each by itself
        return part * tap[:, 0] if weight.shape[1] < x.shape[-1] else part @ tap.T

    return bias + sum(
        weighted(padded[:, i * rate : i * rate + height, j * rate : j * rate + width], weight[:, :, i, j])
        for i, j in taps
    )
