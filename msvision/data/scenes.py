"""Synthetic scenes whose every object is known: real handwriting on real textures.

Scenes depend on the seed alone and have the same bytes on every machine; the first scenes of many are those of few.
Training and validation scenes have other digits (of scikit-learn's 1,797 the first 1,200, or the rest) and textures
from other halves of the photographs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from msvision.checks import check_choice
from msvision.data import drawing
from msvision.data.drawing import Dice, grey
from msvision.geometry import check_count

DIGITS = (0, 1, 3, 4, 7)
"""The digits of :func:`digit_scenes`: those that stay apart when they are small."""


@dataclass(frozen=True, eq=False)
class Scenes:
    """Images with their targets, as arrays and as a data set.

    ``scenes[i]`` is the image as float32 (H, W, 1), range [0, 1], and its target as int64: labels (H, W), or one number.
    A slice gives a batch of both. ``torch.utils.data.DataLoader(scenes)`` and
    ``tf.data.Dataset.from_tensor_slices(scenes[:])`` take them as they are; PyTorch's layers want the image as
    ``image.movedim(-1, 1)``.

    Attributes
    ----------
    pixels
        uint8 (N, H, W, 1). :attr:`images` is the same, divided by 255.
    labels
        uint8 (N, H, W), one for each pixel, or (N,), one for each image.
    names
        What label 0, 1, … stands for.
    boxes
        int64 (N, M, 4): left, top, right and bottom edge of each object in pixels, the last two exclusive; rows of zeros
        where an image has fewer than M. Boxes do not overlap. M is 0 for scenes without objects.
    classes
        uint8 (N, M): the label of each object; 0 where there is none.
    levels
        uint8 (N,): the level that each label came from, 0 the fine and 1 the coarse one, in
        :func:`~msvision.data.level_scenes`; ``None`` elsewhere.
    ignored
        The label of pixels that do not count, or ``None``.

    Examples
    --------
    >>> scenes = digit_scenes(4, seed=1)
    >>> image, labels = scenes[0]
    >>> image.shape, image.dtype.name, labels.shape, labels.dtype.name
    ((96, 96, 1), 'float32', (96, 96), 'int64')
    >>> scenes.boxes[0].tolist(), scenes.classes[0].tolist(), scenes.sizes[0].tolist()
    ([[20, 1, 79, 60], [33, 67, 61, 95], [0, 0, 0, 0]], [4, 5, 0], [59, 28, 0])
    """

    pixels: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]
    boxes: np.ndarray
    classes: np.ndarray
    levels: np.ndarray | None = None
    ignored: int | None = None

    @property
    def images(self) -> np.ndarray:
        """float32 (N, H, W, 1), range [0, 1]."""
        return _images(self.pixels)

    @property
    def sizes(self) -> np.ndarray:
        """int64 (N, M): the side of each object's box in pixels; 0 where there is none."""
        return self.boxes[..., 2] - self.boxes[..., 0]

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index) -> tuple[np.ndarray, np.ndarray]:
        return _images(self.pixels[index]), self.labels[index].astype(np.int64)


def digits(split: str = "train", size: int = 32) -> Scenes:
    """Handwritten digits, white on black, enlarged to any size by bicubic interpolation.

    Parameters
    ----------
    split : {"train", "val"}
        The first 1,200 digits of scikit-learn's, or the other 597.
    size
        Side in pixels; they were digitised at 8.

    Returns
    -------
    Scenes
        Labels (N,): which digit it is.

    Raises
    ------
    ValueError
        If an argument is not one of those above.

    Examples
    --------
    >>> data = digits("val", size=20)
    >>> len(data), data.images.shape, data.labels[:5].tolist()
    (597, (597, 20, 20, 1), [7, 7, 3, 5, 1])
    """
    check_count("size", size)
    (images, labels), chosen = drawing.handwriting(), _digits_of(split)
    ink = np.stack([drawing.enlarged(image, size) for image in images[chosen]])
    return _scenes(drawing.developed(ink * drawing.WHITE >> 12), labels[chosen], tuple("0123456789"))


def digit_scenes(
    count: int,
    seed: int = 0,
    split: str = "train",
    size: int = 96,
    diameters: tuple[int, int] = (14, 80),
    objects: tuple[int, int] = (1, 3),
    classes: tuple[int, ...] = DIGITS,
) -> Scenes:
    """Round signs, each with a handwritten digit, on photographs of textures: which sign is where, at which size?

    The question of chapter 6. A sign is a bright disc with a dark digit of 0.72 times its diameter; its diameter is
    log-uniform, so that a sign of 14 to 28 pixels is as likely as one of 28 to 56.

    Parameters
    ----------
    count, seed
        How many scenes, and which.
    split : {"train", "val"}
        Which digits and textures they are made from.
    size
        Side of an image in pixels, at most 256.
    diameters
        Smallest and largest sign in pixels, at least 8.
    objects
        Fewest and most signs in an image. Signs do not overlap: one that finds no place is left out, never the first.
    classes
        Which digits; label 1 is the first of them, 2 the second, and 0 the background.

    Returns
    -------
    Scenes
        Labels (N, H, W), 0 to ``len(classes)``; boxes, classes and sizes of the signs, largest first.

    Raises
    ------
    TypeError, ValueError
        If an argument is not one of those above.

    Examples
    --------
    >>> scenes = digit_scenes(3, seed=0, diameters=(60, 80), objects=(1, 1))
    >>> scenes.images.shape, scenes.labels.shape, scenes.sizes.tolist()
    ((3, 96, 96, 1), (3, 96, 96), [[71], [62], [73]])
    """
    check_count("size", size)
    smallest, largest = _check_range("diameters", diameters, least=8, most=size)
    fewest, most = _check_range("objects", objects)
    if not classes or not set(classes) <= set(range(10)) or len(set(classes)) < len(classes):
        raise ValueError(f"classes must be different digits, 0 to 9, got {classes!r}")
    images, values = drawing.handwriting()
    samples = [[i for i in _digits_of(split) if values[i] == value] for value in classes]

    def draw(dice: Dice) -> tuple:
        picture = drawing.texture(dice, size, split)
        labels = np.zeros((size, size), np.uint8)
        boxes, found = [], []
        wanted = [dice.log_uniform(smallest, largest) for _ in range(dice.between(fewest, most))]
        for diameter in sorted(wanted, reverse=True):
            if (box := drawing.free_box(dice, size, diameter, boxes)) is None:
                continue
            label = dice.between(1, len(classes))
            where = np.s_[box[1] : box[3], box[0] : box[2]]
            sign = _sign(dice, diameter, images[dice.chosen(samples[label - 1])])
            picture[where] = np.where(drawing.disc(diameter), sign, picture[where])
            labels[where][drawing.disc(diameter)] = label
            boxes.append(box), found.append(label)
        return picture + drawing.noise(dice, size, 0.03), labels, boxes, found

    return drawn(draw, count, seed, split, size, ("background", *map(str, classes)), most)


# -- the steps -------------------------------------------------------------------------------------------------------


def drawn(
    draw: Callable[[Dice], tuple],
    count: int,
    seed: int,
    split: str,
    size: int,
    names: tuple[str, ...],
    objects: int,
) -> Scenes:
    """``count`` scenes, each drawn with dice of its own, so that it is the same whatever their number."""
    check_count("count", count), check_count("seed", seed, least=0)
    check_choice("split", split, drawing.SPLITS)
    if size > drawing.LARGEST:
        raise ValueError(f"size must be at most {drawing.LARGEST}, which the textures hold, got {size}")
    pixels = np.empty((count, size, size), np.uint8)
    boxes, classes = np.zeros((count, objects, 4), np.int64), np.zeros((count, objects), np.uint8)
    labels = []
    for number in range(count):
        picture, label, placed, found = draw(Dice(seed, drawing.SPLITS.index(split), number))
        pixels[number] = drawing.developed(picture)
        labels.append(label)
        if placed:
            boxes[number, : len(placed)], classes[number, : len(placed)] = placed, found
    return Scenes(pixels[..., None], np.array(labels, np.uint8), names, boxes, classes)


def _scenes(pixels: np.ndarray, labels: np.ndarray, names: tuple[str, ...]) -> Scenes:
    count = len(pixels)
    return Scenes(pixels[..., None], labels, names, np.zeros((count, 0, 4), np.int64), np.zeros((count, 0), np.uint8))


def _images(pixels: np.ndarray) -> np.ndarray:
    return pixels.astype(np.float32) / np.float32(255)


def _digits_of(split: str) -> np.ndarray:
    check_choice("split", split, drawing.SPLITS)
    return np.arange(1200) if split == "train" else np.arange(1200, 1797)


def _sign(dice: Dice, diameter: int, digit: np.ndarray) -> np.ndarray:
    """A bright square with a dark digit in its middle."""
    plate, ink = (dice.between(grey(low), grey(high)) for low, high in ((0.8, 1), (0, 0.25)))
    sign = np.full((diameter, diameter), plate, np.int32)
    side = (diameter * 72 + 50) // 100
    start = (diameter - side) // 2
    sign[start : start + side, start : start + side] += drawing.enlarged(digit, side) * (ink - plate) >> 12
    return sign


def check_pair(name: str, pair) -> tuple:
    if not isinstance(pair, (list, tuple)) or len(pair) != 2:
        raise ValueError(f"{name} must be a pair (lowest, highest), got {pair!r}")
    return tuple(pair)


def _check_range(name: str, pair, least: int = 1, most: int | None = None) -> tuple[int, int]:
    low, high = (check_count(f"{name}[{i}]", n, least) for i, n in enumerate(check_pair(name, pair)))
    if low > high or (most is not None and high > most):
        limit = f" of at most {most}" if most is not None else ""
        raise ValueError(f"{name} must be a pair (lowest, highest){limit}, got {pair!r}")
    return low, high
