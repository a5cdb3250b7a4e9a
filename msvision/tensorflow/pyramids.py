"""Image pyramids: the same picture at many scales (chapters 1 and 2).

A pyramid is a list of images, finest first. Pixel ``i`` of a level lies on pixel ``2 i`` of the level before it, as in
Burt and Adelson (1983) and in OpenCV, so the first pixels of all levels coincide.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import keras
import numpy as np
import tensorflow as tf

from msvision import checks, geometry


def downsample(x: tf.Tensor, scale_factor: float = 0.5) -> tf.Tensor:
    """Smooth, then keep fewer pixels: one step up a Gaussian pyramid (REDUCE in Burt and Adelson, 1983, eq. 1).

    Parameters
    ----------
    x : Tensor, shape (N, H, W, C)
        Images, any number of channels, floating-point, any range.
    scale_factor
        Size of the result relative to ``x``. For 0.5 the filter is the binomial (1, 4, 6, 4, 1) / 16 in each direction,
        mirrored at the borders, which is OpenCV's ``pyrDown``; for other factors, a Gaussian
        (:func:`msvision.geometry.gaussian_taps`).

    Returns
    -------
    Tensor, shape (N, ceil(scale_factor H), ceil(scale_factor W), C)
        Same type and range as ``x``.

    Raises
    ------
    TypeError
        If ``x`` does not hold floating-point numbers, or ``scale_factor`` is not a number.
    ValueError
        If ``x`` is empty or not 4-D, or ``scale_factor`` is not between 0 and 1.

    Examples
    --------
    >>> row = tf.reshape([0.0, 0, 0, 16, 0, 0, 0], (1, 1, 7, 1))
    >>> downsample(row).numpy().ravel().tolist()
    [0.0, 4.0, 4.0, 0.0]
    """
    x = _image(x)
    if geometry.check_scale_factor(scale_factor) == 0.5:
        return _halved(x)
    for axis in (1, 2):
        size = _size(x, axis)
        x = _gather(x, axis, *geometry.gaussian_taps(size, scale_factor, _namespace(size)))
    return x


def upsample(x: tf.Tensor, size: tuple[int, int] | None = None, scale_factor: float = 2.0) -> tf.Tensor:
    """Put the pixels of a coarser level back on a finer grid: one step down a pyramid (EXPAND in Burt and Adelson, eq. 2).

    Parameters
    ----------
    x : Tensor, shape (N, H, W, C)
        Images, any number of channels, floating-point, any range.
    size
        Height and width of the finer level. By default ``scale_factor`` times those of ``x``, rounded up; give it where
        the finer level's size is odd.
    scale_factor
        How much finer the new grid is. For 2, new pixels are (1, 6, 1) / 8 and (4, 4) / 8 of their neighbours, which is
        OpenCV's ``pyrUp``, borders included; for other factors, linear interpolation.

    Returns
    -------
    Tensor, shape (N, \\*size, C)

    Raises
    ------
    TypeError, ValueError
        As :func:`downsample`; also if ``size`` is one that :func:`downsample` would not reduce to ``x``'s.

    Examples
    --------
    >>> row = tf.reshape([0.0, 8, 0], (1, 1, 3, 1))
    >>> upsample(row, size=(1, 5)).numpy().ravel().tolist()
    [2.0, 4.0, 6.0, 4.0, 1.0]
    """
    x = _image(x)
    return _enlarge(x, checks.check_upsample(size, (_size(x, 1), _size(x, 2)), scale_factor), scale_factor)


def gaussian_pyramid(x: tf.Tensor, levels: int, scale_factor: float = 0.5) -> list[tf.Tensor]:
    """The image at ever coarser scales (Burt and Adelson, 1983, section 2).

    Parameters
    ----------
    x : Tensor, shape (N, H, W, C)
        Images, floating-point, any range.
    levels
        Number of levels, ``x`` itself counted as the first.
    scale_factor
        Size of each level relative to the one before it.

    Returns
    -------
    list of Tensor
        Finest first; level ``l`` is ``ceil(scale_factor size)`` of level ``l - 1``.

    Raises
    ------
    TypeError, ValueError
        As :func:`downsample`; also if the image does not have so many levels (checked where its size is known).

    Examples
    --------
    >>> [tuple(level.shape) for level in gaussian_pyramid(tf.random.uniform((1, 65, 47, 3)), levels=3)]
    [(1, 65, 47, 3), (1, 33, 24, 3), (1, 17, 12, 3)]
    """
    x = _image(x)
    result = [x]
    for _ in range(checks.check_levels(levels, tuple(x.shape[1:3]), geometry.check_scale_factor(scale_factor)) - 1):
        result.append(downsample(result[-1], scale_factor))
    return result


def laplacian_pyramid(x: tf.Tensor, levels: int, scale_factor: float = 0.5) -> list[tf.Tensor]:
    """What each level shows that the next coarser one cannot, and the coarsest level itself (Burt and Adelson, eq. 3).

    Parameters
    ----------
    x, levels, scale_factor
        As for :func:`gaussian_pyramid`.

    Returns
    -------
    list of Tensor
        Finest first, sizes as in :func:`gaussian_pyramid`. All but the last are differences centred on zero; the last is
        the coarsest Gaussian level.

    Raises
    ------
    TypeError, ValueError
        As :func:`gaussian_pyramid`.

    Examples
    --------
    >>> x = tf.random.uniform((1, 65, 47, 3))
    >>> bool(np.allclose(reconstruct(laplacian_pyramid(x, levels=4)), x, atol=1e-6))
    True
    """
    levels = gaussian_pyramid(x, levels, scale_factor)
    finer_and_coarser = zip(levels, levels[1:])
    return [g - _to_size_of(g, coarser, scale_factor) for g, coarser in finer_and_coarser] + levels[-1:]


def reconstruct(levels: list[tf.Tensor], scale_factor: float = 0.5) -> tf.Tensor:
    """The image that a Laplacian pyramid was made from (Burt and Adelson, 1983, eq. 4).

    Parameters
    ----------
    levels : list of Tensor
        A Laplacian pyramid, finest first.
    scale_factor
        The factor it was made with.

    Returns
    -------
    Tensor, shape of ``levels[0]``
        Equal to the original up to rounding, whatever the sizes.

    Raises
    ------
    TypeError, ValueError
        If ``levels`` is not a list of images whose sizes follow each other as those of a pyramid do.

    Examples
    --------
    >>> flat = [tf.zeros((1, 5, 5, 1)), tf.ones((1, 3, 3, 1))]
    >>> np.unique(reconstruct(flat)).tolist()
    [1.0]
    """
    levels = _level_list(levels, scale_factor)
    x = levels[-1]
    for level in reversed(levels[:-1]):
        x = level + _to_size_of(level, x, scale_factor)
    return x


def octaves(x: tf.Tensor, count: int, scales: int = 3) -> list[tf.Tensor]:
    """A denser pyramid: ``scales`` images for every halving of the size (an octave).

    Every ``scales``-th image is a level of :func:`gaussian_pyramid`; those between are made from the octave's first image
    (Dollár et al., 2014, section 4), so that errors do not add up.

    Parameters
    ----------
    x : Tensor, shape (N, H, W, C)
        Images, floating-point, any range.
    count
        Number of octaves.
    scales
        Images per octave; image ``j`` of an octave has ``2 ** (-j / scales)`` times the size of its first.

    Returns
    -------
    list of ``count * scales`` Tensors
        Finest first.

    Raises
    ------
    TypeError, ValueError
        As :func:`gaussian_pyramid`, for ``count``; also if ``scales`` is less than 1.

    Examples
    --------
    >>> [image.shape[1] for image in octaves(tf.random.uniform((1, 64, 64, 3)), count=2, scales=2)]
    [64, 46, 32, 23]
    """
    geometry.check_count("scales", scales)
    x = _image(x)
    checks.check_levels(count, tuple(x.shape[1:3]), name="count")
    return [
        first if scale == 0 else downsample(first, 2 ** (-scale / scales))
        for first in gaussian_pyramid(x, count)
        for scale in range(scales)
    ]


def gaussian_stack(x: tf.Tensor, levels: int) -> list[tf.Tensor]:
    """The levels of a Gaussian pyramid at the size of the image: smoothed as much, but never sampled.

    Each level filters the one before it with the binomial kernel whose taps stand ``2 ** (l - 1)`` pixels apart (the
    algorithm *à trous*, with holes: Holschneider et al., 1989). Every ``2 ** l``-th pixel of level ``l`` is the pyramid's
    level, exactly where both sizes are 1 more than a multiple of ``2 ** (levels - 1)`` and else but for the far borders.

    Parameters
    ----------
    x : Tensor, shape (N, H, W, C)
        Images, floating-point, any range.
    levels
        Number of levels, ``x`` itself counted as the first.

    Returns
    -------
    list of Tensor, each of shape (N, H, W, C)
        Finest first.

    Raises
    ------
    TypeError, ValueError
        As :func:`gaussian_pyramid`.

    Examples
    --------
    >>> x = tf.random.uniform((1, 9, 9, 1))
    >>> bool(np.allclose(gaussian_stack(x, 3)[2][:, ::4, ::4], gaussian_pyramid(x, 3)[2]))
    True
    """
    x = _image(x)
    result = [x]
    for level in range(checks.check_levels(levels, tuple(x.shape[1:3])) - 1):
        result.append(_binomial(result[-1], rate=2**level))
    return result


def blend(a: tf.Tensor, b: tf.Tensor, mask: tf.Tensor, levels: int) -> tf.Tensor:
    """Join two images along a mask, each band of detail over a width that suits it (Burt and Adelson, ACM TOG, 1983).

    Parameters
    ----------
    a, b : Tensor, shape (N, H, W, C)
        Images of one size, floating-point, any range.
    mask : Tensor, shape (N or 1, H, W, C or 1)
        1 where ``a`` is to be seen, 0 where ``b`` is.
    levels
        Number of pyramid levels: the coarsest detail is joined over about ``2 ** levels`` pixels.

    Returns
    -------
    Tensor, shape (N, H, W, C)
        May leave the range of ``a`` and ``b`` a little near the seam.

    Raises
    ------
    TypeError, ValueError
        As :func:`gaussian_pyramid`; also if the sizes do not match.

    Examples
    --------
    >>> a, b = tf.ones((1, 32, 32, 3)), tf.zeros((1, 32, 32, 3))
    >>> mask = tf.reshape(tf.cast(tf.tile(tf.range(32) < 16, [32]), tf.float32), (1, 32, 32, 1))
    >>> seam = blend(a, b, mask, levels=4)[0, 0, :, 0].numpy()
    >>> bool((np.diff(seam) <= 1e-6).all()), round(float(seam[15] - seam[16]), 2)
    (True, 0.06)
    """
    a, b, mask = _image(a, "a"), _image(b, "b"), _image(mask, "mask")
    checks.check_blend(tuple(a.shape), tuple(b.shape), tuple(mask.shape), "NHWC")
    bands = zip(laplacian_pyramid(a, levels), laplacian_pyramid(b, levels), gaussian_pyramid(mask, levels))
    return reconstruct([m * band_a + (1 - m) * band_b for band_a, band_b, m in bands])


def merge_levels(levels: list[tf.Tensor]) -> tf.Tensor:
    """Bring every level to the size of the finest and concatenate the channels.

    Level ``l`` is upsampled ``l`` times by 2 with :func:`upsample`, which keeps what is in one place in one place.

    Parameters
    ----------
    levels : list of Tensor, shapes (N, H_l, W_l, C_l)
        Images or feature maps, finest first, each half the size of the one before it, rounded up.

    Returns
    -------
    Tensor, shape (N, H_0, W_0, C_0 + C_1 + ...)
        Channels of the finest level first.

    Raises
    ------
    TypeError, ValueError
        If ``levels`` is not such a list.

    Examples
    --------
    >>> merge_levels(gaussian_pyramid(tf.random.uniform((1, 17, 9, 3)), levels=3)).shape
    TensorShape([1, 17, 9, 9])
    """
    levels = _level_list(levels, 0.5)
    merged = levels[-1]
    for level in reversed(levels[:-1]):
        merged = tf.concat((level, _to_size_of(level, merged, 0.5)), axis=3)
    return merged


@keras.saving.register_keras_serializable("msvision")
class PyramidFeatures(keras.layers.Layer):
    """A convolution on every level of a pyramid: the simplest network that looks at several scales.

    Parameters
    ----------
    out_channels
        Channels of every level's features.
    levels
        Number of pyramid levels, the image itself counted as the first.
    kernel_size
        Side of the convolutions, in pixels; they keep the size of their level ("same" zero padding).
    shared
        One convolution for all levels, so that it finds one pattern at every size, or one for each.
    laplacian
        Whether the levels are those of a Laplacian pyramid.

    Returns
    -------
    list of Tensor, shapes (N, H_l, W_l, out_channels)
        Finest first; :func:`merge_levels` makes one tensor of them.

    Raises
    ------
    TypeError, ValueError
        If an argument is not a positive whole number; in the call, as :func:`gaussian_pyramid`.

    Examples
    --------
    >>> features = PyramidFeatures(out_channels=8, levels=3)
    >>> [tuple(f.shape) for f in features(tf.random.uniform((1, 33, 20, 3)))]
    [(1, 33, 20, 8), (1, 17, 10, 8), (1, 9, 5, 8)]
    """

    def __init__(
        self,
        out_channels: int,
        levels: int,
        kernel_size: int = 3,
        shared: bool = False,
        laplacian: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.out_channels = geometry.check_count("out_channels", out_channels)
        self.levels = geometry.check_count("levels", levels)
        self.kernel_size = geometry.check_count("kernel_size", kernel_size)
        self.shared, self.laplacian = shared, laplacian
        count = 1 if shared else levels
        self.convs = [
            keras.layers.Conv2D(out_channels, kernel_size, padding="same", dtype=self.dtype_policy)
            for _ in range(count)
        ]

    def build(self, input_shape):
        for conv in self.convs:
            conv.build((None, None, None, input_shape[-1]))

    def call(self, x):
        pyramid = laplacian_pyramid if self.laplacian else gaussian_pyramid
        convs = [self.convs[0]] * self.levels if self.shared else self.convs
        return [conv(level) for conv, level in zip(convs, pyramid(x, self.levels))]

    def get_config(self):
        names = ("out_channels", "levels", "kernel_size", "shared", "laplacian")
        return super().get_config() | {name: getattr(self, name) for name in names}


# -- the steps -------------------------------------------------------------------------------------------------------


def _binomial(x: tf.Tensor, step: int = 1, rate: int = 1) -> tf.Tensor:
    """Weights (1, 4, 6, 4, 1) / 16 on pixels ``rate`` apart in each direction, for every ``step``-th pixel."""
    kernel = tf.constant(np.outer(geometry.BINOMIAL, geometry.BINOMIAL)[..., None, None], x.dtype)
    kernel = tf.tile(kernel, (1, 1, _size(x, 3), 1))
    return tf.nn.depthwise_conv2d(_mirror(x, 2 * rate), kernel, (1, step, step, 1), "VALID", dilations=(rate, rate))


def _halved(x: tf.Tensor) -> tf.Tensor:
    """``_binomial(x, step=2)``; of a large picture, rows first and then columns, as :func:`_halved_both`."""
    sizes = x.shape[1:]
    if None in sizes or min(sizes[:2]) < 5 or np.prod(sizes) < 2**15 or _has_gpu():
        return _binomial(x, step=2)
    return _in_one_call(_halved_both, x)


def _in_one_call(step: Callable, x: tf.Tensor) -> tf.Tensor:
    """``step(x)``; outside of graphs as one of its own, instead of thirty calls from Python."""
    return _traced(step, x.dtype, x.shape[3])(x) if tf.executing_eagerly() else step(x)


@cache
def _traced(step: Callable, dtype: tf.DType, channels: int) -> tf.types.experimental.PolymorphicFunction:
    """A graph for pictures of any size."""
    return tf.function(step, input_signature=[tf.TensorSpec((None, None, None, channels), dtype)])


@cache
def _has_gpu() -> bool:
    return bool(tf.config.list_physical_devices("GPU"))


def _halved_both(x: tf.Tensor) -> tf.Tensor:
    """Rows at the ends and those between go through the columns' filter apart, and are joined when a quarter is left."""
    parts = _halved_along(x, 1)
    return _joined(*(_joined(*_halved_along(part, 2), axis=2) for part in parts), axis=1)


def _joined(ends: tf.Tensor, inner: tf.Tensor, axis: int) -> tf.Tensor:
    first, last = tf.split(ends, 2, axis)
    return tf.concat((first, inner, last), axis)


def _halved_along(x: tf.Tensor, axis: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Weights (1, 4, 6, 4, 1) / 16 for every second pixel along ``axis``: the first and the last, and all between.

    All columns are filtered alike, so each can be a channel of a depthwise convolution: that is how they lie in memory,
    and the processor reads a pixel once. The ends see mirrored pixels.
    """
    n, h, w, c = (_size(x, a) for a in range(4))
    lines, size, channels = (n, h, w * c) if axis == 1 else (n * h, w, c)
    kernel = tf.tile(tf.constant(geometry.BINOMIAL[None, :, None, None], x.dtype), (1, 1, channels, 1))

    def convolved(x, step, count):
        if axis == 2 and c == 1:  # all channels that there are
            y = tf.nn.conv2d(tf.reshape(x, (n, h, -1, 1)), kernel, (1, 1, step, 1), "VALID")
        else:
            y = tf.nn.depthwise_conv2d(tf.reshape(x, (lines, 1, -1, channels)), kernel, (1, step, step, 1), "VALID")
        return tf.reshape(y, (n, count, w, c) if axis == 1 else (n, h, count, c))

    last, xp = (size + 1) // 2 - 1, _namespace(size)
    around = xp.concatenate((xp.arange(-2, 3), xp.arange(2 * last - 2, 2 * last + 3)), 0)
    ends = tf.gather(x, geometry.reflect(around, size, xp), axis=axis)
    return convolved(ends, 5, 2), convolved(x, 2, last - 1)


def _mirror(x: tf.Tensor, margin: int) -> tf.Tensor:
    """Mirror ``margin`` pixels about all edges, however small the image."""
    if all(size is not None and size > margin for size in x.shape[1:3]):
        return tf.pad(x, [(0, 0), (margin, margin), (margin, margin), (0, 0)], mode="REFLECT")
    for axis in (1, 2):
        size = _size(x, axis)
        xp = _namespace(size)
        x = tf.gather(x, geometry.reflect(xp.arange(-margin, size + margin), size, xp), axis=axis)
    return x


def _doubled_both(x: tf.Tensor) -> tf.Tensor:
    return _doubled(_doubled(x, 2), 1)  # rows last: whole rows are quick to place


def _doubled(x: tf.Tensor, axis: int) -> tf.Tensor:
    """Twice as many pixels: (1, 6, 1) / 8 on a pixel and (4, 4) / 8 between two; mirrored before, repeated after."""
    count = _size(x, axis)
    xp = _namespace(count)
    positions = xp.arange(count)
    after = tf.gather(x, xp.minimum(positions + 1, positions[-1]), axis=axis)
    between = (x + after) / 2  # means of equal numbers are those numbers, without rounding
    before = tf.gather(between, xp.maximum(positions - 1, positions[0]), axis=axis)  # the mirror makes the first alike
    on = ((before + between) / 2 + x) / 2
    shape = [_size(x, a) for a in range(4)]
    shape[axis] *= 2
    return tf.reshape(tf.stack((on, between), axis + 1), shape)


def _gather(x: tf.Tensor, axis: int, indices: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Weighted sums of pixels: ``out[i] = sum over k of weights[k, i] x[indices[k, i]]`` along ``axis``."""
    taps = weights.shape[0]
    weights = tf.reshape(tf.cast(weights, x.dtype), (taps, -1, 1, 1) if axis == 1 else (taps, -1, 1))
    return tf.add_n([weights[k] * tf.gather(x, indices[k], axis=axis) for k in range(taps)])


def _to_size_of(finer: tf.Tensor, coarser: tf.Tensor, scale_factor: float) -> tf.Tensor:
    return _enlarge(coarser, (_size(finer, 1), _size(finer, 2)), 1 / scale_factor)


def _enlarge(x: tf.Tensor, size: tuple, scale_factor: float) -> tf.Tensor:
    if scale_factor == 2:
        return _in_one_call(_doubled_both, x)[:, : size[0], : size[1]]
    for axis, wanted in zip((1, 2), size):
        count = _size(x, axis)
        x = _gather(x, axis, *geometry.linear_taps(wanted, count, scale_factor, _namespace(wanted, count)))
    return x


def _size(x: tf.Tensor, axis: int):
    """Size along ``axis``: a number where it is known, else a tensor."""
    return x.shape[axis] if x.shape[axis] is not None else tf.shape(x, tf.int64)[axis]


def _namespace(*sizes):
    """NumPy where all sizes are known, so that positions and weights are constants in the graph; else Keras."""
    return np if all(isinstance(size, int) for size in sizes) else keras.ops


def _image(x: tf.Tensor, name: str = "x") -> tf.Tensor:
    x = tf.convert_to_tensor(x)
    checks.check_image(tuple(x.shape), x.dtype.is_floating, x.dtype.name, "NHWC", name)
    return x


def _level_list(levels: list[tf.Tensor], scale_factor: float) -> list[tf.Tensor]:
    checks.check_level_list(levels)
    levels = [_image(level, f"levels[{number}]") for number, level in enumerate(levels)]
    checks.check_level_sizes([tuple(level.shape[1:3]) for level in levels], geometry.check_scale_factor(scale_factor))
    return levels
