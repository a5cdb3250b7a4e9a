"""Learned resizing: a small network that makes an image smaller for another network, not for the eye (chapter 8)."""

from __future__ import annotations

import keras
import tensorflow as tf

from msvision import checks, geometry
from msvision.tensorflow._layers import BatchNorm
from msvision.tensorflow.pyramids import _image, _namespace, _size


@keras.saving.register_keras_serializable("msvision")
class LearnableResizer(keras.layers.Layer):
    """A resizer that learns with the network after it what to keep of an image (Talebi and Milanfar, 2021, figure 2).

    The image goes through 7 × 7 and 1 × 1 convolutions, is resized as feature maps, goes through residual blocks, and a
    7 × 7 convolution turns the result into a correction of the image resized as usual.

    Parameters
    ----------
    size
        Height and width of the result in pixels, or one number for both. It may be larger or smaller than the image, and
        of another aspect.
    filters
        Channels of all feature maps (n in the paper).
    num_res_blocks
        Number of residual blocks (r in the paper).
    interpolation : {"nearest", "bilinear", "bicubic"}
        How feature maps and image are resized, with half-pixel centres; ``bicubic`` is Keys' kernel with a = -0.5.
    antialias
        Whether the kernel widens when the image shrinks, so that nothing between pixels is skipped. Not for "nearest".

    Returns
    -------
    Tensor, shape (N, \\*size, C)
        Same type as the images; the range is not limited.

    Raises
    ------
    TypeError, ValueError
        If a number is not a positive whole number, or ``interpolation`` is none of the three; in the call, if ``x`` is not
        floating-point, empty, not 4-D, or has other channels than before.

    Notes
    -----
    The layers are those of the Keras example "Learning to Resize in Computer Vision" (LeakyReLU slope 0.2, its only
    difference from figure 2 of the paper: blocks have ``filters`` channels, where the example always has 16).
    For 3 channels, 16 filters and 1 block there are 12,163 parameters, BatchNorm's running statistics counted:
    2,368 + 272 + 64 before resizing, 2 (2,304 + 64) in the block, 2,304 + 64 and 2,355 after it.

    Convolutions start as Keras starts them. BatchNorm has epsilon 1e-5 and momentum 0.9; one value a channel (one image of
    one pixel) is normalised with the running statistics.

    Examples
    --------
    >>> resizer = LearnableResizer(size=(16, 24))
    >>> resizer(tf.random.uniform((1, 65, 47, 3))).shape
    TensorShape([1, 16, 24, 3])
    >>> resizer.count_params()
    12163
    """

    def __init__(
        self,
        size: int | tuple[int, int],
        filters: int = 16,
        num_res_blocks: int = 1,
        interpolation: str = "bilinear",
        antialias: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.size = checks.check_size(size)
        self.filters = geometry.check_count("filters", filters)
        self.num_res_blocks = geometry.check_count("num_res_blocks", num_res_blocks)
        self.interpolation, self.antialias = checks.check_interpolation(interpolation, antialias)
        policy = self.dtype_policy
        self.conv1 = keras.layers.Conv2D(filters, 7, padding="same", dtype=policy)
        self.conv2 = keras.layers.Conv2D(filters, 1, dtype=policy)
        self.norm = BatchNorm(dtype=policy)
        self.blocks = [ResidualBlock(filters, dtype=policy) for _ in range(num_res_blocks)]
        self.conv3 = keras.layers.Conv2D(filters, 3, padding="same", use_bias=False, dtype=policy)
        self.norm3 = BatchNorm(dtype=policy)

    def build(self, input_shape):
        self.channels = input_shape[-1]
        self.conv4 = keras.layers.Conv2D(self.channels, 7, padding="same", dtype=self.dtype_policy)
        image, features = (None, None, None, self.channels), (None, None, None, self.filters)
        self.conv1.build(image)
        for layer in (self.conv2, self.norm, *self.blocks, self.conv3, self.norm3, self.conv4):
            layer.build(features)

    def call(self, x, training=None):
        x = _image(x)
        checks.check_channels(tuple(x.shape), self.channels, "NHWC")
        features = _leaky(self.conv1(x))
        features = self.norm(_leaky(self.conv2(features)), training=training)
        bottleneck = features = _resize(features, self.size, self.interpolation, self.antialias)
        for block in self.blocks:
            features = block(features, training=training)
        features = bottleneck + self.norm3(self.conv3(features), training=training)
        return _resize(x, self.size, self.interpolation, self.antialias) + self.conv4(features)

    def get_config(self):
        names = ("size", "filters", "num_res_blocks", "interpolation", "antialias")
        return super().get_config() | {name: getattr(self, name) for name in names}


@keras.saving.register_keras_serializable("msvision")
class ResidualBlock(keras.layers.Layer):
    """Two 3 × 3 convolutions with BatchNorm, LeakyReLU between them, and the input added (figure 3 of the paper)."""

    def __init__(self, filters: int, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        convolution = {"padding": "same", "use_bias": False, "dtype": self.dtype_policy}
        self.conv1 = keras.layers.Conv2D(filters, 3, **convolution)
        self.norm1 = BatchNorm(dtype=self.dtype_policy)
        self.conv2 = keras.layers.Conv2D(filters, 3, **convolution)
        self.norm2 = BatchNorm(dtype=self.dtype_policy)

    def build(self, input_shape):
        for layer in (self.conv1, self.norm1, self.conv2, self.norm2):
            layer.build(input_shape)

    def call(self, x, training=None):
        branch = _leaky(self.norm1(self.conv1(x), training=training))
        return x + self.norm2(self.conv2(branch), training=training)

    def get_config(self):
        return super().get_config() | {"filters": self.filters}


def _leaky(x: tf.Tensor) -> tf.Tensor:
    if x.dtype == tf.float64:  # in which TensorFlow's own takes 0.2 in single precision
        return tf.where(x > 0, x, 0.2 * x)
    return tf.nn.leaky_relu(x, 0.2)


def _resize(x: tf.Tensor, size: tuple[int, int], interpolation: str, antialias: bool) -> tf.Tensor:
    if interpolation == "nearest":
        for axis, out in zip((1, 2), size):
            count = _size(x, axis)
            x = tf.gather(x, geometry.nearest_indices(count, out, xp=_namespace(count)), axis=axis)
        return x
    if (
        interpolation == "bilinear" and not antialias and x.dtype != tf.float64
    ):  # TensorFlow's own is float32 throughout
        return tf.cast(tf.image.resize(x, size, "bilinear"), x.dtype)
    # TensorFlow's own antialias and bicubic do not compile with XLA (2.21).
    for axis, out in zip((1, 2), size):
        count = _size(x, axis)
        matrix = geometry.resize_matrix(count, out, interpolation, antialias, _namespace(count))
        x = tf.einsum("oh,nhwc->nowc" if axis == 1 else "ow,nhwc->nhoc", tf.cast(matrix, x.dtype), x)
    return x
