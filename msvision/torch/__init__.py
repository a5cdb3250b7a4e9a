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
