"""Bring the bake-off's rows into one table: ``python tools/bakeoff_rows.py _build/bakeoff/cpu``.

``python -m msvision run bakeoff`` leaves a file of JSON for each run. This writes those that did not fail, one line each
in the order of the grid, into ``book/reference/09_the_bake_off.csv``: what was run, what it reached, its parameters and
memory, the machine and the versions. Seconds are left out: the machine may have had other things to do.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

from msvision import bakeoff
from msvision.training import written_whole

TABLE = Path(__file__).resolve().parents[1] / "book/reference/09_the_bake_off.csv"
NAMES = ("preset", "data", "framework", "model", "seed")
COSTS = ("memory_loaded", "memory", "gpu_memory")


def line(row: dict) -> dict:
    """A run as a line of the table; what is not known is left empty."""
    found = {name: row["configuration"][name] for name in NAMES}
    found |= {name: value if value is None else round(value, 5) for name, value in row["metrics"].items()}
    found |= {"parameters": row["parameters"]} | {name: row["cost"][name] for name in COSTS}
    return found | row["hardware"] | row["versions"]


def place(found: dict) -> tuple:
    """Where in the table a line stands."""
    grid = (list(bakeoff.PRESETS), bakeoff.DATA, bakeoff.FRAMEWORKS, bakeoff.MODELS)
    return *(values.index(found[name]) for values, name in zip(grid, NAMES)), found["seed"]


def write(folders: list[Path], table: Path) -> int:
    """Write the table, and return how many lines it has."""
    rows = [json.loads(file.read_text(encoding="utf8")) for folder in folders for file in sorted(folder.glob("*.json"))]
    lines = sorted((line(row) for row in rows if "error" not in row), key=place)
    save(lines, table)
    return len(lines)


def save(lines: list[dict], table: Path) -> None:
    """All lines or nothing, with every column that any of them has."""
    with written_whole(table) as place, place.open("w", encoding="utf8", newline="") as file:
        writer = csv.DictWriter(file, dict.fromkeys(name for found in lines for name in found), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path, help="of the rows, one for each preset that was run")
    parser.add_argument("--table", type=Path, default=TABLE, help="what is written")
    args = parser.parse_args()
    print(f"{write(args.folders, args.table)} runs in {args.table.name}")


if __name__ == "__main__":
    main()
