"""Draw what the other scripts measured, for the page "How fast", beside the tables that it is read from."""

from __future__ import annotations

from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
from growth import OPERATORS, SIDE, SIDES
from growth import TABLE as GROWTH
from measure import TABLE, read

from msvision import plots

COLOURS = (plots.BLUE, plots.ORANGE, plots.GREEN, plots.PINK, plots.RED, "black", plots.SKY)

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
    rows = [row for row in read(GROWTH) if row["levels"] in ("", str(OPERATORS[row["operator"]][2]))]
    figure, panels = curves(
        rows, "side", "side of the image in pixels", lambda side: side**2, "as the number of pixels"
    )
    for axes in panels:
        axes.set_xscale("log")
        axes.set_xticks(SIDES, SIDES, fontsize=9)
        axes.minorticks_off()
    save(figure, "growth.svg")


def levels() -> None:
    """Time and memory of the operators that have levels, against their number."""
    rows = [row for row in read(GROWTH) if row["levels"] and int(row["side"]) == SIDE]
    figure, _ = curves(rows, "levels", "levels", lambda count: count, "as the number of levels")
    save(figure, "levels.svg")


def curves(
    rows: list[dict[str, str]], column: str, label: str, guide: Callable, promise: str
) -> tuple[plt.Figure, np.ndarray]:
    """Two panels against ``column``, a curve for each operator and one that grows as ``guide``."""
    figure, panels = plt.subplots(1, 2, figsize=(8, 4.4), layout="constrained")
    for axes, cost, unit in zip(panels, ("milliseconds", "megabytes"), ("milliseconds", "megabytes more than before")):
        for number, name in enumerate(OPERATORS):
            mine = sorted((int(row[column]), float(row[cost])) for row in rows if row["operator"] == name)
            if mine:
                axes.plot(*zip(*mine), marker="osv^Dp*"[number], ms=5, color=COLOURS[number], label=name)
        places = np.array(sorted({int(row[column]) for row in rows}))
        top = max(float(row[cost]) for row in rows)
        axes.plot(places, top * guide(places) / guide(places[-1]), color=plots.GREY, ls=":", label=promise)
        axes.set(yscale="log", xlabel=label, ylabel=unit)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=9)
    return figure, panels


def save(figure: plt.Figure, name: str) -> None:
    figure.savefig(TABLE.with_name(name), metadata={"Date": None}, bbox_inches="tight")
    plt.close(figure)


if __name__ == "__main__":
    ratios(), growth(), levels()
