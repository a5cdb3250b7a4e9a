"""What several layers are made of, with the same numbers as in ``msvision.tensorflow``."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from msvision import checks
from msvision.torch.pyramids import _check

INTERPOLATIONS = ("nearest", "bilinear")
_HALF_PIXEL = {"nearest": {}, "bilinear": {"align_corners": False}}


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation that also trains where there is one value a channel (batch 1, 1 × 1 pixels).

    A single value has no variance: PyTorch raises there, and Keras returns zero. Here it is normalised with the running
    statistics, which it does not change. Epsilon is 1e-5, and a tenth of each batch enters the running statistics.
    """

    def forward(self, x: Tensor) -> Tensor:
        if self.training and x.shape[0] * x.shape[2] * x.shape[3] == 1:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(x)


def channels_last(x: nn.Module | Tensor) -> nn.Module | Tensor:
    """The same maps, or a module's kernels, with the channels of a pixel side by side in memory; shapes stay NCHW.

    Convolutions of PyTorch are faster on them, and their result lies so too if the map or the kernel does.
    """
    return x.to(memory_format=torch.channels_last)


def lecun_conv(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> nn.Conv2d:
    """A convolution that starts as those of torchvision's FPN: uniform in ± sqrt(3 / fan-in), no bias yet."""
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2)
    nn.init.kaiming_uniform_(conv.weight, a=1)
    nn.init.zeros_(conv.bias)
    return conv


def resized(x: Tensor, size: tuple, interpolation: str) -> Tensor:
    """``x`` at another height and width, nothing smoothed first; "nearest" copies pixel ``floor(i * size / new size)``."""
    return F.interpolate(x, size=tuple(size), mode=interpolation, **_HALF_PIXEL[interpolation])


def check_features(levels: list[Tensor], in_channels: list[int]) -> None:
    """Raise unless ``levels`` are feature maps with the channels that a layer was made for."""
    checks.check_level_list(levels)
    for number, level in enumerate(levels):
        _check(level, f"levels[{number}]")
    checks.check_features([tuple(level.shape) for level in levels], in_channels, "NCHW")
