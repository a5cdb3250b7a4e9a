"""Attention within a level and across levels: every pixel asks all levels for what it needs (chapter 7).

Levels are lists of feature maps, finest first.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from msvision import checks, geometry
from msvision.torch._layers import channels_last, check_features, lecun_conv


class CrossLevelAttention(nn.Module):
    """Every pixel attends to its own level, then to all others (multi-head attention: Vaswani et al., 2017, section 3.2).

    Every level passes a 1×1 convolution. Two steps follow, each added to what it is given: ``within``, whose keys and
    values are those of a pixel's own level, and ``across``, whose keys and values are those of all other levels. Keys and
    values are averages over a grid of at most ``keys`` × ``keys`` cells a level, so that memory and work grow with the
    number of pixels, and not with its square (Wang et al., ICCV 2021, section 3.3, by strided convolutions; by averages in
    their "PVT v2", 2022).

    Parameters
    ----------
    in_channels : list of int
        Channels of each level, finest first; at least two levels.
    out_channels
        Channels of every level of the result.
    heads
        Parts into which channels are split, each with an attention of its own; a divisor of ``out_channels``.
    keys
        Cells along each side of the grid of keys and values. A side of fewer pixels has a cell for each pixel.

    Returns
    -------
    list of Tensor, shapes (N, out_channels, H_l, W_l)
        Finest first, sizes as given. Any range.

    Raises
    ------
    TypeError, ValueError
        If an argument is not one of those above; in the call, if ``levels`` is not a list of floating-point tensors
        (N, C_l, H_l, W_l) with the channels of ``in_channels``, finest first. Sizes need not halve.

    Notes
    -----
    For pixels ``x`` of one level and cells ``c``, a step is ``x + out(softmax(q(n(x)) k(n(c))ᵀ / sqrt(d)) v(n(c)))``, for
    each head of ``d = out_channels / heads`` channels. ``n`` is a LayerNorm over channels (epsilon 1e-5), before averaging.
    Each step has one set of parameters for all levels. Nothing says where a pixel is: mirrored levels give mirrored
    results. 1×1 convolutions start as those of ``FPN``; the matrices of q, k, v and out start uniform in
    ± sqrt(3 / out_channels), their biases at zero. There is none in k: it would raise all scores of a pixel alike, which
    softmax takes away.

    Examples
    --------
    >>> attention = CrossLevelAttention(in_channels=[8, 16, 32], out_channels=4, heads=2)
    >>> levels = [torch.rand(1, 8, 33, 21), torch.rand(1, 16, 17, 11), torch.rand(1, 32, 9, 6)]
    >>> [tuple(level.shape) for level in attention(levels)]
    [(1, 4, 33, 21), (1, 4, 17, 11), (1, 4, 9, 6)]
    """

    def __init__(self, in_channels: list[int], out_channels: int = 256, heads: int = 4, keys: int = 8):
        super().__init__()
        self.in_channels = checks.check_channel_list(in_channels, least=2)
        checks.check_heads(heads, out_channels)
        geometry.check_count("keys", keys)
        self.laterals = nn.ModuleList(lecun_conv(channels, out_channels, 1) for channels in self.in_channels)
        self.within = Attention(out_channels, heads, keys, own=True)
        self.across = Attention(out_channels, heads, keys, own=False)
        channels_last(self)

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        check_features(levels, self.in_channels)
        levels = [conv(level) for conv, level in zip(self.laterals, levels)]
        return self.across(self.within(levels))


class Attention(nn.Module):
    """Pixels of every level ask the cells of their ``own`` level, or of all the others."""

    def __init__(self, channels: int, heads: int, keys: int, own: bool):
        super().__init__()
        self.heads, self.keys, self.own = heads, keys, own
        self.norm = nn.LayerNorm(channels)
        self.q, self.k = _linear(channels), _linear(channels, bias=False)
        self.v, self.out = _linear(channels), _linear(channels)

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        pixels = [self.norm(level.movedim(1, -1)) for level in levels]  # (N, H, W, C)
        cells = [_cells(level, self.keys) for level in pixels]  # (N, K, C), where K ≤ keys²
        k, v = ([self._split(linear(cell)) for cell in cells] for linear in (self.k, self.v))
        results = []
        for number, (level, normed) in enumerate(zip(levels, pixels)):
            sources = [other for other in range(len(levels)) if (other == number) == self.own]
            q = self._split(self.q(normed.flatten(1, 2)))  # (N, heads, H W, d)
            pairs = (torch.cat([each[source] for source in sources], 2) for each in (k, v))
            answers = F.scaled_dot_product_attention(q, *pairs).transpose(1, 2).reshape(normed.shape)
            results.append(level + self.out(answers).movedim(-1, 1))
        return results

    def _split(self, x: Tensor) -> Tensor:
        """(N, K, C) → (N, heads, K, d)"""
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)

    def extra_repr(self) -> str:
        return f"heads={self.heads}, keys={self.keys}, own={self.own}"


# -- the steps -------------------------------------------------------------------------------------------------------


def _linear(channels: int, bias: bool = True) -> nn.Linear:
    linear = nn.Linear(channels, channels, bias)
    nn.init.xavier_uniform_(linear.weight)
    if bias:
        nn.init.zeros_(linear.bias)
    return linear


def _cells(x: Tensor, keys: int) -> Tensor:
    """(N, H, W, C) → (N, K, C), averages over the cells of a grid."""
    x = x.movedim(-1, 1)
    grid = [torch.sym_min(size, keys) for size in x.shape[2:]]
    if torch.compiler.is_compiling():  # adaptive pooling needs to know the size
        sizes = zip(x.shape[2:], grid)
        rows, columns = (geometry.averaging_matrix(*pair, torch).to(x.device, x.dtype) for pair in sizes)
        x = rows @ x @ columns.T
    else:
        x = F.adaptive_avg_pool2d(x, grid)
    return x.flatten(2).transpose(1, 2)
