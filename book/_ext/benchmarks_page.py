"""The directive ``{benchmarks}``: what ``make bench`` measured, as a table, and on which machine."""

from __future__ import annotations

import csv
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from claims_page import row

TABLE = "book/reference/benchmarks.csv"
COLUMNS = {
    "subject": "What", "framework": "Ours in", "peer": "Against", "ours": "Ours", "theirs": "Theirs", "unit": "",
    "ratio": "Theirs / ours", "asked": "Asked", "of the limit": "Of the limit",
}  # fmt: skip
MACHINE = (
    "processor",
    "cores",
    "python",
    "numpy",
    "torch",
    "tensorflow",
    "keras",
    "torchvision",
    "kornia",
    "cv2",
    "skimage",
)


class Benchmarks(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(TABLE)
        with Path(self.env.srcdir, TABLE).open(encoding="utf8", newline="") as file:
            rows = list(csv.DictReader(file))
        group = nodes.tgroup("", cols=len(COLUMNS))
        group += [nodes.colspec(colwidth=width) for width in (30, 10, 20, 8, 8, 4, 8, 8, 8)]
        group += nodes.thead("", row(COLUMNS.values()))
        group += nodes.tbody("", *(row(line[key] or "–" for key in COLUMNS) for line in rows))
        machines = dict.fromkeys(", ".join(f"{key} {line[key]}" for key in MACHINE) for line in rows)
        reached = sum(float(line["ratio"]) >= float(line["asked"]) for line in rows)
        words = f"{reached} of {len(rows)} reach what was asked. Measured on: {'; and on '.join(machines)}."
        return [nodes.paragraph("", words), nodes.table("", group)]


def setup(app: Sphinx) -> dict:
    app.add_directive("benchmarks", Benchmarks)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
