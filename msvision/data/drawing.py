"""Pens that draw the same bytes on every machine.

Everything is whole numbers: sines and cosines are read from tables that were rounded once, random numbers are taken
from PCG64's raw output, which no version of NumPy changes. A picture in the making counts in steps of 1/256 of a grey
level; :func:`developed` rounds it to bytes at the end.
"""

from __future__ import annotations

from functools import lru_cache
from math import exp, pi, sin

import numpy as np

from msvision.data.samples import photograph
from msvision.geometry import resize_matrix

WHITE = 255 << 8
"""The brightest value of a picture in the making."""

SPLITS = ("train", "val")
TEXTURES = ("astronaut", "brick", "camera", "coffee", "grass", "gravel")
"""Photographs that backgrounds are cut from: those stored without loss, so that every decoder gives the same pixels."""

LARGEST = 256
"""Side of the largest square that fits half of each of them."""

TURN = 4096  # steps of a full turn, in the tables
_SINE = np.array([round(4096 * sin(2 * pi * step / TURN)) for step in range(TURN)], np.int32)


class Dice:
    """Random numbers that depend on the seed alone.

    Examples
    --------
    >>> dice = Dice(2, 0)
    >>> [dice.between(1, 6) for _ in range(5)]
    [2, 2, 5, 1, 4]
    """

    def __init__(self, *seed: int):
        self._raw = np.random.PCG64(seed).random_raw

    def between(self, low: int, high: int) -> int:
        """A whole number, both ends included."""
        return low + ((self._raw() >> 32) * (high - low + 1) >> 32)

    def chosen(self, values):
        """One of several values."""
        return values[self.between(0, len(values) - 1)]

    def log_uniform(self, low: int, high: int) -> int:
        """A whole number as likely to be between n and 2 n as between 2 n and 4 n."""
        chances = np.cumsum((1 << 32) // np.arange(low, high + 1))
        return low + int(np.searchsorted(chances, self.between(0, int(chances[-1]) - 1), "right"))

    def bell(self, *shape: int) -> np.ndarray:
        """Numbers near enough to normal ones: sums of four bytes, mean 0, standard deviation :data:`BELL`."""
        count = int(np.prod(shape))
        raw = self._raw((count + 1) // 2).astype("<u8").view(np.uint8)[: 4 * count]
        return raw.reshape(4, *shape).sum(0, dtype=np.int32) - 510


BELL = 147.80  # sqrt(4 (256² - 1) / 12)


def grey(brightness: float) -> int:
    """A brightness between 0 and 1, or a change of it, in the steps of a picture in the making."""
    return round(brightness * WHITE)


def noise(dice: Dice, size: int, deviation: float) -> np.ndarray:
    """Noise of this standard deviation."""
    return dice.bell(size, size) * round(16 * grey(deviation) / BELL) >> 4


def grating(size: int, frequency: int, angle: int, phase: int, amplitude: float) -> np.ndarray:
    """A sine wave: frequency in 1/4096 cycles per pixel, the direction it runs in and its phase in 1/4096 turns."""
    steps = np.arange(size, dtype=np.int64)
    across, down = (int(frequency * _SINE[(angle + quarter) % TURN]) for quarter in (TURN // 4, 0))
    turned = (across * steps + down * steps[:, None] >> 12) + phase
    return _SINE[turned % TURN] * grey(amplitude) >> 12


@lru_cache(maxsize=8)
def _hill(size: int, width: int) -> np.ndarray:
    return np.array([round(4096 * exp(-(n**2) / (2 * width**2))) for n in range(size)], np.int32)


def hill(size: int, top: int, left: int, width: int) -> np.ndarray:
    """A Gaussian of height 4096 whose standard deviation is ``width``."""
    rows, columns = (_hill(size, width)[abs(np.arange(size) - centre)] for centre in (top, left))
    return rows[:, None] * columns >> 12


@lru_cache(maxsize=256)
def disc(diameter: int) -> np.ndarray:
    """Which pixels of a square have their centre inside the circle that touches its sides."""
    offsets = (2 * np.arange(diameter) + 1 - diameter) ** 2
    return offsets[:, None] + offsets <= diameter**2


def texture(dice: Dice, size: int, split: str) -> np.ndarray:
    """A square of a photograph, turned and mirrored at random: left halves are for training, right halves for checking."""
    pixels = _pixels(dice.chosen(TEXTURES))
    half = pixels.shape[1] // 2
    top = dice.between(0, pixels.shape[0] - size)
    left = dice.between(0, half - size) + (half if split == "val" else 0)
    square = np.rot90(pixels[top : top + size, left : left + size], dice.between(0, 3))
    return (square[:, ::-1] if dice.between(0, 1) else square).astype(np.int32) << 8


@lru_cache
def _pixels(name: str) -> np.ndarray:
    pixels = np.rint(255 * photograph(name)).astype(np.int32)
    if pixels.shape[2] == 3:  # luminance, BT.601
        pixels = pixels @ np.array([[77], [150], [29]], np.int32) + 128 >> 8
    return pixels[..., 0]


def free_box(dice: Dice, size: int, side: int, taken: list[tuple]) -> tuple | None:
    """A square that no other box overlaps, if one is found in 50 throws."""
    for _ in range(50):
        left, top = dice.between(0, size - side), dice.between(0, size - side)
        box = (left, top, left + side, top + side)
        if all(box[2] <= b[0] or b[2] <= box[0] or box[3] <= b[1] or b[3] <= box[1] for b in taken):
            return box
    return None


@lru_cache
def handwriting() -> tuple[np.ndarray, np.ndarray]:
    """Scikit-learn's 1,797 digits, 8 × 8 pixels between 0 and 16, and which digit each is."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    return digits.images.astype(np.int64), digits.target.astype(np.uint8)


@lru_cache
def _enlarging(size: int) -> np.ndarray:
    return np.rint(4096 * resize_matrix(8, size, "bicubic", antialias=True)).astype(np.int64)


def enlarged(digit: np.ndarray, size: int) -> np.ndarray:
    """Handwriting at another size by bicubic interpolation: ink between 0 and 4096."""
    weights = _enlarging(size)
    return (weights @ digit @ weights.T >> 16).clip(0, 4096)


def developed(picture: np.ndarray) -> np.ndarray:
    """The finished picture, as bytes."""
    return (picture + 128 >> 8).clip(0, 255).astype(np.uint8)
