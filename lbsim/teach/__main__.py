"""``python -m lbsim.teach``: build the notebooks, hand out exercises, record live runs."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from lbsim.errors import InputError
from lbsim.teach import sources
from lbsim.teach.build import build, execute, students

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit status (2: bad input, one line says what)."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "build":
            made = build(
                options.source,
                options.target,
                only=options.only,
                render=not options.no_html,
                progress=lambda name: print(f"building {name}", file=sys.stderr),
            )
            print(made)
        elif options.command == "record":
            os.environ["LBSIM_RECORD"] = str(options.target.resolve())
            for path in sources.find(options.source):
                if "teach.measured(" in path.read_text(encoding="utf-8"):
                    print(f"running {path.stem}", file=sys.stderr)
                    execute(sources.read(path), path.name)
        else:
            for path in students(options.source, options.target):
                print(path)
    except InputError as error:
        print(f"lbsim.teach: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lbsim.teach", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    whole = commands.add_parser(
        "build", help="write .ipynb files, and a rendered HTML copy that works offline"
    )
    whole.add_argument("--only", action="append", default=[], metavar="NAME")
    whole.add_argument("--no-html", action="store_true", help="do not execute and render")
    handout = commands.add_parser("student", help="write the exercises without solutions")
    recording = commands.add_parser(
        "record", help="run the lessons that measure, and write what they measured to a directory"
    )
    for command, target in (
        (whole, "lbsim-notebooks"),
        (handout, "lbsim-exercises"),
        (recording, "data"),
    ):
        command.add_argument("target", nargs="?", type=Path, default=Path(target), metavar="DIR")
        command.add_argument("--source", type=Path, default=Path("notebooks"), metavar="DIR")
    return parser


if __name__ == "__main__":
    sys.exit(main())
