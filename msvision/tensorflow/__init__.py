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
