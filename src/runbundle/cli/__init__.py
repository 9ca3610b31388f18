"""The command line: ``runbundle ls | show | check | verify | diff | reproduce | export | repair | models``.

Each command is a module with ``add`` (its arguments) and ``run`` (parse, call one function below, render). Data goes
to stdout, everything else to stderr.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from runbundle._version import __version__
from runbundle.cli.exits import USAGE, run_command

__all__ = ["main"]

COMMANDS = {
    "ls": "list the runs of a store",
    "show": "show what a run is and what it holds",
    "check": "is a run complete? Hold it against its contract",
    "verify": "is a run intact? Hash every byte against the seal",
    "diff": "what differs between two runs? Conditions first, then results",
    "reproduce": "make a run again from what it recorded, and compare the two",
    "export": "write the rows of a table, of one run or many, as CSV, JSON, JSON Lines or Parquet",
    "repair": "bring what a crash left of a run to a state that verifies; nothing is deleted",
    "models": "list, promote, take in, name and find models",
}
_DEBUG = "show the traceback of an error"
_EPILOG = """\
exit codes: 0 good; 1 checked, and the answer is no; 2 wrong usage; 3 not found;
            4 the environment failed; 130 interrupted
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = _parser(arguments)
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help(sys.stderr)
        return USAGE
    return run_command(lambda: int(options.run(options)), prog="runbundle", debug=options.debug)


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """The parser; only the command that was asked for is imported."""
    parser = argparse.ArgumentParser(
        prog="runbundle",
        description="Every run leaves a folder you can trust.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"runbundle {__version__}")
    parser.add_argument("--debug", action="store_true", help=_DEBUG)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    asked = next((word for word in arguments if not word.startswith("-")), None)
    for name, text in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            epilog=_EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        command.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=_DEBUG)
        if name == asked:
            module = importlib.import_module(f"runbundle.cli.{name}")
            module.add(command)
            command.set_defaults(run=module.run)
    return parser
