"""The rows of a chapter's long experiment come from the chapter's own cells, once each."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import nbformat

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
