"""The chapters as a reader in Colab gets them: ``make clean-room``.

A wheel and a source distribution are built and checked. An environment outside of the repository gets what Colab has
(``tests/colab.txt``), and nothing else. In it, from an empty folder, papermill runs each notebook with the ``smoke`` preset
as if in Colab: its first cell installs the package, from the wheel that was just built instead of from GitHub, and
whatever else the chapter needs. Nothing that was there before may have changed after that. What a chapter brought is then
taken out again, so that no chapter lives on another's packages.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = sorted(ROOT.glob("book/[0-9]*.ipynb"))
COLAB = ROOT / "tests/colab.txt"
FROM_GITHUB = re.compile(r"git\+https://\S+?@\w+")
# Colab's module, of which the notebooks ask only whether it is there.
IN_COLAB = "import sys, types\nsys.modules['google.colab'] = types.ModuleType('google.colab')\n"


def run(*command: object, **settings) -> str:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, **settings)
    if done.returncode:
        sys.exit(f"error: {' '.join(map(str, command))}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


def build(folder: Path) -> Path:
    """The wheel, from the source distribution, as whoever installs from that would make it; both checked."""
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT)
    run(sys.executable, "-m", "twine", "check", "--strict", *folder.iterdir())
    print("\n".join(f"built {path.name}, {path.stat().st_size / 1000:.0f} kB" for path in sorted(folder.iterdir())))
    return next(folder.glob("*.whl"))


def environment(folder: Path, torch_index: str) -> Path:
    """Python of an environment with what Colab has."""
    python = folder / "bin/python"
    if not python.exists():
        run(sys.executable, "-m", "venv", folder)
        torch = next(line for line in COLAB.read_text(encoding="utf8").splitlines() if line.startswith("torch=="))
        index = ["--no-deps", "--retries", "1", "--timeout", "20", "--extra-index-url", torch_index]
        run(python, "-m", "pip", "install", *index, torch)  # by itself, as in the Makefile
        run(python, "-m", "pip", "install", "-r", COLAB)
    run(python, "-m", "ipykernel", "install", "--prefix", folder, "--name", "clean-room")
    return python


def versions(python: Path) -> dict[str, str]:
    listed = json.loads(run(python, "-m", "pip", "list", "--disable-pip-version-check", "--format", "json"))
    return {package["name"]: package["version"] for package in listed}


def run_chapter(chapter: Path, wheel: Path, python: Path) -> list[str]:
    """What went wrong."""
    before, home = versions(python), tempfile.TemporaryDirectory()
    place, kernels = Path(home.name), python.parents[1] / "share/jupyter"
    notebook = nbformat.read(chapter, as_version=4)
    install = next(cell for cell in notebook.cells if cell.cell_type == "code")
    install.source, found = FROM_GITHUB.subn(wheel.as_uri(), install.source)
    install.source = IN_COLAB + install.source
    nbformat.write(notebook, place / chapter.name)
    apart = {name: value for name, value in os.environ.items() if not name.startswith(("MSVISION", "PYTHON"))}
    apart |= {"JUPYTER_PATH": str(kernels), "XDG_CACHE_HOME": str(place), "TF_CPP_MIN_LOG_LEVEL": "3"}
    papermill = [sys.executable, "-m", "papermill", chapter.name, "out.ipynb", "--kernel", "clean-room"]
    started = time.perf_counter()
    done = subprocess.run(
        [*papermill, "-p", "PRESET", "smoke", "--no-progress-bar"], cwd=place, env=apart, capture_output=True, text=True
    )
    seconds, after = time.perf_counter() - started, versions(python)
    faults = [] if done.returncode == 0 else [f"papermill: {done.stderr.strip()[-2000:]}"]
    faults += [] if found == 1 else [f"its first cell names the repository {found} times"]
    faults += [
        f"{name} was {version} and is {after.get(name, 'gone')}"
        for name, version in before.items()
        if after.get(name) != version
    ]
    new = sorted(set(after) - set(before))
    faults += [] if "msvision" in new else ["its first cell did not install the package"]
    print(f"{chapter.stem}: {'; '.join(faults) or 'good'} ({seconds:.0f} s; installed: {' '.join(new)})", flush=True)
    if (place / "out.ipynb").exists():
        for text in unavailable(nbformat.read(place / "out.ipynb", as_version=4)):
            print(f"    said: {text}")
    if new:
        run(python, "-m", "pip", "uninstall", "--yes", *new)
    home.cleanup()
    return faults


def unavailable(notebook) -> list[str]:
    """What the chapter printed about data that this machine does not have."""
    printed = [output.text for cell in notebook.cells for output in cell.get("outputs", []) if "text" in output]
    return [line for text in printed for line in text.splitlines() if re.search(r"[Ss]kipped|neither beside", line)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chapter", default="*", metavar="GLOB", help="only those whose file names match, as '01*'")
    parser.add_argument("--environment", type=Path, metavar="DIR", help="made where it is missing, and kept")
    parser.add_argument("--torch-index", default="https://download.pytorch.org/whl/cpu", metavar="ADDRESS")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wheel = build(Path(folder, "dist"))
        python = environment((arguments.environment or Path(folder, "colab")).absolute(), arguments.torch_index)
        wanted = [chapter for chapter in CHAPTERS if fnmatch.fnmatch(chapter.stem, arguments.chapter)]
        faults = [run_chapter(chapter, wheel, python) for chapter in wanted]
    return int(any(faults) or not faults)


if __name__ == "__main__":
    sys.exit(main())
