"""What an import costs, what it needs, and that the two dialects are one language."""

import inspect
import os
import subprocess
import sys

import pytest

from msvision import tensorflow as msv_tensorflow
from msvision import torch as msv_torch

FRAMEWORKS = {"torch": msv_torch, "tensorflow": msv_tensorflow}


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
    )


# -- imports ---------------------------------------------------------------------------------------------------------


def test_import_loads_nothing_heavy():
    result = run(
        "import sys, msvision; "
        "print(sorted({'torch', 'tensorflow', 'keras', 'matplotlib', 'numpy', 'skimage'} & set(sys.modules)))"
    )
    assert result.stdout.strip() == "[]", result.stderr


def test_import_is_quick():
    code = "import time; start = time.perf_counter(); import msvision; print(time.perf_counter() - start)"
    assert min(float(run(code).stdout) for _ in range(5)) < 0.1


@pytest.mark.parametrize(
    "framework, others", [("torch", {"tensorflow", "keras"}), ("tensorflow", {"torch"})], ids=["torch", "tensorflow"]
)
def test_one_framework_does_not_load_the_other(framework, others):
    result = run(f"import sys; from msvision import {framework}; print(sorted({others!r} & set(sys.modules)))")
    assert result.stdout.strip() == "[]", result.stderr


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_missing_framework_is_named_with_its_extra(framework):
    code = f"""
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name == "{framework}":
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
import msvision
from msvision import {framework}
"""
    result = run(code)
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("ModuleNotFoundError: msvision.") and f'pip install "msvision[{framework}]"' in last
    assert "During handling" not in result.stderr


def test_another_keras_backend_is_refused():
    result = run("from msvision import tensorflow", KERAS_BACKEND="torch")
    assert result.returncode == 1
    assert "ImportError: msvision.tensorflow needs Keras on TensorFlow, got the torch backend" in result.stderr
    assert "KERAS_BACKEND=tensorflow" in result.stderr


# -- one language ----------------------------------------------------------------------------------------------------


def parameters(thing):
    found = {p.name: (p.default, p.kind) for p in inspect.signature(thing).parameters.values()}
    found.pop("in_channels", None)  # PyTorch's layers, and the functions that make them, need it first
    found.pop("kwargs", None)  # those of Keras take a name and a dtype
    return found


def test_the_same_public_names():
    assert msv_torch.__all__ == msv_tensorflow.__all__ == sorted(msv_torch.__all__)


@pytest.mark.parametrize("name", msv_torch.__all__)
def test_the_same_arguments(name):
    ours, theirs = getattr(msv_torch, name), getattr(msv_tensorflow, name)
    assert list(parameters(ours).items()) == list(parameters(theirs).items())
    assert inspect.isclass(ours) == inspect.isclass(theirs)
    assert ours.__module__.replace(".torch.", ".tensorflow.") == theirs.__module__
    names = list(inspect.signature(ours).parameters)
    if inspect.isclass(ours) and "in_channels" in names:
        assert names[0] == "in_channels"


@pytest.mark.parametrize("name", msv_torch.__all__)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_documented(framework, name):
    thing = getattr(FRAMEWORKS[framework], name)
    text = inspect.cleandoc(thing.__doc__ or "")
    lines = text.splitlines()
    sections = [lines[i - 1] for i, line in enumerate(lines) if line and not line.strip("-")]
    assert lines[0].endswith((".", ").")) and lines[1] == ""
    assert {"Returns", "Examples"} <= set(sections), sections
    assert ">>> " in text.partition("Examples\n--------")[2]
    arguments = [p for p in inspect.signature(thing).parameters if p != "kwargs"]
    described = text.partition("Parameters\n----------\n")[2].partition("\n\n")[0].splitlines()
    named = [n.strip() for line in described if not line.startswith(" ") for n in line.partition(" : ")[0].split(",")]
    assert named == arguments


@pytest.mark.parametrize("name", msv_torch.__all__)
def test_the_same_summary(name):
    ours, theirs = (inspect.getdoc(getattr(module, name)).splitlines()[0] for module in FRAMEWORKS.values())
    assert ours == theirs
