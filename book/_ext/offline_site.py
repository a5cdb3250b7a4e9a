"""Make the built site complete in itself: it asks no other server for anything, runs no script but its own, and reads well
without JavaScript.

MathJax comes from the package ``sphinx-mathjax-offline``; of its 24 MB, the 3 MB that a page can ask for are copied. Of
Font Awesome, which the theme brings, only the icons that are used stay.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import pydata_sphinx_theme
from sphinx.application import Sphinx
from sphinx.errors import ConfigError

POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>\n')
INLINE = re.compile(r"<script(?![^>]*\bsrc=)[^>]*>(.*?)</script>", re.DOTALL)
HANDLER = re.compile(r'\son\w+="([^"]*)"')
ICON = re.compile(r'"?([a-z0-9-]+)"?:\[\d+,\d+,\[([^\]]*)\],"[0-9a-f]+",(?:"[^"]*"|\[[^\]]*\])\],?')
MATHJAX = ("tex-chtml.js", "output/chtml/fonts/", "input/tex/extensions/")
SEARCH = re.compile(r'\s*<script src="[^"]*(?:searchtools|language_data|searchindex)\.js[^"]*"></script>')
# The reference pages import the package, and TensorFlow would greet the reader of the build's log.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")


def copy_mathjax(app: Sphinx) -> None:
    if app.builder.format != "html":
        return
    try:
        packaged = files("sphinx-mathjax-offline") or []
    except PackageNotFoundError:
        raise ConfigError('MathJax is not installed: pip install "msvision[book]"') from None
    for file in packaged:
        _, found, name = file.as_posix().partition("static/mathjax/")
        target = Path(app.outdir, "_static", "mathjax", name)
        if found and name.startswith(MATHJAX) and not target.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file.locate(), target)


def keep_used_icons(app: Sphinx, exception: Exception | None) -> None:
    """Of Font Awesome's two thousand icons, 1.4 MB on every page, those that a page or a script of the theme names."""
    if exception or app.builder.format != "html":
        return
    site, theme = (
        Path(app.outdir),
        Path(pydata_sphinx_theme.__file__).parent / "theme/pydata_sphinx_theme/static/scripts",
    )
    scripts = [path for path in site.glob("_static/**/*.js") if path.name != "fontawesome.js"]
    pages = [path for path in site.rglob("*.html") if "_static" not in path.relative_to(site).parts]
    used = {name for path in (*scripts, *pages) for name in re.findall(r"\bfa-([a-z0-9-]+)", path.read_text("utf8"))}

    def kept(icon: re.Match) -> str:
        name, others = icon.groups()
        return icon[0] if used & {name, *re.findall(r'"([a-z0-9-]+)"', others)} else ""

    code = (theme / "fontawesome.js").read_text(encoding="utf8")
    (site / "_static/scripts/fontawesome.js").write_text(ICON.sub(kept, code), encoding="utf8")


def drop_remote_scripts(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    """Remove thebe, which Jupyter Book adds to every page whether it is used or not, and which loads from elsewhere."""

    def is_local(item) -> bool:
        return "thebe" not in f"{getattr(item, 'filename', item)} {getattr(item, 'attributes', '')}".lower()

    for key in ("script_files", "css_files"):
        context[key] = [item for item in context.get(key, []) if is_local(item)]


def drop_unused_search(app: Sphinx, exception: Exception | None) -> None:
    """Leave the index of all words to the page that searches; the theme loads it everywhere, for a search as one types."""
    if exception or app.builder.format != "html" or app.config.html_theme_options.get("search_as_you_type"):
        return
    for page in Path(app.outdir).rglob("*.html"):
        if page.name != "search.html" and "_static" not in page.relative_to(app.outdir).parts:
            page.write_text(SEARCH.sub("", page.read_text(encoding="utf8")), encoding="utf8")


def add_to_head(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    """A style for readers without JavaScript."""
    style = context["pathto"]("_static/noscript.css", 1)
    context["metatags"] = (
        f'{context.get("metatags", "")}\n<noscript><link rel="stylesheet" href="{style}"></noscript>\n'
    )


def allow_own_scripts_only(app: Sphinx, exception: Exception | None) -> None:
    """A Content-Security-Policy on every page: files of this site, and the theme's inline scripts, each by its hash."""
    if exception or app.builder.format != "html":
        return
    for page in Path(app.outdir).rglob("*.html"):
        if "_static" in page.relative_to(app.outdir).parts:
            continue
        text = POLICY.sub("", page.read_text(encoding="utf8"))
        codes = {code.encode() for found in (INLINE, HANDLER) for code in found.findall(text)}
        hashes = sorted(f"'sha256-{base64.b64encode(hashlib.sha256(code).digest()).decode()}'" for code in codes)
        policy = (
            f"default-src 'none'; script-src 'self' 'unsafe-hashes' {' '.join(hashes)}; style-src 'self' 'unsafe-inline'; "
            "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'"
        )
        charset = '<meta charset="utf-8" />\n'  # which has to stand among the first 1024 bytes
        tag = f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        page.write_text(text.replace(charset, charset + tag, 1), encoding="utf8")


def when_site_changed(app: Sphinx, env, added: set, changed: set, removed: set) -> set:
    """Write all pages again when a style, a script or an extension is newer than the last build; Sphinx would not."""
    last = Path(app.doctreedir, "environment.pickle")
    sources = [path for folder in ("_static", "_ext") for path in Path(app.confdir, "book", folder).glob("*.*")]
    if last.is_file() and max(path.stat().st_mtime for path in sources) > last.stat().st_mtime:
        return set(env.found_docs)
    return set()


def setup(app: Sphinx) -> dict:
    app.connect("builder-inited", copy_mathjax)
    app.connect("env-get-outdated", when_site_changed)
    app.connect("html-page-context", drop_remote_scripts, priority=999)
    app.connect("html-page-context", add_to_head, priority=999)
    app.connect("build-finished", keep_used_icons)
    app.connect("build-finished", drop_unused_search)
    app.connect("build-finished", allow_own_scripts_only)
    app.add_css_file("site.css")
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
