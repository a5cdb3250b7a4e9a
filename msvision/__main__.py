"""``python -m msvision``: what can be done from the command line. Each command is a module that adds itself."""

from __future__ import annotations

import argparse
import sys

from msvision import runs
from msvision.data import command as data


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m msvision", description="Multi-Scale Vision")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    data.add_to(commands)
    runs.add_to(commands)
    chosen = parser.parse_args(arguments)
    try:
        return chosen.run(chosen) or 0
    except (OSError, ValueError, ModuleNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
