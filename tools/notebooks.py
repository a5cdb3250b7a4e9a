"""Keep the chapters in the one form that is committed: ``python tools/notebooks.py --check|--fix|--run book/*.ipynb``.

--check  reports everything that is not in that form, and changes nothing
--fix    puts right what a machine can: metadata, execution counts, large pictures; then checks
--run    executes from top to bottom in a fresh kernel, in the notebook's folder; then fixes and checks
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat

METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
CELL_KEYS = {"tags", "mystnb", "colab", "cellView"}
LARGEST_PICTURE, LARGEST_NOTEBOOK, SHRINK_FROM = 150_000, 1_500_000, 40_000  # bytes
KERNEL = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}
PRIVATE = re.compile(r"/(?:root|home|tmp|Users)/|\b0x[0-9a-f]{6,}|\x1b\[")
UNSTABLE = "nbval-ignore-output"  # output that differs from run to run; it must still name no folder of a machine
FLAT = 60  # pixels of one colour, from which on it is kept when a picture is stored with few colours
FOLDER = re.compile(r"/(?:root|home|tmp|Users)/")


# -- run ---------------------------------------------------------------------------------------------------------------


def run(notebook, path: Path) -> None:
    from nbclient import NotebookClient

    started, cells = time.time(), [cell for cell in notebook.cells if cell.cell_type == "code"]
    for cell in cells:
        cell.outputs, cell.execution_count = [], None
    order = {cell.id: number for number, cell in enumerate(cells, 1)}

    def progress(cell, **_) -> None:
        if cell.id in order:
            write = f"{path.name}: cell {order[cell.id]} of {len(cells)}, {time.time() - started:.0f} s"
            print(f"\r{write}" if sys.stdout.isatty() else write, end="" if sys.stdout.isatty() else "\n", flush=True)

    os.environ.update(KERNEL)
    NotebookClient(
        notebook,
        timeout=1800,
        kernel_name="python3",
        record_timing=False,
        skip_cells_with_tag="nbval-skip",
        on_cell_start=progress,
        resources={"metadata": {"path": str(path.parent)}},
    ).execute()
    print(f"\r{path.name}: ran {len(cells)} cells in {time.time() - started:.0f} s        ", flush=True)


# -- fix ---------------------------------------------------------------------------------------------------------------


def shrink(data: str) -> str:
    """Store a PNG with 256 colours where that is smaller. Colours of flat areas, as in a legend, stay as they are."""
    from PIL import Image

    raw, out = base64.b64decode(data), io.BytesIO()
    image = Image.open(io.BytesIO(raw))
    if image.mode == "P":
        return data
    image = image.convert("RGB")
    counted = sorted(image.getcolors(image.width * image.height), reverse=True)
    flat = [colour for count, colour in counted if count >= FLAT][:96]
    rest = image.quantize(256 - len(flat)).getpalette()
    palette = Image.new("P", (1, 1))
    palette.putpalette([value for colour in flat for value in colour] + rest)
    image.quantize(palette=palette, dither=Image.Dither.NONE).save(out, "png", optimize=True)
    small = out.getvalue()
    return base64.b64encode(small).decode() if len(small) < 0.9 * len(raw) else data


def fix(notebook) -> None:
    notebook.metadata = nbformat.from_dict(METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    count = 0
    for cell in notebook.cells:
        kept = {key: value for key, value in cell.metadata.items() if key in CELL_KEYS and value not in ([], {})}
        cell.metadata = nbformat.from_dict(kept)
        if cell.cell_type != "code":
            continue
        if cell.execution_count is not None:
            count += 1
            cell.execution_count = count
        for output in cell.outputs:
            output.pop("transient", None)
            if output.output_type == "execute_result":
                output.execution_count = cell.execution_count
            data = output.get("data", {})
            if size(data.get("image/png", "")) > SHRINK_FROM:
                data["image/png"] = shrink(data["image/png"])


# -- check -------------------------------------------------------------------------------------------------------------


def size(base64_text: str) -> int:
    return len(base64_text) * 3 // 4


def problems(path: Path) -> Iterator[str]:
    """Everything about a notebook that is not in the form that is committed."""
    text = path.read_text(encoding="utf8")
    notebook = nbformat.read(path, as_version=4)
    if text not in (written := nbformat.writes(notebook), written + "\n"):
        yield "is not written as nbformat writes it (run with --fix)"
    if len(text) > LARGEST_NOTEBOOK:
        yield f"has {len(text)} bytes, more than {LARGEST_NOTEBOOK}"
    if notebook.metadata != METADATA:
        yield f"has metadata {json.dumps(notebook.metadata)[:200]}"
    stored = json.loads(text)
    if (stored["nbformat"], stored["nbformat_minor"]) != (4, 5):
        yield "is not in notebook format 4.5"
    if len({cell.get("id") for cell in stored["cells"]}) != len(stored["cells"]):
        yield "has cells without an id, or with the same one"
    count = 0
    for number, cell in enumerate(notebook.cells):
        where = f"cell {number} ({cell.get('id')})"
        if extra := set(cell.metadata) - CELL_KEYS:
            yield f"{where} has metadata {sorted(extra)}"
        if cell.cell_type != "code":
            continue
        if "nbval-skip" in cell.metadata.get("tags", []):
            if cell.execution_count or cell.outputs:
                yield f"{where} is never run, but has outputs"
            continue
        count += 1
        if cell.execution_count != count:
            yield f"{where} has execution count {cell.execution_count}, not {count} (run it from top to bottom)"
        if cell.source.rstrip().endswith(";") and UNSTABLE not in cell.metadata.get("tags", []):
            yield f"{where} ends with a semicolon, which nbval does not honour (assign the value, or end with plt.show())"
        yield from (f"{where} {fault}" for fault in output_problems(cell))


def output_problems(cell) -> Iterator[str]:
    tags = cell.metadata.get("tags", [])
    pictures = False
    for output in cell.outputs:
        if output.output_type == "error" and "raises-exception" not in tags:
            yield f"failed with {output.ename}"
        if output.get("name") == "stderr" and UNSTABLE not in tags:
            yield f"writes to stderr: {output.text[:60]!r}"
        for mime, value in [*output.get("data", {}).items(), ("text/plain", output.get("text", ""))]:
            if mime.startswith("image/"):
                pictures = True
                if size(value) > LARGEST_PICTURE:
                    yield f"has a picture of {size(value)} bytes, more than {LARGEST_PICTURE}"
            else:
                words = value if isinstance(value, str) else json.dumps(value)
                if leak := (FOLDER if UNSTABLE in tags else PRIVATE).search(words):
                    yield f"shows what differs on another machine: {leak.group()!r}"
    if pictures and not cell.metadata.get("mystnb", {}).get("image", {}).get("alt"):
        yield "has a picture without alternative text (mystnb.image.alt)"


# -- command -----------------------------------------------------------------------------------------------------------


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    task = parser.add_mutually_exclusive_group(required=True)
    for name in ("check", "fix", "run"):
        task.add_argument(f"--{name}", dest="task", action="store_const", const=name)
    parser.add_argument("paths", nargs="+", type=Path)
    arguments, faults = parser.parse_args(), 0
    for path in arguments.paths:
        if arguments.task != "check":
            notebook = nbformat.read(path, as_version=4)
            if arguments.task == "run":
                run(notebook, path)
            fix(notebook)
            nbformat.write(notebook, path)
        found = list(problems(path))
        faults += len(found)
        print("\n".join(f"{path}: {fault}" for fault in found) or f"{path}: good")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
