"""Real photographs, read from the disk one at a time.

They are looked for in the folder that the environment variable ``MSVISION_DATA`` names, then in the user's cache.
``python -m msvision data get camvid`` puts them there.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from msvision.checks import check_choice, check_size

CAMVID = {
    "sky": (128, 128, 128),
    "building": (128, 0, 0),
    "pole": (192, 192, 128),
    "road": (128, 64, 128),
    "pavement": (60, 40, 222),
    "tree": (128, 128, 0),
    "sign": (192, 128, 128),
    "fence": (64, 64, 128),
    "car": (64, 0, 128),
    "pedestrian": (64, 64, 0),
    "cyclist": (0, 128, 192),
}
"""CamVid's classes in the order of their labels, with the colours that they are drawn in since SegNet."""

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, eq=False)
class Photographs:
    """Photographs with their targets, as a data set that reads each when it is asked for.

    ``photographs[i]`` is the image as float32 (H, W, 3), range [0, 1], and its target as int64: labels (H, W), or one
    number. ``torch.utils.data.DataLoader(photographs)`` takes it as it is; PyTorch's layers want the image as
    ``image.movedim(-1, 1)``. For TensorFlow: ``tf.data.Dataset.from_generator(lambda: iter(photographs), …)``.

    Attributes
    ----------
    files
        Where the images are.
    targets
        For each image its label, or where its map of labels is.
    names
        What label 0, 1, … stands for.
    size
        Height and width that images are brought to, or ``None`` for those that they have.
    colours
        The colour of each label, three numbers from 0 to 255, or ``None``.
    ignored
        The label of pixels that do not count, or ``None``.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder) / "grey.png"
    ...     Image.new("RGB", (40, 30), (51, 51, 51)).save(file)
    ...     image, target = Photographs((file,), (1,), ("cat", "dog"))[0]
    >>> image.shape, image.dtype.name, round(float(image.mean()), 4), int(target)
    ((30, 40, 3), 'float32', 0.2, 1)
    """

    files: tuple[Path, ...]
    targets: tuple[Path, ...] | tuple[int, ...]
    names: tuple[str, ...]
    size: tuple[int, int] | None = None
    colours: tuple[tuple[int, int, int], ...] | None = None
    ignored: int | None = None

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        target = self.targets[index]
        if isinstance(target, Path):
            image, labels = self._image(self.files[index]), self._labels(target)
            if image.shape[:2] != labels.shape:
                raise ValueError(f"{target} must have the size of {self.files[index]}, which differs")
            return image, labels
        return self._image(self.files[index], cut=True), np.int64(target)

    def _image(self, file: Path, cut: bool = False) -> np.ndarray:
        image = _opened(file).convert("RGB")
        if self.size and cut:  # to the proportions wanted, around the middle
            image = ImageOps.fit(image, self.size[::-1], Image.Resampling.BILINEAR)
        elif self.size:
            image = image.resize(self.size[::-1], Image.Resampling.BILINEAR)
        return np.asarray(image, np.float32) / np.float32(255)

    def _labels(self, file: Path) -> np.ndarray:
        labels = _opened(file)
        if self.size:
            labels = labels.resize(self.size[::-1], Image.Resampling.NEAREST)
        labels = np.asarray(labels, np.int64)
        known = len(self.names) if self.ignored is None else max(len(self.names), self.ignored + 1)
        if labels.ndim != 2 or labels.max() >= known:
            raise ValueError(f"{file} must be a map of labels below {known}, (H, W), and is not")
        return labels


def camvid(split: str = "train", size: int | tuple[int, int] | None = None) -> Photographs:
    """CamVid: 701 frames filmed from a car, each pixel labelled as one of 11 classes.

    Parameters
    ----------
    split : {"train", "val", "test"}
        367, 101 or 233 frames; the split of the SegNet tutorial.
    size
        Height and width to bring them to: images by antialiased bilinear interpolation, labels by taking the nearest
        pixel. They are 360 × 480.

    Returns
    -------
    Photographs
        Targets (H, W): 0 to 10, or 11, the ignored label, for pixels that nobody labelled.

    Raises
    ------
    ValueError
        If an argument is not one of those above.
    FileNotFoundError
        If the images are not there, with the command that downloads them.

    Notes
    -----
    Brostow, Fauqueur, Cipolla, "Semantic object classes in video: a high-definition ground truth database", Pattern
    Recognition Letters 2009. For research and teaching.

    Examples
    --------
    >>> data = camvid("val", size=(180, 240))  # doctest: +SKIP
    >>> image, labels = data[0]  # doctest: +SKIP
    >>> image.shape, labels.shape, data.names[labels[0, 0]]  # doctest: +SKIP
    ((180, 240, 3), (180, 240), 'building')
    """
    size = None if size is None else check_size(size)
    files = _images(_folder("camvid", split))
    maps = {path.stem: path for path in _images(_folder("camvid", split, f"{split}annot"))}
    if missing := [path.name for path in files if path.stem not in maps]:
        raise FileNotFoundError(f"camvid has no labels for {', '.join(missing[:5])} of {split}")
    return Photographs(
        files, tuple(maps[path.stem] for path in files), tuple(CAMVID), size, tuple(CAMVID.values()), ignored=11
    )


def cats_vs_dogs(split: str = "train", size: int | tuple[int, int] | None = None) -> Photographs:
    """Cats vs dogs: photographs of one animal each, of all sizes.

    Parameters
    ----------
    split : {"train", "val", "test"}
        80, 10 or 10 per cent of the photographs, by their number.
    size
        Height and width to bring them to: cut to those proportions around the middle, then antialiased bilinear
        interpolation. Without it every image has a size of its own, and no two fit in one batch.

    Returns
    -------
    Photographs
        Targets: 0 for a cat, 1 for a dog. All cats come first.

    Raises
    ------
    ValueError
        If an argument is not one of those above.
    FileNotFoundError
        If the images are not there, with the command that downloads them.

    Notes
    -----
    Elson, Douceur, Howell, Saul, "Asirra: a CAPTCHA that exploits interest-aligned manual image categorization", ACM CCS
    2007. For research and teaching. Of the photographs as published, some are not images: they are left out when the
    data set is unpacked, and named.

    Examples
    --------
    >>> data = cats_vs_dogs("val", size=64)  # doctest: +SKIP
    >>> image, label = data[0]  # doctest: +SKIP
    >>> image.shape, data.names[label]  # doctest: +SKIP
    ((64, 64, 3), 'cat')
    """
    size = None if size is None else check_size(size)
    names = ("cat", "dog")
    found = [_images(_folder("cats_vs_dogs", split, f"{split}/{name}")) for name in names]
    targets = tuple(label for label, files in enumerate(found) for _ in files)
    return Photographs(found[0] + found[1], targets, names, size)


def roots() -> list[Path]:
    """Folders in which data sets are looked for: the first that is there is taken, downloads go into the first.

    Examples
    --------
    >>> all(isinstance(root, Path) for root in roots())
    True
    """
    import pooch

    named = os.environ.get("MSVISION_DATA")
    return [*([Path(named).expanduser()] if named else []), Path(pooch.os_cache("msvision"))]


def _folder(name: str, split: str, inner: str | None = None) -> Path:
    check_choice("split", split, SPLITS)
    found = [root / name for root in roots() if (root / name).is_dir()]
    if not found:
        places = " nor in ".join(map(str, roots()))
        raise FileNotFoundError(f"{name} is not in {places}; download it with: python -m msvision data get {name}")
    if not (folder := found[0] / (inner or split)).is_dir():
        there = [other for other in SPLITS if (found[0] / other).is_dir()]
        raise FileNotFoundError(f"{name} in {found[0]} has no {inner or split}; of the splits it has {there}")
    return folder


def _images(folder: Path) -> tuple[Path, ...]:
    images = tuple(sorted(path for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".png")))
    if not images:
        raise FileNotFoundError(f"{folder} holds no images")
    return images


def _opened(file: Path) -> Image.Image:
    try:
        with Image.open(file) as image:
            image.load()
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises, each for another kind of damage
        raise OSError(f"{file} cannot be read as an image: {error}") from error
    return image
