"""Downloads against a local server that breaks off, lies, forgets and refuses: whole and right, or not at all."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pooch
import pytest
import requests
from PIL import Image

from msvision import data
from msvision.__main__ import main
from msvision.data import download
from msvision.data.download import SOURCES, get

ARCHIVE = "kagglecatsanddogs_5340.zip"


class Server(ThreadingHTTPServer):
    """Serves ``files``; what goes wrong with each is said in ``faults``, and every request is noted in ``log``."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.faults, self.log, self.pause = {}, {}, [], 0.0
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/"

    def handle_error(self, request, client_address):
        pass  # a client that was killed


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def do_GET(self):
        name, server = self.path[1:], self.server
        wanted = self.headers.get("Range", "")
        server.log.append((name, wanted))
        faults = server.faults.get(name, [])
        fault = faults.pop(0) if faults else None
        if name not in server.files or fault == "absent":
            return self.send_error(404)
        if fault == "busy":
            return self.send_error(503)
        content, start = server.files[name], 0
        if wanted and fault != "no ranges":
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                return self.end_headers()
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if fault == "corrupted":
            content = content[:start] + bytes(byte ^ 1 for byte in content[start:])
        sent = content[start : start + (len(content) - start) // 2] if fault == "breaks off" else content[start:]
        for first in range(0, len(sent), 4096):
            self.wfile.write(sent[first : first + 4096])
            time.sleep(server.pause)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(pooch.core.time, "sleep", lambda seconds: None)  # the wait before another attempt
    with Server() as running:
        yield running
        running.shutdown()


@pytest.fixture
def camvid(server):
    """The source of a CamVid with four scenes."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 2), ("val", 1), ("test", 1)):
        for number in range(count):
            pixels, labels = rng.integers(0, 256, (90, 120, 3)), rng.integers(0, 12, (90, 120))
            server.files[f"{split}/{number}.png"] = encoded(pixels, "PNG")
            server.files[f"{split}annot/{number}.png"] = encoded(labels, "PNG")
    return replace(SOURCES["camvid"], url=server.url, checksums=checksums(server))


@pytest.fixture
def animals(server):
    """The source of an archive of animals, of which one is empty, one half a photograph and one plain text."""
    photographs = {}
    for number in (0, 1, 2, 9_999, 10_000, 11_249, 11_250, 12_499):
        pixels = np.random.default_rng(number).integers(0, 256, (150, 200, 3))
        photographs[f"PetImages/Cat/{number}.jpg"] = encoded(pixels, "JPEG")
        photographs[f"PetImages/Dog/{number}.jpg"] = encoded(255 - pixels, "JPEG")
    photographs["PetImages/Cat/1.jpg"] = b""
    photographs["PetImages/Dog/2.jpg"] = photographs["PetImages/Dog/2.jpg"][:900]
    photographs["PetImages/Dog/9999.jpg"] = b"not a photograph"
    photographs["PetImages/Cat/Thumbs.db"] = photographs["readme.txt"] = b"something else"
    return archived(server, photographs)


def encoded(pixels, kind):
    stream = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(stream, kind)
    return stream.getvalue()


def archived(server, members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    server.files[ARCHIVE] = stream.getvalue()
    return replace(SOURCES["cats_vs_dogs"], url=server.url, checksums=checksums(server))


def checksums(server):
    return {name: hashlib.sha256(content).hexdigest() for name, content in server.files.items()}


def everything_in(folder):
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file())


# -- as it should be -------------------------------------------------------------------------------------------------


def test_camvid_arrives_in_the_layout_that_is_read(camvid, server, tmp_path, monkeypatch):
    assert get("camvid", tmp_path, camvid) == tmp_path / "camvid"
    assert everything_in(tmp_path / "camvid") == sorted(server.files)
    assert everything_in(tmp_path) == [".camvid.lock", *sorted(f"camvid/{name}" for name in server.files)]
    monkeypatch.setenv("MSVISION_DATA", str(tmp_path))
    for split, count in (("train", 2), ("val", 1), ("test", 1)):
        scenes = data.camvid(split)
        assert len(scenes) == count
        image, labels = scenes[0]
        np.testing.assert_array_equal(np.round(255 * image), Image.open(io.BytesIO(server.files[f"{split}/0.png"])))
        np.testing.assert_array_equal(labels, Image.open(io.BytesIO(server.files[f"{split}annot/0.png"])))
    requests_made = len(server.log)
    get("camvid", tmp_path, camvid)
    get("camvid")
    assert len(server.log) == requests_made == 8


def test_animals_arrive_sorted_and_those_that_are_no_images_are_named(animals, tmp_path, monkeypatch, capsys):
    get("cats_vs_dogs", tmp_path, animals)
    said = capsys.readouterr().out
    assert "3 files of kagglecatsanddogs_5340.zip are not images and were left out" in said
    assert "PetImages/Cat/1.jpg, PetImages/Dog/2.jpg, PetImages/Dog/9999.jpg" in said
    assert everything_in(tmp_path / "cats_vs_dogs") == sorted(
        [f"{split}/{kind}/{kind}.{n}.jpg" for kind in ("cat", "dog")
         for split, numbers in (("train", (0,)), ("val", (10_000, 11_249)), ("test", (11_250, 12_499))) for n in numbers]
        + ["train/cat/cat.2.jpg", "train/cat/cat.9999.jpg", "train/dog/dog.1.jpg"]
    )  # fmt: skip
    assert os.listdir(tmp_path) == ["cats_vs_dogs"] or sorted(os.listdir(tmp_path)) == [
        ".cats_vs_dogs.lock",
        "cats_vs_dogs",
    ]
    monkeypatch.setenv("MSVISION_DATA", str(tmp_path))
    assert [int(label) for _, label in data.cats_vs_dogs("train")] == [0, 0, 0, 1, 1]


def test_the_manifest_is_that_of_the_whole_data_set():
    names = SOURCES["camvid"].checksums
    counts = {split: sum(name.startswith(f"{split}/") for name in names) for split in ("train", "val", "test")}
    assert counts == {"train": 367, "val": 101, "test": 233} and len(names) == 2 * 701
    assert all(name.replace("/", "annot/", 1) in names for name in names if "annot" not in name)
    assert all(len(checksum) == 64 for checksum in names.values())


# -- what goes wrong -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["breaks off", "corrupted", "busy"])
def test_a_fault_that_passes_is_not_noticed(animals, server, tmp_path, fault):
    server.faults[ARCHIVE] = [fault]
    get("cats_vs_dogs", tmp_path, animals)
    (_, first), (_, again) = server.log
    assert first == "" and (again != "") == (fault == "breaks off")
    if again:
        have = int(again.removeprefix("bytes=").removesuffix("-"))
        assert len(server.files[ARCHIVE]) // 2 - (1 << 16) < have <= len(server.files[ARCHIVE]) // 2


@pytest.mark.parametrize(
    "fault, error, message",
    [
        ("absent", FileNotFoundError, rf"{ARCHIVE} is not there any more \(HTTP 404\)"),
        ("busy", OSError, "^fetching cats_vs_dogs failed: 503 Server Error.*; run this again, it goes on from here$"),
        ("corrupted", ValueError, "does not match the known hash"),
        ("breaks off", OSError, "^fetching cats_vs_dogs failed: Connection broken: Incomp.*; run this again, it goes"),
    ],
)
def test_a_fault_that_stays_is_an_error_and_leaves_no_data_set(animals, server, tmp_path, fault, error, message):
    server.faults[ARCHIVE] = [fault] * 20
    with pytest.raises(error, match=message):
        get("cats_vs_dogs", tmp_path, animals)
    assert not (tmp_path / "cats_vs_dogs").exists()
    kept = [name for name in everything_in(tmp_path) if not name.endswith(".lock")]
    assert kept == ([f"cats_vs_dogs.part/{ARCHIVE}.part"] if fault == "breaks off" else [])
    assert len(server.log) == (1 if fault == "absent" else 1 + download.RETRIES)
    server.faults.clear()
    get("cats_vs_dogs", tmp_path, animals)
    assert len(everything_in(tmp_path / "cats_vs_dogs")) == 13


def test_a_server_that_does_not_answer_is_an_error_in_one_line(server, animals, tmp_path):
    server.server_close()
    server.shutdown()
    with pytest.raises(OSError, match=r"^fetching cats_vs_dogs failed: .*[Cc]onnection.*; run this again"):
        get("cats_vs_dogs", tmp_path, animals)


def test_an_interrupted_download_goes_on_where_it_was(animals, server, tmp_path, monkeypatch):
    whole = server.files[ARCHIVE]
    monkeypatch.setattr(requests.Response, "iter_content", stop_after(2, requests.Response.iter_content))
    with pytest.raises(KeyboardInterrupt):
        get("cats_vs_dogs", tmp_path, animals)
    monkeypatch.undo()
    part = tmp_path / "cats_vs_dogs.part" / f"{ARCHIVE}.part"
    have = part.stat().st_size
    assert 0 < have < len(whole) and part.read_bytes() == whole[:have]
    server.log.clear()
    get("cats_vs_dogs", tmp_path, animals)
    assert server.log == [(ARCHIVE, f"bytes={have}-")]


def stop_after(chunks, iter_content):
    def stopping(self, size):
        for number, chunk in enumerate(iter_content(self, 4096)):
            if number == chunks:
                raise KeyboardInterrupt
            yield chunk

    return stopping


def left_behind(folder, content):
    (folder / "cats_vs_dogs.part").mkdir()
    (folder / "cats_vs_dogs.part" / f"{ARCHIVE}.part").write_bytes(content)


def test_a_server_without_ranges_sends_all_of_it_again(animals, server, tmp_path):
    left_behind(tmp_path, server.files[ARCHIVE][:5000])
    server.faults[ARCHIVE] = ["no ranges"]
    get("cats_vs_dogs", tmp_path, animals)
    assert server.log == [(ARCHIVE, "bytes=5000-")]


def test_a_part_that_is_whole_or_wrong(animals, server, tmp_path):
    left_behind(tmp_path, server.files[ARCHIVE])
    get("cats_vs_dogs", tmp_path, animals)
    assert len(server.log) == 1
    for wrong in (b"wrong" * 1000, server.files[ARCHIVE] + b"and more"):
        (other := tmp_path / str(len(wrong))).mkdir()
        left_behind(other, wrong)
        server.log.clear()
        get("cats_vs_dogs", other, animals)
        assert server.log == [(ARCHIVE, f"bytes={len(wrong)}-"), (ARCHIVE, "")]


def test_one_missing_file_stops_many_and_those_that_came_are_kept(camvid, server, tmp_path):
    server.faults["val/0.png"] = ["absent"]
    with pytest.raises(FileNotFoundError, match=r"val/0\.png is not there any more"):
        get("camvid", tmp_path, camvid)
    assert not (tmp_path / "camvid").exists()
    arrived = {name for name in everything_in(tmp_path / "camvid.part") if not name.endswith(".part")}
    server.log.clear()
    get("camvid", tmp_path, camvid)
    assert {name for name, _ in server.log} == set(server.files) - arrived


def test_what_a_killed_attempt_left_does_not_stay(camvid, tmp_path):
    for name in ("train/tmpabc", "val/7.png.part", "stray.png"):
        (tmp_path / "camvid.part" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "camvid.part" / name).write_bytes(b"left")
    get("camvid", tmp_path, camvid)
    assert len(everything_in(tmp_path / "camvid")) == 8


@pytest.mark.parametrize("name", ["../outside.jpg", "/outside.jpg", "PetImages/../../outside.jpg", "..\\outside.jpg"])
def test_an_archive_that_reaches_outside_is_refused(server, tmp_path, name):
    source = archived(server, {"PetImages/Cat/1.jpg": encoded(np.zeros((9, 9, 3)), "JPEG"), name: b"outside"})
    with pytest.raises(ValueError, match="must stay in its folder"):
        get("cats_vs_dogs", tmp_path / "inner", source)
    assert not any("outside" in name or name.endswith(".jpg") for name in everything_in(tmp_path))


def test_another_archive_is_refused(server, tmp_path):
    source = archived(server, {"README": b""})
    with pytest.raises(ValueError, match="must hold PetImages/Cat and PetImages/Dog"):
        get("cats_vs_dogs", tmp_path, source)


class Full:
    """A file on a disk with room for so many bytes."""

    def __init__(self, file, room):
        self.file, self.room = file, room

    def __enter__(self):
        return self

    def __exit__(self, *arguments):
        self.file.close()

    def write(self, content):
        self.file.write(content[: self.room])
        if len(content) > self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.room -= len(content)


@pytest.mark.parametrize("when", ["fetching", "unpacking"])
def test_a_full_disk_is_said_and_leaves_no_data_set(animals, server, tmp_path, monkeypatch, when):
    opened = Path.open

    def full(path, mode="r", *arguments, **keywords):
        file = opened(path, mode, *arguments, **keywords)
        fills = path.suffix == ".part" if when == "fetching" else path.suffix == ".jpg"
        return Full(file, 3000 if when == "fetching" else 100) if fills and mode != "r" else file

    def written(path, content):
        with full(path, "wb") as file:
            file.write(content)

    monkeypatch.setattr(Path, "open", full)
    monkeypatch.setattr(Path, "write_bytes", written)
    with pytest.raises(OSError, match=r"no space left for cats_vs_dogs in .*: make room and run this again") as raised:
        get("cats_vs_dogs", tmp_path, animals)
    assert raised.value.errno == errno.ENOSPC
    monkeypatch.undo()
    assert not (tmp_path / "cats_vs_dogs").exists()
    kept = f"{ARCHIVE}.part" if when == "fetching" else ARCHIVE
    assert everything_in(tmp_path / "cats_vs_dogs.part") == [kept]
    server.log.clear()
    get("cats_vs_dogs", tmp_path, animals)
    assert server.log == ([(ARCHIVE, "bytes=3000-")] if when == "fetching" else [])


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full on this system")
def test_a_disk_that_is_really_full(animals, tmp_path):
    (tmp_path / "cats_vs_dogs.part").mkdir()
    (tmp_path / "cats_vs_dogs.part" / f"{ARCHIVE}.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match="no space left for cats_vs_dogs"):
        get("cats_vs_dogs", tmp_path, animals)


# -- more than one process -------------------------------------------------------------------------------------------

PROCESS = """
import sys
from dataclasses import replace
from msvision.data.download import SOURCES, get
name, folder, url, checksums = sys.argv[1], sys.argv[2], sys.argv[3], eval(sys.argv[4])
print(get(name, folder, replace(SOURCES[name], url=url, checksums=checksums)))
"""


def started(name, folder, source):
    arguments = [sys.executable, "-c", PROCESS, name, str(folder), source.url, repr(source.checksums)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("name", ["camvid", "cats_vs_dogs"])
def test_two_processes_fetch_it_once(request, server, tmp_path, name):
    source = request.getfixturevalue("camvid" if name == "camvid" else "animals")
    server.pause = 0.01
    processes = [started(name, tmp_path, source) for _ in range(2)]
    for process in processes:
        said, complaint = process.communicate(timeout=60)
        assert process.returncode == 0 and said.strip().endswith(str(tmp_path / name)), complaint
    assert sorted(name for name, _ in server.log) == sorted(server.files)


def test_killed_at_any_moment_it_ends_whole(camvid, server, tmp_path):
    server.pause = 0.02
    killed = 0
    for wait in (0.1, 0.2, 0.3, 0.2):
        asked, process = len(server.log), started("camvid", tmp_path, camvid)
        while len(server.log) == asked and process.poll() is None:
            time.sleep(0.005)
        time.sleep(wait)
        process.send_signal(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
        process.communicate()
        killed += process.returncode != 0
        assert not (tmp_path / "camvid").exists() or everything_in(tmp_path / "camvid") == sorted(server.files)
    assert killed
    server.pause = 0.0
    get("camvid", tmp_path, camvid)
    assert {name: (tmp_path / "camvid" / name).read_bytes() for name in server.files} == server.files
    assert sorted(os.listdir(tmp_path)) == [".camvid.lock", "camvid"]


# -- the command -----------------------------------------------------------------------------------------------------


def test_the_command_lists_and_gets(camvid, animals, server, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MSVISION_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setitem(SOURCES, "camvid", camvid)
    assert main(["data", "list"]) == 0
    said = capsys.readouterr().out
    assert "not on this machine; python -m msvision data get camvid" in said
    for name in ("camvid", "cats_vs_dogs"):
        assert SOURCES[name].licence in said and SOURCES[name].citation in said
    assert main(["data", "get", "camvid"]) == 0
    said = capsys.readouterr().out
    assert str(tmp_path / "camvid") in said and camvid.licence in said and camvid.citation in said
    assert main(["data", "list"]) == 0
    assert str(tmp_path / "camvid") in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, status, message",
    [
        (["data", "get", "imagenet"], 1, "error: name must be 'camvid' or 'cats_vs_dogs', got 'imagenet'"),
        (["data", "get", "cats_vs_dogs"], 1, "is not there any more (HTTP 404)"),
    ],
)
def test_the_command_says_what_is_wrong(server, tmp_path, monkeypatch, capsys, arguments, status, message):
    monkeypatch.setenv("MSVISION_DATA", str(tmp_path))
    monkeypatch.setitem(SOURCES, "cats_vs_dogs", replace(SOURCES["cats_vs_dogs"], url=server.url))
    assert main(arguments) == status
    assert message in capsys.readouterr().err


def test_the_command_can_be_stopped(monkeypatch, capsys):
    def stopped(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(download, "get", stopped)
    assert main(["data", "get", "camvid"]) == 130
    assert "the same command goes on from here" in capsys.readouterr().err


def test_without_a_command_it_says_what_there_is():
    shown = subprocess.run([sys.executable, "-m", "msvision"], capture_output=True, text=True, timeout=60)
    assert shown.returncode == 2 and "usage: python -m msvision" in shown.stderr
