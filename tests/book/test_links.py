"""``make links`` finds addresses that nobody answers at or that are gone, and passes those that turn only programs away."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINKCHECKER = shutil.which("linkchecker", path=str(Path(sys.executable).parent))


class Server(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response({"/there": 200, "/people-only": 403}.get(self.path, 404))
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def address():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.mark.skipif(LINKCHECKER is None, reason="linkchecker is not installed: make links installs it")
def test_the_check_finds(address: str) -> None:
    nobody = "http://127.0.0.1:9/nobody"
    good, bad = [f"{address}/there", f"{address}/people-only"], [f"{address}/gone", f"{address}/gone-too", nobody]
    with tempfile.TemporaryDirectory() as folder:
        page, text = Path(folder, "page.html"), Path(folder, "page.md")
        page.write_text("".join(f'<a href="{url}">x</a>' for url in [*good, bad[0], nobody]), encoding="utf8")
        text.write_text(f"[x]({good[0]}) and [y]({bad[1]})", encoding="utf8")
        Path(folder).chmod(0o755)  # where root starts it, linkchecker goes on as nobody
        command = [LINKCHECKER, "--config", ROOT / "tools/links.ini", page, text]
        result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 1
    assert sorted(re.findall(r"Real URL +(\S+)", result.stdout)) == sorted(bad)
