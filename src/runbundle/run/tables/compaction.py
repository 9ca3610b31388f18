"""Small parts merged into large ones: the rows stay the same, and are there once at every instant (I30)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from runbundle.base.errors import CorruptError, InvalidValue, StageError
from runbundle.contract.record import ArtifactRecord
from runbundle.io.table.parts import Cut, Part, cut
from runbundle.io.table.scan import scan
from runbundle.run.session import Session
from runbundle.run.tables.appending import Asked, Growing, growing, put_part, retire, say_part
from runbundle.run.tables.members import TARGET_ROWS, find_table, records_of

_Pair = tuple[Part, ArtifactRecord]


def compact(session: Session, name: str | None = None, target_rows: int = TARGET_ROWS) -> None:
    """Merge the parts of tables; see ``RunIO.compact``."""
    if type(target_rows) is not int or target_rows < 1:
        raise InvalidValue(f"target_rows is a whole number of at least 1, not {target_rows!r}")
    with session.acting(), session.merging, session.blamed():  # two threads would merge the same rows twice
        session.require_creator("Merging the parts of a table")
        session.refresh()
        with session.lock:  # other threads append
            if name is None:
                chosen = sorted({record.artifact_id for record in session.state.in_force.values() if record.table})
            else:
                chosen = [find_table(session.state, name, run=session.run_id).artifact_id]
        for artifact_id in chosen:
            with session.blamed(artifact_id):
                _retire_cut_short(session, artifact_id)
                if _pairs(session, artifact_id):
                    _compact(session, growing(session, artifact_id, Asked()), target_rows)


def _pairs(session: Session, artifact_id: str) -> list[_Pair]:
    with session.lock:
        return records_of(session.state, artifact_id)


def _compact(session: Session, table: Growing, target_rows: int) -> None:
    """Write the merged parts, make them safe, say them, make that safe, and only then let go of the others."""
    groups = list(_groups(_pairs(session, table.artifact_id), target_rows))
    places: list[str] = []
    said = 0
    try:
        merged = []
        for group in groups:
            part = _merged(session, table, [part for part, _ in group])
            place, written = put_part(session, table.folder, part)
            places.append(place)
            session.remember(place, written.sha256)
            merged.append((dataclasses.replace(part, data=memoryview(b"")), written, [record for _, record in group]))
        session.sync_files()  # what takes the place of rows that are safe is safe first
        with session.lock:  # nobody else says anything
            _refuse_retired(session, [record for _, _, records in merged for record in records])
            start = session.log.seq
            try:
                for part, written, records in merged:
                    say_part(session, table, part, written, records)
            finally:
                said = session.log.seq - start
    except BaseException:
        for place in places[said:]:
            session.undo(place, None)
        raise
    if merged:
        session.sync()
        retire(session, [record for _, _, records in merged for record in records], "merged")


def _refuse_retired(session: Session, records: list[ArtifactRecord]) -> None:
    """Whether parts still count: a stage that was begun again meanwhile took what it had left before with it.

    Raises:
        StageError: one does not.
    """
    if any(record.pointer in session.state.gone for record in records):
        raise StageError(
            "Parts were set aside while they were merged", hint="Nothing was merged; merge again if it is to be"
        )


def _groups(pairs: list[_Pair], target_rows: int) -> Iterator[list[_Pair]]:
    """Parts that are to be one: of the same bucket and stage, next to each other, no larger together than wanted."""
    for _, same in groupby(pairs, key=lambda pair: (pair[0].bucket, pair[1].stage)):
        group: list[_Pair] = []
        rows = 0
        for pair in same:
            if group and rows + pair[0].rows > target_rows:
                if len(group) > 1:
                    yield group
                group, rows = [], 0
            group.append(pair)
            rows += pair[0].rows
        if len(group) > 1:
            yield group


def _merged(session: Session, table: Growing, parts: list[Part]) -> Cut:
    """One part with the rows of several.

    Raises:
        CorruptError: they are not as they were written.
    """
    by = table.cutting.bucket_by
    frame: Any = scan(session.run_dir, parts, bucket_by=by).collect()
    if by is not None:
        frame = frame.sort(by, maintain_order=True)
    cuts = cut(frame, table.cutting, session.clock)
    rows = sum(part.rows for part in parts)
    if frame.height != rows or len(cuts) != 1 or cuts[0].bucket != parts[0].bucket:
        raise CorruptError(
            f"The parts of {table.artifact_id} hold {frame.height} rows, and {rows} were recorded",
            hint="`runbundle verify` tells which file was changed; restore it from a copy",
            path=session.run_dir / table.folder,
        )
    return cuts[0]


def _retire_cut_short(session: Session, artifact_id: str) -> None:
    """Take out of force the parts of an append that a crash cut short: this writer says all of one at once."""
    with session.lock:
        counted = {part.path for part, _ in records_of(session.state, artifact_id)}
        left = [
            record
            for record in session.state.in_force.values()
            if record.table is not None
            and record.artifact_id == artifact_id
            and record.filename not in counted
            and (record.attempt < session.attempt or record.pointer.writer == session.writer)
        ]
        if left:
            retire(session, left, "an append was cut short")
