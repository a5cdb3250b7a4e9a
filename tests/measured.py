"""What the operators were checked against and how far off they were, for the table in the API reference.

``pytest tests --write-measured`` writes it down; otherwise the numbers are only held to their tolerance.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

TABLE = Path(__file__).parents[1] / "book" / "reference" / "measured.csv"
COLUMNS = ("name", "framework", "against", "error")
_errors: dict[tuple[str, str, str], float] = {}


def record(name: str, framework: str, against: str, actual, wanted) -> float:
    """The largest difference between arrays, or lists of them, relative to the largest value wanted.

    ``name`` is that of the operator, ``framework`` "PyTorch" or "TensorFlow", ``against`` who says what is right, in a
    reader's words: "torchvision 0.28.0 ASPP", "its formula in NumPy".
    """
    actual, wanted = ([a] if isinstance(a, np.ndarray) else list(a) for a in (actual, wanted))
    assert [np.shape(a) for a in actual] == [np.shape(w) for w in wanted]
    largest = 0.0
    for a, w in zip(actual, wanted):
        a, w = (np.asarray(array, "float64") for array in (a, w))
        difference, scale = (float(np.abs(array).max(initial=0)) for array in (a - w, w))
        largest = max(largest, difference / scale if scale else difference)
    key = (name, framework, against)
    _errors[key] = max(largest, _errors.get(key, 0.0))
    return largest


def assert_agrees(name: str, framework: str, against: str, actual, wanted, tolerance: float = 1e-5) -> None:
    """:func:`record` the difference, and hold it to a tolerance."""
    error = record(name, framework, against, actual, wanted)
    assert error <= tolerance, f"{name} in {framework} is {error:.2g} off {against}, more than {tolerance:.2g}"


def rows() -> list[tuple]:
    return [(*key, error) for key, error in sorted(_errors.items())]


def merge(others: list[tuple]) -> None:
    """Take in what another process measured."""
    for *key, error in others:
        _errors[tuple(key)] = max(error, _errors.get(tuple(key), 0.0))


def write() -> None:
    with TABLE.open("w", newline="") as file:
        shown = [(*key, f"{error:.1e}") for *key, error in rows()]
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *shown])
