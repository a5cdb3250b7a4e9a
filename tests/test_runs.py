"""``python -m msvision run book``, with throw-away chapters."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

from msvision import __main__, runs

PARAMETERS = 'PRESET = "cpu"\nSEED = 0'
KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}


def write(folder, name, code):
    """A chapter that notes in a file beside it that it ran, and how."""
    cells = [nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})]
    note = f'open("ran", "a").write(f"{name} {{PRESET}} {{SEED}}\\n")'
    cells += [nbformat.v4.new_code_cell(note), nbformat.v4.new_code_cell(code)]
    folder.mkdir(exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=KERNEL), folder / f"{name}.ipynb")


def ran(folder):
    """What was noted since the last time."""
    file = folder / "ran"
    lines = file.read_text().splitlines() if file.exists() else []
    file.unlink(missing_ok=True)
    return lines


def statuses(rows):
    return [row["status"] for row in rows]


@pytest.fixture
def book(tmp_path):
    folder = tmp_path / "book"
    for name in ("01_first", "02_second", "03_third"):
        write(folder, name, "print(6 * 7)")
    write(folder, "notes", "print('no chapter')")
    return folder


def test_finished_chapters_are_not_run_again_and_a_failure_stops_no_other(book, tmp_path, capsys):
    write(book, "02_second", "1 / 0")
    output = tmp_path / "out"
    command = ["run", "book", "--preset", "smoke", "--seed", "7", "--book", str(book), "--output", str(output)]

    assert __main__.main(command) == 1
    assert ran(book) == ["01_first smoke 7", "02_second smoke 7", "03_third smoke 7"]
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["chapter", "status", "seconds", "error"]
    assert [line.split()[:2] for line in lines] == [["01_first", "done"], ["02_second", "failed"], ["03_third", "done"]]
    assert lines[1].endswith("ZeroDivisionError: division by zero")
    kept = nbformat.read(output / "01_first.ipynb", 4)
    assert kept.cells[-1].outputs[0].text == "42\n"
    assert sorted(path.name for path in output.iterdir()) == [
        "01_first.ipynb",
        "02_second.unfinished.ipynb",
        "03_third.ipynb",
    ]
    assert "ZeroDivisionError" in (output / "02_second.unfinished.ipynb").read_text()

    write(book, "02_second", "print('mended')")
    write(book, "03_third", "print('changed')")
    assert __main__.main(command) == 0
    assert ran(book) == ["02_second smoke 7", "03_third smoke 7"]
    assert "01_first   done before" in capsys.readouterr().out
    assert sorted(path.name for path in output.iterdir()) == ["01_first.ipynb", "02_second.ipynb", "03_third.ipynb"]

    assert __main__.main(command) == 0
    assert ran(book) == []


def test_what_decides_whether_a_chapter_is_run_again(book, tmp_path, monkeypatch):
    options = {"output": tmp_path, "chapter": "01*", "folder": book}
    assert statuses(runs.book("smoke", **options)) == ["done"]
    assert statuses(runs.book("smoke", **options)) == ["done before"]
    assert statuses(runs.book("cpu", **options)) == ["done"]
    assert statuses(runs.book("cpu", seed=3, **options)) == ["done"]
    monkeypatch.setattr(runs, "__version__", "another")
    assert statuses(runs.book("cpu", seed=3, **options)) == ["done"]
    assert ran(book) == ["01_first smoke 0", "01_first cpu 0", "01_first cpu 3", "01_first cpu 3"]
    (tmp_path / "01_first.ipynb").write_text("{")  # somebody broke it
    assert statuses(runs.book("cpu", seed=3, **options)) == ["done"]


def test_killed_and_started_again(book, tmp_path):
    write(book, "02_second", "import os, time\nwhile not os.path.exists('go'):\n    time.sleep(0.05)")
    output = tmp_path / "out"
    command = [sys.executable, "-m", "msvision", "run", "book", "--book", str(book), "--output", str(output)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_for(lambda: (book / "ran").exists() and "02_second" in (book / "ran").read_text())
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert ran(book) == ["01_first cpu 0", "02_second cpu 0"]
    assert not (output / "02_second.ipynb").exists()
    wait_for(lambda: not members(process.pid))  # the kernel ends too

    (book / "go").touch()
    assert subprocess.run(command, capture_output=True, timeout=120).returncode == 0
    assert ran(book) == ["02_second cpu 0", "03_third cpu 0"]


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def members(group):
    """The processes of a group, without those that have ended."""
    listed = subprocess.run(["ps", "-eo", "pgid=,stat=,pid="], capture_output=True, text=True, check=True).stdout
    rows = map(str.split, listed.splitlines())
    return [int(pid) for of, state, pid in rows if int(of) == group and not state.startswith("Z")]


def test_kernels_find_the_data_from_the_folder_of_the_chapters(book, tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    write(book, "01_first", "import os\nassert os.path.isdir(os.environ['MSVISION_DATA'])")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MSVISION_DATA", "data")
    assert statuses(runs.book("smoke", chapter="01*", folder=book)) == ["done"]
    assert (tmp_path / "_build/runs/smoke/01_first.ipynb").exists()


def test_no_chapter(book, tmp_path, capsys):
    assert __main__.main(["run", "book", "--book", str(book), "--output", str(tmp_path), "--chapter", "12*"]) == 1
    assert capsys.readouterr().err == f"error: no chapter in {book} matches '12*'\n"


def test_without_papermill_the_extra_is_named(book, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "papermill", None)
    assert __main__.main(["run", "book", "--book", str(book)]) == 1
    assert capsys.readouterr().err == 'error: running the book needs papermill: pip install "msvision[book]"\n'


def test_the_chapters_of_this_book_are_found():
    assert Path(runs.BOOK, "01_image_pyramids.ipynb").exists()
