"""The command line: ``crv simulate | sweep | report``. Data goes to stdout, everything else to stderr."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

import runbundle as rb
from crv import __version__

__all__ = ["main"]

COMMANDS = {
    "simulate": "simulate agents who trade and talk, into one run",
    "sweep": "simulate each combination of settings, into a run each",
    "report": "draw what happened in a run, beside it",
}
_EPILOG = """\
example:    crv simulate --agents 200 --ticks 1000 --seed 7
            crv sweep --seeds 1,2,3 --agents 100,200 --vary mind.trend=0,0.5

exit codes: 0 good; 1 an audit was violated, or the run is damaged or sealed;
            2 wrong usage; 3 not found; 4 the environment failed; 130 interrupted
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="crv",
        description="A simulation lab: agents exchange and value tokens on a network.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"crv {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    asked = next((word for word in arguments if not word.startswith("-")), None)
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", allow_abbrev=False)
        if name == asked:
            module = importlib.import_module(f"crv.cli.{name}")
            module.add(command)
            command.set_defaults(run=module.run)
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help(sys.stderr)
        return 2
    return rb.run_command(lambda: _call(options), prog="crv", debug=options.debug)


def _call(options: argparse.Namespace) -> int:
    """Run the command; what it needs and is not installed is an error of the library."""
    try:
        return int(options.run(options))
    except ImportError as error:
        if isinstance(error, rb.RunbundleError) or error.name is None:
            raise
        raise rb.errors.MissingExtra(
            f"{error.name} is needed to simulate and is not installed", hint='Install it: pip install "crv[simulate]"'
        ) from error
