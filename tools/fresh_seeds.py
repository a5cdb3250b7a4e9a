"""Run chapters with seeds that nobody has looked at: ``python tools/fresh_seeds.py book/01_image_pyramids.ipynb``.

Every claim of the chapter is checked under every seed. What was measured goes into ``book/seeds/<chapter>.csv`` as soon
as a seed is done, one row for each seed and claim. A run that was stopped goes on with the seeds that are missing, and
with those under which a claim, as it stands now, was not measured or does not hold. The last lines say how close each
claim came to its bound.
"""

from __future__ import annotations

import argparse
import csv
import logging
import os
import tempfile
from collections import defaultdict
from pathlib import Path

import nbformat

from msvision.claims import claims_of
from msvision.training import written_whole

COLUMNS = ["seed", "sentence", "measured", "bound"]


def table(chapter: Path) -> Path:
    return chapter.parent / "seeds" / f"{chapter.stem}.csv"


def measured(chapter: Path) -> dict[int, list[dict]]:
    """The rows of every seed so far."""
    by_seed = defaultdict(list)
    if table(chapter).exists():
        with table(chapter).open(encoding="utf8", newline="") as file:
            for row in csv.DictReader(file):
                by_seed[int(row["seed"])].append(row)
    return by_seed


def held(chapter: Path) -> dict[int, list[dict]]:
    """Those of the seeds under which all claims that the chapter makes now were measured, and hold."""
    claims, result = claims_in(chapter), {}
    for seed, rows in measured(chapter).items():
        now = [row | {"bound": claim["bound"]} for row, claim in zip(rows, claims)]  # it may have been loosened since
        if sentences(rows) == sentences(claims) and all(map(holds, now)):
            result[seed] = now
    return result


def claims_in(chapter: Path) -> list[dict]:
    return claims_of(nbformat.read(chapter, as_version=4))


def sentences(rows: list[dict]) -> list[str]:
    return [row["sentence"] for row in rows]


def holds(row: dict) -> bool:
    """Whether what was measured keeps its bound, as it is written: "at least 1 and at most 2"."""
    limits = [limit.split() for limit in row["bound"].split(" and ")]
    value = float(row["measured"])
    return all(value >= float(n) if word == "least" else value <= float(n) for _, word, n in limits)


def write(chapter: Path, by_seed: dict[int, list[dict]]) -> None:
    with written_whole(table(chapter)) as place, place.open("w", encoding="utf8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(row for seed in sorted(by_seed) for row in by_seed[seed])


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
    failed = []
    for chapter in args.chapters:
        by_seed = held(chapter)
        seeds = [args.first + 1000 * number for number in range(args.count)]
        for seed in tqdm([seed for seed in seeds if seed not in by_seed], desc=chapter.stem):
            with tempfile.TemporaryDirectory() as folder:
                target = Path(folder, "out.ipynb")
                try:
                    notebook = papermill.execute_notebook(
                        chapter, target, {"SEED": seed}, cwd=chapter.parent, progress_bar=False
                    )
                except papermill.PapermillExecutionError as error:
                    failed.append(f"{chapter.stem}, seed {seed}: {error.evalue}")
                    tqdm.write(failed[-1])
                    continue
            rows = [{"seed": seed, **claim} for claim in claims_of(notebook)]
            if sentences(rows) != sentences(claims_in(chapter)):
                raise SystemExit(f"{chapter.stem} did not come to all of its claims: is MSVISION_DATA set?")
            by_seed[seed] = rows
            write(chapter, by_seed)
        found = defaultdict(list)
        for row in (row for rows in by_seed.values() for row in rows):
            found[row["sentence"], row["bound"]].append(float(row["measured"]))
        for (sentence, bound), values in found.items():
            print(f"{len(values):3} runs, {min(values):g} to {max(values):g}, {bound}: {sentence}")
    if failed:
        raise SystemExit("\n".join(["these runs failed:", *failed]))


if __name__ == "__main__":
    main()
