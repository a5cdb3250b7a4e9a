"""What the tests of the book share: where things are, and the built site with a browser to read it in."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def sources() -> list[Path]:
    """The files that the site is made from."""
    patterns = ("*.md", "*.ipynb", "reference/*", "_ext/*.py", "_static/*")
    book = [path for pattern in patterns for path in ROOT.glob(f"book/{pattern}")]
    return [ROOT / "_config.yml", ROOT / "_toc.yml", *book, *ROOT.glob("msvision/**/*.py")]


@pytest.fixture(scope="session")
def site() -> Path:
    """Folder of the site, built as `make book` does it where it is missing or older than what it is made from."""
    html, first = ROOT / "_build/html", ROOT / "_build/html/index.html"
    if not first.is_file() or first.stat().st_mtime < max(path.stat().st_mtime for path in sources()):
        shutil.rmtree(html, ignore_errors=True)
        program = Path(sys.executable).with_name("jupyter-book")
        command = [program, "build", ".", "-W", "--keep-going", "-n"]
        built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
        assert built.returncode == 0, built.stdout[-3000:] + built.stderr[-3000:]
        first.touch()
    return html


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="session")
def address(site: Path):
    """Address of a server of the site that lives as long as the tests."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def unavailable(reason: str) -> None:
    """Skip, or fail where the tests in a browser are required."""
    if os.environ.get("MSVISION_REQUIRE_BROWSER") == "1":
        pytest.fail(f"{reason}, and MSVISION_REQUIRE_BROWSER=1")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def browser():
    program = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if program is None:
        unavailable("no Chromium on this machine, so the pages are not opened")
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        unavailable("playwright is not installed, so the pages are not opened")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield chromium
        chromium.close()
