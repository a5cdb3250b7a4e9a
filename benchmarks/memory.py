"""Peak memory of PSPNet's head, each form in a process of its own, against the form that mmsegmentation writes out."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from statistics import median

from measure import KEY, TABLE, Case, machine, put, show, table_row

CODE = """
import resource, torch
from msvision.torch.pooling import ContextConvolution, PyramidPooling

pooling, conv, x = PyramidPooling(2048).eval(), ContextConvolution(4096, 512), torch.rand(1, 2048, 60, 60)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with torch.inference_mode():
    conv(torch.rand(1, 4096, 3, 3))  # what a first convolution brings along
    before = peak()
    {call}
    print((peak() - before) / 1024)
"""
FORMS = ("conv(x, pooling.grids(x))", "conv(pooling(x))")


def megabytes(call: str) -> float:
    command = [sys.executable, "-c", CODE.format(call=call)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main(rounds: int = 5) -> None:
    subject = "PSPNet's head, 2048 channels, 60 × 60: peak memory"
    ours, theirs = (partial(megabytes, call) for call in FORMS)
    case = Case(subject, "PyTorch", "written out as in mmsegmentation", ours, theirs, 2)
    row = table_row(case, "MB", *(median(form() for _ in range(rounds)) for form in (case.ours, case.theirs)), rounds)
    show(row)
    put(TABLE, row | machine(), *KEY)


if __name__ == "__main__":
    main()
