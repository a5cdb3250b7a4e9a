"""Backbones: networks that turn an image into feature maps at several scales, finest first (chapters 4 to 9)."""

from __future__ import annotations

import keras
import tensorflow as tf

from msvision import checks, geometry
from msvision.tensorflow._layers import BatchNorm, convolution
from msvision.tensorflow.pyramids import _image


@keras.saving.register_keras_serializable("msvision")
class SimpleBackbone(keras.layers.Layer):
    """A small convolutional network, one stage for each level, that a reader can train on two cores.

    Each stage halves its input: a 3 × 3 convolution of stride 2, then one of stride 1, each with BatchNorm and ReLU.

    Parameters
    ----------
    widths
        Channels of the levels, finest first.

    Returns
    -------
    list of Tensor, shapes (N, ceil(H / 2^(l + 1)), ceil(W / 2^(l + 1)), widths[l])
        Finest first, none negative.

    Raises
    ------
    TypeError, ValueError
        If a number is not a positive whole number; in the call, if ``x`` is not floating-point, empty, not 4-D, or has
        other channels than before.

    Notes
    -----
    ``reductions`` and ``channels`` say how many pixels of the image make one of each level, and its channels. Convolutions
    have no bias, start as Keras starts them, and are padded by one pixel on all sides, as in PyTorch. BatchNorm has epsilon
    1e-5 and momentum 0.9; one value a channel is normalised with the running statistics.

    Examples
    --------
    >>> backbone = SimpleBackbone(widths=(16, 32))
    >>> [tuple(level.shape) for level in backbone(tf.random.uniform((1, 65, 48, 3)))]
    [(1, 33, 24, 16), (1, 17, 12, 32)]
    >>> backbone.reductions, backbone.channels
    ((2, 4), (16, 32))
    """

    def __init__(self, widths: tuple[int, ...] = (16, 32, 64, 128), **kwargs):
        super().__init__(**kwargs)
        self.channels = checks.check_counts("widths", widths)
        self.reductions = tuple(2 ** (level + 1) for level in range(len(widths)))
        self.stages = [Stage(width, dtype=self.dtype_policy) for width in widths]

    def build(self, input_shape):
        self.in_channels = input_shape[-1]
        for stage, channels in zip(self.stages, (self.in_channels, *self.channels)):
            stage.build((None, None, None, channels))

    def call(self, x, training=None):
        x = _image(x)
        checks.check_channels(tuple(x.shape), self.in_channels, "NHWC")
        levels = []
        for stage in self.stages:
            x = stage(x, training=training)
            levels.append(x)
        return levels

    def get_config(self):
        return super().get_config() | {"widths": self.channels}


@keras.saving.register_keras_serializable("msvision")
class Stage(keras.layers.Layer):
    """Two 3 × 3 convolutions with BatchNorm and ReLU, the first of stride 2."""

    def __init__(self, width: int, **kwargs):
        super().__init__(**kwargs)
        self.width, policy = width, self.dtype_policy
        self.conv1, self.norm1 = convolution(width, 3, 2, dtype=policy), BatchNorm(dtype=policy)
        self.conv2, self.norm2 = convolution(width, 3, dtype=policy), BatchNorm(dtype=policy)

    def build(self, input_shape):
        self.conv1.build(input_shape)
        for layer in (self.norm1, self.conv2, self.norm2):
            layer.build((*input_shape[:-1], self.width))

    def call(self, x, training=None):
        x = tf.nn.relu(self.norm1(self.conv1(x), training=training))
        return tf.nn.relu(self.norm2(self.conv2(x), training=training))

    def get_config(self):
        return super().get_config() | {"width": self.width}


def resnet18(output_stride: int = 32, **kwargs) -> ResNet:
    """A residual network of 18 layers without its classifier (He et al., CVPR 2016, table 1).

    Parameters
    ----------
    output_stride : {32, 16, 8}
        Pixels of the image that make one of the last level. Where it is reached, later stages keep their size, and their
        convolutions are dilated instead, which is torchvision's ``replace_stride_with_dilation``.

    Returns
    -------
    keras.Layer
        A layer that takes images (N, H, W, C) and returns a list of four feature maps, finest first: the last of each
        stage, none negative. ``reductions`` and ``channels`` say their strides and channels; sizes are rounded up.

    Raises
    ------
    TypeError, ValueError
        If an argument is none of these; in the call, if images are not floating-point, empty, not 4-D, or have other
        channels than before.

    Notes
    -----
    Parameters have torchvision's names and padding, and start as there (He et al., 2015). BatchNorm has epsilon 1e-5 and
    momentum 0.9; one value a channel is normalised with the running statistics.

    Examples
    --------
    >>> backbone = resnet18(output_stride=16)
    >>> [tuple(level.shape) for level in backbone(tf.random.uniform((1, 65, 48, 3)))]
    [(1, 17, 12, 64), (1, 9, 6, 128), (1, 5, 3, 256), (1, 5, 3, 512)]
    """
    return ResNet("basic", (2, 2, 2, 2), output_stride, **kwargs)


def resnet34(output_stride: int = 32, **kwargs) -> ResNet:
    """A residual network of 34 layers without its classifier (He et al., CVPR 2016, table 1).

    Parameters
    ----------
    output_stride : {32, 16, 8}
        Pixels of the image that make one of the last level. Where it is reached, later stages keep their size, and their
        convolutions are dilated instead, which is torchvision's ``replace_stride_with_dilation``.

    Returns
    -------
    keras.Layer
        A layer that takes images (N, H, W, C) and returns a list of four feature maps, finest first: the last of each
        stage, none negative. ``reductions`` and ``channels`` say their strides and channels; sizes are rounded up.

    Raises
    ------
    TypeError, ValueError
        If an argument is none of these; in the call, if images are not floating-point, empty, not 4-D, or have other
        channels than before.

    Notes
    -----
    Parameters have torchvision's names and padding, and start as there (He et al., 2015). BatchNorm has epsilon 1e-5 and
    momentum 0.9; one value a channel is normalised with the running statistics.

    Examples
    --------
    >>> resnet34().reductions, resnet34(output_stride=8).reductions
    ((4, 8, 16, 32), (4, 8, 8, 8))
    """
    return ResNet("basic", (3, 4, 6, 3), output_stride, **kwargs)


def resnet50(output_stride: int = 32, **kwargs) -> ResNet:
    """A residual network of 50 layers without its classifier (He et al., CVPR 2016, table 1).

    Parameters
    ----------
    output_stride : {32, 16, 8}
        Pixels of the image that make one of the last level. Where it is reached, later stages keep their size, and their
        convolutions are dilated instead, which is torchvision's ``replace_stride_with_dilation``.

    Returns
    -------
    keras.Layer
        A layer that takes images (N, H, W, C) and returns a list of four feature maps, finest first: the last of each
        stage, none negative. ``reductions`` and ``channels`` say their strides and channels; sizes are rounded up.

    Raises
    ------
    TypeError, ValueError
        If an argument is none of these; in the call, if images are not floating-point, empty, not 4-D, or have other
        channels than before.

    Notes
    -----
    Parameters have torchvision's names and padding, and start as there (He et al., 2015). BatchNorm has epsilon 1e-5 and
    momentum 0.9; one value a channel is normalised with the running statistics.

    Examples
    --------
    >>> backbone = resnet50(output_stride=8)
    >>> [tuple(level.shape) for level in backbone(tf.random.uniform((1, 65, 48, 3)))]
    [(1, 17, 12, 256), (1, 9, 6, 512), (1, 9, 6, 1024), (1, 9, 6, 2048)]
    """
    return ResNet("bottleneck", (3, 4, 6, 3), output_stride, **kwargs)


def resnet101(output_stride: int = 32, **kwargs) -> ResNet:
    """A residual network of 101 layers without its classifier (He et al., CVPR 2016, table 1).

    Parameters
    ----------
    output_stride : {32, 16, 8}
        Pixels of the image that make one of the last level. Where it is reached, later stages keep their size, and their
        convolutions are dilated instead, which is torchvision's ``replace_stride_with_dilation``.

    Returns
    -------
    keras.Layer
        A layer that takes images (N, H, W, C) and returns a list of four feature maps, finest first: the last of each
        stage, none negative. ``reductions`` and ``channels`` say their strides and channels; sizes are rounded up.

    Raises
    ------
    TypeError, ValueError
        If an argument is none of these; in the call, if images are not floating-point, empty, not 4-D, or have other
        channels than before.

    Notes
    -----
    Parameters have torchvision's names and padding, and start as there (He et al., 2015). BatchNorm has epsilon 1e-5 and
    momentum 0.9; one value a channel is normalised with the running statistics.

    Examples
    --------
    >>> resnet101().channels
    (256, 512, 1024, 2048)
    """
    return ResNet("bottleneck", (3, 4, 23, 3), output_stride, **kwargs)


@keras.saving.register_keras_serializable("msvision")
class ResNet(keras.layers.Layer):
    """The stem and four stages that :func:`resnet18` to :func:`resnet101` have in common."""

    def __init__(self, block: str, depths: tuple[int, ...], output_stride: int, **kwargs):
        super().__init__(**kwargs)
        self.block, self.depths, policy = block, tuple(depths), self.dtype_policy
        self.output_stride = checks.check_choice("output_stride", output_stride, (32, 16, 8))
        self.reductions, strides, rates = geometry.resnet_strides(output_stride)
        kind = {"basic": BasicBlock, "bottleneck": Bottleneck}[block]
        self.channels = tuple(width * kind.expansion for width in (64, 128, 256, 512))
        self.conv1, self.bn1 = convolution(64, 7, 2, kernel_initializer=_he(), dtype=policy), BatchNorm(dtype=policy)
        for number, (width, depth, stride) in enumerate(zip((64, 128, 256, 512), depths, strides)):
            before, after = rates[number : number + 2]
            blocks = [kind(width, stride, before, after, dtype=policy)]
            blocks += [kind(width, 1, after, after, dtype=policy) for _ in range(depth - 1)]
            setattr(self, f"layer{number + 1}", blocks)

    def build(self, input_shape):
        self.in_channels = input_shape[-1]
        self.conv1.build((None, None, None, self.in_channels))
        self.bn1.build((None, None, None, 64))
        channels = 64
        for blocks, out_channels in zip((self.layer1, self.layer2, self.layer3, self.layer4), self.channels):
            for block in blocks:
                block.build((None, None, None, channels))
                channels = out_channels

    def call(self, x, training=None):
        x = _image(x)
        checks.check_channels(tuple(x.shape), self.in_channels, "NHWC")
        x = tf.nn.relu(self.bn1(self.conv1(x), training=training))
        x = tf.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))  # zeros: nothing is smaller after ReLU
        x = tf.nn.max_pool2d(x, 3, 2, "VALID")
        levels = []
        for blocks in (self.layer1, self.layer2, self.layer3, self.layer4):
            for block in blocks:
                x = block(x, training=training)
            levels.append(x)
        return levels

    def get_config(self):
        return super().get_config() | {name: getattr(self, name) for name in ("block", "depths", "output_stride")}


class _Block(keras.layers.Layer):
    """What the two kinds of block share: convolutions with BatchNorm, ReLU between them, and the input added."""

    expansion = 1

    def __init__(self, width: int, stride: int, rate: int, next_rate: int, **kwargs):
        super().__init__(**kwargs)
        self.width, self.stride, self.rate, self.next_rate = width, stride, rate, next_rate
        self.downsample = None

    def _add(self, number: int, filters: int, kernel_size: int, stride: int = 1, rate: int = 1) -> None:
        setattr(self, f"conv{number}", self._conv(filters, kernel_size, stride, rate))
        setattr(self, f"bn{number}", BatchNorm(dtype=self.dtype_policy))

    def _conv(self, filters: int, kernel_size: int, stride: int = 1, rate: int = 1) -> keras.layers.Layer:
        return convolution(filters, kernel_size, stride, rate, kernel_initializer=_he(), dtype=self.dtype_policy)

    def _pairs(self) -> list:
        return [(getattr(self, f"conv{n}"), getattr(self, f"bn{n}")) for n in (1, 2, 3) if hasattr(self, f"conv{n}")]

    def build(self, input_shape):
        shape, out_channels = input_shape, self.width * self.expansion
        for conv, norm in self._pairs():
            conv.build(shape)
            shape = (*shape[:-1], conv.filters)
            norm.build(shape)
        if self.stride != 1 or input_shape[-1] != out_channels:
            self.downsample = [self._conv(out_channels, 1, self.stride), BatchNorm(dtype=self.dtype_policy)]
            self.downsample[0].build(input_shape)
            self.downsample[1].build(shape)

    def call(self, x, training=None):
        branch, pairs = x, self._pairs()
        for conv, norm in pairs[:-1]:
            branch = tf.nn.relu(norm(conv(branch), training=training))
        conv, norm = pairs[-1]
        branch = norm(conv(branch), training=training)
        if self.downsample is not None:
            conv, norm = self.downsample
            x = norm(conv(x), training=training)
        return tf.nn.relu(branch + x)

    def get_config(self):
        names = ("width", "stride", "rate", "next_rate")
        return super().get_config() | {name: getattr(self, name) for name in names}


@keras.saving.register_keras_serializable("msvision")
class BasicBlock(_Block):
    """Two 3 × 3 convolutions and the input added. ``rate`` is that of the first, ``next_rate`` that of what follows it."""

    def __init__(self, width: int, stride: int, rate: int, next_rate: int, **kwargs):
        super().__init__(width, stride, rate, next_rate, **kwargs)
        self._add(1, width, 3, stride, rate)
        self._add(2, width, 3, 1, next_rate)


@keras.saving.register_keras_serializable("msvision")
class Bottleneck(_Block):
    """1 × 1, 3 × 3 and 1 × 1 convolutions and the input added. The stride is that of the 3 × 3 one, as in torchvision."""

    expansion = 4

    def __init__(self, width: int, stride: int, rate: int, next_rate: int, **kwargs):
        super().__init__(width, stride, rate, next_rate, **kwargs)
        self._add(1, width, 1)
        self._add(2, width, 3, stride, rate)
        self._add(3, 4 * width, 1)


def _he():
    return keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")
