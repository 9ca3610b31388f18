"""Rows appended to a table of a run: each append is new parts, whole and recorded, or nothing (I30)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runbundle.base.errors import (
    ArtifactExists,
    ContractError,
    CorruptError,
    InvalidType,
    InvalidValue,
    UnavailableError,
)
from runbundle.base.ids import fold
from runbundle.contract.record import ArtifactRecord
from runbundle.contract.spec import EXTRA_KIND, ArtifactSpec, Required
from runbundle.contract.table import TableSpec
from runbundle.io.atomic import Staged, Written
from runbundle.io.confine import check_relative, refuse_links
from runbundle.io.table.parts import Appended, Cut, Cutting, cut
from runbundle.io.table.rows import Rows
from runbundle.run.artifacts import check_stage
from runbundle.run.session import Session
from runbundle.run.tables.members import TableInfo, folder_of, part_of, tables_of

_CONTENT_TYPE = "application/vnd.apache.parquet"


_Kind = tuple[str, str | None, int | None]  # the digest of the columns, and the buckets


@dataclass(frozen=True, slots=True)
class Growing:
    """A table that this writer appends to.

    Attributes:
        spec: its spec; of an undeclared one, one that says the same. artifact_id: of its parts.
        folder: its folder in the run. cutting, rows: how its rows are cut, and what they must be.
        agreed: the kinds of parts that were found to go together; their columns are known to ``rows``.
    """

    spec: ArtifactSpec
    artifact_id: str
    folder: str
    cutting: Cutting
    rows: Rows
    agreed: set[_Kind]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a caller says of a table that no contract declares; None where nothing is said."""

    bucket_by: str | None = None
    bucket_size: int | None = None


def append(session: Session, wanted: ArtifactSpec | str, frame: Any, asked: Asked) -> Appended:
    """Append rows; see ``RunIO.append``."""
    name = wanted.artifact_id if isinstance(wanted, ArtifactSpec) else wanted
    with session.acting(), session.blamed(name if isinstance(name, str) else None):
        table = growing(session, wanted, asked)
        check_stage(session, table.spec)
        rows = table.rows.checked(frame)
        cuts = cut(rows, table.cutting, session.clock)
        parts = _write_all(session, table, rows, cuts)
    return Appended(rows.height, tuple(parts))


def growing(session: Session, wanted: ArtifactSpec | str, asked: Asked) -> Growing:
    """The table that is meant, known to this writer from now on.

    Raises:
        ContractError: it is not declared, or declared otherwise; or it was begun with other buckets.
        ArtifactExists: something else lies in its folder.
    """
    key = wanted.artifact_id if isinstance(wanted, ArtifactSpec) else wanted
    if not isinstance(key, str):
        raise InvalidType(f"A table is given by its spec, its id or its name, not {type(wanted).__name__}")
    known: Growing | None = session.tables.get(key)
    if known is None:
        begun = _begun(session, wanted, key, asked)
        with session.lock:  # by its id and by its name it is one table
            known = session.tables[key] = session.tables.setdefault(begun.artifact_id, begun)
    elif isinstance(wanted, ArtifactSpec) and wanted != known.spec:
        raise ContractError(f"The spec of {key} is not the one that the run has", hint="Take it from the contract")
    _refuse_other_buckets(known, asked)
    return known


def _begun(session: Session, wanted: ArtifactSpec | str, key: str, asked: Asked) -> Growing:
    declared = None if session.contract is None else session.contract.table(key)
    there = _there(session, declared.artifact_id if declared else key)
    if declared is None and session.contract is not None and key in session.contract.by_id:
        raise ContractError(f"{key} is declared, and is no table", hint="Write it by write(), or give its spec table=")
    if declared is None and isinstance(wanted, ArtifactSpec) and session.contract is None:
        declared = wanted
    if declared is not None and isinstance(wanted, ArtifactSpec) and wanted != declared:
        raise ContractError(f"The spec of {key} is not the one in the run's contract", hint="Take it from the contract")
    if declared is None:
        spec, artifact_id, folder = _undeclared(session, key, asked, there)
    else:
        spec, artifact_id = declared, declared.artifact_id
        folder = session.layout.table_folder(spec.kind, spec.suffix)
    if spec.table is None:
        raise ContractError(f"{artifact_id} is no table", hint="Give its spec table=TableSpec(...)")
    _refuse_others(session, folder, artifact_id)
    how = spec.table
    cutting = cutting_of(how, spec.name if declared else artifact_id, session.run_id)
    known = None if there is None else _columns_there(session, there)
    rows = Rows(spec.columns, how.bucket_by, is_strict=how.is_strict, known=known)
    parts = () if there is None else there.parts
    agreed = {(part.columns, there.bucket_by, there.bucket_size) for part in parts if there is not None}
    return Growing(spec, artifact_id, folder, cutting, rows, agreed)


def cutting_of(how: TableSpec, table: str, run_id: str | None) -> Cutting:
    """How a table of that name is cut, as its spec says."""
    return Cutting(
        how.bucket_by, how.bucket_size, how.compression, how.row_group_rows, how.schema_version, table, run_id
    )


def _there(session: Session, artifact_id: str) -> TableInfo | None:
    with session.lock:
        session.refresh()
        return next((table for table in tables_of(session.state).values() if table.artifact_id == artifact_id), None)


def _columns_there(session: Session, there: TableInfo) -> Mapping[str, Any] | None:
    from runbundle.io.table.scan import schema_of  # noqa: PLC0415 - Polars is loaded when it is needed

    return schema_of(session.run_dir, there.parts) if there.parts else None


def _undeclared(session: Session, name: str, asked: Asked, there: TableInfo | None) -> tuple[ArtifactSpec, str, str]:
    """The spec, the id and the folder of a table that no contract declares; its buckets are those it was begun with."""
    contract = session.contract
    if contract is not None and not contract.allow_extras:
        known = ", ".join(spec.name for spec in contract.artifacts if spec.table) or "none"
        raise ContractError(
            f"The contract {contract.name} declares no table {name!r} and allows no extras",
            hint=f"Its tables are {known}",
        )
    if contract is not None and contract.formats is not None and "parquet" not in contract.formats:
        raise ContractError(
            f"The contract {contract.name} does not allow the format parquet",
            hint="Add parquet to the formats of the contract",
        )
    name = check_relative(name, what="the name of the table")
    by, size = (there.bucket_by, there.bucket_size) if there else (asked.bucket_by, asked.bucket_size)
    how = TableSpec(by) if size is None else TableSpec(by, size)
    spec = ArtifactSpec("extra", EXTRA_KIND, "extra", ".parquet", "parquet", None, Required.OPTIONAL, table=how)
    return spec, name, f"{session.layout.extras_folder}/{name}"


def _refuse_other_buckets(table: Growing, asked: Asked, *, is_said: bool = False) -> None:
    """``is_said``: what is asked is what another writer said, None not being nothing then."""
    has = table.cutting.bucket_by, None if table.cutting.bucket_by is None else table.cutting.bucket_size
    for name, here, value in zip(("bucket_by", "bucket_size"), has, (asked.bucket_by, asked.bucket_size), strict=True):
        if value != here and (is_said or value is not None):
            one, other = (value, here) if is_said else (here, value)
            raise ContractError(
                f"{table.artifact_id} has {name} {one!r}, not {other!r}",
                hint="A table keeps the buckets that it was declared or begun with",
            )


def _refuse_others(session: Session, folder: str, artifact_id: str) -> None:
    """Whether anything but parts of the table lies where its parts are to lie."""
    top = f"{fold(folder)}/"
    with session.lock:
        there = list(session.state.in_force.values())
    for record in there:
        if record.artifact_id == artifact_id and record.table is not None:
            continue
        place = f"{fold(record.filename if record.table is None else folder_of(record))}/"
        is_inside = place.startswith(top) and (record.table is not None or place.endswith(".parquet/") or place == top)
        if is_inside or top.startswith(place):
            raise ArtifactExists(
                f"{record.filename} lies where the table {artifact_id} is to be",
                hint="Give one of the two another name",
            )


def _write_all(session: Session, table: Growing, rows: Any, cuts: list[Cut]) -> list[Any]:
    """All parts of an append: first their files, then their records; a failure takes all of them back."""
    places: list[str] = []
    said: list[ArtifactRecord] = []
    in_log = 0
    try:
        files = []
        for each in cuts:
            place, written = put_part(session, table.folder, each)
            places.append(place)
            files.append(written)
            session.remember(place, written.sha256)
        with session.lock:  # nobody else says anything
            start = session.log.seq
            try:
                table.rows.take(rows.schema, own=True)
                for each, written in zip(cuts, files, strict=True):
                    said.append(say_part(session, table, each, written))
            finally:
                in_log = session.log.seq - start
        own = _kind_of(said[0].table or {})
        if own not in table.agreed:  # what others said at the same time is seen here or by them
            _agree_with_others(session, table, own)
    except BaseException:
        for place in places[in_log:]:
            session.undo(place, None)
        if said:
            retire(session, said, "an append failed")
        raise
    return [
        each.written(f"{table.folder}/{each.path}", written.size, written.sha256)
        for each, written in zip(cuts, files, strict=True)
    ]


def _agree_with_others(session: Session, table: Growing, own: _Kind) -> None:
    """Whether what this writer says for the first time goes with what other writers said meanwhile.

    Raises:
        InvalidValue: the types of columns do not. ContractError: the buckets do not.
    """
    from runbundle.io.table.scan import schema_of  # noqa: PLC0415 - as above

    session.refresh()
    with session.lock:
        told = (record for record in session.state.in_force.values() if record.artifact_id == table.artifact_id)
        kinds = {_kind_of(record.table): record for record in told if record.table is not None}
        for other, record in kinds.items():
            if other in table.agreed or other == own:
                continue
            try:
                _refuse_other_buckets(table, Asked(other[1], other[2]), is_said=True)
                table.rows.take(schema_of(session.run_dir, [part_of(record)]))
            except (InvalidValue, ContractError):
                session.tables.clear()  # they are begun anew, by what is there
                raise
            except CorruptError:  # merged since, or damaged: who reads it will say so
                pass
            table.agreed.add(other)
        table.agreed.add(own)


def _kind_of(told: Mapping[str, Any]) -> _Kind:
    """What is equal for parts that surely go together."""
    return told["columns"], told["bucket_by"], told["bucket_size"]


def put_part(session: Session, folder: str, part: Cut) -> tuple[str, Written]:
    """Bring the bytes of a part to their place, which is new."""
    filename = f"{folder}/{part.path}"
    own = filename.rpartition("/")[0]
    if own not in session.folders:  # no link leads to it; the name of the part itself is new, and taken by no link
        refuse_links(str(session.run_dir), own, what="folder")
        session.folder(own)
    place = f"{session.run_dir}/{filename}"
    session.remove_orphans()
    with Staged(place) as staged:
        staged.write(part.data)
        written = staged.seal(sync=session.is_power)
        staged.create()
    return place, written


def say_part(
    session: Session, table: Growing, part: Cut, written: Written, merges: list[ArtifactRecord] | None = None
) -> ArtifactRecord:
    """Say that a part is there; and, of one that has their rows now, that others are no longer in force."""
    stem = part.path.removesuffix(".parquet").removeprefix("bucket=").replace("/part-", ".").removeprefix("part-")
    stage = table.spec.stage or session.stage
    told: dict[str, Any] = {
        "append": part.append,
        "bucket": part.bucket,
        "bucket_by": table.cutting.bucket_by,
        "bucket_size": None if table.cutting.bucket_by is None else table.cutting.bucket_size,
        "columns": part.columns,
        "high": part.high,
        "low": part.low,
        "of": part.of,
        "rows": part.rows,
    }
    if merges is not None:
        stage = merges[0].stage
        told["merges"] = [record.pointer.to_json() for record in merges]
    fields = {
        "ts_utc": session.now(),
        "artifact_id": table.artifact_id,
        "variant": stem,
        "stage": stage,
        "attempt": session.attempt,
        "kind": table.spec.kind,
        "format": "parquet",
        "filename": f"{table.folder}/{part.path}",
        "content_type": _CONTENT_TYPE,
        "bytes": written.size,
        "sha256": written.sha256,
        "description": table.spec.description,
        "meta": {},
        "table": told,
    }
    return session.say_artifact(fields, None)


def retire(session: Session, records: list[ArtifactRecord], reason: str) -> None:
    """Take parts out of force and remove their files, which hold nothing that counts."""
    moved = [{"from": record.filename, "to": None, "artifact": record.pointer.to_json()} for record in records]
    try:
        session.say("quarantine", attempt=session.attempt, moved=moved, reason=reason)
    except UnavailableError:  # the files stay, and still do not count
        return
    session.orphans.update(f"{session.run_dir}/{record.filename}" for record in records)
    session.remove_orphans()
