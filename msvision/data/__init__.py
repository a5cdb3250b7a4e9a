"""Images to look at and to learn from.

Every data set has ``len(data)``, and ``data[i]`` is an image, float32 (H, W, C) in the range [0, 1], with its target,
int64. ``data.names`` says what the labels stand for. Nothing here needs a framework, and both take it.

Synthetic scenes depend on the seed alone and have the same bytes on every machine; the first scenes of many are those
of few. Photographs are read from the disk, where ``python -m msvision data get camvid`` puts them.
"""

from msvision.data.augmentation import augment
from msvision.data.patterns import context_scenes, distance_scenes, level_scenes, texture_scenes
from msvision.data.photographs import Photographs, camvid, cats_vs_dogs
from msvision.data.scenes import Scenes, digit_scenes, digits

__all__ = [
    "Photographs",
    "Scenes",
    "augment",
    "camvid",
    "cats_vs_dogs",
    "context_scenes",
    "digit_scenes",
    "digits",
    "distance_scenes",
    "level_scenes",
    "texture_scenes",
]
