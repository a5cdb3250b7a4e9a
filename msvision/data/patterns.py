"""Scenes that each ask one question: of context, of distance, of the level to listen to, of detail that may be lost.

Like those of :mod:`msvision.data.scenes` they depend on the seed alone and have the same bytes on every machine.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from msvision.checks import check_choice
from msvision.data import drawing
from msvision.data.drawing import TURN, Dice, grey
from msvision.data.scenes import Scenes, check_pair, drawn
from msvision.geometry import check_count, check_number

DIRECTIONS = ("right", "down", "left", "up")
ORIENTATIONS = ("0°", "45°", "90°", "135°")
_STEPS = ((0, 1), (1, 0), (0, -1), (-1, 0))  # one pixel in each of the directions: down, right


def context_scenes(count: int, seed: int = 0, split: str = "train", size: int = 64, regions: int = 1) -> Scenes:
    """Discs that all look alike, named by a pattern elsewhere in the image: does the network see the whole scene?

    The question of chapter 4. A square of stripes in one corner sets the scene; the label of every disc is the
    orientation of its stripes. With two regions, the left and right half of the image have a scene each.

    Parameters
    ----------
    count, seed
        How many scenes, and which.
    split : {"train", "val"}
        Which textures they are made from.
    size
        Side of an image in pixels, 64 to 256.
    regions
        1 or 2.

    Returns
    -------
    Scenes
        Labels (N, H, W): 0 the background, 1 to 4 a disc in a scene with stripes whose waves run at 0°, 45°, 90°, 135°;
        boxes, classes and sizes of the discs.

    Raises
    ------
    TypeError, ValueError
        If an argument is not one of those above.

    Examples
    --------
    >>> scenes = context_scenes(3, seed=0)
    >>> scenes.images.shape, scenes.names, scenes.classes.tolist()
    ((3, 64, 64, 1), ('background', '0°', '45°', '90°', '135°'), [[4, 4, 4], [1, 1, 0], [1, 1, 1]])
    """
    check_count("size", size, least=64)
    check_choice("regions", regions, (1, 2))
    side = 20 if regions == 1 else 18

    def draw(dice: Dice) -> tuple:
        picture = drawing.texture(dice, size, split) * 2 // 5 + grey(0.3)
        labels = np.zeros((size, size), np.uint8)
        scenes = [dice.between(0, 3)]
        if regions == 2:
            scenes.append((scenes[0] + dice.between(1, 3)) % 4)
        cues = []
        for number, scene in enumerate(scenes):
            left = (size - side) * (number if regions == 2 else dice.between(0, 1))
            top = (size - side) * dice.between(0, 1)
            stripes = drawing.grating(side, TURN // 5, scene * TURN // 8, dice.between(0, TURN - 1), 0.4)
            picture[top : top + side, left : left + side] = grey(0.5) + stripes
            cues.append((left, top, left + side, top + side))
        middle = [(size // 2, 0, size // 2, size)] if regions == 2 else []  # nothing lies across it
        boxes = []
        for _ in range(dice.between(regions, 3)):
            diameter = dice.between(10, 16)
            if box := drawing.free_box(dice, size, diameter, cues + middle + boxes):
                boxes.append(box)
        found = [1 + scenes[box[0] * regions // size] for box in boxes]
        for (left, top, right, bottom), label in zip(boxes, found):
            inside = drawing.disc(right - left)
            picture[top:bottom, left:right][inside] = grey(0.95)
            labels[top:bottom, left:right][inside] = label
        return picture + drawing.noise(dice, size, 0.02), labels, boxes, found

    return drawn(draw, count, seed, split, size, ("background", *ORIENTATIONS), 3)


def distance_scenes(count: int, distance: int, seed: int = 0, split: str = "train", size: int = 64) -> Scenes:
    """A cross that asks in which direction a bright square lies, at one known distance: how far does the network see?

    The question of chapter 5. The square of 3 × 3 pixels lies exactly ``distance`` pixels from the cross, measured
    between centres; three more squares lie elsewhere, none where an answer could be.

    Parameters
    ----------
    count
        How many scenes.
    distance
        From the cross to the square in pixels, at least 5.
    seed
        Which scenes.
    split : {"train", "val"}
        Which scenes; all are made of noise alone.
    size
        Side of an image in pixels, at least ``2 * distance + 8`` and 32, at most 256.

    Returns
    -------
    Scenes
        Labels (N, H, W): on the 3 × 3 pixels in the middle of the cross the direction, 0 right, 1 down, 2 left, 3 up;
        255, the ignored label, everywhere else.

    Raises
    ------
    TypeError, ValueError
        If an argument is not one of those above.

    Examples
    --------
    >>> scenes = distance_scenes(3, distance=14)
    >>> answers = scenes.labels[scenes.labels != scenes.ignored].reshape(3, 9)
    >>> [scenes.names[label] for label in answers[:, 0]]
    ['right', 'left', 'left']
    """
    check_count("distance", distance, least=5)
    check_count("size", size, least=max(32, 2 * distance + 8))

    def draw(dice: Dice) -> tuple:
        picture = np.full((size, size), grey(0.3), np.int32)
        labels = np.full((size, size), 255, np.uint8)
        y, x = (dice.between(distance + 2, size - distance - 3) for _ in range(2))
        answer = dice.between(0, 3)
        places = [(x + distance * right, y + distance * down) for down, right in _STEPS]
        squares = [(u - 1, v - 1, u + 2, v + 2) for u, v in places]
        taken = [(x - 3, y - 3, x + 4, y + 4), *squares]
        drawn = [squares[answer]]
        while len(drawn) < 4:
            if box := drawing.free_box(dice, size, 3, taken):
                taken.append(box), drawn.append(box)
        for left, top, right, bottom in drawn:
            picture[top:bottom, left:right] = grey(0.9)
        picture[y - 2 : y + 3, x] = picture[y, x - 2 : x + 3] = grey(0.9)
        labels[y - 1 : y + 2, x - 1 : x + 2] = answer
        return picture + drawing.noise(dice, size, 0.1), labels, [], []

    return replace(drawn(draw, count, seed, split, size, DIRECTIONS, 0), ignored=255)


def level_scenes(count: int, task: str = "cue", seed: int = 0, split: str = "train", size: int = 64) -> Scenes:
    """Fine stripes over coarse ones, of which only one kind matters: which pyramid level should the network listen to?

    The question of chapter 7. Each kind has an orientation of its own. The label is that of the fine stripes, that of
    the coarse ones, or, where the task is "cue", that of the fine ones if the square in the top left corner is bright and
    that of the coarse ones if it is dark.

    Parameters
    ----------
    count
        How many scenes.
    task : {"cue", "fine", "coarse"}
        What decides which stripes the label belongs to.
    seed
        Which scenes.
    split : {"train", "val"}
        Which scenes; all are made of stripes and noise.
    size
        Side of an image in pixels, 32 to 256.

    Returns
    -------
    Scenes
        Labels (N,), 0 to 3: the direction in which the waves run. ``levels`` says which kind the label came from.

    Raises
    ------
    TypeError, ValueError
        If an argument is not one of those above.

    Examples
    --------
    >>> scenes = level_scenes(5)
    >>> scenes.images.shape, scenes.labels.tolist(), scenes.levels.tolist()
    ((5, 64, 64, 1), [3, 1, 2, 1, 1], [1, 0, 1, 1, 1])
    """
    check_choice("task", task, ("cue", "fine", "coarse"))
    check_count("size", size, least=32)
    levels = []

    def draw(dice: Dice) -> tuple:
        picture = np.full((size, size), grey(0.5), np.int32)
        level = dice.between(0, 1) if task == "cue" else ("fine", "coarse").index(task)
        if task == "cue":
            picture[:8, :8] += grey(0.375) * (1 - 2 * level)
        orientations = []
        for lowest, highest, amplitude in ((0.25, 0.35, 0.0875), (0.025, 0.035, 0.0625)):
            orientations.append(dice.between(0, 3))
            frequency = dice.between(round(lowest * TURN), round(highest * TURN))
            angle, phase = orientations[-1] * TURN // 8, dice.between(0, TURN - 1)
            picture += drawing.grating(size, frequency, angle, phase, amplitude)
        levels.append(level)
        return picture + drawing.noise(dice, size, 0.0875), orientations[level], [], []

    scenes = drawn(draw, count, seed, split, size, ORIENTATIONS, 0)
    return replace(scenes, levels=np.array(levels, np.uint8))


def texture_scenes(
    count: int,
    frequencies: tuple[float, float] = (0.2, 0.4),
    seed: int = 0,
    split: str = "train",
    size: int = 96,
) -> Scenes:
    """A patch of stripes on a texture, fine or coarse: what survives when the image is made smaller?

    The question of chapter 8. Shrunk to a quarter, an image can hold 0.125 cycles per pixel of the original: the
    frequencies given by default are lost, ``frequencies=(0.04, 0.1)`` are kept.

    Parameters
    ----------
    count
        How many scenes.
    frequencies
        Lowest and highest frequency of the stripes in cycles per pixel, between 0 and 0.5.
    seed
        Which scenes.
    split : {"train", "val"}
        Which textures they are made from.
    size
        Side of an image in pixels, 32 to 256.

    Returns
    -------
    Scenes
        Labels (N,), 0 to 3: the waves run at 0°, 45°, 90° or 135°, give or take 5°.

    Raises
    ------
    TypeError, ValueError
        If an argument is not one of those above.

    Examples
    --------
    >>> fine, coarse = texture_scenes(4), texture_scenes(4, frequencies=(0.04, 0.1))
    >>> fine.images.shape, fine.labels.tolist()
    ((4, 96, 96, 1), [3, 0, 0, 3])
    """
    check_count("size", size, least=32)
    lowest, highest = check_pair("frequencies", frequencies)
    if not 0 < check_number("frequencies[0]", lowest) <= check_number("frequencies[1]", highest) <= 0.5:
        raise ValueError(f"frequencies must be a pair (lowest, highest) between 0 and 0.5, got {frequencies!r}")

    def draw(dice: Dice) -> tuple:
        picture = drawing.texture(dice, size, split) * 3 // 5 + grey(0.2)
        label = dice.between(0, 3)
        frequency = dice.between(round(lowest * TURN), round(highest * TURN))
        angle = label * TURN // 8 + int(dice.bell(1)[0] * 52 // 148)  # 52 steps are 0.08 radians
        stripes = drawing.grating(size, frequency, angle, dice.between(0, TURN - 1), 0.1875)
        y, x = (dice.between(size // 5, size - 1 - size // 5) for _ in range(2))
        patch = drawing.hill(size, y, x, size // 5)
        return picture + (stripes * patch >> 12) + drawing.noise(dice, size, 0.034), label, [], []

    return drawn(draw, count, seed, split, size, ORIENTATIONS, 0)
