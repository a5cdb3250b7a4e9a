"""Backbones: networks that turn an image into feature maps at several scales, finest first (chapters 4 to 9)."""

from __future__ import annotations

import torch  # noqa: F401  (for the examples)
from torch import Tensor, nn
from torch.nn import functional as F

from msvision import checks, geometry
from msvision.torch._layers import BatchNorm, channels_last
from msvision.torch.pyramids import _check


class SimpleBackbone(nn.Module):
    """A small convolutional network, one stage for each level, that a reader can train on two cores.

    Each stage halves its input: a 3 × 3 convolution of stride 2, then one of stride 1, each with BatchNorm and ReLU.

    Parameters
    ----------
    in_channels
        Channels of the images.
    widths
        Channels of the levels, finest first.

    Returns
    -------
    list of Tensor, shapes (N, widths[l], ceil(H / 2^(l + 1)), ceil(W / 2^(l + 1)))
        Finest first, none negative.

    Raises
    ------
    TypeError, ValueError
        If a number is not a positive whole number; in the call, if ``x`` is not floating-point, empty, not 4-D, or has
        other channels.

    Notes
    -----
    ``reductions`` and ``channels`` say how many pixels of the image make one of each level, and its channels. Convolutions
    have no bias and start as PyTorch starts them. BatchNorm has epsilon 1e-5; one value a channel is normalised with the
    running statistics.

    Examples
    --------
    >>> backbone = SimpleBackbone(in_channels=3, widths=(16, 32))
    >>> [tuple(level.shape) for level in backbone(torch.rand(1, 3, 65, 48))]
    [(1, 16, 33, 24), (1, 32, 17, 12)]
    >>> backbone.reductions, backbone.channels
    ((2, 4), (16, 32))
    """

    def __init__(self, in_channels: int = 3, widths: tuple[int, ...] = (16, 32, 64, 128)):
        super().__init__()
        self.in_channels = geometry.check_count("in_channels", in_channels)
        self.channels = checks.check_counts("widths", widths)
        self.reductions = tuple(2 ** (level + 1) for level in range(len(widths)))
        self.stages = nn.ModuleList(Stage(*pair) for pair in zip((in_channels, *widths), widths))
        channels_last(self)

    def forward(self, x: Tensor) -> list[Tensor]:
        _check(x)
        checks.check_channels(tuple(x.shape), self.in_channels, "NCHW")
        levels = []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        return levels


class Stage(nn.Module):
    """Two 3 × 3 convolutions with BatchNorm and ReLU, the first of stride 2."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.conv1, self.norm1 = _conv(in_channels, out_channels, 3, 2), BatchNorm(out_channels)
        self.conv2, self.norm2 = _conv(out_channels, out_channels, 3), BatchNorm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu_(self.norm1(self.conv1(x)))
        return F.relu_(self.norm2(self.conv2(x)))


def resnet18(in_channels: int = 3, output_stride: int = 32) -> ResNet:
    """A residual network of 18 layers without its classifier (He et al., CVPR 2016, table 1).

    Parameters
    ----------
    in_channels
        Channels of the images.
    output_stride : {32, 16, 8}
        Pixels of the image that make one of the last level. Where it is reached, later stages keep their size, and their
        convolutions are dilated instead, which is torchvision's ``replace_stride_with_dilation``.

    Returns
    -------
    nn.Module
        A module that takes images (N, C, H, W) and returns a list of four feature maps, finest first: the last of each
        stage, none negative. ``reductions`` and ``channels`` say their strides and channels; sizes are rounded up.

    Raises
    ------
    TypeError, ValueError
        If an argument is none of these; in the call, if images are not floating-point, empty, not 4-D, or have other
        channels.

    Notes
    -----
    Parameters have torchvision's names, so that its state dictionaries load but for ``fc``. They start as there (He et al.,
    2015). BatchNorm has epsilon 1e-5; one value a channel is normalised with the running statistics.

    Examples
    --------
    >>> backbone = resnet18(output_stride=16)
    >>> [tuple(level.shape) for level in backbone(torch.rand(1, 3, 65, 48))]
    [(1, 64, 17, 12), (1, 128, 9, 6), (1, 256, 5, 3), (1, 512, 5, 3)]
    """
    return ResNet(BasicBlock, (2, 2, 2, 2), in_channels, output_stride)


def resnet34(in_channels: int = 3, output_stride: int = 32) -> ResNet:
    """A residual network of 34 layers without its classifier (He et al., CVPR 2016, table 1).

    Parameters
    ----------
    in_channels
        Channels of the images.
    output_stride : {32, 16, 8}
        Pixels of the image that make one of the last level. Where it is reached, later stages keep their size, and their
        convolutions are dilated instead, which is torchvision's ``replace_stride_with_dilation``.

    Returns
    -------
    nn.Module
        A module that takes images (N, C, H, W) and returns a list of four feature maps, finest first: the last of each
        stage, none negative. ``reductions`` and ``channels`` say their strides and channels; sizes are rounded up.

    Raises
    ------
    TypeError, ValueError
        If an argument is none of these; in the call, if images are not floating-point, empty, not 4-D, or have other
        channels.

    Notes
    -----
    Parameters have torchvision's names, so that its state dictionaries load but for ``fc``. They start as there (He et al.,
    2015). BatchNorm has epsilon 1e-5; one value a channel is normalised with the running statistics.

    Examples
    --------
    >>> resnet34().reductions, resnet34(output_stride=8).reductions
    ((4, 8, 16, 32), (4, 8, 8, 8))
    """
    return ResNet(BasicBlock, (3, 4, 6, 3), in_channels, output_stride)


def resnet50(in_channels: int = 3, output_stride: int = 32) -> ResNet:
    """A residual network of 50 layers without its classifier (He et al., CVPR 2016, table 1).

    Parameters
    ----------
    in_channels
        Channels of the images.
    output_stride : {32, 16, 8}
        Pixels of the image that make one of the last level. Where it is reached, later stages keep their size, and their
        convolutions are dilated instead, which is torchvision's ``replace_stride_with_dilation``.

    Returns
    -------
    nn.Module
        A module that takes images (N, C, H, W) and returns a list of four feature maps, finest first: the last of each
        stage, none negative. ``reductions`` and ``channels`` say their strides and channels; sizes are rounded up.

    Raises
    ------
    TypeError, ValueError
        If an argument is none of these; in the call, if images are not floating-point, empty, not 4-D, or have other
        channels.

    Notes
    -----
    Parameters have torchvision's names, so that its state dictionaries load but for ``fc``. They start as there (He et al.,
    2015). BatchNorm has epsilon 1e-5; one value a channel is normalised with the running statistics.

    Examples
    --------
    >>> backbone = resnet50(output_stride=8)
    >>> [tuple(level.shape) for level in backbone(torch.rand(1, 3, 65, 48))]
    [(1, 256, 17, 12), (1, 512, 9, 6), (1, 1024, 9, 6), (1, 2048, 9, 6)]
    """
    return ResNet(Bottleneck, (3, 4, 6, 3), in_channels, output_stride)


def resnet101(in_channels: int = 3, output_stride: int = 32) -> ResNet:
    """A residual network of 101 layers without its classifier (He et al., CVPR 2016, table 1).

    Parameters
    ----------
    in_channels
        Channels of the images.
    output_stride : {32, 16, 8}
        Pixels of the image that make one of the last level. Where it is reached, later stages keep their size, and their
        convolutions are dilated instead, which is torchvision's ``replace_stride_with_dilation``.

    Returns
    -------
    nn.Module
        A module that takes images (N, C, H, W) and returns a list of four feature maps, finest first: the last of each
        stage, none negative. ``reductions`` and ``channels`` say their strides and channels; sizes are rounded up.

    Raises
    ------
    TypeError, ValueError
        If an argument is none of these; in the call, if images are not floating-point, empty, not 4-D, or have other
        channels.

    Notes
    -----
    Parameters have torchvision's names, so that its state dictionaries load but for ``fc``. They start as there (He et al.,
    2015). BatchNorm has epsilon 1e-5; one value a channel is normalised with the running statistics.

    Examples
    --------
    >>> resnet101().channels
    (256, 512, 1024, 2048)
    """
    return ResNet(Bottleneck, (3, 4, 23, 3), in_channels, output_stride)


class ResNet(nn.Module):
    """The stem and four stages that :func:`resnet18` to :func:`resnet101` have in common."""

    def __init__(self, block: type, depths: tuple[int, ...], in_channels: int, output_stride: int):
        super().__init__()
        self.in_channels = geometry.check_count("in_channels", in_channels)
        self.output_stride = checks.check_choice("output_stride", output_stride, (32, 16, 8))
        self.reductions, strides, rates = geometry.resnet_strides(output_stride)
        self.channels = tuple(width * block.expansion for width in (64, 128, 256, 512))
        self.conv1, self.bn1 = _conv(in_channels, 64, 7, 2), BatchNorm(64)
        channels = 64
        for number, (width, depth, stride) in enumerate(zip((64, 128, 256, 512), depths, strides)):
            before, after = rates[number : number + 2]
            blocks = [block(channels, width, stride, before, after)]
            channels = width * block.expansion
            blocks += [block(channels, width, 1, after, after) for _ in range(depth - 1)]
            setattr(self, f"layer{number + 1}", nn.Sequential(*blocks))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        channels_last(self)

    def forward(self, x: Tensor) -> list[Tensor]:
        _check(x)
        checks.check_channels(tuple(x.shape), self.in_channels, "NCHW")
        x = F.max_pool2d(F.relu_(self.bn1(self.conv1(x))), 3, stride=2, padding=1)
        levels = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            levels.append(x)
        return levels

    def extra_repr(self) -> str:
        return f"output_stride={self.output_stride}"


class BasicBlock(nn.Module):
    """Two 3 × 3 convolutions and the input added. ``rate`` is that of the first, ``next_rate`` that of what follows it."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int, rate: int, next_rate: int):
        super().__init__()
        self.conv1, self.bn1 = _conv(in_channels, width, 3, stride, rate), BatchNorm(width)
        self.conv2, self.bn2 = _conv(width, width, 3, 1, next_rate), BatchNorm(width)
        self.downsample = _shortcut(in_channels, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        branch = F.relu_(self.bn1(self.conv1(x)))
        branch = self.bn2(self.conv2(branch))
        return F.relu_(branch + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """1 × 1, 3 × 3 and 1 × 1 convolutions and the input added. The stride is that of the 3 × 3 one, as in torchvision."""

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int, rate: int, next_rate: int):
        super().__init__()
        self.conv1, self.bn1 = _conv(in_channels, width, 1), BatchNorm(width)
        self.conv2, self.bn2 = _conv(width, width, 3, stride, rate), BatchNorm(width)
        self.conv3, self.bn3 = _conv(width, 4 * width, 1), BatchNorm(4 * width)
        self.downsample = _shortcut(in_channels, 4 * width, stride)

    def forward(self, x: Tensor) -> Tensor:
        branch = F.relu_(self.bn1(self.conv1(x)))
        branch = F.relu_(self.bn2(self.conv2(branch)))
        branch = self.bn3(self.conv3(branch))
        return F.relu_(branch + (x if self.downsample is None else self.downsample(x)))


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module | None:
    if stride == 1 and in_channels == out_channels:
        return None
    return nn.Sequential(_conv(in_channels, out_channels, 1, stride), BatchNorm(out_channels))


def _conv(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, rate: int = 1) -> nn.Conv2d:
    padding = rate * (kernel_size // 2)
    return nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, rate, bias=False)
