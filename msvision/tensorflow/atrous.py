"""Atrous convolution: a wide view without losing resolution (chapter 5).

The weights of a kernel stand ``rate`` pixels apart, so that a 3 × 3 kernel spans ``2 rate + 1`` pixels and still has
nine weights. Maps keep their size; beyond their borders there are zeros. Where ``rate`` reaches the size of a map, all
weights but the middle one fall outside it, and what remains is a 1 × 1 convolution.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from msvision import checks, geometry
from msvision.tensorflow._layers import BatchNorm, Sequential
from msvision.tensorflow.pooling import _pool
from msvision.tensorflow.pyramids import _has_gpu, _image, _size


@keras.saving.register_keras_serializable("msvision")
class AtrousConvolution(keras.layers.Conv2D):
    """A convolution whose weights stand apart (Chen et al., 2017, arXiv:1706.05587, equation 1).

    Parameters
    ----------
    out_channels
        Channels of the result.
    kernel_size
        Weights along each side.
    rate
        Distance of neighbouring weights in pixels; 1 is an ordinary convolution.
    bias
        Whether a constant is added to each channel.

    Returns
    -------
    Tensor, shape (N, H, W, out_channels), from ``x`` of shape (N, H, W, in_channels)
        An even ``kernel_size`` reaches one weight further right and down than left and up, in both frameworks.

    Raises
    ------
    TypeError
        If a number is not an integer; in the call, if ``x`` does not hold floating-point numbers.
    ValueError
        If a number is less than 1; in the call, if ``x`` is empty, not 4-D, or has other channels than before.

    Notes
    -----
    This is ``keras.layers.Conv2D`` with ``dilation_rate=rate`` and ``padding="same"``, parameters and their start
    included; other keyword arguments, such as ``kernel_initializer``, are passed on to it. Keras cuts the map into
    ``rate²`` small ones, because TensorFlow has no gradient of such a convolution on a CPU without oneDNN. Here the
    convolution is left whole, up to five times as fast, and its gradient written out.

    Examples
    --------
    >>> conv = AtrousConvolution(1, rate=2, bias=False, kernel_initializer="ones")
    >>> conv(tf.reshape(tf.range(5.0), (1, 1, 5, 1))).numpy().ravel().tolist()
    [2.0, 4.0, 6.0, 4.0, 6.0]
    """

    def __init__(self, out_channels: int, kernel_size: int = 3, rate: int = 1, bias: bool = True, **kwargs):
        counts = {"out_channels": out_channels, "kernel_size": kernel_size, "rate": rate}
        for name, value in counts.items():
            geometry.check_count(name, value)
        super().__init__(out_channels, kernel_size, padding="same", dilation_rate=rate, use_bias=bias, **kwargs)
        self.arguments = counts | {"bias": bias}

    def __call__(self, x, *args, **kwargs):
        if not isinstance(x, keras.KerasTensor):
            x = _image(x)
        if self.built:
            checks.check_channels(tuple(x.shape), self.kernel.shape[2], "NHWC")
        return super().__call__(x, *args, **kwargs)

    def convolution_op(self, inputs, kernel):
        rate = self.dilation_rate[0]
        if rate == 1 or self.kernel_size[0] % 2 == 0:
            return super().convolution_op(inputs, kernel)
        return _atrous(inputs, tf.convert_to_tensor(kernel), rate)

    def get_config(self):
        config, fixed = super().get_config(), ("filters", "padding", "dilation_rate", "use_bias", "strides", "groups")
        return {name: value for name, value in config.items() if name not in fixed} | self.arguments


@keras.saving.register_keras_serializable("msvision")
class AtrousSeparableConvolution(keras.layers.Layer):
    """An atrous convolution within each channel, then one of 1 × 1 pixels across them (Chen et al., 2018, section 3.1).

    BatchNorm and ReLU follow each of the two, as in DeepLab v3+. With ``c`` channels it takes about ``1 / k² + 1 / c`` of
    the weights and of the work of :class:`AtrousConvolution`.

    Parameters
    ----------
    out_channels
        Channels of the result.
    kernel_size
        Weights along each side of the first convolution.
    rate
        Distance of its neighbouring weights in pixels.

    Returns
    -------
    Tensor, shape (N, H, W, out_channels), from ``x`` of shape (N, H, W, in_channels)
        Not negative.

    Raises
    ------
    TypeError, ValueError
        As :class:`AtrousConvolution`.

    Notes
    -----
    BatchNorm has epsilon 1e-5 and momentum 0.9, as PyTorch's.

    Examples
    --------
    >>> separable = AtrousSeparableConvolution(16, rate=6)
    >>> separable(tf.random.uniform((1, 13, 7, 8))).shape
    TensorShape([1, 13, 7, 16])
    """

    def __init__(self, out_channels: int, kernel_size: int = 3, rate: int = 1, **kwargs):
        super().__init__(**kwargs)
        self.out_channels = geometry.check_count("out_channels", out_channels)
        self.kernel_size = geometry.check_count("kernel_size", kernel_size)
        self.rate = geometry.check_count("rate", rate)
        policy = self.dtype_policy
        each = {"padding": "same", "dilation_rate": rate, "use_bias": False, "dtype": policy}
        self.depthwise = keras.layers.DepthwiseConv2D(kernel_size, **each)
        self.norm1 = BatchNorm(dtype=policy)
        self.pointwise = keras.layers.Conv2D(out_channels, 1, use_bias=False, dtype=policy)
        self.norm2 = BatchNorm(dtype=policy)

    def build(self, input_shape):
        self.in_channels = input_shape[-1]
        for layer in (self.depthwise, self.norm1, self.pointwise):
            layer.build((None, None, None, self.in_channels))
        self.norm2.build((None, None, None, self.out_channels))

    def call(self, x, training=None):
        x = _image(x)
        checks.check_channels(tuple(x.shape), self.in_channels, "NHWC")
        x = tf.nn.relu(self.norm1(self.depthwise(x), training=training))
        return tf.nn.relu(self.norm2(self.pointwise(x), training=training))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.out_channels)

    def get_config(self):
        return super().get_config() | {name: getattr(self, name) for name in ("out_channels", "kernel_size", "rate")}


@keras.saving.register_keras_serializable("msvision")
class ASPP(keras.layers.Layer):
    """Atrous spatial pyramid pooling: one map seen at several rates at once (Chen et al., 2017, section 3.3).

    A 1 × 1 convolution, an atrous 3 × 3 convolution for each rate, and the average of the whole map through a 1 × 1
    convolution, each with BatchNorm and ReLU, are concatenated and projected by a 1 × 1 convolution, BatchNorm, ReLU and
    dropout.

    Parameters
    ----------
    out_channels
        Channels of each branch and of the result.
    rates
        Rates of the atrous convolutions. The paper's (6, 12, 18) are for maps of 1/16 of the image, twice that for 1/8.
    separable
        Whether they are :class:`AtrousSeparableConvolution`, as in DeepLab v3+.
    dropout
        Probability that a number of the result is dropped in training.

    Returns
    -------
    Tensor, shape (N, H, W, out_channels), from ``x`` of shape (N, H, W, in_channels)
        Not negative.

    Raises
    ------
    TypeError
        If an argument has another type; in the call, if ``x`` does not hold floating-point numbers.
    ValueError
        If a number is less than 1, or ``dropout`` not at least 0 and less than 1; in the call, if ``x`` is empty, not
        4-D, or has other channels than before.

    Notes
    -----
    Not separable, it is torchvision's ``ASPP`` with the same parameters (:func:`msvision.port.port`). One image trains,
    where Keras' own BatchNorm returns zero: the average is then one value a channel, and is normalised with the running
    statistics. But the branch of the average learns nothing from one image alone, since what is the same everywhere is
    taken away by the BatchNorm of the projection. BatchNorm has epsilon 1e-5 and momentum 0.9, as PyTorch's.

    Examples
    --------
    >>> aspp = ASPP(out_channels=16)
    >>> aspp(tf.random.uniform((1, 13, 7, 8))).shape
    TensorShape([1, 13, 7, 16])
    """

    def __init__(
        self,
        out_channels: int = 256,
        rates: tuple[int, ...] = (6, 12, 18),
        separable: bool = False,
        dropout: float = 0.5,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.out_channels = geometry.check_count("out_channels", out_channels)
        self.rates, self.separable = checks.check_counts("rates", rates), separable
        self.dropout = checks.check_dropout(dropout)
        policy = self.dtype_policy

        def branch(rate):
            if separable:
                return AtrousSeparableConvolution(out_channels, rate=rate, dtype=policy)
            conv = AtrousConvolution(out_channels, rate=rate, bias=False, dtype=policy)
            return Sequential(_normalised(conv), dtype=policy)

        def pixelwise():
            return _normalised(keras.layers.Conv2D(out_channels, 1, use_bias=False, dtype=policy))

        image = Sequential([ImageAverage(dtype=policy), *pixelwise()], dtype=policy)
        self.convs = [Sequential(pixelwise(), dtype=policy), *map(branch, self.rates), image]
        self.project = Sequential([*pixelwise(), keras.layers.Dropout(dropout, dtype=policy)], dtype=policy)

    def build(self, input_shape):
        self.in_channels = input_shape[-1]
        for conv in self.convs:
            conv.build((None, None, None, self.in_channels))
        self.project.build((None, None, None, len(self.convs) * self.out_channels))

    def call(self, x, training=None):
        x = _image(x)
        checks.check_channels(tuple(x.shape), self.in_channels, "NHWC")
        *maps, image = [conv(x, training=training) for conv in self.convs]
        maps.append(tf.broadcast_to(image, tf.shape(maps[0])))
        return self.project(tf.concat(maps, axis=3), training=training)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.out_channels)

    def get_config(self):
        names = ("out_channels", "rates", "separable", "dropout")
        return super().get_config() | {name: getattr(self, name) for name in names}


def _atrous(x: tf.Tensor, kernel: tf.Tensor, rate: int) -> tf.Tensor:
    """A convolution with an odd kernel whose gradient is made of such convolutions and of products of matrices."""

    @tf.custom_gradient
    def convolve(x, kernel):
        def gradient(upstream):
            turned = tf.transpose(tf.reverse(kernel, (0, 1)), (0, 1, 3, 2))
            return _atrous(upstream, turned, rate), _kernel_gradient(x, upstream, tuple(kernel.shape), rate)

        return _convolved(x, kernel, rate), gradient

    return convolve(x, kernel)


def _convolved(x: tf.Tensor, kernel: tf.Tensor, rate: int) -> tf.Tensor:
    """The convolution; of many channels, in parts."""
    count, rest = divmod(kernel.shape[3], 64)
    if rest or count == 1 or kernel.shape.num_elements() < 2**21 or _has_gpu():
        return tf.nn.conv2d(x, kernel, 1, "SAME", dilations=rate)
    # 64 channels of the result at a time, one after the other: their weights stay in the processor's cache
    parts = []
    for part in tf.split(kernel, count, 3):
        with tf.control_dependencies(parts[-1:]):
            parts.append(tf.nn.conv2d(x, part, 1, "SAME", dilations=rate))
    return tf.concat(parts, 3)


def _kernel_gradient(x: tf.Tensor, upstream: tf.Tensor, shape: tuple, rate: int) -> tf.Tensor:
    """For each tap, the product of what it sees of the map and the gradient of where that goes."""
    taps = []
    for row in range(shape[0]):
        for column in range(shape[1]):
            shifts = rate * (row - shape[0] // 2), rate * (column - shape[1] // 2)
            seen = _part(x, *shifts), _part(upstream, *(-shift for shift in shifts))
            flat = (tf.reshape(part, (-1, channels)) for part, channels in zip(seen, shape[2:]))
            taps.append(tf.matmul(*flat, transpose_a=True))
    return tf.reshape(tf.stack(taps), shape)


def _part(x: tf.Tensor, down: int, right: int) -> tf.Tensor:
    """The pixels that are ``down`` and ``right`` of others of the map; none where that is beyond it."""
    shifts = {1: down, 2: right}
    ends = (_size(x, axis) + min(shift, 0) for axis, shift in shifts.items())
    ends = (max(end, 0) if isinstance(end, int) else tf.maximum(end, 0) for end in ends)
    rows, columns = (slice(max(shift, 0), end) for shift, end in zip(shifts.values(), ends))
    return x[:, rows, columns]


class ImageAverage(keras.layers.Layer):
    """The average of the whole map, one pixel."""

    def call(self, x):
        return _pool(x, 1, "average")

    def compute_output_shape(self, input_shape):
        return (input_shape[0], 1, 1, input_shape[3])


def _normalised(conv: keras.layers.Conv2D) -> list[keras.layers.Layer]:
    policy = conv.dtype_policy
    return [conv, BatchNorm(dtype=policy), keras.layers.ReLU(dtype=policy)]
