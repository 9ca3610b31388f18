"""The lines of a log: what each must hold, and whose log it stands in (docs/format.md, section 3)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import orjson

from runbundle.base.errors import LogCorrupt, UnsupportedVersion
from runbundle.contract.record import Pointer
from runbundle.io.scan import CRC32, SHA256, Chain, Scan

FORMAT_VERSION = 1
LOG_FORMAT = "runbundle-log"
CREATOR = ""
LOG_STEM = "artifacts"
METRICS_STEM = "metrics"
METRICS_FILE = "metrics.json"

Record = Mapping[str, Any]
_HAS_DOTS = frozenset(("", ".", ".."))
_PLAIN_PATH = re.compile(r"(?:(?!\.{0,2}(?:/|\Z))[ -.0-\[\]-~]+(?:/(?!\Z)|\Z))+")  # of printable ASCII, as most are
_LOG_NAME = re.compile(r"(artifacts|metrics)(?:\.([a-z0-9]{1,32}))?\.jsonl")


def log_name(writer: str, stem: str = LOG_STEM) -> str:
    """The file name of a writer's log."""
    return f"{stem}.{writer}.jsonl" if writer else f"{stem}.jsonl"


def is_log(path: str) -> bool:
    """Whether a path is that of a log or a journal of points."""
    return _LOG_NAME.fullmatch(path) is not None


def log_writer(name: str) -> str:
    """Whose log it is, by its name."""
    match = _LOG_NAME.fullmatch(name)
    return (match and match[2]) or CREATOR


def chain_of(name: str) -> Chain:
    """How the lines of a log are chained, by its name: facts by SHA-256, points by CRC-32."""
    return CRC32 if name.startswith(METRICS_STEM) else SHA256


def scan_of(path: Path) -> Scan:
    """A walk over a log, or a journal of points."""
    chain = chain_of(path.name)
    return Scan(path, chain, orjson.loads) if chain is CRC32 else Scan(path, chain)


def check_line(record: Record, pointer: Pointer) -> None:
    """``check_fields``, of a line of a log that the library reads.

    Raises:
        LogCorrupt: it is not as it must be. UnsupportedVersion: it heads a log of a later version.
    """
    with as_damage(record, pointer):
        check_fields(record, pointer)


class as_damage:  # noqa: N801 - used as a function; as a generator it would take three times as long
    """What goes wrong with a record, in a block, is damage of the log."""

    __slots__ = ("_pointer", "_record")

    def __init__(self, record: Record, pointer: Pointer) -> None:
        self._record = record
        self._pointer = pointer

    def __enter__(self) -> None:
        """The block begins."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, AttributeError | KeyError | TypeError | ValueError) and not isinstance(error, LogCorrupt):
            raise LogCorrupt(
                f"Record {self._pointer.seq} ({self._record.get('record')}) of the log of "
                f"{self._pointer.writer or 'the creator'} is not as it must be: {error}",
                hint="Look at what `runbundle verify` says",
            ) from error


def check_fields(record: Record, pointer: Pointer) -> None:
    """Whether a line of a log, or of a journal of points, holds what docs/format.md promises of it.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: it does not, so within ``as_damage``.
        UnsupportedVersion: it heads a log of a later version.
    """
    kind = record["record"]
    if (kind == "header") is not (pointer.seq == 0):
        raise ValueError("a header is the first line, and no other")
    wanted = _FIELDS.get(f"{kind} {record['event']}" if kind in ("attempt", "stage") else kind, _ALL)
    if not record.keys() >= wanted:
        raise ValueError(f"it lacks {', '.join(sorted(wanted - record.keys()))}")
    if kind == "header":
        _check_header(record, pointer)
    elif kind == "point":
        _check_point(record)
    elif kind in ("input", "intent", "artifact", "model"):
        _check_named(record)
    elif "moved" in wanted:
        _check_paths(*(move[end] for move in record["moved"] for end in ("from", "to") if move[end] is not None))
        if kind == "quarantine" and any(move["artifact"] is None for move in record["moved"]):
            raise ValueError("a quarantine says of no record that it is out of force")
    elif "points" in wanted and type(record["points"]) is not int:
        raise ValueError(f"points is {record['points']!r}")


def _check_paths(*paths: Any) -> None:
    if not all(map(is_path, paths)):
        raise ValueError(f"{list(paths)} are not paths in a run")


def _check_named(record: Record) -> None:
    """What names a file: of the run, or for a model of its store."""
    is_model = record["record"] == "model"
    _check_paths(record["path" if is_model else "filename"])
    is_right = isinstance(record["bytes"], int if is_model else int | None)
    if is_model:
        texts = isinstance(record["reference"], str) and isinstance(record["sha256"], str)
        is_right = is_right and texts and isinstance(record["source"], dict | None)
    if not is_right:
        raise ValueError(f"bytes ({record['bytes']!r}), or what else it tells of the file, is of a wrong type")


def _check_point(record: Record) -> None:
    for name in ("step", "ts_ms"):
        if type(record[name]) is not int or not -(2**63) <= record[name] < 2**63:
            raise ValueError(f"{name} is no integer of 64 bits")
    values = record["values"]
    if not isinstance(values, dict) or not values or not all(map(_is_number, values.values())):
        raise ValueError("values are no numbers")


def _is_number(value: Any) -> bool:
    return type(value) in (float, int, bool) or value in ("NaN", "Infinity", "-Infinity")


def _check_header(record: Record, pointer: Pointer) -> None:
    if record["format"] != LOG_FORMAT or record["writer"] != pointer.writer:
        raise ValueError(f"it is the header of {record['format']} by {record['writer']!r}")
    if pointer.writer != CREATOR and "prev_sha256" in record and not {"attempt", "durability"} <= record.keys():
        raise ValueError("the header of a writer that joined lacks attempt or durability")
    if record["format_version"] != FORMAT_VERSION:
        raise UnsupportedVersion(
            f"The log has format_version {record['format_version']}; this version reads {FORMAT_VERSION}",
            hint="Use a newer runbundle",
        )


def is_path(text: Any) -> bool:
    """Whether a log or a seal may name a file so (docs/format.md, I2)."""
    if not isinstance(text, str):
        return False
    if _PLAIN_PATH.fullmatch(text):
        return True
    if "\\" in text or not _HAS_DOTS.isdisjoint(text.split("/")):
        return False
    return not any(unicodedata.category(char) in ("Cc", "Cs") for char in text)


_ALL = frozenset(("ts_utc",))
_FIELDS = {
    kind: frozenset(names.split()) | ({"ts_ms"} if kind == "point" else _ALL)
    for kind, names in {
        "header": "format format_version writer host",
        "attempt start": "attempt durability git_hash git_dirty config_sha256 config_resolved_sha256 contract_sha256 "
        "package_versions python platform command host",
        "attempt end": "attempt status error points",
        "input": "attempt artifact_id filename bytes sha256 input_original_path collision_policy is_primary replaces",
        "intent": "artifact_id variant filename bytes sha256 replaces",
        "stage start": "stage try attempt",
        "stage set_aside": "stage try attempt moved",
        "artifact": "artifact_id variant stage attempt kind format filename content_type bytes sha256 description "
        "meta replaces",
        "commit": "stage try attempt outcome reasons points",
        "flush": "attempt points",
        "quarantine": "attempt moved reason",
        "model": "attempt reference path sha256 bytes source",
        "note": "text data",
        "point": "attempt step values",
        "summary": "attempt values",
    }.items()
}
