"""What several layers are made of, with the same numbers as in ``msvision.torch``."""

from __future__ import annotations

import keras
import tensorflow as tf
from keras import ops


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
