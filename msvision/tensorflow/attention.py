"""Attention within a level and across levels: every pixel asks all levels for what it needs (chapter 7).

Levels are lists of feature maps, finest first.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from msvision import checks, geometry
from msvision.tensorflow._layers import LevelsLayer, height_width, lecun_conv
from msvision.tensorflow.pyramids import _namespace, _size


@keras.saving.register_keras_serializable("msvision")
class CrossLevelAttention(LevelsLayer):
    """Every pixel attends to its own level, then to all others (multi-head attention: Vaswani et al., 2017, section 3.2).

    Every level passes a 1×1 convolution. Two steps follow, each added to what it is given: ``within``, whose keys and
    values are those of a pixel's own level, and ``across``, whose keys and values are those of all other levels. Keys and
    values are averages over a grid of at most ``keys`` × ``keys`` cells a level, so that memory and work grow with the
    number of pixels, and not with its square (Wang et al., ICCV 2021, section 3.3, by strided convolutions; by averages in
    their "PVT v2", 2022).

    Parameters
    ----------
    out_channels
        Channels of every level of the result.
    heads
        Parts into which channels are split, each with an attention of its own; a divisor of ``out_channels``.
    keys
        Cells along each side of the grid of keys and values. A side of fewer pixels has a cell for each pixel.

    Returns
    -------
    list of Tensor, shapes (N, H_l, W_l, out_channels)
        Finest first, sizes as given. Any range.

    Raises
    ------
    TypeError, ValueError
        If an argument is not one of those above; in the call, if ``levels`` is not a list of two or more floating-point
        tensors (N, H_l, W_l, C_l) with the channels that the layer was built with, finest first. Sizes need not halve.

    Notes
    -----
    For pixels ``x`` of one level and cells ``c``, a step is ``x + out(softmax(q(n(x)) k(n(c))ᵀ / sqrt(d)) v(n(c)))``, for
    each head of ``d = out_channels / heads`` channels. ``n`` is a LayerNorm over channels (epsilon 1e-5), before averaging.
    Each step has one set of parameters for all levels. Nothing says where a pixel is: mirrored levels give mirrored
    results. 1×1 convolutions start as those of ``FPN``; the matrices of q, k, v and out start uniform in
    ± sqrt(3 / out_channels), their biases at zero. There is none in k: it would raise all scores of a pixel alike, which
    softmax takes away.

    Examples
    --------
    >>> attention = CrossLevelAttention(out_channels=4, heads=2)
    >>> levels = [tf.ones((1, 33, 21, 8)), tf.ones((1, 17, 11, 16)), tf.ones((1, 9, 6, 32))]
    >>> [tuple(level.shape) for level in attention(levels)]
    [(1, 33, 21, 4), (1, 17, 11, 4), (1, 9, 6, 4)]
    """

    def __init__(self, out_channels: int = 256, heads: int = 4, keys: int = 8, **kwargs):
        super().__init__(**kwargs)
        self.heads = checks.check_heads(heads, out_channels)
        self.out_channels, self.keys = out_channels, geometry.check_count("keys", keys)

    def make(self, in_channels):
        checks.check_channel_list(in_channels, least=2)
        self.laterals = [lecun_conv(channels, self.out_channels, 1, self.dtype_policy) for channels in in_channels]
        self.within, self.across = (
            Attention(self.out_channels, self.heads, self.keys, own, dtype=self.dtype_policy) for own in (True, False)
        )
        for step in (self.within, self.across):
            step.build(None)

    def call(self, levels):
        levels = self.check(levels)
        levels = [conv(level) for conv, level in zip(self.laterals, levels)]
        return self.across(self.within(levels))

    def get_config(self):
        return super().get_config() | {name: getattr(self, name) for name in ("out_channels", "heads", "keys")}


class Attention(keras.layers.Layer):
    """Pixels of every level ask the cells of their ``own`` level, or of all the others."""

    def __init__(self, channels: int, heads: int, keys: int, own: bool, **kwargs):
        super().__init__(**kwargs)
        self.channels, self.heads, self.keys, self.own = channels, heads, keys, own

    def build(self, input_shape):
        policy = self.dtype_policy
        self.norm = keras.layers.LayerNormalization(epsilon=1e-5, dtype=policy)
        self.q, self.v, self.out = (keras.layers.Dense(self.channels, dtype=policy) for _ in range(3))
        self.k = keras.layers.Dense(self.channels, use_bias=False, dtype=policy)
        for layer in (self.norm, self.q, self.k, self.v, self.out):
            layer.build((None, None, self.channels))

    def call(self, levels):
        pixels = [self.norm(level) for level in levels]  # (N, H, W, C)
        cells = [_cells(level, self.keys) for level in pixels]  # (N, K, C), where K ≤ keys²
        k, v = ([self._split(dense(cell)) for cell in cells] for dense in (self.k, self.v))
        results = []
        for number, (level, normed) in enumerate(zip(levels, pixels)):
            sources = [other for other in range(len(levels)) if (other == number) == self.own]
            q = self._split(self.q(_flattened(normed)))  # (N, heads, H W, d)
            pairs = (tf.concat([each[source] for source in sources], 2) for each in (k, v))
            answers = tf.transpose(_attention(q, *pairs), (0, 2, 1, 3))
            results.append(level + self.out(tf.reshape(answers, (-1, *height_width(level), self.channels))))
        return results

    def _split(self, x):
        """(N, K, C) → (N, heads, K, d)"""
        parts = tf.reshape(x, (-1, _size(x, 1), self.heads, self.channels // self.heads))
        return tf.transpose(parts, (0, 2, 1, 3))


# -- the steps -------------------------------------------------------------------------------------------------------


def _attention(q: tf.Tensor, k: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
    weights = tf.nn.softmax(tf.matmul(q * q.shape[3] ** -0.5, k, transpose_b=True))  # (N, heads, H W, K)
    return tf.matmul(weights, v)


def _cells(x: tf.Tensor, keys: int) -> tf.Tensor:
    """(N, H, W, C) → (N, K, C), averages over the cells of a grid."""
    for axis, equation in ((1, "oh,nhwc->nowc"), (2, "ow,nhwc->nhoc")):
        size = _size(x, axis)
        bins = min(size, keys) if isinstance(size, int) else tf.minimum(size, keys)
        matrix = geometry.averaging_matrix(size, bins, _namespace(size))
        x = tf.einsum(equation, tf.cast(matrix, x.dtype), x)
    return _flattened(x)


def _flattened(x: tf.Tensor) -> tf.Tensor:
    """(N, H, W, C) → (N, H W, C)"""
    return tf.reshape(x, (-1, _size(x, 1) * _size(x, 2), _size(x, 3)))
