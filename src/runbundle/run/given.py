"""Paths and names as people give them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from runbundle.base.errors import InvalidName, InvalidType

_PATH = type(Path())


def given_path(value: Any, *, what: str) -> Path:
    """A path with ``~`` expanded; an unknown ``~name`` is a name like any other.

    Raises:
        InvalidType: it is no path. InvalidName: no file can have it.
    """
    try:
        text = os.path.expanduser(value)  # noqa: PTH111 - Path.expanduser raises for an unknown user
        path = value if type(value) is _PATH and text == str(value) else Path(text)
        os.fsencode(path)
    except UnicodeEncodeError as error:
        raise InvalidName(f"{what} {text!r} is no Unicode", hint="Give another path") from error
    except TypeError as error:
        raise InvalidType(f"{what} is a path, not {type(value).__name__}") from error
    if str(value) == "":
        raise InvalidName(f"{what} is empty", hint="Give a path; is a variable unset?")
    if "\0" in str(path):
        raise InvalidName(f"{what} {str(path)!r} holds a NUL", hint="Give another path")
    return path


def given_name(value: Any, *, what: str) -> str:
    """The text of a str, or of a member of an enum, of which ``str()`` may give the member's name instead.

    Raises:
        InvalidType: it is no text.
    """
    if not isinstance(value, str):
        raise InvalidType(f"{what} is text, not {type(value).__name__}")
    return str.__str__(value)
