"""Feature pyramid networks: coarse levels, which know what, tell fine ones, which know where (chapter 6).

Levels are lists of feature maps, finest first.
"""

from __future__ import annotations

import torch  # noqa: F401  (for the example)
import torch.nn.functional as F
from torch import Tensor, nn

from msvision import checks, geometry
from msvision.torch._layers import INTERPOLATIONS, channels_last, check_features, lecun_conv, resized


class FPN(nn.Module):
    """A feature pyramid network: strong features at every level of a backbone (Lin et al., CVPR 2017, section 3).

    Every level passes a 1×1 convolution (its lateral connection); from the coarsest down, each is enlarged to the size of
    the next finer lateral, whatever that is, and added to it; a 3×3 convolution smooths each sum.

    Parameters
    ----------
    in_channels : list of int
        Channels of each level, finest first.
    out_channels
        Channels of every level of the result.
    interpolation : {"nearest", "bilinear"}
        How a coarser level is enlarged. "nearest" copies pixel ``floor(i * size / larger size)``, as torchvision does;
        "bilinear" has half-pixel centres.
    smoothing
        Whether each sum passes a 3×3 convolution, which evens out what enlarging leaves.
    extra : {None, "pool", "convolutions"}
        Coarser levels after the last: "pool" takes every second pixel of the coarsest result (one level; Lin et al.,
        section 4.1, torchvision's ``LastLevelMaxPool``). "convolutions" makes two by 3×3 convolutions of stride 2, P6 from
        the coarsest input and P7 from P6 after a ReLU (Lin et al., ICCV 2017, RetinaNet, section 4; torchvision's
        ``LastLevelP6P7`` where its ``in_channels`` differ from its ``out_channels``).

    Returns
    -------
    list of Tensor, shapes (N, out_channels, H_l, W_l)
        Finest first, sizes as given; each extra level has half the size of the one before it, rounded up. Any range.

    Raises
    ------
    TypeError, ValueError
        If an argument is not one of those above; in the call, if ``levels`` is not a list of floating-point tensors
        (N, C_l, H_l, W_l) with the channels of ``in_channels``, finest first.

    Notes
    -----
    Kernels start uniform in ± sqrt(3 / fan-in) and biases at zero in both frameworks, as torchvision's do.

    Examples
    --------
    >>> fpn = FPN(in_channels=[8, 16, 32], out_channels=4, extra="pool")
    >>> levels = [torch.rand(1, 8, 33, 21), torch.rand(1, 16, 17, 11), torch.rand(1, 32, 9, 6)]
    >>> [tuple(level.shape) for level in fpn(levels)]
    [(1, 4, 33, 21), (1, 4, 17, 11), (1, 4, 9, 6), (1, 4, 5, 3)]
    """

    def __init__(
        self,
        in_channels: list[int],
        out_channels: int = 256,
        interpolation: str = "nearest",
        smoothing: bool = True,
        extra: str | None = None,
    ):
        super().__init__()
        self.in_channels = checks.check_channel_list(in_channels)
        out_channels = geometry.check_count("out_channels", out_channels)
        self.interpolation = checks.check_choice("interpolation", interpolation, INTERPOLATIONS)
        self.smoothing, self.extra = smoothing, checks.check_choice("extra", extra, (None, "pool", "convolutions"))
        self.laterals = nn.ModuleList(lecun_conv(channels, out_channels, 1) for channels in self.in_channels)
        count = len(self.in_channels) if smoothing else 0
        self.smooth = nn.ModuleList(lecun_conv(out_channels, out_channels, 3) for _ in range(count))
        if extra == "convolutions":
            self.p6 = lecun_conv(self.in_channels[-1], out_channels, 3, stride=2)
            self.p7 = lecun_conv(out_channels, out_channels, 3, stride=2)
        channels_last(self)

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        check_features(levels, self.in_channels)
        laterals = [conv(level) for conv, level in zip(self.laterals, levels)]
        merged = laterals[-1:]
        for lateral in reversed(laterals[:-1]):
            merged.insert(0, lateral + resized(merged[0], lateral.shape[2:], self.interpolation))
        if self.smoothing:
            merged = [conv(level) for conv, level in zip(self.smooth, merged)]
        return merged + self._coarser(levels[-1], merged[-1])

    def _coarser(self, features: Tensor, merged: Tensor) -> list[Tensor]:
        if self.extra == "pool":  # one pixel of every 2 × 2: the maximum of a single number
            return [F.max_pool2d(merged, 1, stride=2)]
        if self.extra == "convolutions":
            p6 = self.p6(features)
            return [p6, self.p7(F.relu(p6))]
        return []

    def extra_repr(self) -> str:
        return f"interpolation={self.interpolation!r}, smoothing={self.smoothing}, extra={self.extra!r}"
