"""Spatial pyramid pooling: the same map seen through coarse grids (chapters 3 and 4).

The grids have a fixed number of bins, whatever the size of the map. Bin ``i`` of ``b`` runs from ``floor(i n / b)`` to
``ceil((i + 1) n / b)`` of ``n`` pixels, so that every pixel is in a bin and none is empty, even where there are fewer
pixels than bins.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from msvision import checks, geometry
from msvision.torch._layers import BatchNorm, channels_last, resized
from msvision.torch.pyramids import _check

MODES = ("max", "average")


class SpatialPyramidPooling(nn.Module):
    """A vector of fixed length from a map of any size (He et al., 2014, section 2.2).

    The map is pooled over grids of ``b × b`` bins, for each ``b`` in ``bins``. It has no parameters.

    Parameters
    ----------
    bins
        Bins along each side, for every grid. A grid may have more bins than the map has pixels.
    mode : {"max", "average"}
        What is kept of a bin. Where several pixels are the maximum, the first in reading order gets the gradient.

    Returns
    -------
    Tensor, shape (N, C * sum of b²), from ``x`` of shape (N, C, H, W)
        Grid after grid in the order of ``bins``; within a grid channel after channel, and within a channel row after row,
        in both frameworks: ``flatten(1)`` of (N, C, b, b). Same type as ``x``.

    Raises
    ------
    TypeError
        If ``bins`` is not a tuple of integers; in the call, if ``x`` is not a floating-point tensor.
    ValueError
        If a number of bins is less than 1, or ``mode`` is another word; in the call, if ``x`` is empty or not 4-D.

    Notes
    -----
    The paper's own recipe, windows of ``ceil(n / b)`` at steps of ``floor(n / b)``, gives 5 bins and not 4 for 11 pixels.
    The bins here are those of PyTorch's adaptive pooling, whose gradients on a GPU are not the same to the last bit
    from run to run.

    Examples
    --------
    >>> pool = SpatialPyramidPooling(bins=(2, 1))
    >>> pool(torch.arange(12.0).reshape(1, 1, 3, 4)).tolist()
    [[5.0, 7.0, 9.0, 11.0, 11.0]]
    >>> pool(torch.rand(2, 8, 13, 1)).shape
    torch.Size([2, 40])
    """

    def __init__(self, bins: tuple[int, ...] = (4, 2, 1), mode: str = "max"):
        super().__init__()
        self.bins = checks.check_counts("bins", bins)
        self.mode = checks.check_choice("mode", mode, MODES)

    def forward(self, x: Tensor) -> Tensor:
        _check(x)
        return torch.cat([_pool(x, [bins, bins], self.mode).flatten(1) for bins in self.bins], dim=1)

    def extra_repr(self) -> str:
        return f"bins={self.bins}, mode={self.mode!r}"


class PyramidPooling(nn.Module):
    """The context of every pixel, from the average of the whole map down to those of small parts (Zhao et al., 2017, 3.2).

    For every grid of ``b × b`` bins: average pooling, a 1 × 1 convolution, BatchNorm, ReLU, and bilinear interpolation
    back to the size of the map, with half-pixel centres. All are concatenated to the map itself.

    Parameters
    ----------
    in_channels
        Channels of the map.
    bins
        Bins along each side, for every grid. A grid may have more bins than the map has pixels.

    Returns
    -------
    Tensor, shape (N, out_channels, H, W), from ``x`` of shape (N, in_channels, H, W)
        Channels of the map first, then those of each grid in the order of ``bins``: ``in_channels // len(bins)`` each,
        but at least 1. The attribute ``out_channels`` holds their sum.

    Raises
    ------
    TypeError
        If ``in_channels`` or a number of bins is not an integer; in the call, if ``x`` is not a floating-point tensor.
    ValueError
        If one of them is less than 1; in the call, if ``x`` is empty, not 4-D, or has other channels.

    Notes
    -----
    One image trains: a grid of one bin, or any of a map of one pixel, then has one value a channel, which is normalised
    with the running statistics
    (other implementations raise there, or leave out the normalisation). Convolutions have no bias and start as PyTorch's.

    Examples
    --------
    >>> pool = PyramidPooling(in_channels=8)
    >>> pool(torch.rand(1, 8, 13, 7)).shape
    torch.Size([1, 16, 13, 7])
    """

    def __init__(self, in_channels: int, bins: tuple[int, ...] = (1, 2, 3, 6)):
        super().__init__()
        self.in_channels = geometry.check_count("in_channels", in_channels)
        self.bins = checks.check_counts("bins", bins)
        width = max(in_channels // len(self.bins), 1)
        self.out_channels = in_channels + width * len(self.bins)
        self.convs = nn.ModuleList(nn.Conv2d(in_channels, width, 1, bias=False) for _ in self.bins)
        self.norms = nn.ModuleList(BatchNorm(width) for _ in self.bins)
        channels_last(self)

    def forward(self, x: Tensor) -> Tensor:
        grids = [resized(grid, x.shape[2:], "bilinear") for grid in self.grids(x)]
        return torch.cat([x, *grids], dim=1)

    def grids(self, x: Tensor) -> list[Tensor]:
        """The context before it is brought to the size of the map: one (N, width, b, b) for each ``b`` in ``bins``."""
        _check(x)
        checks.check_channels(tuple(x.shape), self.in_channels, "NCHW")
        sizes = [[1 if n == 1 else bins for n in x.shape[2:]] for bins in self.bins]  # copies of a pixel: no variance
        steps = zip(sizes, self.convs, self.norms)
        return [F.relu(norm(conv(_pool(x, size, "average")))) for size, conv, norm in steps]

    def extra_repr(self) -> str:
        return f"bins={self.bins}"


class ContextConvolution(nn.Conv2d):
    """A convolution over a map and its context, in half the time: the grids of the context are never made large.

    ``conv(x, pooling.grids(x))`` is ``conv(pooling(x))``. A convolution is linear, so each part of the channels may pass
    its own part of the weights. And what a tap of it sees of an interpolated grid is a matrix times the grid
    (:func:`msvision.geometry.interpolation_windows`). So the taps are applied to the ``b × b`` pixels of a grid, and the
    rest is two small products of matrices.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3):
        super().__init__(in_channels, out_channels, kernel_size, padding="same", bias=False)

    def forward(self, x: Tensor, grids: Sequence[Tensor] = ()) -> Tensor:
        if not grids:
            return super().forward(x)
        here, *there = self.weight.split([x.shape[1], *(grid.shape[1] for grid in grids)], dim=1)
        rows, columns, (height, width) = [], [], x.shape[2:]
        for grid, weight in zip(grids, there):
            taps = torch.einsum("ncab,ocij->noiajb", grid, weight).flatten(4).flatten(2, 3)
            columns.append(taps @ self._windows(grid.shape[3], width, x).T)
            rows.append(self._windows(grid.shape[2], height, x))
        return self._here(x, here) + torch.cat(rows, 1) @ torch.cat(columns, 2)

    def _here(self, x: Tensor, weight: Tensor) -> Tensor:
        if len(weight) <= 128:
            return F.conv2d(x, weight, padding="same")
        x = channels_last(x)  # once; a part of the weights is copied, so few of them at a time
        return torch.cat([F.conv2d(x, part, padding="same") for part in weight.split(128)], 1)

    def _windows(self, size: int, out_size: int, x: Tensor) -> Tensor:
        return geometry.interpolation_windows(size, out_size, self.kernel_size[0], torch).to(x.device, x.dtype)


# -- the steps -------------------------------------------------------------------------------------------------------


def _pool(x: Tensor, bins: list[int], mode: str) -> Tensor:
    """The map on a grid, shape (N, C, *bins)."""
    if not torch.compiler.is_exporting():
        return F.adaptive_max_pool2d(x, bins) if mode == "max" else F.adaptive_avg_pool2d(x, bins)
    # ONNX has no adaptive pooling, and no slice that may be one pixel in one image and two in the next
    for dim in (2, 3):
        weights = geometry.averaging_matrix(x.shape[dim], bins[dim - 2], torch).to(x.dtype)
        rows = x.movedim(dim, 3)
        largest = mode == "max"
        pooled = rows.unsqueeze(3).masked_fill(weights == 0, -math.inf).amax(4) if largest else rows @ weights.T
        x = pooled.movedim(3, dim)
    return x
