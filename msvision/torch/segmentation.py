"""Segmentation: what every pixel belongs to, from the levels of a backbone (chapters 4, 5, 6 and 9).

A backbone is a module that returns a list of feature maps, finest first, and says in ``channels`` and ``reductions`` what
they hold: those of ``msvision.torch``, or your own. The networks take images of any size and return logits of that size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from msvision import checks, geometry
from msvision.torch._layers import channels_last, resized
from msvision.torch.atrous import ASPP, AtrousSeparableConvolution, _normalised
from msvision.torch.fpn import FPN
from msvision.torch.pooling import ContextConvolution, PyramidPooling
from msvision.torch.pyramids import _check


class PSPNet(nn.Module):
    """The pyramid scene parsing network: every pixel judged in the context of the whole scene (Zhao et al., CVPR 2017).

    The last level of the backbone, with its averages over the grids of :class:`PyramidPooling`, passes a 3 × 3
    convolution, BatchNorm, ReLU, dropout and a 1 × 1 convolution.

    Parameters
    ----------
    backbone : nn.Module
        Returns levels, finest first. The paper's is ``resnet50(output_stride=8)``.
    classes
        Number of classes.
    bins
        Bins along each side of each grid.
    out_channels
        Channels of the 3 × 3 convolution.
    dropout
        Probability that a number before the last convolution is dropped in training.
    auxiliary
        Whether the level before the last gets a head of its own, whose loss helps deep backbones to train (section 3.3;
        the paper adds it with weight 0.4). It is torchvision's ``FCNHead``.

    Returns
    -------
    Tensor, shape (N, classes, H, W), from images (N, C, H, W)
        Logits. With ``auxiliary``, a pair: these, and those of the auxiliary head.

    Raises
    ------
    TypeError
        If ``backbone`` does not say its ``channels`` and ``reductions``, or a number is not an integer.
    ValueError
        If a number is less than 1, ``dropout`` not at least 0 and less than 1, or ``auxiliary`` asked of a backbone with
        one level. What the backbone refuses is refused.

    Notes
    -----
    Logits are enlarged bilinearly with half-pixel centres. Convolutions start as PyTorch's. One image trains.

    Examples
    --------
    >>> from msvision.torch import SimpleBackbone
    >>> network = PSPNet(SimpleBackbone(widths=(8, 16, 16)), classes=5, out_channels=8).eval()
    >>> network(torch.rand(1, 3, 65, 47)).shape
    torch.Size([1, 5, 65, 47])
    """

    def __init__(
        self,
        backbone: nn.Module,
        classes: int,
        bins: tuple[int, ...] = (1, 2, 3, 6),
        out_channels: int = 512,
        dropout: float = 0.1,
        auxiliary: bool = False,
    ):
        super().__init__()
        checks.check_backbone(backbone, auxiliary)
        geometry.check_count("classes", classes)
        self.backbone = backbone
        pooling = PyramidPooling(backbone.channels[-1], bins)
        conv = ContextConvolution(pooling.out_channels, geometry.check_count("out_channels", out_channels))
        self.classifier = nn.Sequential(pooling, *_head(conv, classes, dropout))
        self.aux_classifier = _auxiliary(backbone, classes) if auxiliary else None
        channels_last(self)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        _check(x)
        levels = self.backbone(x)
        pooling, conv, *rest = self.classifier
        logits = conv(levels[-1], pooling.grids(levels[-1]))  # conv(pooling(levels[-1])), in half the time
        for layer in rest:
            logits = layer(logits)
        return _logits(self, x, logits, levels)


class DeepLabV3(nn.Module):
    """Atrous spatial pyramid pooling on the last level of a dilated backbone (Chen et al., 2017, arXiv:1706.05587).

    :class:`ASPP`, a 3 × 3 convolution, BatchNorm, ReLU and a 1 × 1 convolution.

    Parameters
    ----------
    backbone : nn.Module
        Returns levels, finest first. The paper's is ``resnet50`` or ``resnet101`` with ``output_stride`` 16 or 8.
    classes
        Number of classes.
    rates
        Rates of the ASPP. Unless given, those of the paper, which span the same part of the image at any output stride:
        (6, 12, 18) at 16, (12, 24, 36) at 8.
    out_channels
        Channels of the ASPP and of the 3 × 3 convolution.
    dropout
        Probability that a number of the ASPP's result is dropped in training.
    auxiliary
        Whether the level before the last gets a head of its own: torchvision's ``aux_loss``.

    Returns
    -------
    Tensor, shape (N, classes, H, W), from images (N, C, H, W)
        Logits. With ``auxiliary``, a pair: these, and those of the auxiliary head.

    Raises
    ------
    TypeError, ValueError
        As :class:`PSPNet`.

    Notes
    -----
    On ``resnet50(output_stride=8)`` it takes the ``state_dict`` of torchvision's ``deeplabv3_resnet50`` as it is, and gives
    the same logits. Convolutions start as PyTorch's. One image trains, where torchvision raises.

    Examples
    --------
    >>> from msvision.torch import SimpleBackbone
    >>> network = DeepLabV3(SimpleBackbone(widths=(8, 16, 16)), classes=5, out_channels=8).eval()
    >>> network.rates
    (12, 24, 36)
    >>> network(torch.rand(1, 3, 65, 47)).shape
    torch.Size([1, 5, 65, 47])
    """

    def __init__(
        self,
        backbone: nn.Module,
        classes: int,
        rates: tuple[int, ...] | None = None,
        out_channels: int = 256,
        dropout: float = 0.5,
        auxiliary: bool = False,
    ):
        super().__init__()
        checks.check_backbone(backbone, auxiliary)
        geometry.check_count("classes", classes)
        self.backbone = backbone
        self.rates = geometry.aspp_rates(backbone.reductions[-1]) if rates is None else rates
        aspp = ASPP(backbone.channels[-1], out_channels, self.rates, dropout=dropout)
        self.classifier = nn.Sequential(
            aspp, *_convolution(out_channels, out_channels), nn.Conv2d(out_channels, classes, 1)
        )
        self.aux_classifier = _auxiliary(backbone, classes) if auxiliary else None
        channels_last(self)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        _check(x)
        levels = self.backbone(x)
        return _logits(self, x, self.classifier(levels[-1]), levels)


class DeepLabV3Plus(nn.Module):
    """DeepLab v3 with a decoder that takes its edges from a fine level (Chen et al., ECCV 2018, section 3).

    The result of :class:`ASPP` is enlarged to a quarter of the image and concatenated with the backbone's level of that
    size, reduced to few channels; two separable 3 × 3 convolutions and a 1 × 1 convolution follow.

    Parameters
    ----------
    backbone : nn.Module
        Returns levels, finest first. The fine level is the first with a reduction of 4 or more.
    classes
        Number of classes.
    rates
        Rates of the ASPP; unless given, as :class:`DeepLabV3`.
    out_channels
        Channels of the ASPP and of the decoder.
    low_level_channels
        Channels that the fine level is reduced to, so that it does not outweigh the rest.
    dropout
        Probability that a number of the ASPP's result is dropped in training.
    auxiliary
        Whether the level before the last gets a head of its own.

    Returns
    -------
    Tensor, shape (N, classes, H, W), from images (N, C, H, W)
        Logits. With ``auxiliary``, a pair: these, and those of the auxiliary head.

    Raises
    ------
    TypeError, ValueError
        As :class:`PSPNet`.

    Notes
    -----
    ASPP and decoder are separable, as in section 3.1 of the paper. Convolutions start as PyTorch's. One image trains.

    Examples
    --------
    >>> from msvision.torch import SimpleBackbone
    >>> network = DeepLabV3Plus(SimpleBackbone(widths=(8, 16, 16)), classes=5, out_channels=8).eval()
    >>> network(torch.rand(1, 3, 65, 47)).shape
    torch.Size([1, 5, 65, 47])
    """

    def __init__(
        self,
        backbone: nn.Module,
        classes: int,
        rates: tuple[int, ...] | None = None,
        out_channels: int = 256,
        low_level_channels: int = 48,
        dropout: float = 0.5,
        auxiliary: bool = False,
    ):
        super().__init__()
        checks.check_backbone(backbone, auxiliary)
        geometry.check_count("classes", classes)
        self.backbone, self.fine = backbone, geometry.quarter_level(backbone.reductions)
        self.rates = geometry.aspp_rates(backbone.reductions[-1]) if rates is None else rates
        self.aspp = ASPP(backbone.channels[-1], out_channels, self.rates, separable=True, dropout=dropout)
        geometry.check_count("low_level_channels", low_level_channels)
        self.low_level = _convolution(backbone.channels[self.fine], low_level_channels, 1)
        self.classifier = nn.Sequential(
            AtrousSeparableConvolution(out_channels + low_level_channels, out_channels),
            AtrousSeparableConvolution(out_channels, out_channels),
            nn.Conv2d(out_channels, classes, 1),
        )
        self.aux_classifier = _auxiliary(backbone, classes) if auxiliary else None
        channels_last(self)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        _check(x)
        levels = self.backbone(x)
        low = self.low_level(levels[self.fine])
        context = resized(self.aspp(levels[-1]), low.shape[2:], "bilinear")
        return _logits(self, x, self.classifier(torch.cat([context, low], dim=1)), levels)


class FPNSegmenter(nn.Module):
    """A feature pyramid whose levels are brought to one size and added (Kirillov et al., CVPR 2019, section 3.1).

    Each level of an :class:`FPN` passes 3 × 3 convolutions with BatchNorm and ReLU, each followed by bilinear enlarging to
    the size of the next finer level, until it has the size of the finest; their sum passes a 1 × 1 convolution.

    Parameters
    ----------
    backbone : nn.Module
        Returns levels, finest first. Those with a reduction of 4 or more are used.
    classes
        Number of classes.
    out_channels
        Channels of the pyramid.
    branch_channels
        Channels of the convolutions after it.
    auxiliary
        Whether the level before the last gets a head of its own.

    Returns
    -------
    Tensor, shape (N, classes, H, W), from images (N, C, H, W)
        Logits. With ``auxiliary``, a pair: these, and those of the auxiliary head.

    Raises
    ------
    TypeError, ValueError
        As :class:`PSPNet`.

    Notes
    -----
    The paper has GroupNorm where BatchNorm stands here, and sizes that divide. Convolutions of the pyramid start as those
    of :class:`FPN`, others as PyTorch's. One image trains.

    Examples
    --------
    >>> from msvision.torch import SimpleBackbone
    >>> network = FPNSegmenter(SimpleBackbone(widths=(8, 16, 16)), classes=5, out_channels=8, branch_channels=8).eval()
    >>> network(torch.rand(1, 3, 65, 47)).shape
    torch.Size([1, 5, 65, 47])
    """

    def __init__(
        self,
        backbone: nn.Module,
        classes: int,
        out_channels: int = 256,
        branch_channels: int = 128,
        auxiliary: bool = False,
    ):
        super().__init__()
        checks.check_backbone(backbone, auxiliary)
        geometry.check_count("classes", classes)
        geometry.check_count("branch_channels", branch_channels)
        self.backbone, self.fine = backbone, geometry.quarter_level(backbone.reductions)
        channels = backbone.channels[self.fine :]
        self.fpn = FPN(list(channels), out_channels)
        self.branches = nn.ModuleList(
            Branch(out_channels, branch_channels, max(level, 1)) for level in range(len(channels))
        )
        self.classifier = nn.Conv2d(branch_channels, classes, 1)
        self.aux_classifier = _auxiliary(backbone, classes) if auxiliary else None
        channels_last(self)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        _check(x)
        levels = self.backbone(x)
        maps = self.fpn(levels[self.fine :])
        sizes = [level.shape[2:] for level in maps]
        # each is enlarged to the sizes of all finer levels, one after the other
        total = sum(
            branch(level, sizes[:number][::-1]) for number, (branch, level) in enumerate(zip(self.branches, maps))
        )
        return _logits(self, x, self.classifier(total), levels)


class Branch(nn.Module):
    """3 × 3 convolutions with BatchNorm and ReLU, each followed by enlarging, as long as there are sizes."""

    def __init__(self, in_channels: int, out_channels: int, count: int):
        super().__init__()
        widths = [in_channels] + count * [out_channels]
        self.steps = nn.ModuleList(_convolution(*pair) for pair in zip(widths, widths[1:]))

    def forward(self, x: Tensor, sizes: list[tuple]) -> Tensor:
        for number, step in enumerate(self.steps):
            x = step(x)
            x = resized(x, sizes[number], "bilinear") if number < len(sizes) else x
        return x


# -- what they share -------------------------------------------------------------------------------------------------


def _logits(network: nn.Module, x: Tensor, logits: Tensor, levels: list[Tensor]):
    """Enlarged to the size of the images, with those of the auxiliary head if there is one."""
    logits = resized(logits, x.shape[2:], "bilinear")
    if network.aux_classifier is None:
        return logits
    return logits, resized(network.aux_classifier(levels[-2]), x.shape[2:], "bilinear")


def _auxiliary(backbone: nn.Module, classes: int) -> nn.Sequential:
    channels = backbone.channels[-2]
    return nn.Sequential(*_head(_conv(channels, max(channels // 4, 1)), classes, 0.1))


def _head(conv: nn.Conv2d, classes: int, dropout: float) -> list[nn.Module]:
    dropout = nn.Dropout(checks.check_dropout(dropout))
    return [*_normalised(conv), dropout, nn.Conv2d(conv.out_channels, classes, 1)]


def _convolution(in_channels: int, out_channels: int, kernel_size: int = 3) -> nn.Sequential:
    return _normalised(_conv(in_channels, out_channels, kernel_size))


def _conv(in_channels: int, out_channels: int, kernel_size: int = 3) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False)
