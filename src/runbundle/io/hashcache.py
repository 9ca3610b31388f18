"""Digests of files that were hashed before, kept in the user's cache folder: a large file is hashed once.

An entry counts only while the file has the same length, times, inode and device. A file that was changed in the last
two seconds is never remembered: its times may not tell the next change apart. What is kept can be removed at any time,
and costs a hashing then; a cache that cannot be read or written is as good as none.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from time import time_ns
from typing import Any

from runbundle.base import jsontext
from runbundle.base.errors import DecodeError, RunbundleError
from runbundle.base.ids import Digest
from runbundle.io.atomic import Written, hash_file, make_folder, os_errors, replace_file
from runbundle.io.confine import read_regular

_SETTLED_NS = 2_000_000_000
_FIELDS = ("st_dev", "st_ino", "st_size", "st_mtime_ns", "st_ctime_ns")


def cache_folder() -> Path:
    """Where the library keeps what can be made again: below ``XDG_CACHE_HOME``, else ``~/.cache``."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    return Path(home if os.path.isabs(home) else os.path.expanduser("~/.cache"), "runbundle")


def cached_hash(path: Path, *, now_ns: Callable[[], int] = time_ns) -> Written:
    """Length and SHA-256 of a file, by hashing it only if it may have changed since that was last done.

    Args:
        path: the file.
        now_ns: the time, in nanoseconds since 1970 UTC.

    Raises:
        UnavailableError: it cannot be read.
    """
    place = os.path.realpath(path)
    before = _state(place)
    entry = cache_folder() / "hashes" / f"{hashlib.sha256(os.fsencode(place)).hexdigest()}.json"
    is_settled = _is_settled(before, now_ns())
    if is_settled:
        known = _read(entry)
        if known is not None and known.get("state") == before and known.get("path") == _spelt(place):
            return Written(before["st_size"], Digest(str(known["sha256"])))
    written = hash_file(place)
    if is_settled and _state(place) == before:
        with suppress(RunbundleError):  # the next one hashes it again
            make_folder(entry.parent)
            replace_file(entry, jsontext.pretty({"path": _spelt(place), "sha256": written.sha256, "state": before}))
    return written


def _state(place: str) -> dict[str, int]:
    with os_errors("Looking at the file", place):
        found = os.stat(place)
    return {name: getattr(found, name) for name in _FIELDS}


def _is_settled(state: Mapping[str, int], now_ns: int) -> bool:
    """Whether a later change of the file would be seen in its times; a time to come tells nothing."""
    return max(state["st_mtime_ns"], state["st_ctime_ns"]) + _SETTLED_NS < now_ns


def _spelt(place: str) -> str:
    return os.fsencode(place).decode("utf-8", "backslashreplace")


def _read(entry: Path) -> dict[str, Any] | None:
    """What was kept; None where there is nothing that can be read."""
    try:
        kept = jsontext.parse(read_regular(entry))
    except (OSError, DecodeError):  # also what the library raises for a file that cannot be read
        return None
    return kept if isinstance(kept, dict) and isinstance(kept.get("sha256"), str) else None
