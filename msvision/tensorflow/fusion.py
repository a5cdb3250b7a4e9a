"""Fusion: making one feature map, or better feature maps, of several levels (chapter 7).

Levels are lists of feature maps, finest first.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from msvision import checks, geometry
from msvision.tensorflow._layers import INTERPOLATIONS, BatchNorm, LevelsLayer, height_width, lecun_conv, resized
from msvision.tensorflow.pyramids import _image, _namespace

NORMALISATIONS = ("softmax", "fast")
EPSILON = 1e-4  # of fast normalised fusion, as in the paper's equation


def align_levels(
    levels: list[tf.Tensor], size: int | tuple[int, int] | None = None, interpolation: str = "bilinear"
) -> list[tf.Tensor]:
    """Bring all levels to one height and width: smaller ones by interpolation, larger ones by averaging.

    Averages are over the bins of adaptive pooling, so that every pixel of a larger level counts and nothing aliases.

    Parameters
    ----------
    levels : list of Tensor, shapes (N, H_l, W_l, C_l)
        Feature maps, floating-point, any range, any sizes.
    size
        The index of the level whose size all take, or a pair (height, width); by default the finest level's.
    interpolation : {"nearest", "bilinear"}
        How smaller levels are enlarged; bilinear has half-pixel centres.

    Returns
    -------
    list of Tensor, shapes (N, height, width, C_l)
        In the order given; values stay within each level's range.

    Raises
    ------
    TypeError, ValueError
        If ``levels`` is not a list of floating-point tensors (N, H, W, C), ``size`` is neither a level nor a pair of
        positive integers, or ``interpolation`` is unknown.

    Examples
    --------
    >>> levels = [tf.ones((1, 33, 21, 8)), tf.ones((1, 17, 11, 16)), tf.ones((1, 9, 6, 32))]
    >>> [tuple(level.shape) for level in align_levels(levels, size=1)]
    [(1, 17, 11, 8), (1, 17, 11, 16), (1, 17, 11, 32)]
    """
    checks.check_choice("interpolation", interpolation, INTERPOLATIONS)
    checks.check_level_list(levels)
    levels = [_image(level, f"levels[{number}]") for number, level in enumerate(levels)]
    for number, level in enumerate(levels):
        checks.check_same_batch(tuple(levels[0].shape), tuple(level.shape), number)
    size = checks.check_target_size(size, [height_width(level) for level in levels])
    return [_aligned(level, size, interpolation) for level in levels]


class _Fusion(LevelsLayer):
    """What the fusions share: a 1×1 convolution for each level, then all of them at the size of the finest."""

    def __init__(self, out_channels, interpolation, **kwargs):
        super().__init__(**kwargs)
        self.out_channels = geometry.check_count("out_channels", out_channels)
        self.interpolation = checks.check_choice("interpolation", interpolation, INTERPOLATIONS)

    def make(self, in_channels):
        self.laterals = [lecun_conv(channels, self.out_channels, 1, self.dtype_policy) for channels in in_channels]

    def call(self, levels, training=None):
        levels = self.check(levels)
        return self.fuse(self.to_finest([conv(level) for conv, level in zip(self.laterals, levels)]), training)

    def to_finest(self, levels):
        size = height_width(levels[0])
        return [levels[0]] + [resized(level, size, self.interpolation) for level in levels[1:]]

    def get_config(self):
        return super().get_config() | {"out_channels": self.out_channels, "interpolation": self.interpolation}


@keras.saving.register_keras_serializable("msvision")
class ConcatFusion(_Fusion):
    """All levels at the finest size, their channels side by side, then a 1×1 convolution.

    The convolution is a sum over levels of 1×1 convolutions, which may as well come before the levels are enlarged: with
    the same weights this is :class:`SumFusion`, at a higher price.

    Parameters
    ----------
    out_channels
        Channels of the result.
    interpolation : {"nearest", "bilinear"}
        How coarser levels are enlarged; bilinear has half-pixel centres.

    Returns
    -------
    Tensor, shape (N, H_0, W_0, out_channels)
        Any range.

    Raises
    ------
    TypeError, ValueError
        If an argument is not one of those above; in the call, if ``levels`` is not a list of floating-point tensors
        (N, H_l, W_l, C_l) with the channels that the layer was built with, finest first.

    Notes
    -----
    Source: the hypercolumns of Hariharan et al. (CVPR 2015, section 2.1). Kernels start as those of ``FPN``.

    Examples
    --------
    >>> fusion = ConcatFusion(out_channels=4)
    >>> fusion([tf.ones((1, 33, 21, 8)), tf.ones((1, 17, 11, 16))]).shape
    TensorShape([1, 33, 21, 4])
    """

    def __init__(self, out_channels: int = 256, interpolation: str = "bilinear", **kwargs):
        super().__init__(out_channels, interpolation, **kwargs)

    def make(self, in_channels):
        self.projection = lecun_conv(sum(in_channels), self.out_channels, 1, self.dtype_policy)

    def call(self, levels):
        return self.projection(tf.concat(self.to_finest(self.check(levels)), 3))


@keras.saving.register_keras_serializable("msvision")
class SumFusion(_Fusion):
    """A 1×1 convolution for each level, all enlarged to the finest size and added.

    Parameters
    ----------
    out_channels
        Channels of the result.
    interpolation : {"nearest", "bilinear"}
        How coarser levels are enlarged; bilinear has half-pixel centres.

    Returns
    -------
    Tensor, shape (N, H_0, W_0, out_channels)
        Any range.

    Raises
    ------
    TypeError, ValueError
        As :class:`ConcatFusion`.

    Notes
    -----
    Source: the skip connections of Long et al. (CVPR 2015, section 4.2). Kernels start as those of ``FPN``.

    Examples
    --------
    >>> fusion = SumFusion(out_channels=4)
    >>> fusion([tf.ones((1, 33, 21, 8)), tf.ones((1, 17, 11, 16))]).shape
    TensorShape([1, 33, 21, 4])
    """

    def __init__(self, out_channels: int = 256, interpolation: str = "bilinear", **kwargs):
        super().__init__(out_channels, interpolation, **kwargs)

    def fuse(self, levels, training):
        return sum(levels[1:], levels[0])


@keras.saving.register_keras_serializable("msvision")
class WeightedFusion(_Fusion):
    """A weighted mean of the levels, the weights learned, one for each level (Tan et al., CVPR 2020, section 3.3).

    Every level passes a 1×1 convolution and is enlarged to the finest size. The weights are made positive and divided by
    their sum, once.

    Parameters
    ----------
    out_channels
        Channels of the result.
    normalisation : {"softmax", "fast"}
        ``exp(w_l) / sum exp(w)``, or "fast normalised fusion", ``relu(w_l) / (1e-4 + sum relu(w))``.
    interpolation : {"nearest", "bilinear"}
        How coarser levels are enlarged; bilinear has half-pixel centres.

    Returns
    -------
    Tensor, shape (N, H_0, W_0, out_channels)
        Any range.

    Raises
    ------
    TypeError, ValueError
        As :class:`ConcatFusion`; also if ``normalisation`` is unknown.

    Notes
    -----
    The weights, ``level_weights``, start at one in both frameworks. Kernels start as those of ``FPN``.

    Examples
    --------
    >>> fusion = WeightedFusion(out_channels=4)
    >>> fusion([tf.ones((1, 33, 21, 8)), tf.ones((1, 17, 11, 16))]).shape
    TensorShape([1, 33, 21, 4])
    """

    def __init__(
        self,
        out_channels: int = 256,
        normalisation: str = "softmax",
        interpolation: str = "bilinear",
        **kwargs,
    ):
        super().__init__(out_channels, interpolation, **kwargs)
        self.normalisation = checks.check_choice("normalisation", normalisation, NORMALISATIONS)

    def make(self, in_channels):
        super().make(in_channels)
        self.level_weights = self.add_weight(shape=(len(in_channels),), initializer="ones", name="level_weights")

    def fuse(self, levels, training):
        return weighted_mean(levels, self.level_weights, self.normalisation)

    def get_config(self):
        return super().get_config() | {"normalisation": self.normalisation}


@keras.saving.register_keras_serializable("msvision")
class ChannelAttentionFusion(_Fusion):
    """Every level weighted channel by channel, by what the whole picture holds, and the levels added.

    Every level passes a 1×1 convolution and is enlarged to the finest size. The weights come from averages over all pixels,
    through two dense layers with a ReLU between.

    Parameters
    ----------
    out_channels
        Channels of the result.
    kind : {"squeeze-excitation", "selective"}
        "squeeze-excitation": the averages of all levels side by side, and a sigmoid for each channel of each level (Hu et
        al., CVPR 2018, eq. 2 to 4). "selective": the averages of the levels' sum, BatchNorm before the ReLU, and for each
        channel a softmax over levels (selective kernels: Li et al., CVPR 2019, eq. 1 to 6).
    reduction
        Averages for each number between the dense layers; with "selective" these are at least 32, as in eq. 4.
    interpolation : {"nearest", "bilinear"}
        How coarser levels are enlarged; bilinear has half-pixel centres.

    Returns
    -------
    Tensor, shape (N, H_0, W_0, out_channels)
        Any range.

    Raises
    ------
    TypeError, ValueError
        As :class:`ConcatFusion`; also if ``kind`` is unknown or ``reduction`` not a positive whole number.

    Notes
    -----
    With a single image in training mode, BatchNorm uses its running statistics. The 1×1 convolutions start as those of
    ``FPN``, the dense layers as each framework's own.

    Examples
    --------
    >>> fusion = ChannelAttentionFusion(out_channels=4, kind="selective")
    >>> fusion([tf.ones((1, 33, 21, 8)), tf.ones((1, 17, 11, 16))]).shape
    TensorShape([1, 33, 21, 4])
    """

    def __init__(
        self,
        out_channels: int = 256,
        kind: str = "squeeze-excitation",
        reduction: int = 16,
        interpolation: str = "bilinear",
        **kwargs,
    ):
        super().__init__(out_channels, interpolation, **kwargs)
        self.kind = checks.check_choice("kind", kind, ("squeeze-excitation", "selective"))
        self.reduction = geometry.check_count("reduction", reduction)

    def make(self, in_channels):
        super().make(in_channels)
        inputs, hidden = geometry.attention_widths(len(in_channels), self.out_channels, self.kind, self.reduction)
        excite, policy = self.kind == "squeeze-excitation", self.dtype_policy
        self.reduce = keras.layers.Dense(hidden, use_bias=excite, dtype=policy)
        self.reduce.build((None, inputs))
        if not excite:
            self.norm = BatchNorm(dtype=policy)
            self.norm.build((None, None, None, hidden))
        self.expand = keras.layers.Dense(len(in_channels) * self.out_channels, use_bias=excite, dtype=policy)
        self.expand.build((None, hidden))

    def fuse(self, levels, training):
        C, count = self.out_channels, len(levels)
        if self.kind == "squeeze-excitation":
            hidden = self.reduce(tf.concat([tf.reduce_mean(level, (1, 2)) for level in levels], 1))  # (N, hidden)
        else:
            hidden = self.reduce(tf.reduce_mean(sum(levels[1:], levels[0]), (1, 2)))
            hidden = self.norm(hidden[:, None, None], training=training)[:, 0, 0]
        logits = tf.reshape(self.expand(tf.nn.relu(hidden)), (-1, count, 1, 1, C))
        gates = tf.sigmoid(logits) if self.kind == "squeeze-excitation" else tf.nn.softmax(logits, 1)
        return sum(gates[:, number] * level for number, level in enumerate(levels))

    def get_config(self):
        return super().get_config() | {"kind": self.kind, "reduction": self.reduction}


# -- the steps -------------------------------------------------------------------------------------------------------


def weighted_mean(levels, weights, normalisation: str) -> tf.Tensor:
    """Mean of equally large levels with weights that are normalised here, and nowhere else."""
    weights = tf.cast(weights, levels[0].dtype)
    if normalisation == "softmax":
        weights = tf.nn.softmax(weights)
    else:
        weights = tf.nn.relu(weights)
        weights = weights / (EPSILON + tf.reduce_sum(weights))
    return sum(weights[number] * level for number, level in enumerate(levels))


def _aligned(x: tf.Tensor, size: tuple, interpolation: str) -> tf.Tensor:
    """``x`` at another height and width: each direction enlarged by interpolation or shrunk by averaging."""
    sizes = height_width(x)
    if _namespace(*sizes, *size) is not keras.ops and sizes[0] <= size[0] and sizes[1] <= size[1]:
        return resized(x, size, interpolation)
    for equation, n, out in zip(("oh,nhwc->nowc", "ow,nhwc->nhoc"), sizes, size):
        matrix = geometry.alignment_matrix(n, out, interpolation, _namespace(n, out))
        x = tf.einsum(equation, tf.cast(matrix, x.dtype), x)
    return x
