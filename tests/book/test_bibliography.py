"""Papers that chapters link to are in the bibliography, and its entries have their DOIs."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from pybtex.database import parse_file

ROOT = Path(__file__).resolve().parents[2]
ENTRIES = parse_file(str(ROOT / "book/reference/references.bib")).entries
# Journals and proceedings of their time gave none, and what is only a page has an address.
WITHOUT_DOI = {
    "adelson1984pyramid", "demsar2006", "glorot2010", "holm1979", "lewis1995", "lucas1981", "mordvintsev2015", "paul2021",
}  # fmt: skip


def test_every_entry_has_its_doi() -> None:
    assert {name for name, entry in ENTRIES.items() if "doi" not in entry.fields} == WITHOUT_DOI
    dois = [entry.fields["doi"] for entry in ENTRIES.values() if "doi" in entry.fields]
    assert all(re.fullmatch(r"10\.\d{4,5}/\S+", doi) for doi in dois)
    assert len(dois) == len(set(map(str.lower, dois)))


@pytest.mark.parametrize("path", sorted(ROOT.glob("book/[0-9]*.ipynb")), ids=lambda path: path.stem)
def test_papers_of_a_chapter_are_in_the_bibliography(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    listed = {entry.fields.get(field, "").lower() for entry in ENTRIES.values() for field in ("doi", "eprint")}
    linked = re.findall(r"\]\(https://(?:doi\.org|arxiv\.org/abs)/((?:[^()\s]|\([^()\s]*\))+)\)", text)
    assert linked, "a chapter names its sources, by DOI or arXiv"
    assert not [paper for paper in linked if paper.lower() not in listed]
