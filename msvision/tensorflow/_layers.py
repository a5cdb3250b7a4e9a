"""What several layers are made of, with the same numbers as in ``msvision.torch``."""

from __future__ import annotations

import keras
import tensorflow as tf
from keras import ops

from msvision import checks, geometry
from msvision.tensorflow.pyramids import _gather, _image, _namespace, _size

INTERPOLATIONS = ("nearest", "bilinear")


@keras.saving.register_keras_serializable("msvision")
class BatchNorm(keras.layers.BatchNormalization):
    """Batch normalisation that also trains where there is one value a channel (batch 1, 1 × 1 pixels).

    A single value has no variance: PyTorch raises there, and Keras returns zero. Here it is normalised with the running
    statistics, which it does not change. Epsilon is 1e-5, a tenth of each batch enters the running statistics, and the
    running variance is the unbiased one, as in PyTorch.
    """

    def __init__(self, momentum: float = 0.9, epsilon: float = 1e-5, **kwargs):
        super().__init__(momentum=momentum, epsilon=epsilon, **kwargs)

    def call(self, x, training=None, mask=None):
        if not training or not self.trainable:
            return super().call(x, training=False)
        dtype = keras.backend.result_type(x.dtype, "float32")
        values = ops.cast(x, dtype)
        count = ops.cast(tf.size(x) // tf.shape(x)[-1], dtype)
        batch = ops.moments(values, axes=(0, 1, 2))
        running = [ops.cast(variable, dtype) for variable in (self.moving_mean, self.moving_variance)]
        mean, variance = (ops.where(count > 1, new, old) for new, old in zip(batch, running))
        unbiased = ops.where(count > 1, variance * count / ops.maximum(count - 1, 1), variance)
        for variable, old, new in zip((self.moving_mean, self.moving_variance), running, (mean, unbiased)):
            variable.assign(ops.cast(self.momentum * old + (1 - self.momentum) * new, variable.dtype))
        beta, gamma = ops.cast(self.beta, dtype), ops.cast(self.gamma, dtype)
        values = ops.batch_normalization(values, mean, variance, -1, beta, gamma, self.epsilon)
        return ops.cast(values, self.compute_dtype)


@keras.saving.register_keras_serializable("msvision")
class StridedConv2D(keras.layers.Conv2D):
    """A convolution with as many zeros before as after, as in PyTorch; Keras' "same" shifts even sizes by a pixel."""

    def call(self, x):
        vertical, horizontal = (rate * (k // 2) for k, rate in zip(self.kernel_size, self.dilation_rate))
        x = tf.pad(x, ((0, 0), (vertical, vertical), (horizontal, horizontal), (0, 0)))
        return super().call(x)


def convolution(filters: int, kernel_size: int, stride: int = 1, rate: int = 1, **kwargs) -> keras.layers.Conv2D:
    """A convolution without bias, padded alike on all sides for any stride. ``kernel_size`` is odd."""
    if stride == 1:
        return keras.layers.Conv2D(filters, kernel_size, dilation_rate=rate, padding="same", use_bias=False, **kwargs)
    if kernel_size == 1:
        return keras.layers.Conv2D(filters, 1, strides=stride, use_bias=False, **kwargs)
    return StridedConv2D(filters, kernel_size, strides=stride, use_bias=False, **kwargs)


class Sequential(keras.layers.Layer):
    """Layers one after the other, in any precision (``keras.Sequential`` takes its input in single precision)."""

    def __init__(self, layers: list[keras.layers.Layer], **kwargs):
        super().__init__(**kwargs)
        self.layers = layers

    def build(self, input_shape):
        for layer in self.layers:
            layer.build(input_shape)
            input_shape = layer.compute_output_shape(input_shape)

    def call(self, x, training=None):
        for layer in self.layers:
            x = layer(x)  # Keras hands training on
        return x


class LevelsLayer(keras.layers.Layer):
    """What layers that take a list of levels share: the channels are found out, and checked, before they are built."""

    def __call__(self, levels, *args, **kwargs):
        checks.check_level_list(levels)
        return super().__call__(levels, *args, **kwargs)

    def build(self, input_shape):
        self.in_channels = [shape[-1] for shape in input_shape]
        self.make(checks.check_channel_list(self.in_channels))

    def check(self, levels: list[tf.Tensor]) -> list[tf.Tensor]:
        levels = [_image(level, f"levels[{number}]") for number, level in enumerate(levels)]
        checks.check_features([tuple(level.shape) for level in levels], self.in_channels, "NHWC")
        return levels


def lecun_conv(in_channels: int, out_channels: int, kernel_size: int, policy, stride: int = 1) -> keras.layers.Conv2D:
    """A built convolution that starts as those of torchvision's FPN: uniform in ± sqrt(3 / fan-in), no bias yet."""
    start = {"kernel_initializer": keras.initializers.LecunUniform(), "dtype": policy}
    if stride == 1:
        conv = keras.layers.Conv2D(out_channels, kernel_size, padding="same", **start)
    else:
        conv = StridedConv2D(out_channels, kernel_size, strides=stride, **start)
    conv.build((None, None, None, in_channels))
    return conv


def resized(x: tf.Tensor, size: tuple, interpolation: str) -> tf.Tensor:
    """``x`` at another height and width, nothing smoothed first; "nearest" copies pixel ``floor(i * size / new size)``."""
    # TensorFlow's own operator computes in single precision, and is wrong under XLA for some sizes (33 to 65, 2.21).
    if interpolation == "bilinear" and x.dtype != tf.float64 and tf.executing_eagerly():
        return tf.cast(tf.image.resize(x, size, "bilinear"), x.dtype)
    for axis, wanted in zip((1, 2), size):
        count = _size(x, axis)
        xp = _namespace(wanted, count)
        if interpolation == "bilinear":
            x = _gather(x, axis, *geometry.half_pixel_taps(count, wanted, xp))
        else:
            x = tf.gather(x, geometry.nearest_indices(count, wanted, False, xp), axis=axis)
    return x


def height_width(x: tf.Tensor) -> tuple:
    """Both as numbers where they are known, else as tensors."""
    return _size(x, 1), _size(x, 2)
