"""No page is heavy, and each is seen at once."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from test_site import open_page, tab

MOST, SOONEST = 3_000_000, 1000  # bytes with all that a page loads, as servers send it; milliseconds, from disk
TEXT = {".html", ".js", ".css", ".svg", ".json"}  # which servers compress
FIRST_VIEW = """() => new Promise((done) => new PerformanceObserver((list) => {
    const seen = list.getEntries().find((entry) => entry.name === "first-contentful-paint");
    if (seen) done(seen.startTime);
}).observe({ type: "paint", buffered: true }))"""

pytestmark = pytest.mark.book


def sent(file: Path) -> int:
    return len(gzip.compress(file.read_bytes(), 6)) if file.suffix in TEXT else file.stat().st_size


def opened(browser, path: Path) -> tuple[int, float]:
    """Bytes of all files that a page loads, and the milliseconds until it shows text or a picture."""
    with tab(browser) as page:
        files = set()
        page.on(
            "request",
            lambda request: files.add(unquote(urlsplit(request.url).path)) if "file:" in request.url[:5] else None,
        )
        open_page(page, path.as_uri())
        # pictures further down are loaded when they are reached
        page.evaluate("document.querySelectorAll('img[loading=lazy]').forEach((image) => { image.loading = 'eager' })")
        page.wait_for_function("[...document.images].every((image) => image.complete)")
        return sum(map(sent, map(Path, files))), page.evaluate(FIRST_VIEW)


def pages(site: Path) -> list[Path]:
    return sorted(site.glob("book/*.html")) + sorted(site.glob("book/reference/**/*.html"))


def test_every_page_is_light_and_seen_at_once(browser, site: Path) -> None:
    faults, alone = [], "PYTEST_XDIST_WORKER" not in os.environ  # beside other tests, time says nothing
    for path in pages(site):
        size, waited = opened(browser, path)
        for _ in range(2 * alone):  # a browser that has just started is slow
            waited = min(waited, opened(browser, path)[1]) if waited >= SOONEST else waited
        if size > MOST or (alone and waited >= SOONEST):
            faults.append(f"{path.relative_to(site)}: {size / 1e6:.2f} MB, first view after {waited:.0f} ms")
    assert not faults
