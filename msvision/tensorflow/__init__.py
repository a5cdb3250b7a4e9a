"""The operators for TensorFlow and Keras 3: tensors are (N, H, W, C)."""

try:
    import tensorflow as _tensorflow  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "tensorflow":
        raise
    raise ModuleNotFoundError(
        'msvision.tensorflow needs TensorFlow: pip install "msvision[tensorflow]", '
        "or see https://www.tensorflow.org/install for GPU builds",
        name="tensorflow",
    ) from None

import keras as _keras

if _keras.backend.backend() != "tensorflow":
    raise ImportError(
        f"msvision.tensorflow needs Keras on TensorFlow, got the {_keras.backend.backend()} backend: "
        "set KERAS_BACKEND=tensorflow before Keras is imported"
    )

from msvision.tensorflow.atrous import ASPP, AtrousConvolution, AtrousSeparableConvolution
from msvision.tensorflow.attention import CrossLevelAttention
from msvision.tensorflow.backbones import SimpleBackbone, resnet18, resnet34, resnet50, resnet101
from msvision.tensorflow.bifpn import BiFPN
from msvision.tensorflow.detection import (
    FPNDetector,
    decode_detections,
    detection_loss,
    detection_targets,
    non_maximum_suppression,
)
from msvision.tensorflow.efficientnet import efficientnet_lite0
from msvision.tensorflow.fpn import FPN
from msvision.tensorflow.fusion import (
    ChannelAttentionFusion,
    ConcatFusion,
    SumFusion,
    WeightedFusion,
    align_levels,
)
from msvision.tensorflow.pooling import PyramidPooling, SpatialPyramidPooling
from msvision.tensorflow.pyramids import (
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
from msvision.tensorflow.resizing import LearnableResizer
from msvision.tensorflow.search import deep_dream, find_template, register_translation
from msvision.tensorflow.segmentation import DeepLabV3, DeepLabV3Plus, FPNSegmenter, PSPNet
from msvision.tensorflow.training import cross_entropy, fit, predict

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
