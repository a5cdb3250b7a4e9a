"""Every chapter is stored in the one form that is committed, and has the cells that the book relies on."""

from __future__ import annotations

import ast
import re
import runpy
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = sorted(ROOT.glob("book/[0-9]*.ipynb"))
FRAMEWORKS = ("torch", "tensorflow")
problems = runpy.run_path(str(ROOT / "tools/notebooks.py"))["problems"]
seeds = runpy.run_path(str(ROOT / "tools/fresh_seeds.py"))


@pytest.fixture(params=CHAPTERS, ids=lambda path: path.stem)
def chapter(request) -> Path:
    return request.param


def cells(path: Path) -> list:
    return nbformat.read(path, as_version=4).cells


def tags(cell) -> list[str]:
    return cell.metadata.get("tags", [])


def test_chapters_are_in_the_table_of_contents() -> None:
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf8"))
    listed = [entry["file"] for part in contents["parts"] for entry in part["chapters"]]
    assert CHAPTERS
    assert [name for name in listed if name[5:6].isdigit()] == [f"book/{path.stem}" for path in CHAPTERS]
    home = (ROOT / "book/intro.md").read_text(encoding="utf8")
    assert re.findall(r"^\d+\. \[.+\]\((.+?)\)", home, re.MULTILINE) == [path.name for path in CHAPTERS]


def test_form(chapter: Path) -> None:
    command = [sys.executable, ROOT / "tools/notebooks.py", "--check", chapter]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr


def test_first_code_cell_installs_in_colab_only(chapter: Path) -> None:
    repository = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf8"))["repository"]
    cell = next(cell for cell in cells(chapter) if cell.cell_type == "code")
    assert f"msvision @ git+{repository['url']}@{repository['branch']}" in cell.source
    lines = cell.source.splitlines()
    guard = next(n for n, line in enumerate(lines) if line.startswith("if ") and "google.colab" in line)
    assert all(line.startswith("    ") for line in lines if line.lstrip().startswith(("%", "!")))
    assert guard < next(n for n, line in enumerate(lines) if "%pip" in line)
    assert "remove-cell" in tags(cell)
    assert not cell.outputs


def test_one_parameters_cell(chapter: Path) -> None:
    found = [cell for cell in cells(chapter) if "parameters" in tags(cell)]
    assert len(found) == 1
    names = {target.id for node in ast.parse(found[0].source).body for target in node.targets}
    assert {"PRESET", "SEED"} <= names
    assert 'PRESET = "cpu"' in found[0].source, "the outputs that are committed come from the cpu preset"


def runs(chapter: Path) -> list[list[str]]:
    """Frameworks of the tagged cells, one list for each stretch of them that nothing interrupts."""
    stretches: list[list[str]] = [[]]
    for cell in cells(chapter):
        found = [framework for framework in FRAMEWORKS if framework in tags(cell)]
        assert len(found) < 2, f"cell {cell.id} belongs to two frameworks"
        if "one-framework" in tags(cell):
            continue
        if found:
            stretches[-1] += found
        elif stretches[-1]:
            stretches.append([])
    return [stretch for stretch in stretches if stretch]


def test_frameworks_come_in_pairs(chapter: Path) -> None:
    assert runs(chapter)
    for stretch in runs(chapter):
        blocks = re.sub(r"(torch )+", "t", re.sub(r"(tensorflow )+", "k", "".join(f"{name} " for name in stretch)))
        assert re.fullmatch("(tk)+", blocks), f"PyTorch, then TensorFlow, each time: {stretch}"


# -- the check itself finds what it is there for ---------------------------------------------------------------------


def damaged(fault: str):
    """A notebook in good form but for one fault."""
    cell = nbformat.v4.new_code_cell("1 + 1", id="cell-1", execution_count=1)
    cell.outputs = [nbformat.v4.new_output("execute_result", {"text/plain": "2"}, execution_count=1)]
    metadata = {
        "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    notebook = nbformat.v4.new_notebook(cells=[cell], metadata=metadata)
    notebook.nbformat_minor = 5
    data = cell.outputs[0].data
    if fault == "not run":
        cell.execution_count, cell.outputs = None, []
    elif fault == "semicolon":
        cell.source += ";"
    elif fault == "time stamps":
        cell.metadata["execution"] = {"iopub.execute_input": "2026-01-01"}
    elif fault == "papermill":
        notebook.metadata["papermill"] = {}
    elif fault == "no alternative text":
        data["image/png"] = "AAAA"
    elif fault == "large picture":
        cell.metadata["mystnb"] = {"image": {"alt": "noise"}}
        data["image/png"] = "A" * 300_000
    elif fault == "folder":
        data["text/plain"] = "'/" + "home/reader/x.npy'"
    elif fault == "stderr":
        cell.outputs.insert(0, nbformat.v4.new_output("stream", name="stderr", text="warning"))
    elif fault == "error":
        cell.outputs = [nbformat.v4.new_output("error", ename="ValueError", evalue="", traceback=[])]
    elif fault == "claim":  # not a fault: this output is ours and stays
        data["application/vnd.msvision.claim+json"] = {"sentence": "a", "measured": "1", "bound": "at most 2"}
    return notebook


FAULTS = [
    "not run",
    "semicolon",
    "time stamps",
    "papermill",
    "no alternative text",
    "large picture",
    "folder",
    "stderr",
    "error",
]


@pytest.mark.parametrize("fault", FAULTS)
def test_check_finds(fault: str, tmp_path: Path) -> None:
    nbformat.write(damaged(fault), tmp_path / "x.ipynb")
    assert len(list(problems(tmp_path / "x.ipynb"))) == 1


@pytest.mark.parametrize("fault", ["none", "claim"])
def test_check_accepts(fault: str, tmp_path: Path) -> None:
    nbformat.write(damaged(fault), tmp_path / "x.ipynb")
    assert not list(problems(tmp_path / "x.ipynb"))


def exercises(chapter: Path) -> dict[tuple[str, str], list[str]]:
    """What each self-check shows, by the number of its exercise and the kind of cell it stands in."""
    shown: dict[tuple[str, str], list[str]] = {}
    for cell in cells(chapter):
        kind = next((tag for tag in ("self-check", "solution") if tag in tags(cell)), None)
        for output in cell.get("outputs", []) if kind else []:
            text = output["data"]["text/plain"]
            shown.setdefault((re.match(r"Exercise ([\d.]+\d)", text)[1], kind), []).append(text)
    return shown


def test_exercises_are_open_and_their_solutions_right(chapter: Path) -> None:
    shown = exercises(chapter)  # as committed, which nbval compares with what the cells show when they are run
    numbers = {number for number, _ in shown}
    assert len(numbers) >= 5
    for number in numbers:
        assert all("is open: " in text for text in shown[number, "self-check"])
        assert all(text.endswith("is solved.") for text in shown[number, "solution"])
        assert len(shown[number, "self-check"]) == len(shown[number, "solution"])


def test_every_claim_held_under_ten_fresh_seeds(chapter: Path) -> None:
    tried, held = seeds["measured"](chapter), seeds["held"](chapter)
    assert set(held) == set(tried), f"some fail: python tools/fresh_seeds.py {chapter.relative_to(ROOT)}"
    if len(held) < 10:
        pytest.skip(f"{len(held)} of 10 so far: python tools/fresh_seeds.py {chapter.relative_to(ROOT)}")


def test_smoke_preset_runs_anywhere(chapter: Path, tmp_path: Path) -> None:
    papermill = pytest.importorskip("papermill")
    notebook = papermill.execute_notebook(
        chapter, tmp_path / "out.ipynb", {"PRESET": "smoke", "SEED": 7}, cwd=tmp_path, progress_bar=False
    )
    assert not [
        output for cell in notebook.cells for output in cell.get("outputs", []) if output.output_type == "error"
    ]
