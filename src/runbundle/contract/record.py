"""What a run's log says of its artifacts, as values."""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import Any, NamedTuple

from runbundle.base.errors import LogCorrupt


class Pointer(NamedTuple):
    """The place of a record: whose log, and which line. ``""`` is the creator."""

    writer: str
    seq: int

    def to_json(self) -> dict[str, Any]:
        """The pointer as it stands in a log."""
        return {"writer": self.writer, "seq": self.seq}

    @classmethod
    def from_json(cls, value: Mapping[str, Any] | None) -> Pointer | None:
        """The pointer that a record holds, if any."""
        return None if value is None else cls(value["writer"], value["seq"])


class ArtifactRecord(NamedTuple):
    """What was written, as the log says (docs/format.md, section 3.1).

    Attributes:
        ts_utc: when, ISO-8601 in UTC with milliseconds.
        artifact_id, variant: unique together in a run, among the records in force.
        stage: the stage that wrote it, or None.
        attempt: the attempt at the run that wrote it.
        kind, format, content_type: what it is.
        filename: its path in the run.
        bytes, sha256: what the file holds.
        description: for people; may repeat.
        meta: free facts, such as an image's shape and dtype.
        pointer: where the record stands.
        replaces: the record whose place it took, if any.
        roster: which document lists it with others of its kind: ``artifact_id``, ``filename``, ``entries``, ``key``,
            ``contract_version``; None for most.
        table: of a part of a table, which rows it has (docs/format.md, section 3.6); None for most.
    """

    ts_utc: str
    artifact_id: str
    variant: str | None
    stage: str | None
    attempt: int
    kind: str
    format: str
    filename: str
    content_type: str
    bytes: int
    sha256: str
    description: str
    meta: Mapping[str, Any]
    pointer: Pointer
    replaces: Pointer | None = None
    roster: Mapping[str, Any] | None = None
    table: Mapping[str, Any] | None = None

    @property
    def label(self) -> str:
        """The id, with its variant in brackets if it has one."""
        return label(self.artifact_id, self.variant)

    def to_json(self) -> dict[str, Any]:
        """The record's fields as they stand in the log, without the chain."""
        fields = {name: getattr(self, name) for name in _FIELDS}
        more = {name: dict(told) for name in _MORE if (told := getattr(self, name)) is not None}
        return {**fields, "meta": dict(self.meta), "replaces": self.replaces and self.replaces.to_json(), **more}

    @classmethod
    def from_json(cls, record: Mapping[str, Any], pointer: Pointer) -> ArtifactRecord:
        """The record of a log line.

        Raises:
            LogCorrupt: a field is missing.
        """
        try:
            replaces, roster = Pointer.from_json(record["replaces"]), _roster_of(record)
            return cls._make((*_told(record), pointer, replaces, roster, _table_of(record)))
        except (KeyError, TypeError) as error:
            raise LogCorrupt(
                f"The artifact record {pointer.seq} of the writer {pointer.writer or '(creator)'} lacks {error}",
                hint="Look at what `runbundle verify` says",
            ) from error


_MORE = ("roster", "table")  # what a record has besides, where there is something to tell
_FIELDS = tuple(name for name in ArtifactRecord._fields if name not in ("pointer", *_MORE))
_told = itemgetter(*(name for name in _FIELDS if name != "replaces"))
_ROSTER_FIELDS = ("artifact_id", "filename", "entries", "key", "contract_version")


def _roster_of(record: Mapping[str, Any]) -> dict[str, str] | None:
    roster = record.get("roster")
    if roster is None:
        return None
    told = {name: roster[name] for name in _ROSTER_FIELDS}
    if not all(isinstance(text, str) for text in told.values()):
        raise TypeError("a roster that is told by text")
    return told


def _table_of(record: Mapping[str, Any]) -> dict[str, Any] | None:
    table = record.get("table")
    if table is None:
        return None
    told = {name: table[name] for name in _TABLE_FIELDS}
    is_right = all(isinstance(told[name], str) for name in ("append", "columns"))
    is_right = is_right and all(type(told[name]) is int for name in ("rows", "of"))
    if not is_right or not all(type(told[name]) in (int, type(None)) for name in ("bucket", "bucket_size", *_ENDS)):
        raise TypeError("a part of a table that is told by numbers")
    if not isinstance(told["bucket_by"], str | None):
        raise TypeError("a column by which rows go into buckets")
    merges = [Pointer(str(each["writer"]), int(each["seq"])) for each in table.get("merges", ())]
    return {**told, "merges": [each.to_json() for each in merges]} if merges else told


_ENDS = ("low", "high")
_TABLE_FIELDS = ("append", "of", "bucket_by", "bucket_size", "bucket", "columns", "rows", *_ENDS)


def label(artifact_id: str, variant: str | None) -> str:
    """How an artifact is called in messages."""
    return f"{artifact_id}[{variant}]" if variant is not None else artifact_id
