"""The built site: complete in itself, readable by everyone, on a phone, in the dark, on paper, without JavaScript."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parents[2]
CHAPTER, API = "book/01_image_pyramids.html", "book/reference/api/pyramids.html"
HOME, GLOSSARY, ERRATA = "book/intro.html", "book/reference/glossary.html", "book/reference/errata.html"
LEFT_ALONE = ["code", "pre", "table", "figure", "h1", "h2", "h3", "h4", "mjx-container"]  # no term in them is a link
VIEWS = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}},
}
PUBLIC = {name: importlib.import_module(f"msvision.{name}").__all__ for name in ("torch", "tensorflow")}
STANDARD = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]

pytestmark = pytest.mark.book


@contextmanager
def tab(browser, **settings):
    """A page of a fresh reader, who has chosen nothing yet."""
    context = browser.new_context(**settings)
    try:
        yield context.new_page()
    finally:
        context.close()


def open_page(page, url: str) -> None:
    page.goto(url, wait_until="load")
    page.evaluate("async () => { await window.MathJax?.startup?.promise; await document.fonts.ready; }")


@pytest.fixture(scope="module")
def names(site: Path) -> list[str]:
    """All pages but the redirect at the root, and the sources of the package, of which one stands for all."""
    listed = sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html") if "_static" not in path.parts)
    code = [name for name in listed if name.startswith("_modules/msvision")]
    return [name for name in listed if name != "index.html" and name not in code[1:]]


def test_links_assets_and_alternative_texts(site: Path) -> None:
    command = [sys.executable, ROOT / "tools/check_site.py", site]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("fault", "body"),
    [
        ("link", '<a href="missing.html">x</a>'),
        ("anchor", '<a href="#missing">x</a>'),
        ("asset", '<img src="missing.png" alt="x">'),
        ("other server", '<script src="https://example.org/x.js"></script>'),
        ("alternative text", '<img src="data:image/png;base64,AAAA">'),
    ],
)
def test_the_check_finds(fault: str, body: str, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(f"<html><body>{body}</body></html>", encoding="utf8")
    command = [sys.executable, ROOT / "tools/check_site.py", tmp_path]
    assert subprocess.run(command, capture_output=True, timeout=60).returncode == 1, fault


def test_names_no_folder_of_this_machine(site: Path) -> None:
    pages = [path for path in site.rglob("*.html") if "_static" not in path.parts]
    assert not [path.name for path in pages if str(ROOT) + "/" in path.read_text(encoding="utf8")]


def test_pages_ask_no_other_server_and_report_no_error(browser, address: str, names: list[str]) -> None:
    faults: list[str] = []
    with tab(browser) as page:
        own = (f"{address}/", "data:", "blob:")

        def report(wrong: bool, text: str) -> None:
            if wrong:
                faults.append(f"{page.url}: {text}")

        page.on("request", lambda request: report(not request.url.startswith(own), f"asks {request.url}"))
        page.on("response", lambda answer: report(answer.status >= 400, f"{answer.status} {answer.url}"))
        page.on("console", lambda message: report(message.type == "error", message.text))
        page.on("pageerror", lambda error: report(True, str(error)))
        page.goto(f"{address}/index.html")
        page.wait_for_url(f"{address}/book/intro.html")
        for name in names:
            open_page(page, f"{address}/{name}")
    assert not faults


def test_no_script_runs_but_those_of_the_site(browser, address: str, site: Path, names: list[str]) -> None:
    assert not [
        name for name in names if "default-src 'none'; script-src 'self'" not in (site / name).read_text("utf8")
    ]
    foreign = '<script>window.foreign = 1</script><img src="x" onerror="window.foreign = 1">'
    with tab(browser) as page:
        page.route("**/book/intro.html", lambda route: route.fulfill(
            body=(site / "book/intro.html").read_text("utf8").replace("</article>", f"{foreign}</article>", 1),
            content_type="text/html; charset=utf-8",
        ))  # fmt: skip
        refused: list[str] = []
        page.on("console", lambda message: refused.append(message.text))
        open_page(page, f"{address}/book/intro.html")
        assert page.evaluate("window.foreign") is None
        assert len([text for text in refused if "Content Security Policy" in text]) == 2


@pytest.mark.parametrize("view", VIEWS)
def test_accessibility(browser, address: str, names: list[str], view: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    axe, faults = Axe(), []
    with tab(browser, **VIEWS[view]) as page:
        for name in names:
            open_page(page, f"{address}/{name}")
            found = axe.run(page, options={"runOnly": STANDARD, "resultTypes": ["violations"]}).response["violations"]
            faults += [f"{name}: {rule['id']}: {node['html'][:200]}" for rule in found for node in rule["nodes"]]
    assert not faults, "\n".join(faults)


def test_nothing_scrolls_sideways_on_a_phone(browser, address: str, names: list[str]) -> None:
    wide = []
    with tab(browser, viewport={"width": 360, "height": 740}) as page:
        for name in names:
            open_page(page, f"{address}/{name}")
            width = page.evaluate("Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)")
            page.evaluate("window.scrollTo(200, 0)")
            if width > 360 or page.evaluate("window.scrollX") > 0:
                wide.append(f"{name}: {width} pixels")
    assert not wide


def test_the_ratios_of_how_fast_are_seen_on_a_phone(browser, address: str) -> None:
    with tab(browser, viewport={"width": 390, "height": 844}) as page:
        open_page(page, f"{address}/book/reference/speed.html")
        for title in ("What", "Theirs / ours"):
            box = page.locator("table.msv-benchmarks th", has_text=title).first.bounding_box()
            assert box["x"] >= 0 and box["x"] + box["width"] <= 390, title


# -- the two frameworks ----------------------------------------------------------------------------------------------


def shown(page) -> set[str]:
    """Frameworks whose code a reader sees on the page."""
    return set(
        page.evaluate(
            """() => [...document.querySelectorAll(".framework-tabs > label")]
                 .filter((label) => label.nextElementSibling.checkVisibility())
                 .map((label) => label.textContent.trim())"""
        )
    )


def test_choosing_a_framework_switches_all_tabs_and_holds(browser, address: str) -> None:
    with tab(browser) as page:
        open_page(page, f"{address}/{HOME}?framework=tensorflow")
        assert shown(page) == {"TensorFlow"}
        page.locator(".framework-tabs > label", has_text="PyTorch").click()
        open_page(page, f"{address}/{CHAPTER}")
        assert page.locator(".framework-tabs").count() > 1
        assert shown(page) == {"PyTorch"}
        page.locator(".framework-tabs > label", has_text="TensorFlow").first.click()
        assert shown(page) == {"TensorFlow"}
        open_page(page, f"{address}/{API}")
        open_page(page, f"{address}/{CHAPTER}")
        assert shown(page) == {"TensorFlow"}


def test_choosing_a_framework_by_keyboard(browser, address: str) -> None:
    with tab(browser) as page:
        open_page(page, f"{address}/{CHAPTER}")
        page.locator(".framework-tabs > input").first.focus()
        page.keyboard.press("ArrowRight")
        assert page.locator(".framework-tabs > input").nth(1).is_checked()


@pytest.mark.parametrize(("framework", "label"), [("torch", "PyTorch"), ("tensorflow", "TensorFlow")])
def test_the_address_chooses_a_framework(browser, address: str, framework: str, label: str) -> None:
    with tab(browser) as page:
        open_page(page, f"{address}/{CHAPTER}?framework={framework}")
        assert shown(page) == {label}


def test_both_frameworks_without_javascript(browser, address: str) -> None:
    with tab(browser, java_script_enabled=False) as page:
        page.goto(f"{address}/{CHAPTER}", wait_until="load")
        labels, bodies = page.locator(".framework-tabs > label"), page.locator(".framework-tabs > .sd-tab-content")
        assert {text.strip() for text in labels.all_inner_texts()} == {"PyTorch", "TensorFlow"}
        assert all(label.is_visible() for label in labels.all())
        assert all(body.is_visible() for body in bodies.all())


def test_both_frameworks_on_paper(browser, address: str, names: list[str]) -> None:
    with tab(browser) as page:
        page.emulate_media(media="print")
        for name in [HOME, *(name for name in names if name[5:6].isdigit())]:
            open_page(page, f"{address}/{name}?framework=tensorflow")
            assert shown(page) == {"PyTorch", "TensorFlow"}, name


@pytest.mark.parametrize("width", [1280, 390])
def test_the_home_page_shows_in_one_screen_what_the_book_is(browser, address: str, width: int) -> None:
    with tab(browser, viewport={"width": width, "height": 800}) as page:
        open_page(page, f"{address}/{HOME}")
        for what in ("h1", "p", "img", ".framework-tabs pre >> visible=true", ".msv-claim"):
            box = page.locator(f"article {what}").first.bounding_box()
            assert box["y"] + box["height"] <= 800, what


# -- the page --------------------------------------------------------------------------------------------------------


def test_formulas_are_set(browser, address: str) -> None:
    with tab(browser) as page:
        open_page(page, f"{address}/{CHAPTER}")
        assert page.locator("mjx-container").count() > 0
        assert page.locator("mjx-merror").count() == 0
        assert "$$" not in page.locator("article").inner_text()


def test_every_icon_is_drawn(browser, address: str, names: list[str]) -> None:
    """Where the script of the icons lacks one, it draws a question mark that moves."""
    missing, drawn = [], 0
    with tab(browser) as page:
        for name in names:
            open_page(page, f"{address}/{name}")
            page.wait_for_selector("svg.svg-inline--fa", state="attached")
            drawn += page.locator("svg.svg-inline--fa > path").count()
            missing += [f"{name}: {icon}" for icon in page.eval_on_selector_all(
                "svg.svg-inline--fa:not(:has(> path))", "found => found.map((icon) => icon.outerHTML.slice(0, 80))"
            )]  # fmt: skip
    assert drawn > len(names) and not missing


def test_figures_keep_their_brightness_in_the_dark(browser, address: str) -> None:
    with tab(browser, color_scheme="dark") as page:
        open_page(page, f"{address}/{CHAPTER}")
        style = "(e) => [getComputedStyle(e).filter, getComputedStyle(e).backgroundColor]"
        look = page.locator(".cell_output img").first.evaluate(style)
        assert look == ["none", "rgb(255, 255, 255)"]


def read(page: Path) -> BeautifulSoup:
    return BeautifulSoup(page.read_text(encoding="utf8"), "html.parser")


@pytest.fixture(scope="module")
def chapters(site: Path) -> dict[str, BeautifulSoup]:
    return {path.name: read(path).article for path in sorted(site.glob("book/[0-9]*.html"))}


def test_every_claim_is_listed(site: Path, chapters: dict[str, BeautifulSoup]) -> None:
    cells = read(site / "book/reference/claims.html").select("table.msv-claims tbody td:first-child")
    listed = [cell.get_text().strip() for cell in cells]
    for chapter, text in chapters.items():
        made = [claim.get_text().strip() for claim in text.select(".msv-claim-sentence")]
        assert made and not set(made) - set(listed), chapter
    assert len(listed) == sum(len(text.select(".msv-claim-sentence")) for text in chapters.values())


def test_every_public_name_says_which_chapter_teaches_it_and_that_chapter_names_it(
    site: Path, chapters: dict[str, BeautifulSoup]
) -> None:
    entries = {term["id"]: term.parent for page in site.glob("book/reference/api/*.html")
               for term in read(page).select("dl.py > dt[id]")}  # fmt: skip
    listed = {
        chapter: {a["href"].partition("#")[2] for a in text.select(".msv-names a")}
        for chapter, text in chapters.items()
    }
    for name in (f"msvision.{framework}.{name}" for framework in PUBLIC for name in PUBLIC[framework]):
        said = next((p for p in entries[name].select("p") if p.get_text().startswith("In the book.")), None)
        assert said, f"no chapter teaches {name}"
        users = {Path(a["href"]).name for a in said.select("a")}
        assert users == {chapter for chapter in listed if name in listed[chapter]}, name


def test_every_erratum_has_a_link_and_a_test_that_shows_it(site: Path) -> None:
    entries = [p for p in read(site / ERRATA).article.select("p") if p.strong and p.contents[0] is p.strong]
    assert len(entries) >= 20
    for entry in entries:
        links = [a["href"] for a in entry.select("a.external")]
        tests = [link for link in links if "/blob/main/tests/" in link]
        assert tests and len(links) > len(tests), entry.strong.get_text()


def test_chapters_have_the_numbers_of_their_files(browser, address: str, names: list[str]) -> None:
    chapters = [name for name in names if name[5:6].isdigit()]
    with tab(browser) as page:
        open_page(page, f"{address}/{CHAPTER}")
        listed = page.locator(".bd-sidebar .nav a").evaluate_all(
            "all => all.map((a) => [a.href, a.textContent.trim()])"
        )
        for name in chapters:
            number = str(int(name[5:7]))
            label = next(text for href, text in listed if href.partition("#")[0].endswith(name))
            assert label.startswith(f"{number}. "), name
            open_page(page, f"{address}/{name}")
            assert page.locator("h1 .section-number").inner_text().strip() == f"{number}.", name


def test_the_first_use_of_a_term_leads_to_the_glossary(browser, address: str) -> None:
    with tab(browser) as page:
        open_page(page, f"{address}/{CHAPTER}")
        link = page.locator("a:has(> .msv-term)", has_text="Nyquist limit")
        assert link.count() == 1
        link.click()
        page.wait_for_url("**/glossary.html#term-Nyquist-limit")


def test_the_first_use_of_every_term_in_every_chapter_leads_to_the_glossary(
    site: Path, chapters: dict[str, BeautifulSoup], monkeypatch
) -> None:
    """In the text: titles, code, tables and what is a link already are left alone, in bold and italics all but terms."""
    monkeypatch.syspath_prepend(ROOT / "book/_ext")
    anchors = {term.find(string=True).strip(): term["id"] for term in read(site / GLOSSARY).select(".glossary dt")}
    forms = {term: term for term in anchors} | importlib.import_module("cross_links").OTHER_FORMS
    assert set(anchors) == set(forms.values()) - {None}
    longest = sorted(forms, key=len, reverse=True)
    words = re.compile("|".join(rf"(\b{re.escape(form)}s?\b)" for form in longest), re.IGNORECASE)
    for chapter, text in chapters.items():
        firsts: dict[str, tuple[str, str]] = {}  # the words, and where they lead
        for part in (part for paragraph in text.select("p") for part in paragraph.find_all(string=True)):
            link, marked = part.find_parent("a"), part.find_parent(["em", "strong"])
            if part.find_parent(LEFT_ALONE) or (link and not link.select(".msv-term")):
                continue
            for match in words.finditer(part):
                form = longest[match.lastindex - 1]
                short = form != form.lower() and " " not in form  # which means something else in other letters
                if not (short and not match[0].startswith(form)) and (not marked or match[0] == marked.get_text()):
                    firsts.setdefault(forms[form], (match[0], link["href"].partition("#")[2] if link else ""))
        firsts.pop(None, None)
        assert len(firsts) >= 5, chapter
        assert not {term: found for term, found in firsts.items() if found[1] != anchors[term]}, chapter


def test_search_works_without_another_server(browser, address: str) -> None:
    with tab(browser) as page:
        page.goto(f"{address}/search.html?q=pyramid", wait_until="load")
        page.locator("#search-results li").first.wait_for(timeout=10_000)
