"""Fusion: making one feature map, or better feature maps, of several levels (chapter 7).

Levels are lists of feature maps, finest first.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from msvision import checks, geometry
from msvision.torch._layers import INTERPOLATIONS, BatchNorm, channels_last, check_features, lecun_conv, resized
from msvision.torch.pyramids import _check

NORMALISATIONS = ("softmax", "fast")
EPSILON = 1e-4  # of fast normalised fusion, as in the paper's equation


def align_levels(
    levels: list[Tensor], size: int | tuple[int, int] | None = None, interpolation: str = "bilinear"
) -> list[Tensor]:
    """Bring all levels to one height and width: smaller ones by interpolation, larger ones by averaging.

    Averages are over the bins of adaptive pooling, so that every pixel of a larger level counts and nothing aliases.

    Parameters
    ----------
    levels : list of Tensor, shapes (N, C_l, H_l, W_l)
        Feature maps, floating-point, any range, any sizes.
    size
        The index of the level whose size all take, or a pair (height, width); by default the finest level's.
    interpolation : {"nearest", "bilinear"}
        How smaller levels are enlarged; bilinear has half-pixel centres.

    Returns
    -------
    list of Tensor, shapes (N, C_l, height, width)
        In the order given; values stay within each level's range.

    Raises
    ------
    TypeError, ValueError
        If ``levels`` is not a list of floating-point tensors (N, C, H, W), ``size`` is neither a level nor a pair of
        positive integers, or ``interpolation`` is unknown.

    Examples
    --------
    >>> levels = [torch.rand(1, 8, 33, 21), torch.rand(1, 16, 17, 11), torch.rand(1, 32, 9, 6)]
    >>> [tuple(level.shape) for level in align_levels(levels, size=1)]
    [(1, 8, 17, 11), (1, 16, 17, 11), (1, 32, 17, 11)]
    """
    checks.check_choice("interpolation", interpolation, INTERPOLATIONS)
    checks.check_level_list(levels)
    for number, level in enumerate(levels):
        _check(level, f"levels[{number}]")
        checks.check_same_batch(tuple(levels[0].shape), tuple(level.shape), number)
    size = checks.check_target_size(size, [tuple(level.shape[2:]) for level in levels])
    return [_aligned(level, size, interpolation) for level in levels]


class _Fusion(nn.Module):
    """What the fusions share: a 1×1 convolution for each level, then all of them at the size of the finest."""

    def __init__(self, in_channels, out_channels, interpolation):
        super().__init__()
        self.in_channels = checks.check_channel_list(in_channels)
        self.out_channels = geometry.check_count("out_channels", out_channels)
        self.interpolation = checks.check_choice("interpolation", interpolation, INTERPOLATIONS)
        self.make()
        channels_last(self)

    def make(self) -> None:
        self.laterals = nn.ModuleList(lecun_conv(channels, self.out_channels, 1) for channels in self.in_channels)

    def forward(self, levels: list[Tensor]) -> Tensor:
        check_features(levels, self.in_channels)
        return self.fuse(self.to_finest([conv(level) for conv, level in zip(self.laterals, levels)]))

    def to_finest(self, levels: list[Tensor]) -> list[Tensor]:
        size = levels[0].shape[2:]
        return [levels[0]] + [resized(level, size, self.interpolation) for level in levels[1:]]

    def extra_repr(self) -> str:
        return f"interpolation={self.interpolation!r}"


class ConcatFusion(_Fusion):
    """All levels at the finest size, their channels side by side, then a 1×1 convolution.

    The convolution is a sum over levels of 1×1 convolutions, which may as well come before the levels are enlarged: with
    the same weights this is :class:`SumFusion`, at a higher price.

    Parameters
    ----------
    in_channels : list of int
        Channels of each level, finest first.
    out_channels
        Channels of the result.
    interpolation : {"nearest", "bilinear"}
        How coarser levels are enlarged; bilinear has half-pixel centres.

    Returns
    -------
    Tensor, shape (N, out_channels, H_0, W_0)
        Any range.

    Raises
    ------
    TypeError, ValueError
        If an argument is not one of those above; in the call, if ``levels`` is not a list of floating-point tensors
        (N, C_l, H_l, W_l) with the channels of ``in_channels``, finest first.

    Notes
    -----
    Source: the hypercolumns of Hariharan et al. (CVPR 2015, section 2.1). Kernels start as those of ``FPN``.

    Examples
    --------
    >>> fusion = ConcatFusion(in_channels=[8, 16], out_channels=4)
    >>> fusion([torch.rand(1, 8, 33, 21), torch.rand(1, 16, 17, 11)]).shape
    torch.Size([1, 4, 33, 21])
    """

    def __init__(self, in_channels: list[int], out_channels: int = 256, interpolation: str = "bilinear"):
        super().__init__(in_channels, out_channels, interpolation)

    def make(self) -> None:
        self.projection = lecun_conv(sum(self.in_channels), self.out_channels, 1)

    def forward(self, levels: list[Tensor]) -> Tensor:
        check_features(levels, self.in_channels)
        return self.projection(torch.cat(self.to_finest(levels), 1))


class SumFusion(_Fusion):
    """A 1×1 convolution for each level, all enlarged to the finest size and added.

    Parameters
    ----------
    in_channels : list of int
        Channels of each level, finest first.
    out_channels
        Channels of the result.
    interpolation : {"nearest", "bilinear"}
        How coarser levels are enlarged; bilinear has half-pixel centres.

    Returns
    -------
    Tensor, shape (N, out_channels, H_0, W_0)
        Any range.

    Raises
    ------
    TypeError, ValueError
        As :class:`ConcatFusion`.

    Notes
    -----
    Source: the skip connections of Long et al. (CVPR 2015, section 4.2). Kernels start as those of ``FPN``.

    Examples
    --------
    >>> fusion = SumFusion(in_channels=[8, 16], out_channels=4)
    >>> fusion([torch.rand(1, 8, 33, 21), torch.rand(1, 16, 17, 11)]).shape
    torch.Size([1, 4, 33, 21])
    """

    def __init__(self, in_channels: list[int], out_channels: int = 256, interpolation: str = "bilinear"):
        super().__init__(in_channels, out_channels, interpolation)

    def fuse(self, levels: list[Tensor]) -> Tensor:
        return sum(levels[1:], levels[0])


class WeightedFusion(_Fusion):
    """A weighted mean of the levels, the weights learned, one for each level (Tan et al., CVPR 2020, section 3.3).

    Every level passes a 1×1 convolution and is enlarged to the finest size. The weights are made positive and divided by
    their sum, once.

    Parameters
    ----------
    in_channels : list of int
        Channels of each level, finest first.
    out_channels
        Channels of the result.
    normalisation : {"softmax", "fast"}
        ``exp(w_l) / sum exp(w)``, or "fast normalised fusion", ``relu(w_l) / (1e-4 + sum relu(w))``.
    interpolation : {"nearest", "bilinear"}
        How coarser levels are enlarged; bilinear has half-pixel centres.

    Returns
    -------
    Tensor, shape (N, out_channels, H_0, W_0)
        Any range.

    Raises
    ------
    TypeError, ValueError
        As :class:`ConcatFusion`; also if ``normalisation`` is unknown.

    Notes
    -----
    The weights, ``level_weights``, start at one in both frameworks. Kernels start as those of ``FPN``.

    Examples
    --------
    >>> fusion = WeightedFusion(in_channels=[8, 16], out_channels=4)
    >>> fusion([torch.rand(1, 8, 33, 21), torch.rand(1, 16, 17, 11)]).shape
    torch.Size([1, 4, 33, 21])
    """

    def __init__(
        self,
        in_channels: list[int],
        out_channels: int = 256,
        normalisation: str = "softmax",
        interpolation: str = "bilinear",
    ):
        super().__init__(in_channels, out_channels, interpolation)
        self.normalisation = checks.check_choice("normalisation", normalisation, NORMALISATIONS)
        self.level_weights = nn.Parameter(torch.ones(len(self.in_channels)))

    def fuse(self, levels: list[Tensor]) -> Tensor:
        return weighted_mean(levels, self.level_weights, self.normalisation)


class ChannelAttentionFusion(_Fusion):
    """Every level weighted channel by channel, by what the whole picture holds, and the levels added.

    Every level passes a 1×1 convolution and is enlarged to the finest size. The weights come from averages over all pixels,
    through two dense layers with a ReLU between.

    Parameters
    ----------
    in_channels : list of int
        Channels of each level, finest first.
    out_channels
        Channels of the result.
    kind : {"squeeze-excitation", "selective"}
        "squeeze-excitation": the averages of all levels side by side, and a sigmoid for each channel of each level (Hu et
        al., CVPR 2018, eq. 2 to 4). "selective": the averages of the levels' sum, BatchNorm before the ReLU, and for each
        channel a softmax over levels (selective kernels: Li et al., CVPR 2019, eq. 1 to 6).
    reduction
        Averages for each number between the dense layers; with "selective" these are at least 32, as in eq. 4.
    interpolation : {"nearest", "bilinear"}
        How coarser levels are enlarged; bilinear has half-pixel centres.

    Returns
    -------
    Tensor, shape (N, out_channels, H_0, W_0)
        Any range.

    Raises
    ------
    TypeError, ValueError
        As :class:`ConcatFusion`; also if ``kind`` is unknown or ``reduction`` not a positive whole number.

    Notes
    -----
    With a single image in training mode, BatchNorm uses its running statistics. The 1×1 convolutions start as those of
    ``FPN``, the dense layers as each framework's own.

    Examples
    --------
    >>> fusion = ChannelAttentionFusion(in_channels=[8, 16], out_channels=4, kind="selective")
    >>> fusion([torch.rand(1, 8, 33, 21), torch.rand(1, 16, 17, 11)]).shape
    torch.Size([1, 4, 33, 21])
    """

    def __init__(
        self,
        in_channels: list[int],
        out_channels: int = 256,
        kind: str = "squeeze-excitation",
        reduction: int = 16,
        interpolation: str = "bilinear",
    ):
        super().__init__(in_channels, out_channels, interpolation)
        self.kind = checks.check_choice("kind", kind, ("squeeze-excitation", "selective"))
        inputs, hidden = geometry.attention_widths(len(self.in_channels), out_channels, kind, reduction)
        excite = kind == "squeeze-excitation"
        self.reduce = nn.Linear(inputs, hidden, bias=excite)
        if not excite:
            self.norm = BatchNorm(hidden)
        self.expand = nn.Linear(hidden, len(self.in_channels) * out_channels, bias=excite)

    def fuse(self, levels: list[Tensor]) -> Tensor:
        N, C, count = levels[0].shape[0], self.out_channels, len(levels)
        if self.kind == "squeeze-excitation":
            hidden = self.reduce(torch.cat([level.mean((2, 3)) for level in levels], 1))  # (N, hidden)
        else:
            hidden = self.reduce(sum(levels[1:], levels[0]).mean((2, 3)))
            hidden = self.norm(hidden[:, :, None, None])[:, :, 0, 0]
        logits = self.expand(F.relu(hidden)).reshape(N, count, C, 1, 1)
        gates = logits.sigmoid() if self.kind == "squeeze-excitation" else logits.softmax(1)
        return sum(gates[:, number] * level for number, level in enumerate(levels))


# -- the steps -------------------------------------------------------------------------------------------------------


def weighted_mean(levels: list[Tensor], weights: Tensor, normalisation: str) -> Tensor:
    """Mean of equally large levels with weights that are normalised here, and nowhere else."""
    if normalisation == "softmax":
        weights = weights.softmax(0)
    else:
        weights = F.relu(weights)
        weights = weights / (EPSILON + weights.sum())
    return sum(weights[number] * level for number, level in enumerate(levels))


def _aligned(x: Tensor, size: tuple, interpolation: str) -> Tensor:
    """``x`` at another height and width: each direction enlarged by interpolation or shrunk by averaging."""
    if torch.compiler.is_compiling():  # which of the two is not known yet
        matrices = [geometry.alignment_matrix(n, out, interpolation, torch) for n, out in zip(x.shape[2:], size)]
        rows, columns = (matrix.to(x.device, x.dtype) for matrix in matrices)
        return rows @ x @ columns.T
    larger = tuple(max(n, out) for n, out in zip(x.shape[2:], size))
    x = x if larger == tuple(x.shape[2:]) else resized(x, larger, interpolation)
    return x if larger == tuple(size) else F.adaptive_avg_pool2d(x, size)
