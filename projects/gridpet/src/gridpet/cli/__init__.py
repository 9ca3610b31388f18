"""The command line: ``gridpet measure | demo-photo``. Data goes to stdout, everything else to stderr."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

import runbundle as rb
from gridpet import __version__

__all__ = ["main"]

COMMANDS = {
    "measure": "measure the objects on a photo of a printed grid",
    "demo-photo": "render a synthetic photo whose sizes are known",
}
_EPILOG = """\
example:    gridpet measure leaf.jpg --pitch-mm 5
            gridpet measure --demo

exit codes: 0 good; 1 a photo failed its quality check; 2 wrong usage; 3 not found;
            4 the environment failed; 130 interrupted
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="gridpet",
        description="Measure flat objects on a printed grid, in millimetres, from one photo.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"gridpet {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    asked = next((word for word in arguments if not word.startswith("-")), None)
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", allow_abbrev=False)
        if name == asked:
            module = importlib.import_module(f"gridpet.cli.{name.replace('-', '_')}")
            module.add(command)
            command.set_defaults(run=module.run)
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help(sys.stderr)
        return 2
    return rb.run_command(lambda: int(options.run(options)), prog="gridpet", debug=options.debug)
