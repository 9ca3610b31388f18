"""How a command ends: exit codes by the branches of the errors, two lines on stderr, a traceback only if asked for.

The commands of projects end in the same way, through ``run_command`` and ``report_error``.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable

from runbundle.base.errors import (
    AlreadyExistsError,
    ConflictError,
    ContractUnmet,
    CorruptError,
    InvalidInputError,
    NotFoundError,
    RunbundleError,
)

GOOD, NO, USAGE, NOT_FOUND, ENVIRONMENT, INTERRUPTED = 0, 1, 2, 3, 4, 130

_CODES = (
    (NotFoundError, NOT_FOUND),
    (ContractUnmet, NO),
    (InvalidInputError, USAGE),
    (AlreadyExistsError, USAGE),
    (CorruptError, NO),
    (ConflictError, NO),
)


def run_command(command: Callable[[], int], *, prog: str, debug: bool = False) -> int:
    """Call a command and return its exit code; an error of the library becomes its two lines and its code.

    Args:
        command: does the work and returns an exit code.
        prog: the program's name, for messages.
        debug: let errors through with their traceback.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):  # what the terminal cannot show is spelt out
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = command()
        if sys.stdout is not None:  # it is, where the caller closed it
            sys.stdout.flush()
    except KeyboardInterrupt:
        print(f"{prog}: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of stdout went away, as `head` does: nobody is left to tell
        _drop_output()
        return GOOD
    except RunbundleError as error:
        if debug:
            raise
        return report_error(error, prog=prog)
    except OSError as error:
        if debug:
            raise
        _drop_output()
        print(f"{prog}: The environment failed: {error}\n  Check space and permissions", file=sys.stderr)
        return ENVIRONMENT
    return code


def printable(text: str) -> str:
    """One line of text that does nothing to a terminal: a run may come from anywhere, and name anything."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _drop_output() -> None:
    """What was not written yet goes nowhere, or else the interpreter would try again at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def report_error(error: RunbundleError, *, prog: str) -> int:
    """Print what happened and what to do on stderr; returns the exit code that the error stands for."""
    text = str(error)
    if error.hint:
        text = text.removesuffix(f". {error.hint}")
    print(f"{prog}: {printable(text)}", file=sys.stderr)
    if error.hint:
        print(f"  {printable(error.hint)}", file=sys.stderr)
    return next((code for branch, code in _CODES if isinstance(error, branch)), ENVIRONMENT)
