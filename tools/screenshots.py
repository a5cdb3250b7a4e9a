"""Pictures of built pages, to be looked at: ``python tools/screenshots.py 01_image_pyramids`` after ``make book SERVE=0``.

Writes wide, phone and dark pictures of whole pages to ``_build/screenshots``; ``--readme`` renews the picture in README.md.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parent.parent
SIZES = {"wide": (1280, "light"), "phone": (390, "light"), "dark": (1280, "dark")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pages", nargs="+", help="names of pages under book/, without .html")
    parser.add_argument("--readme", action="store_true", help="also renew the picture in README.md from the first page")
    args = parser.parse_args()
    browser_path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    target = ROOT / "_build" / "screenshots"
    target.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        for page_name in args.pages:
            for name, (width, scheme) in SIZES.items():
                page = browser.new_page(viewport={"width": width, "height": 1000}, color_scheme=scheme)
                page.goto((ROOT / "_build" / "html" / "book" / f"{page_name}.html").as_uri())
                page.wait_for_timeout(1500)  # mathematics is set after the page has loaded
                if args.readme and page_name == args.pages[0] and name == "wide":
                    page.screenshot(path=ROOT / "book" / "_static" / "chapter_1.png")
                file = target / f"{page_name}_{name}.png"
                page.screenshot(path=file, full_page=True)
                print(file.relative_to(ROOT))
                page.close()
        browser.close()


if __name__ == "__main__":
    main()
