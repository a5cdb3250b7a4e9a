"""Begin a chapter: ``python tools/new_chapter.py 12 "Scale space"`` writes ``book/12_scale_space.ipynb``.

It has the cells and the headings that every chapter has, in the form of chapter 1, and says in each what belongs there. It
runs as it is (``python tools/notebooks.py --run``), and stands last in ``_toc.yml``.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

ROOT = Path(__file__).resolve().parents[1]
PATTERN = ROOT / "book/01_image_pyramids.ipynb"  # whose cells for installing, parameters and imports are taken

OPENING = """# {title}

**The question of this chapter, in one sentence?**

Two or three sentences that make a reader want the answer."""

IDEA = """What the picture shows.

**After this chapter you can** …

**You need** … The page runs in … minutes on two processor cores.

## The idea

In words, then in a drawing, then as a formula, every symbol named:

$$
y_i = x_{2i}
$$

## From scratch

Worked out by hand first: of 3, 1, 2 the first and the last are kept."""

PACKAGE = """## From the package

The same from `msvision`, proven equal to the above, and across the frameworks."""

EXPERIMENT = """## Experiment: what is to be found out?

**Held equal:** … **Repeated** over … seeds. **Measured:** …"""

REST = """**What it says.** … **What it does not say.** …

## What goes wrong

Each trap is run, fails, and is mended, with a link to the thread of somebody who fell into it.

## Cost

Parameters, multiply-adds, memory and time against the size, in one plot.

## Exercises

Each exercise has a cell to fill in, a cell that checks it, and a folded solution. On this page the answers are still open.

**{number}.1 By hand.** How many of 5 pixels are kept?"""

FURTHER = """## Going further

**The sources.** Each with what it adds. Then what replaced the idea, and why."""

SCRATCH = {
    "torch": """def every_second_pt(x):  # (N,) -> (ceil(N / 2),)
    return x[::2]


kept = every_second_pt(torch.tensor([3, 1, 2]))
print("as by hand:", kept.tolist() == [3, 2])""",
    "tensorflow": """def every_second_tf(x):  # (N,) -> (ceil(N / 2),)
    return x[::2]


kept = every_second_tf(tf.constant([3, 1, 2]))
print("as by hand:", kept.numpy().tolist() == [3, 2])""",
}

CLAIM = """claim(
    "What the text says, in one sentence, with the number that decides it",
    1,
    at_least=1,
)"""

SELF_CHECK = """def check_{number}_1():
    assert answer_{number}_1 is not ..., "write down a number"
    assert answer_{number}_1 == len(range(0, 5, 2)), "not this number"


self_check("{number}.1", check_{number}_1)"""

SOLUTION = """# @title Solution {number}.1
answer_{number}_1 = 3
self_check("{number}.1", check_{number}_1)"""


def folded(source: str, tag: str, what: str) -> nbformat.NotebookNode:
    prompts = {"code_prompt_show": f"Show {what}", "code_prompt_hide": f"Hide {what}"}
    hidden = "hide-cell" if tag == "solution" else "hide-input"
    metadata = {"tags": [tag, hidden], "mystnb": prompts} | ({"cellView": "form"} if tag == "solution" else {})
    return new_code_cell(source, metadata=metadata)


def chapter(number: int, title: str) -> nbformat.NotebookNode:
    pattern = nbformat.read(PATTERN, as_version=4)
    code = [cell for cell in pattern.cells if cell.cell_type == "code"]
    code[0].source = re.sub(r'(install -q ".+?").*', r"\1", code[0].source)  # what chapter 1 needs besides, not all do
    notebook = new_notebook(metadata=pattern.metadata)
    notebook.cells = [
        new_markdown_cell(OPENING.format(title=title)),
        *code[:3],
        new_markdown_cell(IDEA),
        *(new_code_cell(source, metadata={"tags": [framework]}) for framework, source in SCRATCH.items()),
        new_markdown_cell(PACKAGE),
        new_markdown_cell(EXPERIMENT),
        new_code_cell(CLAIM, metadata={"tags": ["nbval-ignore-output"]}),
        new_markdown_cell(REST.format(number=number)),
        new_code_cell(f"answer_{number}_1 = ...  # a number", metadata={"tags": ["exercise"]}),
        folded(SELF_CHECK.format(number=number), "self-check", "the check"),
        folded(SOLUTION.format(number=number), "solution", "the solution"),
        new_markdown_cell(FURTHER),
        code[-1],
    ]
    for count, cell in enumerate(notebook.cells):
        cell.id = f"chapter-{number}-{count}"
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("number", type=int)
    parser.add_argument("title")
    parser.add_argument("--folder", type=Path, default=ROOT, help="of the repository")
    args = parser.parse_args()
    name = f"{args.number:02}_{re.sub(r'[^a-z0-9]+', '_', args.title.lower()).strip('_')}"
    target, contents = args.folder / "book" / f"{name}.ipynb", args.folder / "_toc.yml"
    if taken := list(target.parent.glob(f"{args.number:02}_*.ipynb")):
        raise SystemExit(f"there is a chapter {args.number} already: {taken[0].name}")
    lines = contents.read_text(encoding="utf8").splitlines(keepends=True)
    last = max(place for place, line in enumerate(lines) if re.search(r"file: book/\d", line))
    lines.insert(last + 1, re.sub(r"book/\d\w+", f"book/{name}", lines[last]))
    nbformat.write(chapter(args.number, args.title), target)
    contents.write_text("".join(lines), encoding="utf8")
    print(f"{target.relative_to(args.folder)} is written; next: python tools/notebooks.py --run it")


if __name__ == "__main__":
    main()
