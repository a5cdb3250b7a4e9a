"""The chapters and the tests about devices on a GPU: ``make test-gpu``, in an environment with your own GPU builds.

First it says which device, driver and versions these are, and stops where one of the frameworks sees no GPU. Then every
chapter runs with the ``gpu`` preset under nbval: cell by cell, with its claims, its comparisons of the two frameworks and
its exercises. A cell whose output is the same on every machine must show here what is committed; what changes with the
device or the preset is taken out of both sides first (``tests/nbval_gpu.cfg``, and ``Sanitised`` below), and the claim
beside it has to hold. ``--cpu --preset smoke --chapter "01*"`` goes the same way where there is no GPU.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "_build/gpu"
# Single precision is single precision: by default both frameworks round the factors of a product to 10 bits on a GPU.
SETTINGS = {
    "NVIDIA_TF32_OVERRIDE": "0",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",  # or TensorFlow takes all memory, and PyTorch finds none
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "0",
}
PACKAGES = ["msvision", "torch", "tensorflow", "tensorflow-cpu", "keras", "numpy", "lightning-fabric", "nbval"]
NEEDED = ["torch", "tensorflow", "msvision", "nbval", "pytest"]
HELP = "README.md says how to use GPU builds of your own"
LOG = re.compile(
    r"^(?:[IWEF]\d{4} \d\d:|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IWE] |WARNING: All log messages before).*\n?", re.M
)


# -- the machine -----------------------------------------------------------------------------------------------------


def machine() -> tuple[list[str], list[str]]:
    """Lines that say what this runs on, and the frameworks that see no GPU there."""
    import tensorflow as tf
    import torch

    lines = [f"{platform.platform()}, Python {platform.python_version()}", *driver()]
    lines += [f"{name} {version}" for name in PACKAGES if (version := version_of(name))]
    without, cuda = [], torch.cuda.is_available()
    for number in range(torch.cuda.device_count() if cuda else 0):
        seen = torch.cuda.get_device_properties(number)
        lines.append(
            f"PyTorch sees {seen.name}, compute capability {seen.major}.{seen.minor}, {seen.total_memory / 2**30:.0f} GiB; "
            f"CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
        )
    if not cuda:
        without.append(f"PyTorch {torch.__version__}")
    devices, build = tf.config.list_physical_devices("GPU"), tf.sysconfig.get_build_info()
    for device in devices:
        seen = tf.config.experimental.get_device_details(device)
        capability = ".".join(map(str, seen.get("compute_capability", ("?",))))
        lines.append(
            f"TensorFlow sees {seen.get('device_name', device.name)}, compute capability {capability}; built for "
            f"CUDA {build.get('cuda_version', '?')}, cuDNN {build.get('cudnn_version', '?')}"
        )
    if not devices:
        without.append(f"TensorFlow {tf.__version__}")
    return lines, without


def driver() -> list[str]:
    if not shutil.which("nvidia-smi"):
        return ["no nvidia-smi on this machine"]
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    return [f"driver: {line}" for line in subprocess.run(query, capture_output=True, text=True).stdout.splitlines()]


def version_of(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


# -- the chapters ----------------------------------------------------------------------------------------------------


def write_chapters(preset: str, pattern: str) -> list[Path]:
    """The chapters as committed but for the preset, with what they read beside them."""
    import nbformat

    shutil.rmtree(FOLDER, ignore_errors=True)
    shutil.copytree(ROOT / "book/reference", FOLDER / "reference", ignore=shutil.ignore_patterns("api*"))
    written = []
    for chapter in sorted(ROOT.glob(f"book/{pattern}.ipynb")):
        notebook = nbformat.read(chapter, as_version=4)
        (cell,) = (cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
        cell.source = cell.source.replace('PRESET = "cpu"', f'PRESET = "{preset}"')
        nbformat.write(notebook, FOLDER / chapter.name)
        written.append(FOLDER / chapter.name)
    return written


class Sanitised:
    """What nbval's own replacements do not reach: the numbers of claims, and the frameworks' log on stderr."""

    def pytest_configure(self, config) -> None:
        from nbval.plugin import IPyNbCell

        from msvision.claims import MIME

        compare = IPyNbCell.compare_outputs

        def compare_outputs(cell, test, ref, skip_compare=None):
            return compare(cell, sanitised(test), sanitised(ref), (*(skip_compare or cell.parent.skip_compare), MIME))

        IPyNbCell.compare_outputs = compare_outputs


def sanitised(outputs: list) -> list:
    """Outputs without what the frameworks write to stderr about the device.

    >>> log = "I0000 00:00:17.5 gpu.cc] a GPU"
    >>> sanitised([{"name": "stderr", "text": log}, {"name": "stderr", "text": f"{log}\\ncareful"}])
    [{'name': 'stderr', 'text': 'careful'}]
    """
    from nbformat import from_dict

    kept = []
    for output in outputs:
        if output.get("name") == "stderr":
            output = from_dict(output | {"text": LOG.sub("", output["text"])})
            if not output.text.strip():
                continue
        kept.append(output)
    return kept


# -- command ---------------------------------------------------------------------------------------------------------


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=["smoke", "cpu", "gpu"], default="gpu")
    parser.add_argument(
        "--chapter", default="[0-9]*", metavar="GLOB", help="only those whose file names match, as '01*'"
    )
    parser.add_argument("--cpu", action="store_true", help="go on without a GPU, to try this out")
    arguments = parser.parse_args()

    os.environ.update(SETTINGS)
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        print(f"error: {sys.executable} has no {', no '.join(missing)}; {HELP}")
        return 1
    lines, without = machine()
    print("\n".join(lines), flush=True)
    if without and not arguments.cpu:
        print(f"error: no GPU is seen by {' and '.join(without)}; {HELP}")
        return 1

    import pytest

    # In a process of their own: tests draw no figures, and chapters do.
    where = os.environ | {"MSVISION_TEST_DEVICE": "cpu" if arguments.cpu else "gpu"}
    tests = [sys.executable, "-m", "pytest", "-q", "tests/test_devices.py"]
    devices = subprocess.run(tests, cwd=ROOT, env=where).returncode
    chapters = write_chapters(arguments.preset, arguments.chapter)
    if not chapters:
        sys.exit(f"error: no chapter matches {arguments.chapter!r}")
    options = ["--nbval", "--nbval-current-env", "--nbval-cell-timeout=3600", "--durations=20"]
    options.append(f"--nbval-sanitize-with={ROOT / 'tests/nbval_gpu.cfg'}")
    notebooks = pytest.main([*options, *map(str, chapters)], plugins=[Sanitised()])
    return int(bool(devices or notebooks))


if __name__ == "__main__":
    sys.exit(main())
