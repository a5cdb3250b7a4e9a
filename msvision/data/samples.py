"""Photographs that come with scikit-image and scikit-learn, and test charts drawn by formula: nothing is downloaded."""

from __future__ import annotations

import numpy as np

from msvision.geometry import check_count

PHOTOGRAPHS = (
    "astronaut",
    "brick",
    "camera",
    "chelsea",
    "china",
    "coffee",
    "flower",
    "grass",
    "gravel",
    "motorcycle",
    "rocket",
)
"""Names that :func:`photograph` takes. *china* and *flower* come with scikit-learn, the others with scikit-image."""


def photograph(name: str, grey: bool = False) -> np.ndarray:
    """One of the photographs, as numbers between 0 and 1.

    Parameters
    ----------
    name
        One of :data:`PHOTOGRAPHS`.
    grey
        Whether to return luminance (ITU-R BT.601: 0.299 R + 0.587 G + 0.114 B) in place of colours.

    Returns
    -------
    ndarray of float32, shape (H, W, 3), or (H, W, 1) for grey ones
        Range [0, 1]. *brick*, *camera*, *grass* and *gravel* are grey by themselves.

    Raises
    ------
    ValueError
        If there is no such photograph.

    Examples
    --------
    >>> photograph("astronaut").shape, photograph("brick").shape, photograph("china", grey=True).shape
    ((512, 512, 3), (512, 512, 1), (427, 640, 1))
    """
    if name not in PHOTOGRAPHS:
        raise ValueError(f"name must be one of {', '.join(PHOTOGRAPHS)}, got {name!r}")
    if name in ("china", "flower"):
        from sklearn.datasets import load_sample_image

        pixels = load_sample_image(f"{name}.jpg")
    else:
        from skimage import data

        pixels = data.stereo_motorcycle()[0] if name == "motorcycle" else getattr(data, name)()
    image = np.atleast_3d(pixels).astype(np.float32) / 255
    if grey and image.shape[2] == 3:
        image = image @ np.array([[0.299], [0.587], [0.114]], np.float32)
    return image


def crops(name: str, count: int, size: int, seed: int) -> np.ndarray:
    """Squares cut from a grey photograph at random places.

    Parameters
    ----------
    name
        One of :data:`PHOTOGRAPHS`.
    count, size
        How many, and their side in pixels.
    seed
        The same seed gives the same squares, on every machine.

    Returns
    -------
    ndarray of float32, shape (count, size, size, 1)
        Range [0, 1].

    Raises
    ------
    ValueError
        If the photograph is smaller than ``size``.

    Examples
    --------
    >>> crops("grass", count=8, size=128, seed=0).shape
    (8, 128, 128, 1)
    """
    image = photograph(name, grey=True)
    check_count("count", count), check_count("size", size)
    limits = np.array(image.shape[:2]) - size
    if limits.min() < 0:
        raise ValueError(f"size must be at most {min(image.shape[:2])} for {name}, got {size}")
    corners = np.random.default_rng(seed).integers(0, limits + 1, (count, 2))
    return np.stack([image[top : top + size, left : left + size] for top, left in corners])


def zone_plate(size: int, highest: float = 0.5) -> np.ndarray:
    """Rings that grow finer from the centre: every frequency in every direction, each in its own place.

    The brightness is ``(1 + cos(pi highest r² / (size / 2))) / 2``, whose frequency at a distance of ``r`` pixels is
    ``highest r / (size / 2)`` cycles per pixel.

    Parameters
    ----------
    size
        Side in pixels.
    highest
        Frequency reached at the middle of each edge, in cycles per pixel; 0.5 is the most that pixels can show.

    Returns
    -------
    ndarray of float32, shape (size, size, 1)
        Range [0, 1].

    Examples
    --------
    >>> plate = zone_plate(128)
    >>> plate.shape, float(plate[64, 64, 0])
    ((128, 128, 1), 1.0)
    """
    check_count("size", size, least=2)
    y, x = np.mgrid[:size, :size] - size // 2
    return ((1 + np.cos(np.pi * highest * (x**2 + y**2) / (size / 2))) / 2)[..., None].astype(np.float32)
