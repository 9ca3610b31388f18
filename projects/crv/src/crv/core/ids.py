"""Identifiers."""

from __future__ import annotations

import re
from typing import Self

_RUN_ID = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9_-])?", re.ASCII)


class RunId(str):
    """The id of a run: text that is one folder's name, on every disk, and no way out of it.

    Up to 128 of the letters ``A-Z a-z``, the digits and ``. _ -``, with no dot at either end. It is a ``str``: it
    equals its text, hashes as it, and goes where text goes.

    Args:
        text: the id, or one that was made before.

    Raises:
        ValueError: it is empty, ``..``, holds a path separator, or anything else than the above.
        TypeError: it is not text.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """The id, if the text is one."""
        if not isinstance(text, str):
            raise TypeError(f"A run id is text, not {type(text).__name__}")
        if not _RUN_ID.fullmatch(text):
            shown = text if len(text) <= 80 else f"{text[:60]}..."
            raise ValueError(
                f"{shown!r} is no run id: give up to 128 letters, digits and . _ - with no dot at either end"
            )
        return super().__new__(cls, text)
