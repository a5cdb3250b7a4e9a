"""Learned resizing: a small network that makes an image smaller for another network, not for the eye (chapter 8)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from msvision import checks, geometry
from msvision.torch._layers import BatchNorm, channels_last
from msvision.torch.pyramids import _check


class LearnableResizer(nn.Module):
    """A resizer that learns with the network after it what to keep of an image (Talebi and Milanfar, 2021, figure 2).

    The image goes through 7 × 7 and 1 × 1 convolutions, is resized as feature maps, goes through residual blocks, and a
    7 × 7 convolution turns the result into a correction of the image resized as usual.

    Parameters
    ----------
    in_channels
        Channels of the images, and of the result.
    size
        Height and width of the result in pixels, or one number for both. It may be larger or smaller than the image, and
        of another aspect.
    filters
        Channels of all feature maps (n in the paper).
    num_res_blocks
        Number of residual blocks (r in the paper).
    interpolation : {"nearest", "bilinear", "bicubic"}
        How feature maps and image are resized, with half-pixel centres; ``bicubic`` is Keys' kernel with a = -0.5.
    antialias
        Whether the kernel widens when the image shrinks, so that nothing between pixels is skipped. Not for "nearest".

    Returns
    -------
    Tensor, shape (N, in_channels, \\*size)
        Same type as the images; the range is not limited.

    Raises
    ------
    TypeError, ValueError
        If a number is not a positive whole number, or ``interpolation`` is none of the three; in the call, if ``x`` is not
        floating-point, empty, not 4-D, or has other channels.

    Notes
    -----
    The layers are those of the Keras example "Learning to Resize in Computer Vision" (LeakyReLU slope 0.2, its only
    difference from figure 2 of the paper: blocks have ``filters`` channels, where the example always has 16).
    For 3 channels, 16 filters and 1 block there are 12,163 parameters, BatchNorm's running statistics counted:
    2,368 + 272 + 64 before resizing, 2 (2,304 + 64) in the block, 2,304 + 64 and 2,355 after it.

    Convolutions start as PyTorch starts them. BatchNorm has epsilon 1e-5; one value a channel (one image of one pixel) is
    normalised with the running statistics.

    Examples
    --------
    >>> resizer = LearnableResizer(in_channels=3, size=(16, 24))
    >>> resizer(torch.rand(1, 3, 65, 47)).shape
    torch.Size([1, 3, 16, 24])
    """

    def __init__(
        self,
        in_channels: int,
        size: int | tuple[int, int],
        filters: int = 16,
        num_res_blocks: int = 1,
        interpolation: str = "bilinear",
        antialias: bool = False,
    ):
        super().__init__()
        self.in_channels = geometry.check_count("in_channels", in_channels)
        self.size = checks.check_size(size)
        geometry.check_count("filters", filters)
        geometry.check_count("num_res_blocks", num_res_blocks)
        self.interpolation, self.antialias = checks.check_interpolation(interpolation, antialias)
        self.conv1 = nn.Conv2d(in_channels, filters, 7, padding=3)
        self.conv2 = nn.Conv2d(filters, filters, 1)
        self.norm = BatchNorm(filters)
        self.blocks = nn.ModuleList(ResidualBlock(filters) for _ in range(num_res_blocks))
        self.conv3 = nn.Conv2d(filters, filters, 3, padding=1, bias=False)
        self.norm3 = BatchNorm(filters)
        self.conv4 = nn.Conv2d(filters, in_channels, 7, padding=3)
        channels_last(self)

    def forward(self, x: Tensor) -> Tensor:
        _check(x)
        checks.check_channels(tuple(x.shape), self.in_channels, "NCHW")
        features = F.leaky_relu(self.conv1(x), 0.2)
        features = self.norm(F.leaky_relu(self.conv2(features), 0.2))
        bottleneck = features = _resize(features, self.size, self.interpolation, self.antialias)
        for block in self.blocks:
            features = block(features)
        features = bottleneck + self.norm3(self.conv3(features))
        return _resize(x, self.size, self.interpolation, self.antialias) + self.conv4(features)

    def extra_repr(self) -> str:
        return f"size={self.size}, interpolation={self.interpolation!r}, antialias={self.antialias}"


class ResidualBlock(nn.Module):
    """Two 3 × 3 convolutions with BatchNorm, LeakyReLU between them, and the input added (figure 3 of the paper)."""

    def __init__(self, filters: int):
        super().__init__()
        self.conv1 = nn.Conv2d(filters, filters, 3, padding=1, bias=False)
        self.norm1 = BatchNorm(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, padding=1, bias=False)
        self.norm2 = BatchNorm(filters)

    def forward(self, x: Tensor) -> Tensor:
        branch = F.leaky_relu(self.norm1(self.conv1(x)), 0.2)
        return x + self.norm2(self.conv2(branch))


def _resize(x: Tensor, size: tuple[int, int], interpolation: str, antialias: bool) -> Tensor:
    if interpolation == "nearest":
        for dim, out in zip((2, 3), size):
            x = x.index_select(dim, geometry.nearest_indices(x.shape[dim], out, xp=torch).to(x.device))
        return x
    if antialias and not torch.compiler.is_compiling():
        wide = x if x.dtype == torch.float64 else x.float()  # antialias has no half precision on a CPU (2.13)
        return F.interpolate(wide, size, mode=interpolation, antialias=True).to(x.dtype)
    if interpolation == "bilinear" and not antialias:
        return F.interpolate(x, size, mode="bilinear")
    # PyTorch's own bicubic has a = -0.75 without antialias; its antialias does not export for unknown sizes (2.13).
    rows, columns = (
        geometry.resize_matrix(n, out, interpolation, antialias, torch).to(x) for n, out in zip(x.shape[2:], size)
    )
    return rows @ (x @ columns.T)
