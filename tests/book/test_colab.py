"""What a reader in Colab relies on. ``make clean-room`` runs the chapters as they run there."""

from __future__ import annotations

import importlib.metadata
import re
import sys
import tomllib
import types
from pathlib import Path

import nbformat
import pytest
import yaml
from IPython.core.inputtransformer2 import TransformerManager
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = sorted(ROOT.glob("book/[0-9]*.ipynb"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))["project"]
REPOSITORY = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf8"))["repository"]
LINES = (ROOT / "tests/colab.txt").read_text(encoding="utf8").splitlines()
COLAB = dict(line.split("==") for line in LINES if not line.startswith("#"))
PYTHON = re.search(r"Python (\d\.\d+)", "\n".join(LINES))[1]
INSTALL = re.compile(r'install -q "(msvision @ git\+\S+)"((?: \w[\w-]*)*)')

every_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)


def commands(chapter: Path, monkeypatch, in_colab: bool) -> list[tuple[str, ...]]:
    """What the first code cell asks IPython for."""
    asked: list[tuple[str, ...]] = []

    class Shell:
        def __getattr__(self, name: str):
            return lambda *arguments: asked.append((name, *arguments))

    cells = nbformat.read(chapter, as_version=4).cells
    source = next(cell.source for cell in cells if cell.cell_type == "code")
    monkeypatch.delitem(sys.modules, "google.colab", raising=False)
    if in_colab:
        monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    exec(TransformerManager().transform_cell(source), {"get_ipython": Shell})
    return asked


@every_chapter
def test_the_first_cell_does_nothing_elsewhere(chapter: Path, monkeypatch) -> None:
    assert commands(chapter, monkeypatch, in_colab=False) == []


def also_installed(chapter: Path, monkeypatch) -> list[str]:
    """Packages that the first cell installs beside this one."""
    ((name, magic, line),) = commands(chapter, monkeypatch, in_colab=True)
    assert (name, magic) == ("run_line_magic", "pip")
    found = INSTALL.fullmatch(line)
    assert found, f"one line, this package from its repository, the others without versions: {line}"
    assert found[1] == f"msvision @ git+{REPOSITORY['url']}@{REPOSITORY['branch']}"
    return found[2].split()


def refused(requirement: Requirement) -> bool:
    """Whether Colab has another version than is asked for, so that installing would replace it."""
    return canonicalize_name(requirement.name) in COLAB and not requirement.specifier.contains(
        COLAB[canonicalize_name(requirement.name)]
    )


@every_chapter
def test_the_first_cell_replaces_nothing_in_colab(chapter: Path, monkeypatch) -> None:
    """By what the packages, as installed here, say that they require of those that Colab has."""
    names, seen, faults = also_installed(chapter, monkeypatch), set(), []
    while names:
        name = canonicalize_name(names.pop())
        if name in seen or name in COLAB:
            continue
        seen.add(name)
        for text in importlib.metadata.requires(name) or []:
            requirement = Requirement(text)
            if requirement.marker and not requirement.marker.evaluate({"extra": "", "python_version": PYTHON}):
                continue
            faults += [f"{name}: {text}"] if refused(requirement) else []
            names.append(requirement.name)
    assert not faults


@pytest.mark.parametrize("extra", ["", "torch", "tensorflow", "pretrained"])
def test_the_package_asks_for_no_more_than_colab_has(extra: str) -> None:
    asked = PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]
    assert not [text for text in asked if refused(Requirement(text))]
    assert Requirement(f"python{PROJECT['requires-python']}").specifier.contains(PYTHON)


def test_a_requirement_that_colab_lacks_would_be_found() -> None:
    assert refused(Requirement("numpy>=2.2")) and refused(Requirement("Pillow<11"))
    assert not refused(Requirement("numpy>=2.0")) and not refused(Requirement("kornia>=99"))


def test_the_lowest_versions_that_are_tested_are_those_of_colab() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text(encoding="utf8"))["jobs"]
    lowest = [row["pins"] for row in jobs["package"]["strategy"]["matrix"]["include"] if row["versions"] == "lowest"]
    pins = {name: COLAB[name].rpartition(".")[0] for name in ("torch", "tensorflow", "keras")}
    expected = f"torch=={pins['torch']}.* tensorflow-cpu=={pins['tensorflow']}.* keras=={pins['keras']}.*"
    assert lowest and set(lowest) == {expected}
    for extra in ("torch", "tensorflow"):
        lower = {
            Requirement(text).name: str(Requirement(text).specifier) for text in PROJECT["optional-dependencies"][extra]
        }
        assert all(lower[name] == f">={pins[name]}" for name in pins if name in lower)


@every_chapter
def test_rows_are_fetched_from_the_repository(chapter: Path) -> None:
    """A chapter in Colab has no folder beside it, so what it reads from there has an address too."""
    text = "\n".join(cell.source for cell in nbformat.read(chapter, as_version=4).cells if cell.cell_type == "code")
    for name in set(re.findall(r'"(reference/[\w.]+)"', text)):
        assert (ROOT / "book" / name).is_file()
        owner = REPOSITORY["url"].removeprefix("https://github.com/")
        places = (
            f"https://raw.githubusercontent.com/{owner}/{REPOSITORY['branch']}/book",
            f"{REPOSITORY['url']}/raw/{REPOSITORY['branch']}/book",
        )
        assert any(place in text for place in places), name
