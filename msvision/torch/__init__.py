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
from msvision.torch.attention import CrossLevelAttention
from msvision.torch.backbones import SimpleBackbone, resnet18, resnet34, resnet50, resnet101
from msvision.torch.bifpn import BiFPN
from msvision.torch.detection import (
    FPNDetector,
    decode_detections,
    detection_loss,
    detection_targets,
    non_maximum_suppression,
)
from msvision.torch.efficientnet import efficientnet_lite0
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
from msvision.torch.search import deep_dream, find_template, register_translation
from msvision.torch.segmentation import DeepLabV3, DeepLabV3Plus, FPNSegmenter, PSPNet
from msvision.torch.training import cross_entropy, fit, predict

__all__ = [
    "ASPP",
    "AtrousConvolution",
    "AtrousSeparableConvolution",
    "BiFPN",
    "ChannelAttentionFusion",
    "ConcatFusion",
    "CrossLevelAttention",
    "DeepLabV3",
    "DeepLabV3Plus",
    "FPN",
    "FPNDetector",
    "FPNSegmenter",
    "LearnableResizer",
    "PSPNet",
    "PyramidFeatures",
    "PyramidPooling",
    "SimpleBackbone",
    "SpatialPyramidPooling",
    "SumFusion",
    "WeightedFusion",
    "align_levels",
    "blend",
    "cross_entropy",
    "decode_detections",
    "deep_dream",
    "detection_loss",
    "detection_targets",
    "downsample",
    "efficientnet_lite0",
    "find_template",
    "fit",
    "gaussian_pyramid",
    "gaussian_stack",
    "laplacian_pyramid",
    "merge_levels",
    "non_maximum_suppression",
    "octaves",
    "predict",
    "reconstruct",
    "register_translation",
    "resnet101",
    "resnet18",
    "resnet34",
    "resnet50",
    "upsample",
]
