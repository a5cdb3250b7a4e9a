"""What training has in common in both frameworks: the order of batches, the learning rate, the history; NumPy only.

``fit`` of each framework takes these and adds the gradients. Whatever is random is drawn from the seed and the number
of the step, never from what was drawn before, so that a run that was killed goes on as if nothing had happened.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from msvision import checks, geometry

SCHEDULES = ("cosine", "polynomial", "constant")
PRECISIONS = ("float32", "mixed")
ORDER, AUGMENT, NETWORK = 1, 2, 3  # what a random number is for, so that no two uses share theirs


class Dataset(Protocol):
    """What has a length and items: arrays, lists, pairs of them, and the data sets of ``msvision.data``."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


def schedule_factor(step: int, steps: int, schedule: str = "cosine", warmup: float = 0.1) -> float:
    """Learning rate of a step, counted from 0, as a share of the highest.

    Parameters
    ----------
    step, steps
        The step, and how many there are.
    schedule : {"cosine", "polynomial", "constant"}
        How it falls after the warm-up: "cosine" by half a wave (Loshchilov and Hutter, 2017), "polynomial" as
        ``(1 - t) ** 0.9`` (Chen et al., 2017, DeepLab, section 4.1), where t runs from 0 to 1, or not at all.
    warmup
        Share of the steps, at the start, over which it rises linearly.

    Returns
    -------
    float
        More than 0, at most 1.

    Examples
    --------
    >>> [round(schedule_factor(step, 5, "polynomial", warmup=0.4), 3) for step in range(5)]
    [0.5, 1.0, 1.0, 0.694, 0.372]
    """
    rising = round(warmup * steps)
    if step < rising:
        return (step + 1) / rising
    t = (step - rising) / (steps - rising)
    return {"cosine": (1 + math.cos(math.pi * t)) / 2, "polynomial": (1 - t) ** 0.9, "constant": 1.0}[schedule]


class Plan:
    """All of a training run that is known before it starts: which samples each step takes, and how fast it learns.

    Parameters
    ----------
    data
        An object with a length whose items are pairs (image, target) of arrays, or a pair of arrays (images, targets).
        Images are float32 of shape (H, W, C), or lists of such feature maps.
    steps, epochs
        How many batches to train on, or how many times on all data; one of the two.
    batch_size
        Samples of a step. What is left over at the end of an epoch takes no part in it.
    schedule, warmup
        As for :func:`schedule_factor`.
    augment
        A function (image, target, random generator) in NumPy that returns both, changed, such as
        :func:`msvision.data.augment`.
    every
        Steps between evaluations and checkpoints; by default an epoch.
    seed
        Of the order of samples and of ``augment``.

    Examples
    --------
    >>> images, labels = np.zeros((10, 8, 8, 1), "float32"), np.arange(10)
    >>> plan = Plan((images, labels), epochs=2, batch_size=4)
    >>> plan.steps, [plan.batch(step)[1].tolist() for step in range(3)]
    (4, [[5, 1, 6, 3], [4, 8, 9, 7], [2, 7, 0, 4]])
    """

    def __init__(
        self,
        data,
        steps: int | None = None,
        epochs: int | None = None,
        batch_size: int = 16,
        schedule: str = "cosine",
        warmup: float = 0.1,
        augment: Callable | None = None,
        every: int | None = None,
        seed: int = 0,
    ):
        self.data, self.augment, self.count = data, augment, _check_data(data)
        self.batch_size = geometry.check_count("batch_size", batch_size)
        if batch_size > self.count:
            raise ValueError(f"batch_size must be at most {self.count}, the number of samples, got {batch_size}")
        if (steps is None) == (epochs is None):
            raise ValueError(f"give steps or epochs, one of the two, got steps={steps!r} and epochs={epochs!r}")
        self.steps_of_epoch = self.count // batch_size
        if steps is None:
            steps = geometry.check_count("epochs", epochs) * self.steps_of_epoch
        self.steps = geometry.check_count("steps", steps)
        self.every = self.steps_of_epoch if every is None else geometry.check_count("every", every)
        self.schedule = checks.check_choice("schedule", schedule, SCHEDULES)
        self.warmup = geometry.check_number("warmup", warmup)
        if not 0 <= warmup < 1:
            raise ValueError(f"warmup must be a share of the steps, at least 0 and less than 1, got {warmup}")
        self.seed = geometry.check_count("seed", seed, least=0)
        self._order = lru_cache(2)(lambda epoch: self._random(epoch, ORDER).permutation(self.count))
        _check_sample(self._read([0]))

    def factor(self, step: int) -> float:
        """The learning rate of a step as a share of the highest."""
        return schedule_factor(step, self.steps, self.schedule, self.warmup)

    def pauses_after(self, step: int) -> bool:
        """Whether a step is followed by an evaluation and a checkpoint."""
        return (step + 1) % self.every == 0 or step + 1 == self.steps

    def network_seed(self, step: int) -> int:
        """What seeds the network's own random numbers (dropout) in a step."""
        return int(self._random(step, NETWORK).integers(2**31))

    def batch(self, step: int, rank: int = 0, world: int = 1) -> tuple:
        """Images and targets of a step, or the share of one of several processes."""
        epoch, number = divmod(step, self.steps_of_epoch)
        indices = self._order(epoch)[number * self.batch_size :][: self.batch_size][rank::world]
        if self.augment is None:
            return self._read(indices)
        samples = (self.augment(*self._sample(i), self._random(epoch, AUGMENT, i)) for i in indices)
        return tuple(_stack(part) for part in zip(*samples))

    def batches(self, start: int = 0, rank: int = 0, world: int = 1) -> Iterator[tuple]:
        """Those of all steps from ``start`` on; the next is read while the framework computes."""
        with ThreadPoolExecutor(1) as reader:
            ahead = reader.submit(self.batch, start, rank, world) if start < self.steps else None
            for step in range(start, self.steps):
                batch = ahead.result()
                if step + 1 < self.steps:
                    ahead = reader.submit(self.batch, step + 1, rank, world)
                yield batch

    def check_world(self, world: int) -> None:
        """Raise unless every process gets an equal share of each batch, as the mean of their gradients needs."""
        if self.batch_size % world:
            raise ValueError(
                f"batch_size must be a multiple of {world}, the number of processes, got {self.batch_size}"
            )

    def settings(self, **others) -> dict:
        """What a checkpoint must agree with, in plain numbers and words."""
        names = ("count", "steps", "batch_size", "schedule", "warmup", "every", "seed")
        return {name: getattr(self, name) for name in names} | others

    def _random(self, *key: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, *(int(number) for number in key)])

    def _sample(self, index: int) -> tuple:
        pair = isinstance(self.data, tuple)
        return tuple(_take(part, index) for part in self.data) if pair else self.data[int(index)]

    def _read(self, indices: Sequence[int]) -> tuple:
        if isinstance(self.data, tuple):
            return tuple(_take(part, indices) for part in self.data)
        return tuple(_stack(part) for part in zip(*(self.data[int(i)] for i in indices)))


@dataclass(repr=False)
class History:
    """What happened in a training run.

    Attributes
    ----------
    settings : dict
        Seed, steps, batch size and all else that the run was asked for.
    losses : list of float
        The loss of every step.
    evaluated : list of int
        After how many steps the model was evaluated.
    metrics : dict of list of float
        What the evaluations gave, under each metric's name.
    seconds : float
        How long the run took, of all its parts if it was interrupted.

    Examples
    --------
    >>> history = History({"seed": 0})
    >>> for loss in (1.5, 0.75, 0.5):
    ...     history.record(loss)
    >>> history.evaluate(lambda model: {"accuracy": 0.9}, model=None)
    >>> history.losses, history.evaluated, history.metrics
    ([1.5, 0.75, 0.5], [3], {'accuracy': [0.9]})
    """

    settings: dict = field(default_factory=dict)
    losses: list[float] = field(default_factory=list)
    evaluated: list[int] = field(default_factory=list)
    metrics: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0

    def __post_init__(self):
        self._time = time.perf_counter()

    def record(self, loss: float) -> None:
        """Add the loss of a step, or raise FloatingPointError if it is not a finite number."""
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {loss} at step {len(self.losses)}, counted from 0: "
                "try a smaller learning_rate, or clip=1.0, and look at the data of that step"
            )
        self.losses.append(loss)
        now = time.perf_counter()
        self.seconds, self._time = self.seconds + now - self._time, now

    def evaluate(self, evaluate: Callable | None, model) -> None:
        """Add what ``evaluate(model)`` says: a number, or a dictionary of numbers."""
        if evaluate is not None:
            values = evaluate(model)
            self.evaluated.append(len(self.losses))
            for name, value in (values if isinstance(values, dict) else {"metric": values}).items():
                self.metrics.setdefault(name, []).append(float(value))

    def stalled(self, patience: int | None) -> bool:
        """Whether the first metric was highest more than ``patience`` evaluations ago, or as many."""
        if patience is None or not self.metrics:
            return False
        values = next(iter(self.metrics.values()))
        return len(values) - 1 - int(np.argmax(values)) >= patience

    def state(self) -> dict:
        """All of it in plain numbers and words, for a checkpoint."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def go_on(self, state: dict) -> None:
        """Take over what a checkpoint holds; time goes on from here."""
        vars(self).update(state, _time=time.perf_counter())

    def plot(self):
        """Draw the losses, and each metric below them.

        Returns
        -------
        Figure
        """
        from msvision import plots

        return plots.history(self)

    def __repr__(self) -> str:
        losses = f", loss {self.losses[0]:.3g} to {self.losses[-1]:.3g}" if self.losses else ""
        metrics = "".join(f", {name} {values[-1]:.3g}" for name, values in self.metrics.items())
        return f"History({len(self.losses)} steps in {self.seconds:.1f} s{losses}{metrics})"


def progress(history: History, steps: int, show: bool = True):
    """A progress bar that starts where the history ends; silent where output is not to a terminal or a notebook."""
    from tqdm.auto import tqdm

    return tqdm(total=steps, initial=len(history.losses), disable=None if show else True, leave=False, unit="step")


def advance(bar, history: History) -> None:
    """Move the progress bar by a step, with the loss and the latest metrics beside it."""
    if not bar.disable:
        latest = {name: f"{values[-1]:.3f}" for name, values in history.metrics.items()}
        bar.set_postfix({"loss": f"{history.losses[-1]:.3f}", **latest}, refresh=False)
        bar.update()


# -- checkpoints -----------------------------------------------------------------------------------------------------


@contextmanager
def written_whole(path: str | os.PathLike) -> Iterator[Path]:
    """A place to write to that becomes ``path`` at the end, at once, or not at all.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "numbers.txt"
    >>> with written_whole(path) as place:
    ...     _ = place.write_text("1 2 3")
    ...     print(path.exists())
    False
    >>> path.read_text()
    '1 2 3'
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    place = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield place
        os.replace(place, path)
    finally:
        place.unlink(missing_ok=True)


def check_settings(path: str | os.PathLike, saved: dict, wanted: dict) -> None:
    """Raise unless a checkpoint was made by the run that is to go on.

    Examples
    --------
    >>> check_settings("fpn.pt", {"steps": 800, "seed": 0}, {"steps": 900, "seed": 0})
    Traceback (most recent call last):
        ...
    ValueError: checkpoint fpn.pt is of another run: it has steps=800, asked is steps=900; give another path, or delete it
    """
    for name in saved | wanted:
        if saved.get(name) != wanted.get(name):
            raise ValueError(
                f"checkpoint {os.fspath(path)} is of another run: it has {name}={saved.get(name)!r}, "
                f"asked is {name}={wanted.get(name)!r}; give another path, or delete it"
            )


# -- samples ---------------------------------------------------------------------------------------------------------


def images_of(data, indices: Sequence[int]):
    """A batch of images from an array of them, or from data as for :class:`Plan`."""
    if isinstance(data, (np.ndarray, list, tuple)):
        return _take(data[0] if isinstance(data, tuple) else data, indices)
    return _stack([data[int(i)][0] for i in indices])


def count_of(data) -> int:
    """Number of samples.

    Examples
    --------
    >>> images, labels = np.zeros((10, 8, 8, 1)), np.zeros(10)
    >>> count_of((images, labels)), count_of(images), count_of([images, images])
    (10, 10, 10)
    """
    return count_of(data[0]) if isinstance(data, (list, tuple)) else len(data)


def _check_data(data) -> int:
    if isinstance(data, tuple):
        if len(data) != 2:
            raise ValueError(f"data must be a pair of arrays (images, targets), got a tuple of {len(data)}")
        images, targets = map(count_of, data)
        if images != targets:
            raise ValueError(f"data must have as many targets as images, got {images} images and {targets} targets")
        return images
    if not (hasattr(data, "__len__") and hasattr(data, "__getitem__")):
        raise TypeError(
            "data must be a pair of arrays (images, targets), or have a length and items (image, target), "
            f"got {type(data).__name__}"
        )
    return len(data)


def _check_sample(sample: tuple) -> None:
    for image in sample[0] if isinstance(sample[0], list) else [sample[0]]:
        if not np.issubdtype(image.dtype, np.floating):
            raise TypeError(
                f"data must hold images of floating-point numbers, got {image.dtype}; for 8-bit images use images / 255"
            )


def _take(part, indices):
    """Some samples of an array, or of each array of a list of levels."""
    return [_take(level, indices) for level in part] if isinstance(part, (list, tuple)) else np.asarray(part[indices])


def _stack(samples: Sequence):
    """One array of several samples, or one for each level."""
    if isinstance(samples[0], (list, tuple)):
        return [_stack(level) for level in zip(*samples)]
    return np.stack([np.asarray(sample) for sample in samples])
