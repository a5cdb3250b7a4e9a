"""The arithmetic of scale that both frameworks share: sizes, kernels, borders and sampling positions.

Nothing here touches an image. The framework modules take these numbers and apply them, so that a size or a weight
is decided in one place. Functions with an argument ``xp`` also run inside a framework's graph, where a size may not
be known yet: pass the namespace (``torch``, ``keras.ops``) that is to hold the result.
"""

from __future__ import annotations

import math
from fractions import Fraction
from numbers import Real
from operator import index

import numpy as np

BINOMIAL = np.array([1, 4, 6, 4, 1]) / 16
"""The five weights of Burt and Adelson's kernel for a = 0.375, which are Pascal's fourth row: variance 1 pixel²."""


# -- arguments -------------------------------------------------------------------------------------------------------


def check_count(name: str, value: int, least: int = 1) -> int:
    """Return ``value`` as an int, or raise if it is not a whole number of at least ``least``.

    Examples
    --------
    >>> check_count("levels", 3)
    3
    >>> check_count("levels", 0)
    Traceback (most recent call last):
        ...
    ValueError: levels must be at least 1, got 0
    """
    try:
        count = index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r} ({type(value).__name__})") from None
    if isinstance(value, bool):
        raise TypeError(f"{name} must be an integer, got {value!r} (bool)")
    if count < least:
        raise ValueError(f"{name} must be at least {least}, got {count}")
    return count


def check_number(name: str, value: float) -> float:
    """Return ``value`` as a float, or raise if it is not a number.

    Examples
    --------
    >>> check_number("scale_factor", "half")
    Traceback (most recent call last):
        ...
    TypeError: scale_factor must be a number, got 'half' (str)
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r} ({type(value).__name__})")
    return float(value)


def check_scale_factor(scale_factor: float) -> float:
    """Return ``scale_factor`` as a float, or raise if it does not shrink an image.

    Examples
    --------
    >>> check_scale_factor(0.5)
    0.5
    >>> check_scale_factor(2)
    Traceback (most recent call last):
        ...
    ValueError: scale_factor must be more than 0 and less than 1 (each level is smaller than the last), got 2
    """
    if not 0 < check_number("scale_factor", scale_factor) < 1:
        raise ValueError(
            f"scale_factor must be more than 0 and less than 1 (each level is smaller than the last), got {scale_factor}"
        )
    return float(scale_factor)


# -- sizes -----------------------------------------------------------------------------------------------------------


def scaled_size(size, scale_factor: float = 0.5):
    """Size of the next level: ``ceil(size * scale_factor)``, in whole-number arithmetic.

    Works on integers, arrays, and sizes that are still symbols in a graph. The factor is taken as the nearest fraction
    with a denominator up to 10 000, so that 0.7 of 10 pixels is 7 and never 8 through a rounding error.

    Examples
    --------
    >>> scaled_size(5), scaled_size(4), scaled_size(1), scaled_size(10, 0.7)
    (3, 2, 1, 7)
    """
    ratio = Fraction(scale_factor).limit_denominator(10_000)
    return (size * ratio.numerator + ratio.denominator - 1) // ratio.denominator  # ONNX rounds negatives towards zero


def level_shapes(shape: tuple[int, int], levels: int, scale_factor: float = 0.5) -> list[tuple[int, int]]:
    """Heights and widths of a pyramid's levels, finest first.

    Parameters
    ----------
    shape
        Height and width of the image, in pixels.
    levels
        Number of levels, the image itself counted as the first.
    scale_factor
        Size of each level relative to the one before it; sizes are rounded up.

    Examples
    --------
    >>> level_shapes((65, 47), 4)
    [(65, 47), (33, 24), (17, 12), (9, 6)]
    """
    shapes = [tuple(shape)]
    for _ in range(levels - 1):
        shapes.append(tuple(scaled_size(size, scale_factor) for size in shapes[-1]))
    return shapes


def max_levels(shape: tuple[int, int], scale_factor: float = 0.5) -> int:
    """Largest useful number of levels: the level after it would be no smaller.

    Examples
    --------
    >>> max_levels((1, 1)), max_levels((5, 8)), max_levels((512, 512))
    (1, 4, 10)
    """
    levels = 1
    while (smaller := level_shapes(shape, 2, scale_factor)[1]) != tuple(shape):
        shape, levels = smaller, levels + 1
    return levels


def sizes_reduced_to(size: int, scale_factor: float = 0.5) -> list[int]:
    """All sizes that :func:`scaled_size` reduces to ``size``.

    Examples
    --------
    >>> sizes_reduced_to(3), sizes_reduced_to(3, 0.75)
    ([5, 6], [3, 4])
    """
    return [n for n in range(1, math.ceil(size / scale_factor) + 2) if scaled_size(n, scale_factor) == size]


def storage(shape: tuple[int, int], levels: int, scale_factor: float = 0.5) -> float:
    """Pixels in all levels of a pyramid, relative to the image alone.

    Tends to 1 / (1 - scale_factor²) for a large image and many levels, which is 4/3 for halving.

    Examples
    --------
    >>> storage((512, 512), 3)
    1.3125
    """
    height, width = shape
    return sum(h * w for h, w in level_shapes(shape, levels, scale_factor)) / (height * width)


# -- borders ---------------------------------------------------------------------------------------------------------


def reflect(positions, size, xp=np):
    """Index of the pixel that stands in for a position outside the image: mirrored about the edge pixels.

    The edge pixel is not repeated (``dcb|abcd|cba``), as in OpenCV's ``BORDER_REFLECT_101``. Any distance is allowed,
    and an image of one pixel is that pixel everywhere.

    Examples
    --------
    >>> reflect(np.arange(-3, 7), 4)
    array([3, 2, 1, 0, 1, 2, 3, 2, 1, 0])
    >>> reflect(np.arange(-2, 3), 1)
    array([0, 0, 0, 0, 0])
    """
    last = _range(0, size, "int64", xp)[-1]
    period = xp.maximum(2 * last, xp.ones_like(last))
    return last - xp.abs(last - xp.abs(positions) % period)


def same_padding(size: int, kernel_size: int, stride: int = 1, rate: int = 1) -> tuple[int, int]:
    """Pixels that TensorFlow's ``padding="same"`` adds before and after, for an output of ``ceil(size / stride)``.

    PyTorch's ``padding=k // 2`` adds the same number on both sides; the two differ where the sum is odd.

    Examples
    --------
    >>> same_padding(224, 3, stride=2), same_padding(225, 3, stride=2)
    ((0, 1), (1, 1))
    """
    effective = (kernel_size - 1) * rate + 1
    total = max((-(-size // stride) - 1) * stride + effective - size, 0)
    return total // 2, total - total // 2


# -- kernels and sampling positions ----------------------------------------------------------------------------------


def binomial_kernel(size: int = 5) -> np.ndarray:
    """Row ``size - 1`` of Pascal's triangle, scaled to sum to one: a Gaussian of variance ``(size - 1) / 4``.

    Examples
    --------
    >>> binomial_kernel(5) * 16
    array([1., 4., 6., 4., 1.])
    """
    size = check_count("size", size)
    return np.array([math.comb(size - 1, k) for k in range(size)]) / 2 ** (size - 1)


def prefilter_sigma(scale_factor: float) -> float:
    """Standard deviation, in pixels of the finer level, of the Gaussian that precedes sampling by ``scale_factor``.

    With ``d = 1 / scale_factor``, ``sigma² = (d² - 1) / 3`` is the choice that gives 1 at ``d = 2`` (the variance of the
    binomial kernel), nothing at ``d = 1``, and levels that are all equally sharp in their own pixels: variance 1/3 on one
    level becomes ``(1/3 + sigma²) / d² = 1/3`` on the next.

    Examples
    --------
    >>> prefilter_sigma(0.5)
    1.0
    """
    return math.sqrt((1 / check_scale_factor(scale_factor) ** 2 - 1) / 3)


def gaussian_taps(size, scale_factor: float, xp=np):
    """Pixels and weights that make each pixel of a level that is smaller by any ``scale_factor``.

    Pixel ``i`` of the coarse level lies at ``i / scale_factor`` on the fine one. The fine level is smoothed by a Gaussian
    of :func:`prefilter_sigma`, cut off at four standard deviations, and read off there by linear interpolation, so that
    every ramp stays where it is.

    Returns
    -------
    indices, weights : arrays of shape (taps, coarse size)
        ``coarse[i] = sum over k of weights[k, i] * fine[indices[k, i]]``.

    Examples
    --------
    >>> indices, weights = gaussian_taps(8, 0.75)
    >>> indices.shape, bool(np.allclose(weights.sum(0), 1))
    ((8, 6), True)
    """
    sigma = prefilter_sigma(scale_factor)
    radius = max(math.ceil(4 * sigma), 1)

    def gaussian(distance):
        weights = xp.exp(-(distance**2) / (2 * sigma**2)) * _cast(xp.abs(distance) <= radius, "float64", xp)
        return weights / xp.sum(weights)

    centre = _range(0, scaled_size(size, scale_factor), "float64", xp) / scale_factor
    lower = xp.floor(centre)
    offsets = _range(-radius, radius + 2, "float64", xp)[:, None]
    indices = reflect(_cast(lower + offsets, "int64", xp), size, xp)
    return indices, (1 - (centre - lower)) * gaussian(offsets) + (centre - lower) * gaussian(offsets - 1)


def linear_taps(size, coarse_size, scale_factor: float, xp=np):
    """Pixels and weights that place a coarse level on a grid ``scale_factor`` times as fine, by linear interpolation.

    Pixel ``j`` of the fine level lies at ``j / scale_factor`` on the coarse one; beyond its last pixel that pixel is kept.

    Returns
    -------
    indices, weights : arrays of shape (2, size)

    Examples
    --------
    >>> indices, weights = linear_taps(4, 2, 2.0)
    >>> indices.tolist(), weights.tolist()
    ([[0, 0, 1, 1], [1, 1, 1, 1]], [[1.0, 0.5, 1.0, 0.5], [0.0, 0.5, 0.0, 0.5]])
    """
    position = _range(0, size, "float64", xp) / scale_factor
    lower = xp.floor(position)
    last = _range(0, coarse_size, "int64", xp)[-1]
    indices = xp.minimum(_cast(xp.stack([lower, lower + 1]), "int64", xp), last)
    return indices, xp.stack([1 - (position - lower), position - lower])


def adaptive_bin_edges(size, bins: int) -> list[tuple]:
    """First pixel and one past the last pixel of each bin when ``size`` pixels are pooled into ``bins``.

    Bin ``i`` runs from ``floor(i * size / bins)`` to ``ceil((i + 1) * size / bins)``. There are always ``bins`` of them,
    none is empty, and neighbours overlap by a pixel where the size does not divide: PyTorch's adaptive pooling. Sizes may
    be symbols in a graph.

    Examples
    --------
    >>> adaptive_bin_edges(10, 4)
    [(0, 3), (2, 5), (5, 8), (7, 10)]
    >>> adaptive_bin_edges(2, 3)
    [(0, 1), (0, 2), (1, 2)]
    """
    check_count("bins", bins)
    if isinstance(size, Real):
        check_count("size", size)
    return [(i * size // bins, ((i + 1) * size + bins - 1) // bins) for i in range(bins)]  # no negatives, as above


def nearest_pixels(size, out_size: int, xp=np):
    """Index of the pixel whose area holds the centre of each output pixel, in whole-number arithmetic.

    Examples
    --------
    >>> nearest_pixels(5, 3).tolist()
    [0, 2, 4]
    """
    return (2 * _range(0, out_size, "int64", xp) + 1) * size // (2 * out_size)


def resize_matrix(size, out_size: int, interpolation: str = "bilinear", antialias: bool = False, xp=np):
    """Matrix of shape (out_size, size) that resizes one dimension of an image, with half-pixel centres.

    Output pixel ``i`` is centred at ``(i + 0.5) * size / out_size - 0.5``. With ``antialias`` the kernel is as wide as an
    output pixel when the image shrinks; without, it always spans input pixels and skips those between.

    Parameters
    ----------
    interpolation : {"nearest", "bilinear", "bicubic"}
        ``bicubic`` is Keys' kernel with a = -0.5, cut off and scaled to sum to one at the borders (TensorFlow, Pillow,
        and PyTorch with ``antialias=True``; PyTorch without it uses a = -0.75 and repeats the edge pixel).

    Examples
    --------
    >>> resize_matrix(4, 2).tolist()
    [[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]]
    """
    if xp is np:  # else a graph's symbol
        check_count("size", size)
    check_count("out_size", out_size)
    kernels = {"nearest": None, "bilinear": (1, _triangle), "bicubic": (2, _keys)}
    if interpolation not in kernels:
        raise ValueError(f"interpolation must be one of {', '.join(kernels)}, got {interpolation!r}")
    pixels = _range(0, size, "int64", xp)
    if interpolation == "nearest":
        return _cast(nearest_pixels(size, out_size, xp)[:, None] == pixels, "float64", xp)
    support, kernel = kernels[interpolation]
    pixels, last = _cast(pixels, "float64", xp), _cast(pixels[-1], "float64", xp)
    ratio = (last + 1) / out_size
    centres = (_range(0, out_size, "float64", xp) + 0.5) * ratio - 0.5
    width = xp.maximum(ratio, xp.ones_like(ratio)) if antialias else 1.0
    if not antialias and interpolation == "bilinear":
        centres = xp.minimum(xp.maximum(centres, xp.zeros_like(last)), last)
    weights = kernel(xp.abs(pixels - centres[:, None]) / width, support, xp)
    return weights / xp.sum(weights, 1)[:, None]


def _triangle(distance, support: int, xp):
    return xp.maximum(support - distance, xp.zeros_like(distance))


def _keys(distance, support: int, xp, a: float = -0.5):
    d = distance
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return xp.where(d < 1, near, xp.where(d < support, far, xp.zeros_like(d)))


def nearest_indices(size, out_size, xp=np):
    """Pixel that each output pixel copies when ``size`` pixels become ``out_size``: ``floor(i * size / out_size)``.

    In single precision, as PyTorch's ``mode="nearest"`` computes it (and not ``"nearest-exact"``, nor Keras, which copy
    the pixel nearest to the output pixel's centre).

    Examples
    --------
    >>> nearest_indices(3, 5).tolist(), nearest_indices(2, 4).tolist()
    ([0, 0, 1, 1, 2], [0, 0, 1, 1])
    """
    positions = _range(0, out_size, "int64", xp)
    last = _range(0, size, "int64", xp)[-1]
    ratio = _cast(last + 1, "float32", xp) / _cast(positions[-1] + 1, "float32", xp)
    return xp.minimum(_cast(xp.floor(_cast(positions, "float32", xp) * ratio), "int64", xp), last)


def half_pixel_taps(size, out_size, xp=np):
    """Pixels and weights that resize ``size`` pixels to ``out_size`` by linear interpolation with half-pixel centres.

    Output pixel ``i`` is centred at ``(i + 0.5) * size / out_size - 0.5``; beyond the first and last pixel's centre those
    pixels are kept: ``align_corners=False`` of PyTorch, ``tf.image.resize``. Nothing is smoothed first.

    Returns
    -------
    indices, weights : arrays of shape (2, out_size)
        ``out[i] = sum over k of weights[k, i] * x[indices[k, i]]``.

    Examples
    --------
    >>> indices, weights = half_pixel_taps(2, 4)
    >>> indices.tolist(), weights.tolist()
    ([[0, 0, 0, 1], [1, 1, 1, 1]], [[1.0, 0.75, 0.25, 1.0], [0.0, 0.25, 0.75, 0.0]])
    """
    positions = _range(0, out_size, "float64", xp)
    last = _range(0, size, "float64", xp)[-1]
    centre = (positions + 0.5) * ((last + 1) / (positions[-1] + 1)) - 0.5
    centre = xp.minimum(xp.maximum(centre, xp.zeros_like(centre)), last)
    lower = xp.floor(centre)
    indices = _cast(xp.stack([lower, xp.minimum(lower + 1, last)]), "int64", xp)
    return indices, xp.stack([1 - (centre - lower), centre - lower])


def averaging_matrix(size, out_size, xp=np):
    """Matrix of shape (out_size, size) that averages pixels over the bins of :func:`adaptive_bin_edges`.

    Examples
    --------
    >>> averaging_matrix(5, 2).round(2).tolist()
    [[0.33, 0.33, 0.33, 0.0, 0.0], [0.0, 0.0, 0.33, 0.33, 0.33]]
    """
    bins, pixels = _range(0, out_size, "int64", xp), _range(0, size, "int64", xp)
    count, total = pixels[-1] + 1, bins[-1] + 1
    first, end = bins * count // total, ((bins + 1) * count + total - 1) // total
    inside = _cast((pixels >= first[:, None]) & (pixels < end[:, None]), "float64", xp)
    return inside / _cast(end - first, "float64", xp)[:, None]


def alignment_matrix(size, out_size, interpolation: str = "bilinear", xp=np):
    """Matrix of shape (out_size, size) that enlarges by interpolation and shrinks by averaging, whichever is needed.

    Examples
    --------
    >>> alignment_matrix(2, 3, "nearest").tolist(), alignment_matrix(3, 2).tolist()
    ([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [[0.5, 0.5, 0.0], [0.0, 0.5, 0.5]])
    """
    average = averaging_matrix(size, out_size, xp)
    pixels, last = _range(0, size, "int64", xp), _range(0, out_size, "int64", xp)[-1]
    if interpolation == "nearest":
        enlarged = _cast(nearest_indices(size, out_size, xp)[:, None] == pixels, "float64", xp)
    else:
        indices, weights = half_pixel_taps(size, out_size, xp)
        enlarged = sum(weights[k][:, None] * _cast(indices[k][:, None] == pixels, "float64", xp) for k in (0, 1))
    return xp.where(pixels[-1] > last, average, enlarged)


def attention_widths(levels: int, channels: int, kind: str, reduction: int) -> tuple[int, int]:
    """Inputs and hidden numbers of the dense layers of channel attention over ``levels`` levels.

    Squeeze-and-excitation sees all channels of all levels; selective kernels see the channels of their sum, and keep at
    least 32 numbers (Li et al., CVPR 2019, eq. 4).

    Examples
    --------
    >>> attention_widths(3, 64, "squeeze-excitation", 16), attention_widths(3, 64, "selective", 16)
    ((192, 12), (64, 32))
    """
    check_count("reduction", reduction)
    if kind == "selective":
        return channels, max(channels // reduction, 32)
    return levels * channels, max(levels * channels // reduction, 1)


# -- what NumPy, PyTorch and Keras spell differently -----------------------------------------------------------------


def _range(start, stop, dtype: str, xp):
    return _cast(xp.arange(start, stop), dtype, xp)


def _cast(array, dtype: str, xp):
    if hasattr(xp, "cast"):
        return xp.cast(array, dtype)
    return array.astype(dtype) if xp is np else array.to(getattr(xp, dtype))
