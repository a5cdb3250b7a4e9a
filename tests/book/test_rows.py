"""The rows of a chapter's long experiment come from the chapter's own cells, or from the bake-off, once each."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import nbformat

from msvision import bakeoff

ROOT = Path(__file__).resolve().parents[2]


def test_rows_are_made_once_and_go_on(tmp_path: Path) -> None:
    cells = [
        nbformat.v4.new_code_cell("raise SystemExit('not a cell of the rows')"),
        nbformat.v4.new_code_cell("COLUMNS, RUNS = ('network',), [('a b',), ('c',)]", metadata={"tags": ["rows"]}),
        nbformat.v4.new_code_cell(
            "def run(name, seed):\n    return {'value': len(name) + 10 * seed}", metadata={"tags": ["rows"]}
        ),
    ]
    chapter = tmp_path / "chapter.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), chapter)
    (tmp_path / "reference").mkdir()
    for seeds, printed in ((1, 2), (2, 2), (2, 0)):  # the second time goes on, the third has nothing left to do
        command = [sys.executable, ROOT / "tools/rows.py", chapter, "--seeds", str(seeds)]
        result = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert result.returncode == 0, result.stderr
        assert len(result.stdout.splitlines()) == printed
    with (tmp_path / "reference/chapter.csv").open(encoding="utf8") as file:
        rows = list(csv.DictReader(file))
    found = [(row["network"], row["seed"], row["value"]) for row in rows]
    assert found == [("a b", "0", "3"), ("c", "0", "1"), ("a b", "1", "13"), ("c", "1", "11")]
    assert rows[0]["torch"] and rows[0]["processor"]


def test_rows_of_the_bakeoff_are_one_table(tmp_path: Path) -> None:
    grid = bakeoff.configurations("smoke", models=("PSPNet", "FCN"), seeds=(0, 10, 2))
    for number, configuration in enumerate(grid):
        names = ("small_iou", "large_iou") if configuration["data"] == "digits" else ("thin_iou", "iou_sky")
        row = {"configuration": configuration} | {
            "metrics": {"mean_iou": number / 7} | dict.fromkeys(names, 0.5) | {"iou_pole": None},
            "cost": {"train_seconds": 1.5, "memory_loaded": 1000, "memory": 3000, "gpu_memory": None},
            "parameters": 42,
            "hardware": {"processor": "an abacus"},
            "versions": {"python": "3", "torch" if configuration["framework"] == "torch" else "keras": "2"},
        }
        if number == 3:
            row = {"configuration": configuration, "error": "ValueError: no", "traceback": ""}
        (tmp_path / f"{number}.json").write_text(json.dumps(row), encoding="utf8")
    table = tmp_path / "rows.csv"
    command = [sys.executable, ROOT / "tools/bakeoff_rows.py", tmp_path, "--table", table]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (result.returncode, result.stdout) == (0, "23 runs in rows.csv\n"), result.stderr
    with table.open(encoding="utf8") as file:
        rows = list(csv.DictReader(file))
    places = [(row["data"], row["framework"], row["model"], int(row["seed"])) for row in rows]
    assert places[:3] == [("digits", "torch", "FCN", seed) for seed in (0, 2, 10)]
    assert places[6:8] == [("digits", "tensorflow", "FCN", seed) for seed in (2, 10)]
    assert len(set(places)) == 23
    kept = {"preset", "small_iou", "thin_iou", "memory_loaded", "processor", "torch", "keras"}
    assert kept <= set(rows[0]) and "train_seconds" not in rows[0]
    assert rows[0]["iou_pole"] == rows[0]["gpu_memory"] == ""


def test_no_operator_grows_faster_than_its_arithmetic() -> None:
    """What the page "How fast" says of the rows that ``benchmarks/growth.py`` wrote."""
    found: dict[str, dict[tuple[int, str], tuple[float, float]]] = {}
    with (ROOT / "book/reference/growth.csv").open(encoding="utf8") as file:
        for row in csv.DictReader(file):
            costs = float(row["milliseconds"]), float(row["megabytes"])
            found.setdefault(row["operator"], {})[int(row["side"]), row["levels"]] = costs
    usual = dict.fromkeys(("gaussian_pyramid", "laplacian_pyramid", "gaussian_stack"), "5")
    usual |= {"SpatialPyramidPooling": "3", "FPN": "3", "PyramidPooling": "", "ASPP": ""}
    assert set(found) == set(usual)
    for operator, levels in usual.items():
        costs = found[operator]
        assert costs[4096, levels][0] / costs[64, levels][0] < 64**2, operator
        assert costs[4096, levels][1] / costs[1024, levels][1] < 1.1 * 4**2, operator
    for operator in ("gaussian_pyramid", "laplacian_pyramid"):  # each level has a quarter of the pixels
        assert found[operator][1024, "8"][0] < 2 * found[operator][1024, "2"][0], operator
    stack = found["gaussian_stack"]
    assert 3 < stack[1024, "8"][0] / stack[1024, "2"][0] < 10  # seven filters instead of one


def test_what_falls_short_is_explained() -> None:
    """Each row below what was asked has its reason on the page "How fast", and what that says of rows is so."""
    with (ROOT / "book/reference/benchmarks.csv").open(encoding="utf8") as file:
        rows = list(csv.DictReader(file))
    short = {row["subject"] for row in rows if float(row["ratio"]) < float(row["asked"])}
    assert short <= {
        "DeepLab v3, ResNet-50, 513 × 513",
        "one step, 1 × 64 × 128 × 128",
        "Laplacian, five levels, 512 × 512",
        "template of 64 × 64 in 2048 × 2048",
    }
    theirs = {row["subject"]: float(row["theirs"]) for row in rows if row["peer"] == "kornia pyrdown"}
    maps = theirs["one step, 1 × 64 × 128 × 128"] / (64 * 128**2)  # per number
    pictures = theirs["one step, 8 × 3 × 512 × 512"] / (8 * 3 * 512**2)
    assert maps < pictures / 2
    (level,) = (float(row["ratio"]) for row in rows if row["peer"] == "OpenCV pyrDown")
    assert 0.7 < level < 1.5
