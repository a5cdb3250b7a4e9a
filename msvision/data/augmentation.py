"""More images out of few: random scale, crop and mirror image, the same for an image and its labels.

The resizing is Pillow's, which is there wherever this package is and treats an image and its labels alike in both
frameworks: one call cuts a window with fractional edges and brings it to the size wanted.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from msvision.checks import check_size
from msvision.geometry import check_number


def augment(
    image: np.ndarray,
    labels: np.ndarray,
    rng: np.random.Generator,
    size: int | tuple[int, int] | None = None,
    scales: tuple[float, float] = (0.75, 1.5),
    flip: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """A random part of an image at a random scale, perhaps mirrored, with its labels.

    Parameters
    ----------
    image
        float32 (H, W, C).
    labels
        Whole numbers from 0 to 255, (H, W); or one for the whole image, which stays as it is.
    rng
        Where chance comes from: the same state gives the same result.
    size
        Height and width of the result; by default those of the image.
    scales
        Smallest and largest factor by which things are enlarged. Where that would show more than there is, they are
        enlarged by as much more as it takes to fill the result: nothing is padded.
    flip
        Whether to mirror left and right half of the time.

    Returns
    -------
    tuple of ndarray
        The image, float32 (height, width, C), in the range that it had, resized by antialiased bilinear interpolation; its
        labels, of the type they had, each taken from the nearest pixel.

    Raises
    ------
    TypeError, ValueError
        If an argument is not one of those above.

    Examples
    --------
    >>> from msvision.data import digit_scenes
    >>> image, labels = digit_scenes(1)[0]
    >>> image, labels = augment(image, labels, np.random.default_rng(0), size=(48, 64))
    >>> image.shape, labels.shape
    ((48, 64, 1), (48, 64))
    """
    image, labels = np.asarray(image), np.asarray(labels)
    if image.ndim != 3 or image.dtype != np.float32:
        raise TypeError(f"image must be float32 (H, W, C), got {image.dtype} with shape {image.shape}")
    if labels.shape not in ((), image.shape[:2]) or not np.issubdtype(labels.dtype, np.integer):
        raise TypeError(f"labels must be whole numbers {image.shape[:2]}, got {labels.dtype} with shape {labels.shape}")
    if labels.min() < 0 or labels.max() > 255:
        raise ValueError(f"labels must be between 0 and 255, got {labels.min()} to {labels.max()}")
    height, width = size = image.shape[:2] if size is None else check_size(size)
    least, most = (check_number(f"scales[{i}]", scale) for i, scale in enumerate(scales))
    if not 0 < least <= most:
        raise ValueError(f"scales must be a pair (smallest, largest) of positive numbers, got {scales!r}")

    scale = np.exp(rng.uniform(np.log(least), np.log(most)))
    scale = max(scale, height / image.shape[0], width / image.shape[1])
    window = np.array([height, width]) / scale
    top, left = rng.uniform(0, 1, 2) * np.maximum(image.shape[:2] - window, 0)
    bottom, right = np.minimum(
        (top + window[0], left + window[1]), image.shape[:2]
    )  # a rounding error past the edge is an error
    box = (left, top, right, bottom)
    image = np.stack([_cut(channel, size, box, "BILINEAR") for channel in np.moveaxis(image, -1, 0)], -1)
    if labels.ndim:
        labels = _cut(labels.astype(np.uint8), size, box, "NEAREST").astype(labels.dtype)
    if flip and rng.random() < 0.5:
        image, labels = image[:, ::-1], labels[:, ::-1] if labels.ndim else labels
    return image.copy(), labels.copy()


def _cut(channel: np.ndarray, size: tuple[int, int], box: tuple, how: str) -> np.ndarray:
    picture = Image.fromarray(np.ascontiguousarray(channel))
    return np.asarray(picture.resize(size[::-1], Image.Resampling[how], box=box))
