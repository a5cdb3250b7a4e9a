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
        return _cast(nearest_indices(size, out_size, xp=xp)[:, None] == pixels, "float64", xp)
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


def nearest_indices(size, out_size, half_pixel: bool = True, xp=np):
    """Pixel that each output pixel copies when ``size`` pixels become ``out_size``.

    With ``half_pixel``, the one whose area holds the output pixel's centre, ``floor((i + 0.5) * size / out_size)``, in
    whole-number arithmetic: Keras, Pillow, PyTorch's ``mode="nearest-exact"``. Without, ``floor(i * size / out_size)`` in
    single precision, as PyTorch's ``mode="nearest"`` computes it, and torchvision's FPN with it.

    Examples
    --------
    >>> nearest_indices(5, 3).tolist(), nearest_indices(5, 3, half_pixel=False).tolist()
    ([0, 2, 4], [0, 1, 3])
    >>> nearest_indices(3, 5).tolist(), nearest_indices(3, 5, half_pixel=False).tolist()
    ([0, 0, 1, 2, 2], [0, 0, 1, 1, 2])
    """
    positions = _range(0, out_size, "int64", xp)
    last = _range(0, size, "int64", xp)[-1]
    count, total = last + 1, positions[-1] + 1
    if half_pixel:
        return (2 * positions + 1) * count // (2 * total)
    ratio = _cast(count, "float32", xp) / _cast(total, "float32", xp)
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


def interpolation_windows(size, out_size, kernel_size: int = 3, xp=np):
    """Matrix of shape (out_size, kernel_size * size): what each tap of a convolution sees of an interpolated line.

    Column ``t * size + k`` of row ``i`` is the share of pixel ``k`` of ``size`` in position ``i + t - kernel_size // 2`` of
    the line that :func:`half_pixel_taps` makes of them, and zero where that is beyond the line's ends.

    Examples
    --------
    >>> interpolation_windows(1, 3).tolist()
    [[0.0, 1.0, 1.0], [1.0, 1.0, 1.0], [1.0, 1.0, 0.0]]
    """
    indices, weights = half_pixel_taps(size, out_size, xp)
    pixels, places = _range(0, size, "int64", xp), _range(0, out_size, "int64", xp)
    line = sum(weights[k][:, None] * _cast(indices[k][:, None] == pixels, "float64", xp) for k in (0, 1))
    shifts = [_cast(places[:, None] + tap - kernel_size // 2 == places, "float64", xp) for tap in range(kernel_size)]
    return xp.concatenate([shift @ line for shift in shifts], 1)


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
        enlarged = _cast(nearest_indices(size, out_size, False, xp)[:, None] == pixels, "float64", xp)
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


def resnet_strides(output_stride: int) -> tuple[tuple, tuple, tuple]:
    """Reductions of a ResNet's four levels, the strides of its stages, and the rates before and after each stage.

    A stage that would go beyond ``output_stride`` keeps its size, and everything after its strided convolution is dilated
    by that stride instead, so that the pixels of the strided network are found among those of the dilated one.

    Examples
    --------
    >>> resnet_strides(8)
    ((4, 8, 8, 8), (1, 2, 1, 1), (1, 1, 1, 2, 4))
    """
    reductions, strides, rates = [4], [1], [1, 1]
    for _ in range(3):
        strides.append(2 if 2 * reductions[-1] <= output_stride else 1)
        rates.append(rates[-1] * 2 // strides[-1])
        reductions.append(reductions[-1] * strides[-1])
    return tuple(reductions), tuple(strides), tuple(rates)


def aspp_rates(reduction: int) -> tuple[int, int, int]:
    """Rates that span the same part of an image at any output stride (Chen et al., 2017, section 4).

    Examples
    --------
    >>> aspp_rates(16), aspp_rates(8)
    ((6, 12, 18), (12, 24, 36))
    """
    return tuple(max(rate * 16 // reduction, 1) for rate in (6, 12, 18))


def quarter_level(reductions: tuple[int, ...]) -> int:
    """Index of the finest level of a quarter of the image's size or less; the last, where all are larger.

    Examples
    --------
    >>> quarter_level((2, 4, 8)), quarter_level((4, 8)), quarter_level((1, 2))
    (1, 0, 1)
    """
    return next((level for level, reduction in enumerate(reductions) if reduction >= 4), len(reductions) - 1)


def efficientnet_lite0_blocks(output_stride: int = 32) -> list[tuple[int, int, int, int, int, int]]:
    """Channels in and out, kernel size, stride, expansion and rate of EfficientNet-Lite0's 16 blocks (Tan and Le, 2019).

    A block that would go beyond ``output_stride`` keeps its size, and what follows it is dilated, as in
    :func:`resnet_strides`.

    Examples
    --------
    >>> efficientnet_lite0_blocks()[:2]
    [(32, 16, 3, 1, 1, 1), (16, 24, 3, 2, 6, 1)]
    >>> efficientnet_lite0_blocks(output_stride=8)[5:7]
    [(40, 80, 3, 1, 6, 1), (80, 80, 3, 1, 6, 2)]
    """
    stages = (
        (16, 3, 1, 1),
        (24, 3, 2, 2),
        (40, 5, 2, 2),
        (80, 3, 2, 3),
        (112, 5, 1, 3),
        (192, 5, 2, 4),
        (320, 3, 1, 1),
    )
    blocks, channels, reached, rate = [], 32, 2, 1
    for width, kernel_size, stride, depth in stages:
        kept = stride if reached * stride <= output_stride else 1
        for number in range(depth):
            blocks.append((channels, width, kernel_size, 1 if number else kept, 6 if blocks else 1, rate))
            channels, rate = width, rate if number else rate * stride // kept
        reached *= kept
    return blocks


EFFICIENTNET_LITE0_LEVELS = (2, 4, 10, 15)
"""The last of its blocks before each stride of 2, and the last of all: strides 4, 8, 16 and 32."""


# -- boxes: (x_min, y_min, x_max, y_max), edges in pixels of the image; pixels 2 to 5 are covered from 2 to 6 -------------


def fpn_reductions(reductions: tuple[int, ...], extra: str | None = None) -> tuple[int, ...]:
    """Reductions of a feature pyramid's levels on a backbone with these, its extra levels included.

    Examples
    --------
    >>> fpn_reductions((8, 16, 32), "convolutions")
    (8, 16, 32, 64, 128)
    """
    count = {None: 0, "pool": 1, "convolutions": 2}[extra]
    return (*reductions, *(reductions[-1] * 2 ** (number + 1) for number in range(count)))


def normalisation_groups(channels: int) -> int:
    """Groups of GroupNorm: of eight channels each, or a single one where eight do not divide them.

    Examples
    --------
    >>> normalisation_groups(256), normalisation_groups(12)
    (32, 1)
    """
    return channels // 8 if channels % 8 == 0 else 1


def size_ranges(reductions: tuple[int, ...]) -> list[tuple[float, float]]:
    """The distances, in pixels, at which the farthest side of a box may be from a cell that has to find it.

    A level of reduction ``s`` ends at ``8 s`` and the next begins there; the last has no end. For reductions from 8 to 128
    these are the numbers of FCOS (Tian et al., ICCV 2019, section 3.2).

    Examples
    --------
    >>> size_ranges((8, 16, 32, 64, 128))
    [(0, 64), (64, 128), (128, 256), (256, 512), (512, inf)]
    """
    bounds = [0, *(8 * reduction for reduction in reductions[:-1]), math.inf]
    return list(zip(bounds, bounds[1:]))


def cell_centres(shape: tuple, reduction: int, xp=np):
    """x and y of the centres of a level's cells on the image, two arrays of the level's shape.

    Examples
    --------
    >>> x, y = cell_centres((2, 3), 8)
    >>> x.tolist(), y.tolist()
    ([[4.0, 12.0, 20.0], [4.0, 12.0, 20.0]], [[4.0, 4.0, 4.0], [12.0, 12.0, 12.0]])
    """
    y, x = ((_range(0, size, "float32", xp) + 0.5) * reduction for size in shape)
    return x + xp.zeros_like(y)[:, None], y[:, None] + xp.zeros_like(x)


def box_distances(boxes, x, y, xp=np):
    """How far the left, top, right and bottom sides of boxes are from points; all are positive for a point inside.

    Examples
    --------
    >>> box_distances(np.array([2.0, 3.0, 6.0, 9.0]), 4.0, 4.0).tolist()
    [2.0, 1.0, 2.0, 5.0]
    """
    return xp.stack([x - boxes[..., 0], y - boxes[..., 1], boxes[..., 2] - x, boxes[..., 3] - y], -1)


def distant_boxes(distances, x, y, xp=np):
    """The boxes whose sides are that far from points: :func:`box_distances` undone.

    Examples
    --------
    >>> distant_boxes(np.array([2.0, 1.0, 2.0, 5.0]), 4.0, 4.0).tolist()
    [2.0, 3.0, 6.0, 9.0]
    """
    return xp.stack([x - distances[..., 0], y - distances[..., 1], x + distances[..., 2], y + distances[..., 3]], -1)


def box_targets(boxes, labels, classes: int, shape: tuple, reduction: int, size_range: tuple, xp=np):
    """What each cell of one level has to find (Tian et al., ICCV 2019, sections 3.1 and 3.2).

    A cell has to find the box that its centre is inside of, if the farthest side is within ``size_range``; of several, the
    smallest, and of equally small ones the first. Centre-ness is ``sqrt(min(l, r) / max(l, r) * min(t, b) / max(t, b))``.

    Parameters
    ----------
    boxes, labels
        Arrays (N, K, 4) and (N, K), K at least 1. Boxes without area fill up where images have fewer: no cell finds them.

    Returns
    -------
    array (N, H, W, classes + 5)
        What a perfect detector says: 1 for the class of the box and 0 for others, the distances of its left, top, right and
        bottom side in pixels, and the cell's centre-ness. All are zero where there is nothing to find.

    Examples
    --------
    >>> boxes, labels = np.array([[[0.0, 0.0, 16.0, 8.0]]]), np.array([[1]])
    >>> box_targets(boxes, labels, 2, (1, 3), 8, (0, 64)).round(2)[0, 0].tolist()
    [[0.0, 1.0, 4.0, 4.0, 12.0, 4.0, 0.58], [0.0, 1.0, 12.0, 4.0, 4.0, 4.0, 0.58], [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]]
    """
    x, y = cell_centres(shape, reduction, xp)
    every = box_distances(boxes[:, None, None], x[..., None], y[..., None], xp)  # (N, H, W, K, 4)
    nearest, farthest = xp.amin(every, -1), xp.amax(every, -1)
    inside = (nearest > 0) & (farthest >= size_range[0]) & (farthest <= size_range[1])
    area = (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
    area = xp.where(inside, area[:, None, None], xp.full_like(nearest, math.inf))
    numbers = xp.cumsum(xp.ones_like(labels), 1) - 1  # 0, 1, … K - 1, which a graph may not know yet
    smallest = _cast(xp.argmin(area, -1), "int64", xp)[..., None] == _cast(numbers, "int64", xp)[:, None, None]
    chosen = inside & smallest  # one box of K, or none
    distances = xp.sum(every * _cast(chosen, "float32", xp)[..., None], -2)
    label = xp.sum((_cast(labels, "int64", xp) + 1)[:, None, None] * _cast(chosen, "int64", xp), -1) - 1
    is_class = label[..., None] == _range(0, classes, "int64", xp)
    left, top, right, bottom = (distances[..., side] for side in range(4))
    most = xp.maximum(left, right) * xp.maximum(top, bottom)
    ratio = xp.minimum(left, right) * xp.minimum(top, bottom) / xp.where(most > 0, most, xp.ones_like(most))
    return xp.concatenate([_cast(is_class, "float32", xp), distances, xp.sqrt(ratio)[..., None]], -1)


def box_iou(a, b, xp=np):
    """Intersection over union of each of the boxes ``a`` with each of ``b``: arrays (A, 4) and (B, 4) give (A, B).

    It is zero where both have no area.

    Examples
    --------
    >>> box_iou(np.array([[0.0, 0.0, 4.0, 4.0]]), np.array([[0.0, 0.0, 4.0, 2.0], [2.0, 2.0, 6.0, 6.0]])).round(3).tolist()
    [[0.5, 0.143]]
    """
    a, b = a[:, None], b[None]
    sides = [xp.minimum(a[..., k + 2], b[..., k + 2]) - xp.maximum(a[..., k], b[..., k]) for k in (0, 1)]
    width, height = (xp.maximum(side, xp.zeros_like(side)) for side in sides)
    area_a, area_b = ((x[..., 2] - x[..., 0]) * (x[..., 3] - x[..., 1]) for x in (a, b))
    union = area_a + area_b - width * height
    return width * height / xp.where(union > 0, union, xp.ones_like(union))


def generalized_iou(a, b, xp=np):
    """Generalised intersection over union of pairs of boxes around one point, given by the distances of their sides.

    From 1 for equal boxes down to -1: the intersection over union, less the part of the smallest box around both that
    neither covers (Rezatofighi et al., CVPR 2019).

    Examples
    --------
    >>> float(generalized_iou(np.array([2.0, 2.0, 2.0, 2.0]), np.array([2.0, 2.0, 2.0, 0.0])))
    0.5
    """

    def area(sides):
        return (sides[..., 0] + sides[..., 2]) * (sides[..., 1] + sides[..., 3])

    both, around = area(xp.minimum(a, b)), area(xp.maximum(a, b))
    union = area(a) + area(b) - both
    return both / union - (around - union) / around


# -- searching and dreaming ------------------------------------------------------------------------------------------


def levels_down_to(least: int, shape: tuple[int, int], scale_factor: float = 0.5) -> int:
    """Number of levels, the image counted, whose coarsest still has ``least`` pixels a side; 1 where the image has fewer.

    Examples
    --------
    >>> levels_down_to(16, (64, 64)), levels_down_to(16, (64, 30)), levels_down_to(16, (8, 8))
    (3, 1, 1)
    """
    levels, most = 1, max_levels(shape, scale_factor)
    while levels < most and min(level_shapes(shape, levels + 1, scale_factor)[-1]) >= least:
        levels += 1
    return levels


def search_comparisons(
    image: tuple[int, int], template: tuple[int, int], levels: int, candidates: int, radius: int
) -> tuple[int, int]:
    """How many pairs of pixels a coarse-to-fine template search compares, and how many an exhaustive one.

    Every place at the coarsest level; then, at each finer one, ``candidates`` windows of ``radius`` pixels to each side,
    or the whole level where that is less. At every place each pixel of the template meets one pixel of the image.

    Examples
    --------
    >>> search_comparisons((5, 5), (2, 2), levels=1, candidates=1, radius=1)
    (64, 64)
    >>> search_comparisons((512, 512), (64, 64), levels=3, candidates=3, radius=4)
    (4513024, 825757696)
    """
    pairs = list(zip(level_shapes(image, levels), level_shapes(template, levels)))
    places = [[n - m + 1 for n, m in zip(*pair)] for pair in pairs]
    pixels = [math.prod(shape) for _, shape in pairs]
    windows = [candidates * math.prod(min(2 * radius + 1, n) for n in level) for level in places[:-1]]
    visited = sum(n * m for n, m in zip([*windows, math.prod(places[-1])], pixels))
    return visited, math.prod(places[0]) * pixels[0]


def fast_length(size: int) -> int:
    """Smallest number from ``size`` up with no prime factor above 5: lengths that fast Fourier transforms are fast for.

    Examples
    --------
    >>> fast_length(97), fast_length(512), fast_length(2047)
    (100, 512, 2048)
    """
    while True:
        rest = size
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return size
        size += 1


def interpolation_taps(positions, size, xp=np):
    """Pixels and weights that read a row of ``size`` pixels at any positions, by linear interpolation.

    Beyond the first and the last pixel those are kept.

    Returns
    -------
    indices, weights : arrays of shape (2, \\*positions)
        ``out[...] = sum over k of weights[k, ...] * x[indices[k, ...]]``.

    Examples
    --------
    >>> indices, weights = interpolation_taps(np.array([-1.5, 0.25, 3.0]), 4)
    >>> indices.tolist(), weights.tolist()
    ([[0, 0, 3], [0, 1, 3]], [[0.5, 0.75, 1.0], [0.5, 0.25, 0.0]])
    """
    lower = xp.floor(positions)
    indices = _cast(xp.clip(xp.stack([lower, lower + 1]), 0, size - 1), "int64", xp)
    return indices, xp.stack([1 - (positions - lower), positions - lower])


def tiles(size: int, tile: int | None) -> list[tuple[int, int, int]]:
    """Where each tile along ``size`` pixels starts and ends, and how many of its pixels the tile before it has covered.

    All tiles are equally long, so the last one overlaps where ``size`` does not divide; there is one if ``tile`` is None.

    Examples
    --------
    >>> tiles(10, 4), tiles(10, None)
    ([(0, 4, 0), (4, 8, 0), (6, 10, 2)], [(0, 10, 0)])
    """
    tile = size if tile is None else min(tile, size)
    starts = [*range(0, size - tile, tile), size - tile]
    return [(start, start + tile, max(before + tile - start, 0)) for before, start in zip([-tile, *starts], starts)]


def rolls(seed: int, octaves: int, iterations: int, jitter: int) -> list[list[tuple[int, int]]]:
    """Random pixels, down and to the right, that each iteration of each octave rolls the picture by.

    Examples
    --------
    >>> rolls(0, octaves=1, iterations=2, jitter=16)
    [[(12, 5), (0, -8)]]
    """
    drawn = np.random.default_rng(seed).integers(-jitter, jitter + 1, (octaves, iterations, 2))
    return [[(int(down), int(right)) for down, right in octave] for octave in drawn]


# -- what NumPy, PyTorch and Keras spell differently -----------------------------------------------------------------


def _range(start, stop, dtype: str, xp):
    return _cast(xp.arange(start, stop), dtype, xp)


def _cast(array, dtype: str, xp):
    if hasattr(xp, "cast"):
        return xp.cast(array, dtype)
    return array.astype(dtype) if xp is np else array.to(getattr(xp, dtype))
