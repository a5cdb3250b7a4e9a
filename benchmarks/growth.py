"""Time and memory against the size of the image and the number of levels: none may grow faster than its arithmetic.

``python benchmarks/growth.py`` measures every operator at every size, and those that have levels with ever more of them,
each in a process of its own so that its peak memory is its own, and puts the rows in ``book/reference/growth.csv``. What
is there already is not measured again.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

from measure import ROOT, machine, put, read
from tqdm import tqdm

SIDES = (64, 128, 256, 512, 1024, 2048, 4096)
LEVELS, SIDE = range(2, 9), 1024
OPERATORS = {  # a function or layer in PyTorch; images, or feature maps of an eighth of their size; and how many levels
    "gaussian_pyramid": ("msv.gaussian_pyramid", "x, levels", 5),
    "laplacian_pyramid": ("msv.laplacian_pyramid", "x, levels", 5),
    "gaussian_stack": ("msv.gaussian_stack", "x, levels", 5),
    "SpatialPyramidPooling": ("msv.SpatialPyramidPooling([2**level for level in range(levels)])", "maps[0]", 3),
    "FPN": ("msv.FPN([32] * levels, 32).eval()", "maps", 3),
    "PyramidPooling": ("msv.PyramidPooling(32).eval()", "maps[0]", None),
    "ASPP": ("msv.ASPP(32, 32).eval()", "maps[0]", None),
}
ONE = """
import json, resource, time, torch
from statistics import median
from msvision import torch as msv
side, levels = {side}, {levels}
x = torch.rand(1, 3, side, side)
maps = [torch.rand(1, 32, side // reduction, side // reduction) for reduction in [8 * 2**n for n in range(levels or 1)]]
operator = {operator}
peak = lambda: 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
seconds = []
with torch.inference_mode():
    before = peak()
    result = operator({given})
    grown = peak() - before
    while len(seconds) < 5 or (sum(seconds) < 0.5 and len(seconds) < 200):
        start = time.perf_counter()
        result = operator({given})
        seconds.append(time.perf_counter() - start)
print(json.dumps({{"milliseconds": 1e3 * median(seconds), "megabytes": grown / 1e6}}))
"""
TABLE = ROOT / "book/reference/growth.csv"
KEY = ("operator", "side", "levels")


def cases() -> Iterator[tuple[str, int, int | None]]:
    for name, (_, _, usual) in OPERATORS.items():
        yield from ((name, side, usual) for side in SIDES)
        yield from ((name, SIDE, levels) for levels in LEVELS if usual and levels != usual)


def main() -> None:
    done = {tuple(row[column] for column in KEY) for row in read(TABLE)}
    todo = [case for case in cases() if tuple(str(part or "") for part in case) not in done]
    here = machine()
    for name, side, levels in tqdm(todo, desc="growth"):
        operator, given, _ = OPERATORS[name]
        code = ONE.format(side=side, levels=levels, operator=operator, given=given)
        found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        costs = json.loads(found.stdout)
        put(TABLE, {"operator": name, "side": side, "levels": levels or "", **costs} | here, *KEY)


if __name__ == "__main__":
    main()
