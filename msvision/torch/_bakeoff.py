"""The networks of the bake-off (chapter 9), and what is asked of PyTorch about a run."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from msvision import geometry
from msvision import torch as msv
from msvision.bakeoff import STEPS
from msvision.torch import training
from msvision.torch._layers import BatchNorm, resized
from msvision.torch.backbones import SimpleBackbone
from msvision.torch.efficientnet import efficientnet_lite0
from msvision.torch.resizing import LearnableResizer, _resize
from msvision.torch.segmentation import DeepLabV3, DeepLabV3Plus, FPNSegmenter, PSPNet, _conv, _head


def prepare(seed: int, threads: int | None) -> None:
    """Seed what is random, and compute on so many threads."""
    torch.manual_seed(seed)
    if threads is not None:
        torch.set_num_threads(threads)
    training._fabric("float32")  # loads what would else be loaded, and timed, in the first step


def build(
    model: str,
    size: tuple[int, int],
    in_channels: int,
    classes: int,
    widths: tuple[int, ...] | None,
    head: int,
    rates: tuple[int, ...],
) -> nn.Module:
    """A network on a backbone of these widths, or without them on a pretrained one. ``head`` is the width of all heads."""
    backbone = SimpleBackbone(in_channels, widths) if widths else Pretrained()
    if model == "FCN":
        return FPNSegmenter(LastLevel(backbone), classes, head, head)
    if model in ("GlobalContext", "PSPNet"):
        bins = (1,) if model == "GlobalContext" else (1, 2, 3, 6)
        return PSPNet(backbone, classes, bins, head, dropout=0.1)
    if model == "DeepLabV3":
        return DeepLabV3(backbone, classes, rates, head, dropout=0.1)
    if model == "DeepLabV3Plus":
        return DeepLabV3Plus(backbone, classes, rates, head, low_level_channels=head // 2, dropout=0.1)
    if model in STEPS:
        return Fused(backbone, classes, head, [getattr(msv, step) for step in STEPS[model]])
    network = FPNSegmenter(backbone, classes, head, head)
    if model == "FPNSegmenter":
        return network
    return HalfSize(network, size, in_channels if model == "LearnableResizer+FPNSegmenter" else None)


def parameters(model: nn.Module) -> int:
    """How many numbers are trained."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def gpu() -> tuple[str | None, int | None]:
    """What the GPU is called, and the most bytes of it that were in use at once."""
    if not torch.cuda.is_available():
        return None, None
    return torch.cuda.get_device_name(), torch.cuda.max_memory_allocated()


def classifier(model: nn.Module) -> Callable:
    """A function from images, an array (N, H, W, C), to the class of each pixel, to be timed."""
    return partial(training.predict, model)


class LastLevel(nn.Module):
    """A backbone that keeps all but its last level to itself."""

    def __init__(self, backbone: nn.Module):
        super().__init__()
        self.backbone, self.channels, self.reductions = backbone, backbone.channels[-1:], backbone.reductions[-1:]

    def forward(self, x: Tensor) -> list[Tensor]:
        return self.backbone(x)[-1:]


class Fused(nn.Module):
    """Levels that become one map, step by step, and a head on it."""

    def __init__(self, backbone: nn.Module, classes: int, width: int, steps: list):
        super().__init__()
        self.backbone, self.fine = backbone, geometry.quarter_level(backbone.reductions)
        channels = list(backbone.channels[self.fine :])
        between = len(channels) * [width]
        self.steps = nn.Sequential(steps[0](channels, width), *(step(between, width) for step in steps[1:]))
        self.head = nn.Sequential(*_head(_conv(width, width), classes, 0.1))

    def forward(self, x: Tensor) -> Tensor:
        return resized(self.head(self.steps(self.backbone(x)[self.fine :])), x.shape[2:], "bilinear")


class HalfSize(nn.Module):
    """A network that sees images at half their size, made by a learned resizer if it is told their channels."""

    def __init__(self, network: nn.Module, size: tuple[int, int], in_channels: int | None):
        super().__init__()
        self.network, self.small = network, tuple(-(-n // 2) for n in size)
        self.resizer = LearnableResizer(in_channels, self.small, antialias=True) if in_channels else None

    def forward(self, x: Tensor) -> Tensor:
        small = self.resizer(x) if self.resizer else _resize(x, self.small, "bilinear", True)
        return resized(self.network(small), x.shape[2:], "bilinear")


class Pretrained(nn.Module):
    """EfficientNet-Lite0 as ImageNet left it, never trained, down to a sixteenth of the image; images are in [0, 1].

    Its levels differ much in size, so that each is normalised.
    """

    def __init__(self):
        super().__init__()
        self.backbone = efficientnet_lite0(weights="imagenet").requires_grad_(False)
        self.channels, self.reductions = self.backbone.channels[:3], self.backbone.reductions[:3]
        self.norms = nn.ModuleList(map(BatchNorm, self.channels))

    def train(self, mode: bool = True) -> Pretrained:
        super().train(mode)
        self.backbone.eval()  # its statistics are those of ImageNet
        return self

    def forward(self, x: Tensor) -> list[Tensor]:
        levels = self.backbone((255 * x - 127) / 128)
        return [norm(level) for norm, level in zip(self.norms, levels)]
