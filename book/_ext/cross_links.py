"""Links between chapters, reference and tests: the first use of a term leads to the glossary, every name of the package
says which chapter teaches it, and every chapter ends with the names that it uses.

The notebooks themselves stay as they are: what a reader of Colab sees has no directives in it.
"""

from __future__ import annotations

import ast
import importlib
import json
import re
import sys
from collections import Counter
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxRole

from framework_tabs import LABELS

GLOSSARY = "book/reference/glossary"
API = "book/reference/api"
# Where a link would be in the way: headings, code, claims, figures, and what is a link already.
LEFT_ALONE = (nodes.title, nodes.literal, nodes.literal_block, nodes.reference, nodes.raw, nodes.math, nodes.table)
logger = logging.getLogger(__name__)
OTHER_FORMS = {
    "anti-aliasing": "antialiasing",
    "dilated convolution": "atrous convolution",
    "atrous spatial pyramid pooling": "ASPP",
    "feature pyramid network": "FPN",
    "feature pyramid": "FPN",
    "lateral connection": "lateral",
    "mIoU": "mean intersection over union",
    "mean IoU": "mean intersection over union",
    "SPP": "spatial pyramid pooling",
    "pyramid pooling": "pyramid pooling module",
    "resizer": "learnable resizer",
    "learning rate": None,  # another rate
    "frame rate": None,
}


def chapters(app: Sphinx) -> dict[str, dict]:
    """The notebooks of all chapters in the folder, by the name of their page."""
    paths = sorted(Path(app.srcdir).glob("book/[0-9]*.ipynb"))
    return {f"book/{path.stem}": json.loads(path.read_text(encoding="utf8")) for path in paths}


def link(app: Sphinx, words: str, domain: str, kind: str, target: str, classes: tuple = ()) -> addnodes.pending_xref:
    """A link from the page that is being read; the build warns if there is no such target."""
    return addnodes.pending_xref(
        "", nodes.inline("", words, classes=list(classes)),
        refdomain=domain, reftype=kind, reftarget=target, refexplicit=True, refwarn=True, refdoc=app.env.docname,
    )  # fmt: skip


# -- which chapter uses which name -----------------------------------------------------------------------------------


def uses(notebook: dict) -> Counter[str]:
    """How often a chapter says each name of the package, by its full name: in its code, and `so` in its text.

    Names are the same in both frameworks, so what is said of one counts for the other as well.
    """
    public = set(importlib.import_module("msvision.torch").__all__)
    meaning: dict[str, str] = {}
    found: Counter[str] = Counter()
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] != "code":
            for short in public.intersection(re.findall(r"`(\w+)(?:\(.*?\))?`", source)):
                found.update(in_all(f"msvision.torch.{short}"))
            continue
        try:
            tree = ast.parse(source)
        except SyntaxError:  # the cell that installs, with its %pip
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "msvision":
                meaning |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in meaning:
                found.update(in_all(f"{meaning[node.value.id]}.{node.attr}"))
            elif isinstance(node, ast.Name) and node.id in meaning:
                found.update(in_all(meaning[node.id]))
    return found


def in_all(name: str) -> list[str]:
    """A name of one framework by its full names in all; any other as it is."""
    package, _, short = name.rpartition(".")
    of_a_framework = package.removeprefix("msvision.") in LABELS
    return [f"msvision.{framework}.{short}" for framework in LABELS] if of_a_framework else [name]


def read_chapters(app: Sphinx) -> None:
    """What each chapter uses, and the terms of the glossary, kept for the build."""
    app.msv_uses = {name: uses(notebook) for name, notebook in chapters(app).items()}
    text = Path(app.srcdir, f"{GLOSSARY}.md").read_text(encoding="utf8")
    listed = re.findall(r"^(\S.*)$", text.partition("```{glossary}\n")[2].partition("```")[0], re.MULTILINE)
    app.msv_terms = {term: term for term in listed} | OTHER_FORMS
    app.msv_pattern = pattern(app.msv_terms)


def taught(app: Sphinx, what: str, name: str, obj, options, lines: list[str]) -> None:
    """Add to an entry of the reference which chapter teaches it: the first of its module's that uses it."""
    users = [chapter for chapter, found in app.msv_uses.items() if found[name] and chapter in app.env.found_docs]
    if users:
        module = sys.modules.get(getattr(obj, "__module__", None))
        said = re.findall(r"\(chapters? (.*?)\)", getattr(module, "__doc__", None) or "")
        numbers = re.findall(r"\d+", "".join(said))
        first = next((chapter for chapter in users if str(int(chapter[5:7])) in numbers), users[0])
        others = [f":doc:`/{chapter}`" for chapter in users if chapter != first]
        text = f"Taught in :doc:`/{first}`" + (f"; also used in {', '.join(others)}" if others else "")
        lines += ["", f"*In the book.* {text}.", ""]


def list_names(app: Sphinx, doctree: nodes.document) -> None:
    """Add to a chapter the names of the package that it uses."""
    of_a_framework = [name.split(".") for name in app.msv_uses.get(app.env.docname, ()) if name.count(".") == 2]
    names = {short for _, package, short in of_a_framework if package in LABELS}
    if not names:
        return
    paragraph = nodes.paragraph(classes=["msv-names"])
    for number, short in enumerate(sorted(names, key=str.lower)):
        paragraph += nodes.Text("; " if number else "")
        paragraph += nodes.literal(short, short)
        for position, (framework, label) in enumerate(LABELS.items()):
            paragraph += nodes.Text(", " if position else " in ")
            paragraph += link(app, label, "py", "obj", f"msvision.{framework}.{short}")
    last = doctree.next_node(nodes.section) or doctree
    last += nodes.rubric("", "Names of the package on this page")
    last += paragraph


class Test(SphinxRole):
    """``{test}`tests/test_pooling.py::test_some_thing` ``: a link to a test of this repository, which has to exist."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        file, _, name = self.text.partition("::")
        path = Path(self.env.srcdir, file)
        if not path.is_file() or f"def {name}(" not in path.read_text(encoding="utf8"):
            logger.warning("there is no test %s", self.text, location=self.get_location())
        options = self.config.html_theme_options
        address = f"{options['repository_url']}/blob/{options['repository_branch']}/{file}"
        return [nodes.reference("", "", nodes.literal(name, name), refuri=address)], []


# -- the glossary ----------------------------------------------------------------------------------------------------


def pattern(terms: dict[str, str | None]) -> tuple[re.Pattern, list[str]]:
    """Any of the terms as whole words, the longest first, with or without a plural s; and the term of each group."""
    longest = sorted(terms, key=len, reverse=True)
    return re.compile("|".join(rf"\b({form(term)})s?\b" for term in longest)), longest


def form(term: str) -> str:
    """A term at the start of a sentence or within it; a short form as it is written."""
    if term != term.lower() and " " not in term:
        return re.escape(term)
    return f"[{term[0].upper()}{term[0].lower()}]{re.escape(term[1:])}"


def link_terms(app: Sphinx, doctree: nodes.document) -> None:
    """Make the first use of each term in a chapter's text a link to the glossary."""
    if app.env.docname not in app.msv_uses:
        return
    expression, longest = app.msv_pattern
    seen: set[str] = set()
    for text in list(doctree.findall(nodes.Text)):
        marked = isinstance(text.parent, (nodes.emphasis, nodes.strong))  # a term defined here, or the title of a book
        if not (marked or isinstance(text.parent, nodes.paragraph)) or within(text, LEFT_ALONE):
            continue
        parts, end = [], 0
        for match in expression.finditer(text):
            term = app.msv_terms[longest[match.lastindex - 1]]
            if term is None or term in seen or (marked and match[0] != text):
                continue
            seen.add(term)
            parts += [nodes.Text(text[end : match.start()]), link(app, match[0], "std", "term", term, ("msv-term",))]
            end = match.end()
        if parts:
            text.parent.replace(text, [*parts, nodes.Text(text[end:])])


def within(node: nodes.Node, kinds: tuple) -> bool:
    while node.parent is not None:
        node = node.parent
        if isinstance(node, kinds) or "cell_output" in node.get("classes", []):
            return True
    return False


def when_chapters_changed(app: Sphinx, env, added: set, changed: set, removed: set) -> set[str]:
    """What a chapter uses stands on the pages of the reference, and the glossary's terms in the chapters."""
    again: set[str] = set()
    if any(name in app.msv_uses for name in added | changed | removed):
        again |= {name for name in env.found_docs if name.startswith(API)}
    if GLOSSARY in added | changed:
        again |= set(app.msv_uses) & env.found_docs
    return again


def setup(app: Sphinx) -> dict:
    app.add_role("test", Test())
    app.connect("builder-inited", read_chapters)
    app.connect("env-get-outdated", when_chapters_changed)
    app.connect("autodoc-process-docstring", taught, priority=600)  # after napoleon has made sections of the text
    app.connect("doctree-read", link_terms)
    app.connect("doctree-read", list_names)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
