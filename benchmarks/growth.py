"""Time and memory against the size of the image: no operator may grow faster than its arithmetic.

``python benchmarks/growth.py`` measures every operator at every size, each in a process of its own so that its peak memory
is its own, and puts the rows in ``book/reference/growth.csv``. What is there already is not measured again.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

SIDES = (64, 128, 256, 512, 1024, 2048, 4096)
OPERATORS = {  # how each is called on x of shape (1, 3, side, side), in PyTorch; the last four on a map of an eighth
    "gaussian_pyramid": "msv.gaussian_pyramid(x, 5)",
    "laplacian_pyramid": "msv.laplacian_pyramid(x, 5)",
    "SpatialPyramidPooling": "layer(features)",
    "PyramidPooling": "layer(features)",
    "ASPP": "layer(features)",
    "FPN": "layer([features, features[:, :, ::2, ::2].contiguous(), features[:, :, ::4, ::4].contiguous()])",
}
LAYERS = {
    "SpatialPyramidPooling": "msv.SpatialPyramidPooling()",
    "PyramidPooling": "msv.PyramidPooling(32).eval()",
    "ASPP": "msv.ASPP(32, 32).eval()",
    "FPN": "msv.FPN([32, 32, 32], 32).eval()",
}
ONE = """
import json, resource, time, torch
from statistics import median
from msvision import torch as msv
side = {side}
x = torch.rand(1, 3, side, side)
features = torch.rand(1, 32, side // 8, side // 8)
layer = {layer}
peak = lambda: 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
seconds = []
with torch.inference_mode():
    before = peak()
    result = {call}
    grown = peak() - before
    while len(seconds) < 5 or (sum(seconds) < 0.5 and len(seconds) < 200):
        start = time.perf_counter()
        result = {call}
        seconds.append(time.perf_counter() - start)
print(json.dumps({{"milliseconds": 1e3 * median(seconds), "megabytes": grown / 1e6}}))
"""
TABLE = Path(__file__).resolve().parents[1] / "book/reference/growth.csv"


def main() -> None:
    from measure import machine
    from tqdm import tqdm

    rows = list(csv.DictReader(TABLE.open(encoding="utf8"))) if TABLE.exists() else []
    done = {(row["operator"], int(row["side"])) for row in rows}
    todo = [(name, side) for name in OPERATORS for side in SIDES if (name, side) not in done]
    here = machine()
    for name, side in tqdm(todo, desc="growth"):
        code = ONE.format(side=side, layer=LAYERS.get(name), call=OPERATORS[name])
        found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        row = {"operator": name, "side": side, **json.loads(found.stdout)} | here
        with TABLE.open("a", encoding="utf8", newline="") as file:
            writer = csv.DictWriter(file, list(row), lineterminator="\n")
            if not TABLE.stat().st_size:
                writer.writeheader()
            writer.writerow(row)


if __name__ == "__main__":
    main()
