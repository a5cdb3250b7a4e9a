"""How long importing takes, each time in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

from measure import Case, run


def importing(line: str):
    return lambda: subprocess.run([sys.executable, "-c", line], check=True)


def cases() -> Iterator[Case]:
    # A ratio of 1 says that nothing is added. Asked is at most 0.1 s more than Python, 0.2 s more than PyTorch.
    yield Case("import msvision", "", "Python alone", importing("import msvision"), importing(""), 0.2)
    with_it = importing("import torch; from msvision import torch")
    yield Case("from msvision import torch", "PyTorch", "import torch", with_it, importing("import torch"), 0.9)


if __name__ == "__main__":
    run(cases)
