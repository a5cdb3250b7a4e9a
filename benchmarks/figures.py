"""Draw what the other scripts measured, for the page "How fast": ``ratios.svg`` and ``growth.svg`` beside the tables."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from growth import TABLE as GROWTH
from measure import TABLE, read

from msvision import plots

COLOURS = (plots.BLUE, plots.ORANGE, plots.GREEN, plots.PINK, plots.RED, "black")

plt.switch_backend("agg")
plots.style()
plt.rcParams["svg.hashsalt"] = "msvision"  # the same rows, the same bytes


def ratios() -> None:
    """How many times as long each peer takes, a line a row, and what was asked."""
    rows = [row for row in read(TABLE) if not row["subject"].startswith(("import", "from"))]
    figure, axes = plt.subplots(figsize=(8, 1 + 0.28 * len(rows)))
    looks = {"PyTorch": (plots.BLUE, "o"), "TensorFlow": (plots.ORANGE, "s")}
    for framework, (colour, marker) in looks.items():
        mine = [number for number, row in enumerate(rows) if row["framework"] == framework]
        values = [float(rows[number]["ratio"]) for number in mine]
        axes.plot(values, mine, marker, color=colour, label=framework)
    asked = [float(row["asked"]) for row in rows]
    axes.plot(asked, range(len(rows)), "|", color="black", ms=13, mew=2, label="asked")
    axes.axvline(1, color=plots.GREY, lw=1)
    axes.set_yticks(range(len(rows)), [f"{row['subject']} / {row['peer']}" for row in rows], fontsize=8)
    axes.set(xscale="log", xlabel="time of the other library over ours", ylim=(len(rows) - 0.5, -0.5))
    axes.legend(loc="lower right")
    save(figure, "ratios.svg")


def growth() -> None:
    """Time and memory of every operator against the side of the image."""
    rows = read(GROWTH)
    figure, panels = plt.subplots(1, 2, figsize=(8, 4))
    for axes, column, label in zip(
        panels, ("milliseconds", "megabytes"), ("milliseconds", "megabytes more than before")
    ):
        for number, name in enumerate(dict.fromkeys(row["operator"] for row in rows)):
            mine = [(int(row["side"]), float(row[column])) for row in rows if row["operator"] == name]
            axes.plot(*zip(*mine), marker="osv^Dp"[number], ms=5, color=COLOURS[number], label=name)
        sides = np.array(sorted({int(row["side"]) for row in rows}))
        top = max(float(row[column]) for row in rows)
        axes.plot(sides, top * (sides / sides[-1]) ** 2, color=plots.GREY, ls=":", label="as the number of pixels")
        axes.set(xscale="log", yscale="log", xlabel="side of the image in pixels", ylabel=label)
        axes.set_xticks(sides, sides, fontsize=9)
        axes.minorticks_off()
    panels[0].legend(fontsize=8)
    save(figure, "growth.svg")


def save(figure: plt.Figure, name: str) -> None:
    figure.savefig(TABLE.with_name(name), metadata={"Date": None}, bbox_inches="tight")
    plt.close(figure)


if __name__ == "__main__":
    ratios(), growth()
