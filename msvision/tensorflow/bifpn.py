"""BiFPN: feature maps that exchange what they know in both directions, over weighted edges (chapter 7).

Levels are lists of feature maps, finest first.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from msvision import checks, geometry
from msvision.tensorflow._layers import INTERPOLATIONS, BatchNorm, LevelsLayer, height_width, lecun_conv, resized
from msvision.tensorflow.fusion import weighted_mean


@keras.saving.register_keras_serializable("msvision")
class BiFPN(LevelsLayer):
    """A pyramid fused from coarse to fine and back, again and again (Tan, Pang and Le, CVPR 2020, section 3).

    Every level passes a 1×1 convolution. Each layer goes down from the coarsest level, and fuses every other one with what
    is coarser, enlarged; there the finest level is finished. Then it goes up, and fuses every other level as it was, as it
    became on the way down (the coarsest did not change), and the finer result, its size halved by maxima over 3×3 pixels.
    Maps are fused by a weighted mean, whose weights are learned, then a depthwise 3×3 and a 1×1 convolution, BatchNorm, and
    swish.

    Parameters
    ----------
    out_channels
        Channels of every level of the result.
    layers
        How many times the pyramid is fused, with other parameters each time.
    interpolation : {"nearest", "bilinear"}
        How a coarser level is enlarged, as in ``FPN``.

    Returns
    -------
    list of Tensor, shapes (N, H_l, W_l, out_channels)
        Finest first, sizes as given. Swish is never below -0.28; there is no upper bound.

    Raises
    ------
    TypeError, ValueError
        If an argument is not one of those above; in the call, if ``levels`` is not a list of two or more floating-point
        tensors (N, H_l, W_l, C_l) with the channels that the layer was built with, finest first, each half the size of
        the last, rounded up.

    Notes
    -----
    The means are "fast normalised fusion": ``sum relu(w_i) x_i / (1e-4 + sum relu(w))``, normalised once, all weights at
    one to begin with. A weight that falls below zero stays there, since it has no gradient any more. The 1×1 convolutions
    of the levels start as those of ``FPN``, the others as Keras'. Swish comes last, as the paper says; its authors' code
    has it before the convolutions.

    Examples
    --------
    >>> bifpn = BiFPN(out_channels=4, layers=2)
    >>> levels = [tf.ones((1, 33, 21, 8)), tf.ones((1, 17, 11, 16)), tf.ones((1, 9, 6, 32))]
    >>> [tuple(level.shape) for level in bifpn(levels)]
    [(1, 33, 21, 4), (1, 17, 11, 4), (1, 9, 6, 4)]
    """

    def __init__(self, out_channels: int = 256, layers: int = 1, interpolation: str = "nearest", **kwargs):
        super().__init__(**kwargs)
        self.out_channels = geometry.check_count("out_channels", out_channels)
        self.interpolation = checks.check_choice("interpolation", interpolation, INTERPOLATIONS)
        count = geometry.check_count("layers", layers)
        self.layers = [BiFPNLayer(out_channels, interpolation, dtype=self.dtype_policy) for _ in range(count)]

    def make(self, in_channels):
        checks.check_channel_list(in_channels, least=2)
        self.laterals = [lecun_conv(channels, self.out_channels, 1, self.dtype_policy) for channels in in_channels]
        for layer in self.layers:
            layer.build([(None, None, None, self.out_channels)] * len(in_channels))

    def call(self, levels, training=None):
        levels = self.check(levels)
        checks.check_level_sizes([tuple(level.shape[1:3]) for level in levels])
        levels = [conv(level) for conv, level in zip(self.laterals, levels)]
        for layer in self.layers:
            levels = layer(levels, training=training)
        return levels

    def get_config(self):
        names = ("out_channels", "interpolation")
        return super().get_config() | {name: getattr(self, name) for name in names} | {"layers": len(self.layers)}


class BiFPNLayer(keras.layers.Layer):
    """Once down and once up. ``down[l]`` makes level ``l``, ``up[l]`` level ``l + 1``."""

    def __init__(self, channels: int, interpolation: str, **kwargs):
        super().__init__(**kwargs)
        self.channels, self.interpolation = channels, interpolation

    def build(self, input_shape):
        count, policy = len(input_shape), self.dtype_policy
        self.down = [Node(2, self.channels, dtype=policy) for _ in range(count - 1)]
        self.up = [Node(3 if number < count - 1 else 2, self.channels, dtype=policy) for number in range(1, count)]
        for node in [*self.down, *self.up]:
            node.build(None)

    def call(self, levels, training=None):
        middle = levels[-1:]
        for node, level in zip(reversed(self.down), reversed(levels[:-1])):
            enlarged = resized(middle[0], height_width(level), self.interpolation)
            middle.insert(0, node([level, enlarged], training=training))
        results = middle[:1]
        inputs = [*zip(levels[1:-1], middle[1:-1]), levels[-1:]]
        for node, given in zip(self.up, inputs):
            results.append(node([*given, _halved(results[-1])], training=training))
        return results


class Node(keras.layers.Layer):
    """Equally large maps made one: a weighted mean, a separable convolution, BatchNorm and swish."""

    def __init__(self, inputs: int, channels: int, **kwargs):
        super().__init__(**kwargs)
        self.inputs, self.channels = inputs, channels

    def build(self, input_shape):
        shape, policy = (None, None, None, self.channels), self.dtype_policy
        self.level_weights = self.add_weight(shape=(self.inputs,), initializer="ones", name="level_weights")
        self.depthwise = keras.layers.DepthwiseConv2D(3, padding="same", use_bias=False, dtype=policy)
        self.pointwise = keras.layers.Conv2D(self.channels, 1, use_bias=False, dtype=policy)
        self.norm = BatchNorm(dtype=policy)
        for layer in (self.depthwise, self.pointwise, self.norm):
            layer.build(shape)

    def call(self, levels, training=None):
        fused = weighted_mean(levels, self.level_weights, "fast")
        return tf.nn.silu(self.norm(self.pointwise(self.depthwise(fused)), training=training))


def _halved(x: tf.Tensor) -> tf.Tensor:
    """Maxima of 3×3 pixels around every second pixel, (H, W) → ceil(H/2, W/2); "same" would shift even sizes by one."""
    padded = tf.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=x.dtype.min)
    return tf.nn.max_pool2d(padded, 3, 2, "VALID")
