"""``python -m msvision run``: the chapters as notebooks, and the bake-off; both go on where they were interrupted."""

from __future__ import annotations

import argparse
import fnmatch
import hashlib
import json
import logging
import os
import time
from pathlib import Path

from msvision import __version__, bakeoff

BOOK = Path(__file__).resolve().parents[1] / "book"
PRESETS = ("smoke", "cpu", "gpu")


def add_to(commands) -> None:
    """Add the command to those of ``python -m msvision``."""
    run = commands.add_parser("run", help="run the chapters, or the bake-off").add_subparsers(
        required=True, metavar="WHAT"
    )
    preset = argparse.ArgumentParser(add_help=False)
    preset.add_argument("--preset", choices=PRESETS, default="cpu", help="how much is computed (default: cpu)")

    chapters = run.add_parser("book", parents=[preset], help="run the chapters; interrupted, it goes on where it was")
    chapters.add_argument("--seed", type=int, help="instead of the chapters' own")
    chapters.add_argument("--chapter", default="*", metavar="GLOB", help="only those whose file names match, as '01*'")
    chapters.add_argument("--output", metavar="DIR", help="where notebooks go; by default _build/runs/<preset>")
    chapters.add_argument("--book", default=BOOK, metavar="DIR", help="where the chapters are")
    chapters.set_defaults(run=_book)

    contest = run.add_parser("bakeoff", parents=[preset], help="compare the networks for segmentation")
    contest.add_argument("--frameworks", nargs="+", choices=bakeoff.FRAMEWORKS, default=bakeoff.FRAMEWORKS)
    contest.add_argument("--models", nargs="+", choices=bakeoff.MODELS, default=bakeoff.MODELS)
    contest.add_argument("--seeds", nargs="+", type=int, help="by default those of the preset")
    contest.add_argument("--data", nargs="+", choices=bakeoff.DATA, help="by default those on this machine")
    contest.add_argument("--output", metavar="DIR", help="folder of the rows; by default _build/bakeoff/<preset>")
    contest.add_argument("--workers", type=int, metavar="N", help="runs at once; by default as many as there are cores")
    contest.add_argument("--ray", metavar="ADDRESS", help="spread the runs over this Ray cluster")
    contest.set_defaults(run=_bakeoff)


# -- chapters --------------------------------------------------------------------------------------------------------


def book(
    preset: str = "cpu",
    seed: int | None = None,
    output: str | os.PathLike | None = None,
    chapter: str = "*",
    folder: str | os.PathLike = BOOK,
) -> list[dict]:
    """Run chapters from top to bottom, each in a fresh kernel, and keep the notebooks.

    A chapter whose notebook is there is not run again, unless the chapter, the version of this package, ``preset`` or
    ``seed`` has changed. One that fails leaves ``<chapter>.unfinished.ipynb`` with its error, and the others run.

    Parameters
    ----------
    preset : {"smoke", "cpu", "gpu"}
        How much the chapters compute: their ``PRESET``.
    seed
        Their ``SEED``, by default what each says itself.
    output
        Folder of the notebooks; by default ``_build/runs/<preset>``.
    chapter
        Pattern of the file names, without ``.ipynb``, of those to run.
    folder
        Where the chapters are; they run in it.

    Returns
    -------
    list of dict
        For each its ``"chapter"``, ``"status"`` ("done", "done before" or "failed"), ``"seconds"`` and ``"error"``, in one
        line.

    Raises
    ------
    ValueError
        If no chapter matches.
    ModuleNotFoundError
        If papermill is not installed.
    """
    try:
        import papermill
    except ModuleNotFoundError as error:
        if error.name != "papermill":
            raise
        raise ModuleNotFoundError(
            'running the book needs papermill: pip install "msvision[book]"', name="papermill"
        ) from None
    from tqdm.auto import tqdm

    chapters = [path for path in sorted(Path(folder).glob("[0-9]*.ipynb")) if fnmatch.fnmatch(path.stem, chapter)]
    if not chapters:
        raise ValueError(f"no chapter in {folder} matches {chapter!r}")
    output = Path(output or Path("_build", "runs", preset)).absolute()
    output.mkdir(parents=True, exist_ok=True)
    parameters = {"PRESET": preset} | ({} if seed is None else {"SEED": seed})
    logging.getLogger("papermill").setLevel(logging.ERROR)
    _set_environment()

    rows = []
    with tqdm(chapters, desc="chapters", unit="chapter") as bar:
        for path in bar:
            bar.set_postfix_str(path.stem)
            rows.append({"chapter": path.stem} | _run(papermill, path, output, parameters))
    return rows


def _run(papermill, chapter: Path, output: Path, parameters: dict) -> dict:
    """One chapter, unless it is done already."""
    mark = {
        "sha256": hashlib.sha256(chapter.read_bytes()).hexdigest(),
        "version": __version__,
        "parameters": parameters,
    }
    done, unfinished = output / chapter.name, output / f"{chapter.stem}.unfinished.ipynb"
    if (metadata := _metadata(done)).get("msvision") == mark:
        return {"status": "done before", "seconds": metadata["papermill"]["duration"], "error": ""}
    started = time.perf_counter()
    try:
        notebook = papermill.execute_notebook(
            chapter, unfinished, parameters, cwd=chapter.parent, progress_bar=False, kernel_name="python3"
        )
    except Exception as error:  # whatever it is, the other chapters can do without this one
        name, text = getattr(error, "ename", type(error).__name__), str(getattr(error, "evalue", error))
        line = f"{name}: {text}".strip().splitlines()[0]
        return {"status": "failed", "seconds": time.perf_counter() - started, "error": line}
    notebook.metadata["msvision"] = mark
    papermill.iorw.write_ipynb(notebook, str(unfinished))
    os.replace(unfinished, done)
    return {"status": "done", "seconds": notebook.metadata["papermill"]["duration"], "error": ""}


def _metadata(notebook: Path) -> dict:
    try:
        return json.loads(notebook.read_text(encoding="utf8"))["metadata"]
    except (FileNotFoundError, ValueError):
        return {}


def _set_environment() -> None:
    """What kernels inherit. They run in the folder of the chapters, where a path from here would lead elsewhere."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    if folder := os.environ.get("MSVISION_DATA"):
        os.environ["MSVISION_DATA"] = str(Path(folder).expanduser().absolute())


# -- what is printed -------------------------------------------------------------------------------------------------


def table(rows: list[dict]) -> str:
    """Rows under the names of their columns; numbers to the right.

    Examples
    --------
    >>> print(table([{"chapter": "01", "seconds": 8.25}, {"chapter": "02 (failed)", "error": "ValueError: no"}]))
    chapter      seconds  error
    01              8.25
    02 (failed)           ValueError: no
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [names, *([_cell(row.get(name, "")) for name in names] for row in rows)]
    numbers = [all(isinstance(row.get(name, 0), (int, float)) for row in rows) for name in names]
    widths = [max(map(len, column)) for column in zip(*cells)]
    lines = (
        (cell.rjust(width) if right else cell.ljust(width) for cell, width, right in zip(line, widths, numbers))
        for line in cells
    )
    return "\n".join("  ".join(line).rstrip() for line in lines)


def _cell(value) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}" if isinstance(value, float) else str(value)


def _book(arguments: argparse.Namespace) -> int:
    rows = book(arguments.preset, arguments.seed, arguments.output, arguments.chapter, arguments.book)
    print(table([row | {"seconds": round(row["seconds"], 1)} for row in rows]))
    return int(any(row["error"] for row in rows))


def _bakeoff(arguments: argparse.Namespace) -> int:
    names = ("preset", "frameworks", "models", "seeds", "data", "output", "workers", "ray")
    if arguments.data is None:
        from msvision.data.download import find

        arguments.data = ["digits", *(["camvid"] if find("camvid") else [])]
        if "camvid" not in arguments.data:
            print("camvid is left out, since it is not on this machine; python -m msvision data get camvid")
    rows = bakeoff.run(**{name: getattr(arguments, name) for name in names})
    for data, lines in bakeoff.summary(rows).items():
        print(f"\n{data}\n{table(lines)}")
    failed = [row for row in rows if "error" in row]
    for row in failed:
        which = " ".join(str(row["configuration"][key]) for key in ("data", "framework", "model", "seed"))
        print(f"failed: {which}: {row['error']}")
    return int(bool(failed))
