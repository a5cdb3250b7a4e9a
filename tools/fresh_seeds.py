"""Run chapters with seeds that nobody has looked at: ``python tools/fresh_seeds.py book/01_image_pyramids.ipynb``.

Every claim of the chapter is checked under every seed. What was measured goes into ``book/seeds/<chapter>.csv``, one row
for each seed and claim; the last lines say how close each claim came to its bound.
"""

from __future__ import annotations

import argparse
import csv
import logging
import os
import tempfile
from collections import defaultdict
from pathlib import Path

CLAIM = "application/vnd.msvision.claim+json"


def claims_of(notebook) -> list[dict]:
    outputs = (output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs)
    return [output["data"][CLAIM] for output in outputs if CLAIM in output.get("data", {})]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("chapters", nargs="+", type=Path)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--first", type=int, default=1000, help="first seed; the next are 1000 apart")
    args = parser.parse_args()
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}

    import papermill
    from tqdm import tqdm

    logging.getLogger("papermill").setLevel(logging.ERROR)
    for chapter in args.chapters:
        rows = []
        for number in tqdm(range(args.count), desc=chapter.stem):
            seed = args.first + 1000 * number
            with tempfile.TemporaryDirectory() as folder:
                notebook = papermill.execute_notebook(
                    chapter, Path(folder, "out.ipynb"), {"SEED": seed}, cwd=chapter.parent, progress_bar=False
                )
            rows += [{"seed": seed, **claim} for claim in claims_of(notebook)]
        target = chapter.parent / "seeds" / f"{chapter.stem}.csv"
        target.parent.mkdir(exist_ok=True)
        with target.open("w", newline="", encoding="utf8") as file:
            writer = csv.DictWriter(file, ["seed", "sentence", "measured", "bound"], lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        measured = defaultdict(list)
        for row in rows:
            measured[row["sentence"], row["bound"]].append(float(row["measured"]))
        for (sentence, bound), values in measured.items():
            print(f"{len(values):3} runs, {min(values):g} to {max(values):g}, {bound}: {sentence}")


if __name__ == "__main__":
    main()
