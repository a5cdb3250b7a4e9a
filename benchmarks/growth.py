"""Time and memory against the size of the image: no operator may grow faster than its arithmetic.

``python benchmarks/growth.py`` measures every operator at every size, each in a process of its own so that its peak memory
is its own, and puts the rows in ``book/reference/growth.csv``. What is there already is not measured again.
"""

from __future__ import annotations

import json
import subprocess
import sys

from measure import ROOT, machine, put, read
from tqdm import tqdm

SIDES = (64, 128, 256, 512, 1024, 2048, 4096)
OPERATORS = {  # a function or layer in PyTorch, and what it is given: images, or feature maps of an eighth of their size
    "gaussian_pyramid": ("msv.gaussian_pyramid", "x, 5"),
    "laplacian_pyramid": ("msv.laplacian_pyramid", "x, 5"),
    "SpatialPyramidPooling": ("msv.SpatialPyramidPooling()", "maps[0]"),
    "PyramidPooling": ("msv.PyramidPooling(32).eval()", "maps[0]"),
    "ASPP": ("msv.ASPP(32, 32).eval()", "maps[0]"),
    "FPN": ("msv.FPN([32, 32, 32], 32).eval()", "maps"),
}
ONE = """
import json, resource, time, torch
from statistics import median
from msvision import torch as msv
side = {side}
x = torch.rand(1, 3, side, side)
maps = [torch.rand(1, 32, side // reduction, side // reduction) for reduction in (8, 16, 32)]
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


def main() -> None:
    done = {(row["operator"], int(row["side"])) for row in read(TABLE)}
    todo = [(name, side) for name in OPERATORS for side in SIDES if (name, side) not in done]
    here = machine()
    for name, side in tqdm(todo, desc="growth"):
        operator, given = OPERATORS[name]
        code = ONE.format(side=side, operator=operator, given=given)
        found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        put(TABLE, {"operator": name, "side": side, **json.loads(found.stdout)} | here, "operator", "side")


if __name__ == "__main__":
    main()
