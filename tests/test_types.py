"""Types: every public name says what it takes and returns, and a type checker makes use of it."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def test_a_type_checker_knows_the_public_names():
    pytest.importorskip("mypy")
    command = [sys.executable, "-m", "mypy", "--config-file", ROOT / "pyproject.toml", ROOT / "tests/typed.py"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("name", ["torch", "tensorflow"])
def test_every_argument_and_result_has_a_type(name):
    module = importlib.import_module(f"msvision.{name}")
    missing = []
    for public in module.__all__:
        thing = getattr(module, public)
        call = thing.__init__ if inspect.isclass(thing) else thing
        signature = inspect.signature(inspect.unwrap(call))
        for parameter in signature.parameters.values():
            unnamed = parameter.name == "self" or parameter.kind is parameter.VAR_KEYWORD
            if parameter.annotation is parameter.empty and not unnamed:
                missing.append(f"{public}({parameter.name})")
        if not inspect.isclass(thing) and signature.return_annotation is signature.empty:
            missing.append(f"{public} -> ?")
    assert not missing
