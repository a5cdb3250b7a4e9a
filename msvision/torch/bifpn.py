"""BiFPN: feature maps that exchange what they know in both directions, over weighted edges (chapter 7).

Levels are lists of feature maps, finest first.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from msvision import checks, geometry
from msvision.torch._layers import INTERPOLATIONS, BatchNorm, channels_last, check_features, lecun_conv, resized
from msvision.torch.fusion import weighted_mean


class BiFPN(nn.Module):
    """A pyramid fused from coarse to fine and back, again and again (Tan, Pang and Le, CVPR 2020, section 3).

    Every level passes a 1×1 convolution. Each layer goes down from the coarsest level, and fuses every other one with what
    is coarser, enlarged; there the finest level is finished. Then it goes up, and fuses every other level as it was, as it
    became on the way down (the coarsest did not change), and the finer result, its size halved by maxima over 3×3 pixels.
    Maps are fused by a weighted mean, whose weights are learned, then a depthwise 3×3 and a 1×1 convolution, BatchNorm, and
    swish.

    Parameters
    ----------
    in_channels : list of int
        Channels of each level, finest first; at least two levels.
    out_channels
        Channels of every level of the result.
    layers
        How many times the pyramid is fused, with other parameters each time.
    interpolation : {"nearest", "bilinear"}
        How a coarser level is enlarged, as in ``FPN``.

    Returns
    -------
    list of Tensor, shapes (N, out_channels, H_l, W_l)
        Finest first, sizes as given. Swish is never below -0.28; there is no upper bound.

    Raises
    ------
    TypeError, ValueError
        If an argument is not one of those above; in the call, if ``levels`` is not a list of floating-point tensors
        (N, C_l, H_l, W_l) with the channels of ``in_channels``, finest first, each half the size of the last, rounded up.

    Notes
    -----
    The means are "fast normalised fusion": ``sum relu(w_i) x_i / (1e-4 + sum relu(w))``, normalised once, all weights at
    one to begin with. A weight that falls below zero stays there, since it has no gradient any more. The 1×1 convolutions
    of the levels start as those of ``FPN``, the others as PyTorch's. Swish comes last, as the paper says; its authors'
    code has it before the convolutions.

    Examples
    --------
    >>> bifpn = BiFPN(in_channels=[8, 16, 32], out_channels=4, layers=2)
    >>> levels = [torch.rand(1, 8, 33, 21), torch.rand(1, 16, 17, 11), torch.rand(1, 32, 9, 6)]
    >>> [tuple(level.shape) for level in bifpn(levels)]
    [(1, 4, 33, 21), (1, 4, 17, 11), (1, 4, 9, 6)]
    """

    def __init__(
        self, in_channels: list[int], out_channels: int = 256, layers: int = 1, interpolation: str = "nearest"
    ):
        super().__init__()
        self.in_channels = checks.check_channel_list(in_channels, least=2)
        geometry.check_count("out_channels", out_channels)
        geometry.check_count("layers", layers)
        self.interpolation = checks.check_choice("interpolation", interpolation, INTERPOLATIONS)
        self.laterals = nn.ModuleList(lecun_conv(channels, out_channels, 1) for channels in self.in_channels)
        count = len(self.in_channels)
        self.layers = nn.ModuleList(BiFPNLayer(count, out_channels, interpolation) for _ in range(layers))
        channels_last(self)

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        check_features(levels, self.in_channels)
        checks.check_level_sizes([tuple(level.shape[2:]) for level in levels])
        levels = [conv(level) for conv, level in zip(self.laterals, levels)]
        for layer in self.layers:
            levels = layer(levels)
        return levels

    def extra_repr(self) -> str:
        return f"interpolation={self.interpolation!r}"


class BiFPNLayer(nn.Module):
    """Once down and once up. ``down[l]`` makes level ``l``, ``up[l]`` level ``l + 1``."""

    def __init__(self, count: int, channels: int, interpolation: str):
        super().__init__()
        self.interpolation = interpolation
        self.down = nn.ModuleList(Node(2, channels) for _ in range(count - 1))
        self.up = nn.ModuleList(Node(3, channels) for _ in range(count - 2)).append(Node(2, channels))

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        middle = levels[-1:]
        for node, level in zip(reversed(self.down), reversed(levels[:-1])):
            middle.insert(0, node([level, resized(middle[0], level.shape[2:], self.interpolation)]))
        results = middle[:1]
        inputs = [*zip(levels[1:-1], middle[1:-1]), levels[-1:]]
        for node, given in zip(self.up, inputs):
            results.append(node([*given, F.max_pool2d(results[-1], 3, stride=2, padding=1)]))  # (H, W) → ceil(H/2, W/2)
        return results


class Node(nn.Module):
    """Equally large maps made one: a weighted mean, a separable convolution, BatchNorm and swish."""

    def __init__(self, inputs: int, channels: int):
        super().__init__()
        self.level_weights = nn.Parameter(torch.ones(inputs))
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.pointwise = nn.Conv2d(channels, channels, 1, bias=False)
        self.norm = BatchNorm(channels)

    def forward(self, levels: list[Tensor]) -> Tensor:
        fused = weighted_mean(levels, self.level_weights, "fast")
        return F.silu(self.norm(self.pointwise(self.depthwise(fused))))
