"""The directive ``{claims}``: everything that the chapters claim, with what was measured, as tables; and ``{claim}``: one.

The claims are read from the outputs that are committed with the notebooks, so the page says what the chapters show.
"""

from __future__ import annotations

from docutils import nodes
from msvision.claims import MIME, claims_of
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from cross_links import chapters, link

COLUMNS = {"sentence": "Claim", "measured": "Measured", "bound": "Bound"}


def title_of(notebook: dict, default: str) -> str:
    for cell in notebook["cells"]:
        for line in "".join(cell["source"]).splitlines() if cell["cell_type"] == "markdown" else []:
            if line.startswith("# "):
                return line[2:].strip()
    return default


def row(texts) -> nodes.row:
    """A row of the table; the texts stand as they are, straight quotes included, so that a search finds them."""
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", text, support_smartquotes=False)) for text in texts))


def table(claims: list[dict[str, str]]) -> nodes.table:
    group = nodes.tgroup("", cols=len(COLUMNS))
    group += [nodes.colspec(colwidth=width) for width in (60, 20, 20)]
    group += nodes.thead("", row(COLUMNS.values()))
    group += nodes.tbody("", *(row(claim[key] for key in COLUMNS) for claim in claims))
    return nodes.table("", group, classes=["msv-claims"])


class Claims(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        self.env.metadata[self.env.docname]["claims"] = True  # see when_notebook_changed
        listing, total = [], 0
        for docname, notebook in chapters(self.env.app).items():
            if docname not in self.env.found_docs:
                continue
            self.env.note_dependency(f"{docname}.ipynb")
            claims = claims_of(notebook)
            total += len(claims)
            title = title_of(notebook, docname)
            section = nodes.section("", nodes.title("", title), ids=[nodes.make_id(f"claims-{docname[5:]}")])
            to = link(self.env.app, f"Read the chapter: {title}", "std", "doc", f"/{docname}")
            section += nodes.paragraph("", "", to, nodes.Text(f" ({count(len(claims))})"))
            if claims:
                section += table(claims)
            listing.append(section)
        return [nodes.paragraph("", f"The book makes {count(total)} so far."), *listing]


class Claim(SphinxDirective):
    """The card of a chapter's claim, as it stands there; its argument is the chapter's file, its content how it begins."""

    has_content = True
    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        docname, start = f"book/{self.arguments[0]}", " ".join(self.content)
        self.env.note_dependency(f"{docname}.ipynb")
        cells = chapters(self.env.app)[docname]["cells"]
        shown = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
        cards = [
            "".join(data["text/html"]) for data in shown if data.get(MIME, {}).get("sentence", "").startswith(start)
        ]
        if len(cards) != 1:
            raise self.error(f"{len(cards)} claims of {docname} begin with {start!r}")
        return [nodes.raw("", cards[0], format="html")]


def count(number: int) -> str:
    return f"{number} claim" if number == 1 else f"{number} claims"


def when_notebook_changed(app: Sphinx, env, added: set, changed: set, removed: set) -> list[str]:
    """Pages with the directive are read again also when a chapter is new or gone."""
    if not any(name.startswith("book/") and name[5:6].isdigit() for name in added | changed | removed):
        return []
    return [name for name in env.found_docs if env.metadata.get(name, {}).get("claims")]


def setup(app: Sphinx) -> dict:
    app.add_directive("claims", Claims)
    app.add_directive("claim", Claim)
    app.connect("env-get-outdated", when_notebook_changed)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
