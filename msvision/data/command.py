"""``python -m msvision data``: what data sets there are, and fetching them."""

from __future__ import annotations

import argparse


def add_to(commands) -> None:
    """Add the command to those of ``python -m msvision``."""
    data = commands.add_parser("data", help="list and download data sets").add_subparsers(required=True, metavar="WHAT")
    listing = data.add_parser("list", help="show the data sets, where they are, their licence and what to cite")
    listing.set_defaults(run=_list)
    getting = data.add_parser("get", help="download a data set; interrupted, it goes on where it was")
    getting.add_argument("name", help="camvid or cats_vs_dogs")
    getting.add_argument("--folder", help="where to; by default MSVISION_DATA, or else the user's cache")
    getting.set_defaults(run=_get)


def _list(arguments: argparse.Namespace) -> None:
    from msvision.data.download import SOURCES, find

    for name in SOURCES:
        _show(name, find(name) or f"not on this machine; python -m msvision data get {name}")


def _get(arguments: argparse.Namespace) -> None:
    from msvision.data.download import get

    _show(arguments.name, get(arguments.name, arguments.folder))


def _show(name: str, where: object) -> None:
    from msvision.data.download import SOURCES

    source = SOURCES[name]
    print(f"{name}: {source.about}\n  where    {where}\n  licence  {source.licence}\n  cite     {source.citation}")
