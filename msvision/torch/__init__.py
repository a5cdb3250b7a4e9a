"""The operators for PyTorch: tensors are (N, C, H, W)."""

try:
    import torch as _torch  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    raise ModuleNotFoundError(
        'msvision.torch needs PyTorch: pip install "msvision[torch]", '
        "or see https://pytorch.org/get-started for GPU builds",
        name="torch",
    ) from None

from msvision.torch.atrous import ASPP, AtrousConvolution, AtrousSeparableConvolution
from msvision.torch.fpn import FPN
from msvision.torch.fusion import (
    ChannelAttentionFusion,
    ConcatFusion,
    SumFusion,
    WeightedFusion,
    align_levels,
)
from msvision.torch.pooling import PyramidPooling, SpatialPyramidPooling
from msvision.torch.pyramids import (
    PyramidFeatures,
    blend,
    downsample,
    gaussian_pyramid,
    gaussian_stack,
    laplacian_pyramid,
    merge_levels,
    octaves,
    reconstruct,
    upsample,
)
from msvision.torch.resizing import LearnableResizer

__all__ = [
    "ASPP",
    "AtrousConvolution",
    "AtrousSeparableConvolution",
    "ChannelAttentionFusion",
    "ConcatFusion",
    "FPN",
    "LearnableResizer",
    "PyramidFeatures",
    "PyramidPooling",
    "SpatialPyramidPooling",
    "SumFusion",
    "WeightedFusion",
    "align_levels",
    "blend",
    "downsample",
    "gaussian_pyramid",
    "gaussian_stack",
    "laplacian_pyramid",
    "merge_levels",
    "octaves",
    "reconstruct",
    "upsample",
]
