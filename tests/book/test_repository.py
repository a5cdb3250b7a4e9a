"""What stands in several files of the repository is the same in all of them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf8"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))["project"]
ADDRESS = CONFIG["repository"]["url"]
# Written in pieces, so that this file does not find itself.
FOLDERS = [f"/{name}/" for name in ("work", "root", "home", "Users")]
HOSTS = ["pypi" + ".org/simple", "python" + "hosted.org", "arti" + "factory", "codeart" + "ifact", "pkg" + ".dev"]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf8")


def test_address_in_pyproject() -> None:
    assert PROJECT["urls"]["Repository"] == ADDRESS


def test_address_in_citation() -> None:
    citation = yaml.safe_load(read("CITATION.cff"))
    assert citation["repository-code"] == ADDRESS
    assert citation["title"] == CONFIG["title"]


def test_version_in_citation() -> None:
    version = re.search(r'__version__ = "(.+)"', read("msvision/__init__.py")).group(1)
    assert yaml.safe_load(read("CITATION.cff"))["version"] == version


@pytest.mark.parametrize("path", sorted(ROOT.glob("book/[0-9]*.ipynb")), ids=lambda path: path.stem)
def test_address_in_notebooks(path: Path) -> None:
    assert set(re.findall(r"git\+(\S+?)@", path.read_text(encoding="utf8"))) == {ADDRESS}


def test_environment_lists_the_same_dependencies() -> None:
    extras = [requirements for name, requirements in PROJECT["optional-dependencies"].items() if name != "dev"]
    wanted = set(PROJECT["dependencies"]).union(*extras)
    environment = yaml.safe_load(read("environment.yml"))["dependencies"]
    listed = {entry for item in environment for entry in (item["pip"] if isinstance(item, dict) else [])}
    assert listed == wanted
    assert f"python{PROJECT['requires-python']}" in environment


def tracked() -> list[Path]:
    """The repository's text files: those that git tracks, or all that are not built where there is no git."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=60).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    paths = [ROOT / name for name in listed.decode().split("\0") if name]
    return [path for path in paths if path.is_file() and b"\0" not in path.read_bytes()[:1000]]


def test_no_folder_of_a_machine_and_no_package_registry() -> None:
    found = []
    for path in tracked():
        text = path.read_text(encoding="utf8", errors="replace")
        if path.suffix == ".ipynb":  # pictures are letters and slashes by chance
            text = re.sub(r'"image/\w+": "[^"]*"', "", text)
        for word in (*FOLDERS, *HOSTS):
            if re.search(rf"(?<![\w.]){re.escape(word)}" if word in FOLDERS else re.escape(word), text):
                found.append(f"{path.relative_to(ROOT)}: {word}")
    assert not [line for line in found if not line.startswith(("tools/notebooks.py", "tests/book/"))]


WORKFLOWS = sorted(ROOT.glob(".github/workflows/*.yml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_are_pinned_and_hold_no_secret(path: Path) -> None:
    text = path.read_text(encoding="utf8")
    workflow = yaml.safe_load(text)
    used = [step["uses"] for job in workflow["jobs"].values() for step in job["steps"] if "uses" in step]
    assert all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", name) for name in used), used
    assert workflow["permissions"] == {}  # none, but what a job asks for
    assert all("timeout-minutes" in job for job in workflow["jobs"].values())
    assert not re.search(r"secrets\b|pull_request_target|workflow_run", text)
    if "pull_request" in workflow[True]:  # YAML's word for "on"
        for job in workflow["jobs"].values():
            kept_out = "github.event_name == 'push'" in job.get("if", "")
            assert kept_out or set(job["permissions"].items()) <= {("contents", "read")}


def test_a_new_chapter_runs_and_is_in_good_form(tmp_path: Path) -> None:
    (tmp_path / "book").mkdir()
    shutil.copy(ROOT / "_toc.yml", tmp_path)
    command = [sys.executable, ROOT / "tools/new_chapter.py", "97", "Scale space, again", "--folder", tmp_path]
    assert subprocess.run(command, capture_output=True, timeout=60).returncode == 0
    assert subprocess.run(command, capture_output=True, timeout=60).returncode == 1  # there is one now
    assert "      - file: book/97_scale_space_again\n" in (tmp_path / "_toc.yml").read_text(encoding="utf8")
    chapter = tmp_path / "book/97_scale_space_again.ipynb"
    install = next(cell for cell in nbformat.read(chapter, as_version=4).cells if cell.cell_type == "code").source
    assert install.endswith('%pip install -q "msvision @ git+' + ADDRESS + '@main"')  # and nothing else
    run = [sys.executable, ROOT / "tools/notebooks.py", "--run", chapter]
    result = subprocess.run(run, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
    ruff = [sys.executable, "-m", "ruff", "format", "--check", "--config", ROOT / "book/ruff.toml", chapter]
    assert subprocess.run(ruff, capture_output=True, timeout=60).returncode == 0
