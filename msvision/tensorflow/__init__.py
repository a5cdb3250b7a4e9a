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

__all__ = [
    "PyramidFeatures",
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
