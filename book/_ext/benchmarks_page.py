"""The directive ``{benchmarks}``: what ``make bench`` measured, as a table, and on which machine."""

from __future__ import annotations

import csv
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from claims_page import row

TABLE = "book/reference/benchmarks.csv"
COLUMNS = ("What", "Theirs / ours", "Asked", "In", "Against", "Ours", "Theirs", "Of the limit")  # a phone shows four


class Benchmarks(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(TABLE)
        with Path(self.env.srcdir, TABLE).open(encoding="utf8", newline="") as file:
            rows = list(csv.DictReader(file))
        group = nodes.tgroup("", cols=len(COLUMNS))
        group += [nodes.colspec(colwidth=1) for _ in COLUMNS]
        group += nodes.thead("", row(COLUMNS))
        group += nodes.tbody("", *(row(cells(line)) for line in rows))
        machine = list(rows[0])[list(rows[0]).index("rounds") + 1 :]  # columns after those of the measurement
        machines = dict.fromkeys(", ".join(f"{key} {line[key]}" for key in machine) for line in rows)
        reached = sum(float(line["ratio"]) >= float(line["asked"]) for line in rows)
        words = f"{reached} of {len(rows)} reach what was asked. Measured on: {'; and on '.join(machines)}."
        return [nodes.paragraph("", words), nodes.table("", group, classes=["msv-benchmarks", "colwidths-auto"])]


def cells(line: dict[str, str]) -> list[str]:
    times = (f"{float(line[name]):g} {line['unit']}" for name in ("ours", "theirs"))
    return [
        line["subject"], line["ratio"], line["asked"].replace("0.333333", "1/3"), line["framework"] or "–", line["peer"],
        *times, line["of the limit"] or "–",
    ]  # fmt: skip


def setup(app: Sphinx) -> dict:
    app.add_directive("benchmarks", Benchmarks)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
