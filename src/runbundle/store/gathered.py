"""One table of many runs, gathered: which runs have it, in which parts, with which columns; and which are damaged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from runbundle.base.blame import Blamed
from runbundle.base.errors import (
    ArtifactNotFound,
    CorruptError,
    InvalidType,
    InvalidValue,
    NotFoundError,
    RunbundleError,
    UnavailableError,
    UnsupportedVersion,
)
from runbundle.io.formats.base import need
from runbundle.io.hashing import Progress
from runbundle.io.table.parts import Part
from runbundle.io.table.scan import Between, meeting, refuse_changed, schema_of
from runbundle.run.run import Run, open_run
from runbundle.run.tables.members import TableInfo
from runbundle.store.rowrule import RUN_ID, RowRule
from runbundle.store.rule import Name, facts_of, holds

_SHOWN = 8
_DAMAGE = (CorruptError, UnsupportedVersion, NotFoundError, UnavailableError)

RUN_OF_PLACE = r"([^/]+)/\./"  # finds the run's id, the name of its folder, in what ``RunTable.place`` gives
Damaged = dict[Path, RunbundleError]


@dataclass(frozen=True, slots=True)
class RunTable:
    """The table of one run; ``parts`` are those of its parts that are wanted."""

    run: Run
    info: TableInfo
    parts: Sequence[Part]

    def place(self, part: Part) -> str:
        """The path of a part, which says by ``/./`` where the run's folder ends (see ``RUN_OF_PLACE``)."""
        return f"{self.run.path}/./{part.path}"


@dataclass(frozen=True, slots=True)
class Gathered:
    """The tables of one name.

    Attributes:
        tables: of the runs that have one, in the order of their folders.
        columns: of all of them, with their types: of integers, and of floats, the wider type.
        bucket_by: the column that rows go into buckets by, if it is the same in all.
        between: the range of it that is wanted.
        damaged: the runs that were left out because they cannot be read, and why.
    """

    tables: Sequence[RunTable]
    columns: Mapping[str, Any]
    bucket_by: str | None
    between: Between | None
    damaged: Mapping[Path, RunbundleError]

    @property
    def parts(self) -> list[tuple[RunTable, Part]]:
        """The wanted parts, each with the table that it is of."""
        return [(table, part) for table in self.tables for part in table.parts]

    @property
    def path_column(self) -> str:
        """A name for a column of paths that no column of the tables has."""
        name = "path"
        while name in map(str.casefold, self.columns):
            name += "_"
        return name

    @property
    def rows(self) -> int:
        """How many rows the wanted parts have."""
        return sum(part.rows for _, part in self.parts)

    @property
    def bytes(self) -> int:
        """How many bytes they have."""
        return sum(part.bytes for _, part in self.parts)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be gathered; the fields are the arguments of ``runbundle.store.tables.tables``."""

    name: str
    runs: str | None = None
    rule: RowRule | None = None
    between: Between | None = None
    check: bool = True
    allow_damaged: bool = False


def gather(folders: Iterable[Path], wanted: Wanted, progress: Progress | None = None) -> Gathered:
    """The tables of the runs in some folders; errors as ``runbundle.store.tables.tables``.

    Args:
        folders: of the runs, in the order that is to be theirs.
        wanted: which table, of which runs.
        progress: is told how many bytes were checked, as it goes on.
    """
    if not isinstance(wanted.name, str):
        raise InvalidType(f"A table is given by its name, not {type(wanted.name).__name__}")
    damaged: Damaged = {}
    folders = list(folders)
    chosen = list(_chosen(folders, wanted.runs, damaged))
    names = [run.path.name for run in chosen]
    kept = set(names) if wanted.rule is None else wanted.rule.runs(names)
    tables = list(_tables([run for run in chosen if run.path.name in kept], wanted, damaged, progress))
    if not tables:  # what columns there would be, the others say
        rest = _tables([run for run in chosen if run.path.name not in kept], replace(wanted, check=False), damaged)
        tables = [RunTable(table.run, table.info, ()) for table in rest]
    if damaged and not wanted.allow_damaged:
        raise CorruptError(
            told_of(damaged),
            hint="`runbundle verify` tells more. What is damaged is left out with --allow-damaged (allow_damaged=True)",
        ) from next(iter(damaged.values()))
    if not chosen and not damaged:
        raise _no_run(len(folders), wanted)
    if not tables:
        raise _not_found(wanted.name, chosen, damaged)
    _refuse_twins([table.run for table in tables])
    by = {table.info.bucket_by for table in tables}
    if wanted.between is not None and len(by) > 1:
        raise InvalidValue(
            f"The tables have buckets by {', '.join(sorted(map(str, by)))}: between is of one",
            hint="Ask for tables of one column, or filter the rows instead",
        )
    return Gathered(tables, _columns(tables), by.pop() if len(by) == 1 else None, wanted.between, damaged)


def _refuse_twins(runs: Sequence[Run]) -> None:
    """Whether the id of each run tells it from the others: ids are unique in a project, not in a store."""
    seen: dict[str, Run] = {}
    for run in runs:
        other = seen.setdefault(run.path.name, run)
        if other is not run:
            raise InvalidValue(
                f"Two runs have the id {run.path.name}: one of the project {other.manifest['project_name']}, one of "
                f"{run.manifest['project_name']}",
                hint="Choose runs of one project: runs=\"project_name = '...'\"",
            )


def told_of(damaged: Mapping[Path, RunbundleError]) -> str:
    """Which runs cannot be read, and why the first of them cannot."""
    names = [folder.name for folder in damaged]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    first = next(iter(damaged.values())).what
    if len(names) == 1:
        return f"The run {names[0]} cannot be read: {first}"
    return f"{len(names)} of the runs cannot be read: {', '.join(names[:_SHOWN])}{more}. Of the first: {first}"


@contextmanager
def _noting(damaged: Damaged, folder: Path) -> Iterator[None]:
    """A run that cannot be read hides no other, and is told in the end."""
    try:
        yield
    except _DAMAGE as error:
        damaged[folder] = error


def _chosen(folders: Iterable[Path], rule: str | None, damaged: Damaged) -> Iterator[Run]:
    """The runs for which a rule holds; one that lacks what it names, and another has, is left out."""
    facts: dict[Run, Mapping[Name, Any]] = {}
    for folder in folders:
        with _noting(damaged, folder):
            run = open_run(folder)
            facts[run] = {} if rule is None else facts_of(run)
    nothing: dict[Name, Any] = {}
    for found in facts.values():
        nothing |= dict.fromkeys(found)
    for run, found in facts.items():
        if rule is None or holds(rule, {**nothing, **found}):
            yield run


def _tables(
    runs: Iterable[Run], wanted: Wanted, damaged: Damaged, progress: Progress | None = None
) -> Iterator[RunTable]:
    for run in runs:
        found = None
        with _noting(damaged, run.path):
            try:
                found = _table(run, wanted, progress)
            except CorruptError:
                run.refresh()  # who writes it, or wrote it then, may have merged parts meanwhile
                found = _table(run, wanted, progress)
        if found is not None:
            yield found


def _table(run: Run, wanted: Wanted, progress: Progress | None) -> RunTable | None:
    info = next((table for table in run.tables.values() if wanted.name in (table.name, table.artifact_id)), None)
    if info is None or not info.parts:
        return None
    with Blamed(run.run_id, info.name):
        parts = meeting(info.parts, wanted.between, info.bucket_by)
        refuse_changed(run.path, parts, check=wanted.check, progress=progress)
    return RunTable(run, info, parts)


def _no_run(count: int, wanted: Wanted) -> ArtifactNotFound:
    told = f"There is no run to read the table {wanted.name[:80]!r} of"
    if wanted.runs is None:
        return ArtifactNotFound(f"{told}: the store has none", hint="Is it the right store?")
    kept = f"the rule {wanted.runs[:200]!r} holds for none of {count}"
    return ArtifactNotFound(f"{told}: {kept}", hint="`runbundle show RUN --json` tells what may stand in it")


def _not_found(name: str, chosen: Sequence[Run], damaged: Damaged) -> ArtifactNotFound:
    there: dict[str, None] = {}
    for run in chosen:
        there |= {} if run.path in damaged else dict.fromkeys(run.tables)
    shown = ", ".join(sorted(there)[:_SHOWN]) or "none"
    if len(chosen) == 1:
        return ArtifactNotFound(f"The run {chosen[0].run_id} has no table {name[:80]!r}", hint=f"It has {shown}")
    return ArtifactNotFound(f"None of {len(chosen)} runs has a table {name[:80]!r}", hint=f"They have {shown}")


def _columns(tables: Sequence[RunTable]) -> Mapping[str, Any]:
    """The columns of all wanted parts; where none is wanted, of the first of each table. One of each kind is asked."""
    columns: dict[str, Any] = {}
    kinds: set[str] = set()
    is_any = any(table.parts for table in tables)
    for table in tables:
        for part in table.parts if is_any else table.info.parts[:1]:
            if part.columns not in kinds:
                kinds.add(part.columns)
                with Blamed(table.run.run_id, table.info.name):
                    _unite(columns, schema_of(table.run.path, [part]))
    return columns


def _unite(columns: dict[str, Any], more: Mapping[str, Any]) -> None:
    if RUN_ID in more:
        raise InvalidValue(
            f"The table has a column {RUN_ID!r}, which is to tell the run of each row",
            hint="Read the runs one by one, by Run.table",
        )
    for name, dtype in more.items():
        known = columns.setdefault(name, dtype)
        if known == dtype:
            continue
        both = _wider(known, dtype)
        if both is None:
            raise InvalidValue(
                f"The column {name!r} is {dtype}, and {known} in an earlier run",
                hint="Choose runs of one kind by a rule (runs=), or read them one by one",
            )
        columns[name] = both


def _wider(one: Any, other: Any) -> Any:
    """The type of the two that holds the values of both, of integers or of floats; or None."""
    polars = need("polars", "tables")
    if not ((one.is_integer() and other.is_integer()) or (one.is_float() and other.is_float())):
        return None
    frames = [polars.DataFrame(schema={"both": dtype}) for dtype in (one, other)]
    both = polars.concat(frames, how="vertical_relaxed").schema["both"]
    return both if both.is_integer() or one.is_float() else None
