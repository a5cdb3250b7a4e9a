"""Atrous convolution: a wide view without losing resolution (chapter 5).

The weights of a kernel stand ``rate`` pixels apart, so that a 3 × 3 kernel spans ``2 rate + 1`` pixels and still has
nine weights. Maps keep their size; beyond their borders there are zeros. Where ``rate`` reaches the size of a map, all
weights but the middle one fall outside it, and what remains is a 1 × 1 convolution.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from msvision import checks, geometry
from msvision.torch._layers import BatchNorm, channels_last
from msvision.torch.pyramids import _check


class AtrousConvolution(nn.Conv2d):
    """A convolution whose weights stand apart (Chen et al., 2017, arXiv:1706.05587, equation 1).

    Parameters
    ----------
    in_channels, out_channels
        Channels of the map and of the result.
    kernel_size
        Weights along each side.
    rate
        Distance of neighbouring weights in pixels; 1 is an ordinary convolution.
    bias
        Whether a constant is added to each channel.

    Returns
    -------
    Tensor, shape (N, out_channels, H, W), from ``x`` of shape (N, in_channels, H, W)
        An even ``kernel_size`` reaches one weight further right and down than left and up, in both frameworks.

    Raises
    ------
    TypeError
        If a number is not an integer; in the call, if ``x`` is not a floating-point tensor.
    ValueError
        If a number is less than 1; in the call, if ``x`` is empty, not 4-D, or has other channels.

    Notes
    -----
    This is ``nn.Conv2d`` with ``dilation=rate`` and ``padding="same"``, parameters and their start included.

    Examples
    --------
    >>> conv = AtrousConvolution(1, 1, rate=2, bias=False)
    >>> _ = nn.init.ones_(conv.weight)
    >>> conv(torch.arange(5.0).reshape(1, 1, 1, 5)).flatten().tolist()
    [2.0, 4.0, 6.0, 4.0, 6.0]
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, rate: int = 1, bias: bool = True):
        counts = {"in_channels": in_channels, "out_channels": out_channels, "kernel_size": kernel_size, "rate": rate}
        for name, value in counts.items():
            geometry.check_count(name, value)
        super().__init__(in_channels, out_channels, kernel_size, padding="same", dilation=rate, bias=bias)
        channels_last(self)

    def forward(self, x: Tensor) -> Tensor:
        _check(x)
        checks.check_channels(tuple(x.shape), self.in_channels, "NCHW")
        if self.training or x.device.type != "cpu" or self.weight.numel() < 2**21:
            return super().forward(x)
        # 128 channels of the result at a time: their weights stay in the processor's cache. In training, each part would
        # have a gradient for the whole map
        biases = [None] * self.out_channels if self.bias is None else self.bias.split(128)
        parts = [self._conv_forward(x, weight, bias) for weight, bias in zip(self.weight.split(128), biases)]
        return torch.cat(parts, 1)


class AtrousSeparableConvolution(nn.Module):
    """An atrous convolution within each channel, then one of 1 × 1 pixels across them (Chen et al., 2018, section 3.1).

    BatchNorm and ReLU follow each of the two, as in DeepLab v3+. With ``c`` channels it takes about ``1 / k² + 1 / c`` of
    the weights and of the work of :class:`AtrousConvolution`.

    Parameters
    ----------
    in_channels, out_channels
        Channels of the map and of the result.
    kernel_size
        Weights along each side of the first convolution.
    rate
        Distance of its neighbouring weights in pixels.

    Returns
    -------
    Tensor, shape (N, out_channels, H, W), from ``x`` of shape (N, in_channels, H, W)
        Not negative.

    Raises
    ------
    TypeError, ValueError
        As :class:`AtrousConvolution`.

    Examples
    --------
    >>> separable = AtrousSeparableConvolution(8, 16, rate=6)
    >>> separable(torch.rand(1, 8, 13, 7)).shape
    torch.Size([1, 16, 13, 7])
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, rate: int = 1):
        super().__init__()
        counts = {"in_channels": in_channels, "out_channels": out_channels, "kernel_size": kernel_size, "rate": rate}
        for name, value in counts.items():
            geometry.check_count(name, value)
        self.in_channels = in_channels
        each = {"padding": "same", "dilation": rate, "groups": in_channels, "bias": False}
        self.depthwise = nn.Conv2d(in_channels, in_channels, kernel_size, **each)
        self.norm1 = BatchNorm(in_channels)
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.norm2 = BatchNorm(out_channels)
        channels_last(self)

    def forward(self, x: Tensor) -> Tensor:
        _check(x)
        checks.check_channels(tuple(x.shape), self.in_channels, "NCHW")
        x = F.relu_(self.norm1(self.depthwise(x)))
        return F.relu_(self.norm2(self.pointwise(x)))


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling: one map seen at several rates at once (Chen et al., 2017, section 3.3).

    A 1 × 1 convolution, an atrous 3 × 3 convolution for each rate, and the average of the whole map through a 1 × 1
    convolution, each with BatchNorm and ReLU, are concatenated and projected by a 1 × 1 convolution, BatchNorm, ReLU and
    dropout.

    Parameters
    ----------
    in_channels
        Channels of the map.
    out_channels
        Channels of each branch and of the result.
    rates
        Rates of the atrous convolutions. The paper's (6, 12, 18) are for maps of 1/16 of the image, twice that for 1/8.
    separable
        Whether they are :class:`AtrousSeparableConvolution`, as in DeepLab v3+.
    dropout
        Probability that a number of the result is dropped in training.

    Returns
    -------
    Tensor, shape (N, out_channels, H, W), from ``x`` of shape (N, in_channels, H, W)
        Not negative.

    Raises
    ------
    TypeError
        If an argument has another type; in the call, if ``x`` is not a floating-point tensor.
    ValueError
        If a number is less than 1, or ``dropout`` not at least 0 and less than 1; in the call, if ``x`` is empty, not
        4-D, or has other channels.

    Notes
    -----
    Not separable, it takes the ``state_dict`` of torchvision's ``ASPP(in_channels, rates, out_channels)`` as it is, and
    computes the same. One image trains, where torchvision raises: the average is then one value a channel, and is
    normalised with the running statistics. But the branch of the average learns nothing from one image alone, since what
    is the same everywhere is taken away by the BatchNorm of the projection.

    Examples
    --------
    >>> aspp = ASPP(in_channels=8, out_channels=16).eval()
    >>> aspp(torch.rand(1, 8, 13, 7)).shape
    torch.Size([1, 16, 13, 7])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int = 256,
        rates: tuple[int, ...] = (6, 12, 18),
        separable: bool = False,
        dropout: float = 0.5,
    ):
        super().__init__()
        self.in_channels = geometry.check_count("in_channels", in_channels)
        geometry.check_count("out_channels", out_channels)
        self.rates, self.separable = checks.check_counts("rates", rates), separable
        dropout = checks.check_dropout(dropout)

        def branch(rate):
            if separable:
                return AtrousSeparableConvolution(in_channels, out_channels, rate=rate)
            return _normalised(AtrousConvolution(in_channels, out_channels, rate=rate, bias=False))

        def pixelwise(in_channels):
            return _normalised(nn.Conv2d(in_channels, out_channels, 1, bias=False))

        image = nn.Sequential(nn.AdaptiveAvgPool2d(1), *pixelwise(in_channels))
        self.convs = nn.ModuleList([pixelwise(in_channels), *map(branch, self.rates), image])
        self.project = pixelwise(len(self.convs) * out_channels).append(nn.Dropout(dropout))
        channels_last(self)

    def forward(self, x: Tensor) -> Tensor:
        _check(x)
        checks.check_channels(tuple(x.shape), self.in_channels, "NCHW")
        x = channels_last(x)  # once, and not in each branch
        *maps, image = [conv(x) for conv in self.convs]
        return self.project(torch.cat([*maps, image.expand_as(maps[0])], dim=1))

    def extra_repr(self) -> str:
        return f"rates={self.rates}, separable={self.separable}"


def _normalised(conv: nn.Conv2d) -> nn.Sequential:
    return nn.Sequential(conv, BatchNorm(conv.out_channels), nn.ReLU())
