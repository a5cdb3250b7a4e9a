"""A chapter has the number of its file, in headings and in the sidebar, whether or not all before it are written."""

from __future__ import annotations

import re

from docutils import nodes
from sphinx.application import Sphinx


def renumber(app: Sphinx, env) -> list[str]:
    for docname, numbers in env.toc_secnumbers.items():
        if file := re.match(r"book/(\d+)_", docname):
            chapter = int(file[1])
            for anchor, number in numbers.items():
                numbers[anchor] = number and (chapter, *number[1:])
            for node in (env.titles[docname], *env.tocs[docname].findall(nodes.reference)):
                if node.get("secnumber"):
                    node["secnumber"] = (chapter, *node["secnumber"][1:])
    return []


def setup(app: Sphinx) -> dict:
    app.connect("env-get-updated", renumber, priority=900)  # after Sphinx has numbered them
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
