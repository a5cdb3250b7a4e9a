"""Make the rows of a chapter's long experiment: ``python tools/rows.py book/06_feature_pyramid_networks.ipynb``.

The page runs one seed and compares it with the rows; this runs all of them, by the page's own code: its cells tagged
``rows``, which define ``RUNS``, a list of tuples, and ``run(*one_of_them, seed)``, which returns a dictionary of numbers.
Each run becomes a line of ``book/reference/<chapter>.csv`` as soon as it is done, with the machine and the versions; runs
that have a line already are not run again, so an interrupted command goes on where it was.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
from importlib.metadata import version
from pathlib import Path

import nbformat

from msvision.bakeoff import processor


def definitions(chapter: Path) -> dict:
    """What the cells tagged ``rows`` define."""
    space: dict = {"__name__": "__main__"}
    for number, cell in enumerate(nbformat.read(chapter, as_version=4).cells):
        if "rows" in cell.metadata.get("tags", []):
            exec(compile(cell.source, f"{chapter.name}, cell {number}", "exec"), space)
    return space


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("chapter", type=Path)
    parser.add_argument("--seeds", type=int, default=5, help="seeds 0, 1, … of each run")
    parser.add_argument("--match", default="", help="only runs whose names hold this")
    args = parser.parse_args()
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}
    target = args.chapter.parent / "reference" / f"{args.chapter.stem}.csv"
    space = definitions(args.chapter)
    machine = {"processor": processor(), "python": platform.python_version()}
    machine |= {name: version(name) for name in ("numpy", "torch", "keras")}
    for seed in range(args.seeds):
        for names in space["RUNS"]:
            text = target.read_text(encoding="utf8") if target.exists() else ""
            key = ",".join([*names, str(seed)]) + ","
            if args.match not in key or any(line.startswith(key) for line in text.splitlines()):
                continue
            found = space["run"](*names, seed)
            row = dict(zip(space["COLUMNS"], names)) | {"seed": seed} | found | machine
            with target.open("a", newline="", encoding="utf8") as file:
                writer = csv.DictWriter(file, list(row), lineterminator="\n")
                if not target.stat().st_size:
                    writer.writeheader()
                writer.writerow(row)
            print(key, *(f"{name} {value:.3g}" for name, value in found.items()), flush=True)


if __name__ == "__main__":
    main()
