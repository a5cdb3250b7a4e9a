"""Turn runs of notebook cells tagged ``torch`` / ``tensorflow`` into synced tabs.

A run is a maximal sequence of adjacent code cells, with no text between them, that carry one of the tags. Inside a run
a new set of tabs starts whenever the first framework comes back (torch, tensorflow, torch, tensorflow: two sets). A set
that shows one framework only is reported, unless one of its cells is tagged ``one-framework``.
"""

from __future__ import annotations

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.util import logging
from sphinx_design.shared import create_component

LABELS = {"torch": "PyTorch", "tensorflow": "TensorFlow"}
GROUP = "framework"  # also the name of the address parameter: ?framework=tensorflow
logger = logging.getLogger(__name__)


def tags(node: nodes.Node) -> list[str]:
    """Tags of a notebook's code cell; none for any other node."""
    if not isinstance(node, nodes.container) or node.get("nb_element") != "cell_code":
        return []
    return (node.get("cell_metadata") or {}).get("tags", [])


def framework(node: nodes.Node) -> str | None:
    found = [key for key in LABELS if key in tags(node)]
    return found[0] if found else None


def split(run: list[nodes.Element]) -> list[list[nodes.Element]]:
    """Cut a run where a framework comes back after the other one."""
    groups: list[list[nodes.Element]] = [[]]
    last = None
    for cell in run:
        key = framework(cell)
        if last is not None and key != last and key in map(framework, groups[-1]):
            groups.append([])
        groups[-1].append(cell)
        last = key
    return groups


def tab_set(cells: list[nodes.Element]) -> nodes.container:
    result = create_component("tab-set", classes=["sd-tab-set", "framework-tabs"])
    result.source, result.line = cells[0].source, cells[0].line
    for key, label in LABELS.items():
        content = [cell for cell in cells if framework(cell) == key]
        if content:
            result += tab_item(key, label, content)
    return result


def tab_item(key: str, label: str, content: list[nodes.Element]) -> nodes.container:
    rubric = nodes.rubric(label, "", nodes.Text(label), classes=["sd-tab-label"])
    rubric["sync_group"], rubric["sync_id"] = GROUP, key
    body = create_component("tab-content", classes=["sd-tab-content"], children=content)
    item = create_component("tab-item", classes=["sd-tab-item"], children=[rubric, body])
    item.source, item.line = content[0].source, content[0].line
    item["selected"] = False
    return item


def report(cells: list[nodes.Element]) -> None:
    """Warn about what is almost certainly a mistake in the notebook."""
    for cell in cells:
        if sum(key in tags(cell) for key in LABELS) > 1:
            logger.warning("cell tagged with several frameworks", location=cell, type="framework_tabs")
    if len({framework(cell) for cell in cells}) < 2 and not any("one-framework" in tags(cell) for cell in cells):
        name = framework(cells[0])
        logger.warning("cells for one framework only: %s", name, location=cells[0], type="framework_tabs")


class FrameworkTabs(SphinxTransform):
    default_priority = 400  # after the parser, before references are resolved

    def apply(self, **kwargs: object) -> None:
        cells = [node for node in self.document.findall(nodes.container) if framework(node)]
        for parent in dict.fromkeys(cell.parent for cell in cells):
            children, run = [], []
            for child in [*parent.children, None]:  # None ends the last run
                if child is not None and framework(child):
                    run.append(child)
                    continue
                for group in split(run) if run else []:
                    report(group)
                    children.append(tab_set(group))
                run = []
                if child is not None:
                    children.append(child)
            parent.children = []
            parent.extend(children)  # unlike assigning to children, this sets their parent


def setup(app: Sphinx) -> dict:
    app.add_transform(FrameworkTabs)
    app.add_css_file("framework_tabs.css")
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
