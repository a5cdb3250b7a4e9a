"""Time functions against each other: alternately, in one run, on one machine.

Each script of this folder yields cases, ours beside a peer's. ``python benchmarks/pyramids.py`` measures the cases of one,
prints a row for each, and puts the rows in ``book/reference/benchmarks.csv``; ``make bench`` runs all.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import packages_distributions, version
from pathlib import Path
from statistics import median

os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "1"}  # oneDNN as users have it

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "book/reference/benchmarks.csv"
KEY = ("subject", "framework", "peer")
sys.path.append(str(ROOT / "tests"))  # where peers.py is, which brings torchvision
LIBRARIES = ("numpy", "torch", "tensorflow", "keras", "torchvision", "kornia", "cv2", "skimage")


@dataclass
class Case:
    subject: str
    framework: str
    peer: str
    ours: Callable[[], object]
    theirs: Callable[[], object]
    target: float  # the peer's time over ours has to be at least this
    multiply_adds: float = 0  # of ours
    bytes: float = 0  # what ours cannot but read and write


def medians(functions: list[Callable], rounds: int) -> list[float]:
    """Median of the seconds of each function; they take turns, so that whatever else the machine does meets all."""
    for function in functions:  # memory, threads and compilers are made ready
        function(), function()
    seconds: list[list[float]] = [[] for _ in functions]
    for _ in range(rounds):
        for function, found in zip(functions, seconds):
            start = time.perf_counter()
            function()
            found.append(time.perf_counter() - start)
    return [median(found) for found in seconds]


def limits() -> tuple[float, float]:
    """What the machine can do: multiply-adds a second, of a large product or convolution, and bytes, of a large copy."""
    import torch

    a, large = torch.rand(2048, 2048), torch.rand(64 * 2**20)
    target = torch.empty_like(large)
    x, kernel = torch.rand(1, 512, 64, 64), torch.rand(512, 512, 1, 1)
    x, kernel = (tensor.to(memory_format=torch.channels_last) for tensor in (x, kernel))
    with torch.inference_mode():
        product, point, copy = medians(
            [lambda: a @ a, lambda: torch.conv2d(x, kernel), lambda: target.copy_(large)], 10
        )
    return max(2048**3 / product, 512 * x.numel() / point), 8 * large.numel() / copy


def taps_inside(side: int, rates: tuple[int, ...]) -> int:
    """Products of pixels and weights that 3 × 3 atrous convolutions of a map have, without those outside."""
    return sum((side + 2 * max(side - rate, 0)) ** 2 for rate in rates)


def machine() -> dict[str, str | int]:
    from msvision.bakeoff import processor

    found = {"processor": processor(), "cores": os.cpu_count(), "python": platform.python_version()}
    packages = packages_distributions()  # TensorFlow and OpenCV have several
    return found | {name: version(packages[name][0]) for name in LIBRARIES}


def run(cases: Callable[[], Iterator[Case]]) -> None:
    """Measure the cases of a script and put their rows in place of older ones."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=21, help="turns of each function; the median counts")
    parser.add_argument("--match", default="", help="only cases whose subject holds this")
    parser.add_argument("--dry", action="store_true", help="print, and leave the table as it is")
    args = parser.parse_args()
    adds, moved = limits()
    here = machine()
    rates = f"{adds / 1e9:.0f} · 10⁹ multiply-adds and {moved / 1e9:.0f} · 10⁹ bytes a second"
    print(f"{here['processor']}, {here['cores']} cores, {rates}")
    for case in cases():
        if args.match not in case.subject:
            continue
        ours, theirs = medians([case.ours, case.theirs], args.rounds)
        share = max(case.multiply_adds / adds, case.bytes / moved) / ours
        row = table_row(case, "ms", 1e3 * ours, 1e3 * theirs, args.rounds, share)
        show(row)
        if not args.dry:
            put(TABLE, row | here, *KEY)


def table_row(case: Case, unit: str, ours: float, theirs: float, rounds: int, share: float = 0) -> dict[str, str | int]:
    return {
        "subject": case.subject, "framework": case.framework, "peer": case.peer, "unit": unit, "ours": f"{ours:.3g}",
        "theirs": f"{theirs:.3g}", "ratio": f"{theirs / ours:.2f}", "asked": f"{case.target:g}",
        "of the limit": f"{share:.2f}" if share else "", "rounds": rounds,
    }  # fmt: skip


def show(row: dict) -> None:
    numbers = (f"{row[name]:>8}" for name in ("ours", "theirs", "unit", "ratio", "asked", "of the limit"))
    mark = " " if float(row["ratio"]) >= float(row["asked"]) else "<"
    print(*numbers, mark, f"{row['subject']} | {row['framework']} | {row['peer']}", flush=True)


def read(table: Path) -> list[dict[str, str]]:
    if not table.exists():
        return []
    with table.open(encoding="utf8", newline="") as file:
        return list(csv.DictReader(file))


def put(table: Path, row: dict, *key: str) -> None:
    """Write a row in place of the one with the same key, or last."""
    from msvision.training import written_whole

    rows = {tuple(old[name] for name in key): old for old in read(table)}
    rows = [*(rows | {tuple(str(row[name]) for name in key): row}).values()]
    with written_whole(table) as place, place.open("w", encoding="utf8", newline="") as file:
        writer = csv.DictWriter(file, list(row), lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
