"""``make test-gpu``, as far as it can be looked at without a GPU."""

from __future__ import annotations

import doctest
import importlib.util
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
CELL = """
import sys
from msvision.claims import claim
claim("Two is more than one", {measured}, at_least=1)
{log}print("exact:", {exact})
"""


@pytest.fixture(scope="module")
def gpu():
    spec = importlib.util.spec_from_file_location("gpu", ROOT / "tools/gpu.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_logs_are_taken_out(gpu) -> None:
    assert doctest.testmod(gpu) == (0, 2)


def test_without_a_gpu_it_stops_with_one_line() -> None:
    import tensorflow as tf
    import torch

    if torch.cuda.is_available() and tf.config.list_physical_devices("GPU"):
        pytest.skip("there is a GPU")
    result = subprocess.run([sys.executable, ROOT / "tools/gpu.py"], capture_output=True, text=True, timeout=120)
    assert result.returncode == 1
    assert [line.startswith("error: no GPU") for line in result.stdout.splitlines()][-2:] == [False, True]


def test_chapters_are_changed_in_their_preset_only(gpu, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(gpu, "FOLDER", tmp_path / "gpu")
    written = gpu.write_chapters("gpu", "[0-9]*")
    assert [path.name for path in written] == [path.name for path in sorted(ROOT.glob("book/[0-9]*.ipynb"))]
    for path in written:
        ours, there = (nbformat.read(p, as_version=4).cells for p in (path, ROOT / "book" / path.name))
        (changed,) = ((a, b) for a, b in zip(ours, there) if a != b)
        assert changed[0].source == changed[1].source.replace('PRESET = "cpu"', 'PRESET = "gpu"')


@pytest.mark.parametrize(
    ("there", "passes"),
    [
        ({}, True),
        ({"measured": 2.5}, True),
        ({"log": "print('I0000 00:00:17.5 1 gpu.cc:9] a GPU', file=sys.stderr)\n"}, True),
        ({"log": "print('careful', file=sys.stderr)\n"}, False),
        ({"measured": 0.5}, False),
        ({"exact": 4}, False),
    ],
    ids=["the same", "another number claimed", "a log", "a warning", "a claim that fails", "another result"],
)
def test_the_comparison_finds(there: dict, passes: bool, tmp_path: Path) -> None:
    from nbclient import NotebookClient

    here = {"measured": 2, "log": "", "exact": 3}
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL.format(**here))])
    NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    notebook.cells[0].source = CELL.format(**here | there)
    nbformat.write(notebook, tmp_path / "page.ipynb")
    options = ["-p", "no:cacheprovider", "--nbval", "--nbval-current-env"]
    options += [f"--nbval-sanitize-with={ROOT / 'tests/nbval_gpu.cfg'}", str(tmp_path / "page.ipynb")]
    code = f"import gpu, pytest, sys; sys.exit(pytest.main({options}, plugins=[gpu.Sanitised()]))"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "tools", capture_output=True, text=True, timeout=120
    )
    assert (result.returncode == 0) == passes, result.stdout
