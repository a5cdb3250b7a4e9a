"""Check a built site: every internal link, anchor and asset exists, nothing is loaded from another server, and every
picture has alternative text. ``python tools/check_site.py _build/html`` prints what is wrong."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

LOADS = {
    "script": "src",
    "img": "src",
    "link": "href",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
}
ONLY_NAMED = {"canonical", "alternate", "next", "prev"}  # <link rel=…> that a browser does not load
GENERATED_ALT = ("_images/", "jupyter_execute")  # what stands there when nobody wrote an alternative text


class Page(HTMLParser):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.without_alt: list[str] = []
        self.feed(path.read_text(encoding="utf8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {key: value or "" for key, value in attrs}
        self.ids |= {values[key] for key in ("id", "name") if values.get(key)}
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        if tag in LOADS and values.get(LOADS[tag]) and values.get("rel") not in ONLY_NAMED:
            self.loads.append(values[LOADS[tag]])
        if tag == "img" and (not values.get("alt") or any(text in values["alt"] for text in GENERATED_ALT)):
            self.without_alt.append(values.get("src", "")[:80])


def pages_of(root: Path) -> dict[Path, Page]:
    return {path.resolve(): Page(path) for path in sorted(root.rglob("*.html")) if "_static" not in path.parts}


def problems(root: Path) -> Iterator[str]:
    pages = pages_of(root)
    if not pages:
        yield f"no pages in {root}"
    for path, page in pages.items():
        name = path.relative_to(root.resolve())
        yield from (f"{name}: picture without alternative text: {source}" for source in page.without_alt)
        for url in dict.fromkeys(page.links + page.loads):
            if fault := fault_of(url, path, pages, url in page.loads):
                yield f"{name}: {fault} {url[:200]}"


def fault_of(url: str, path: Path, pages: dict[Path, Page], loaded: bool) -> str | None:
    parts = urlsplit(url)
    if parts.scheme or parts.netloc:
        return "loads from another server:" if loaded and parts.scheme != "data" else None
    target, fragment = urldefrag(unquote(url))
    target = target.split("?")[0]
    file = (path.parent / target).resolve() if target else path
    if not file.exists():
        return "link to a file that does not exist:"
    if fragment and file in pages and fragment not in pages[file].ids:
        return "link to an anchor that does not exist:"
    return None


def main() -> int:
    if len(sys.argv) != 2:
        sys.exit("usage: python tools/check_site.py _build/html")
    root = Path(sys.argv[1])
    found = list(problems(root))
    print("\n".join(found) or f"{len(pages_of(root))} pages: links, assets and alternative texts are good")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
