"""The tables of two runs, held against each other as tables: in which parts and order the rows lie does not count."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from runbundle.base.errors import CorruptError, MissingExtra, UnsupportedFormat
from runbundle.contract.comparison import EXACT, By, Comparison
from runbundle.io.formats.base import need
from runbundle.io.table.scan import scan, schema_of
from runbundle.run.run import Run
from runbundle.run.tables.members import TableInfo
from runbundle.store.compared import Compared, told_of
from runbundle.store.values import Difference, Verdict, compare_parts

if TYPE_CHECKING:
    import polars as pl

_Range = tuple[int, int]


def compare_tables(left: Run, right: Run, default: Comparison = EXACT) -> Iterator[Compared]:
    """Each table of one of two runs, in the order of their names.

    Two are identical if their content hashes are equal. Else their rows, sorted by all columns, are compared by the
    rule of the earlier run's contract, a bucket in memory at a time; ``default`` is that of tables of which no contract
    says any.
    """
    ours, theirs = left.tables, right.tables
    specs = left.contract.by_id if left.contract else {}
    for name in sorted(ours.keys() | theirs.keys()):
        one, other = ours.get(name), theirs.get(name)
        if one is not None and other is not None:
            spec = specs.get(one.artifact_id)
            yield _compare(left, right, one, other, (spec.compare if spec else None) or default)
        elif one is not None:
            yield Compared(name, one.folder, Verdict.MISSING)
        elif other is not None:
            yield Compared(name, other.folder, Verdict.ADDED)


def _compare(left: Run, right: Run, one: TableInfo, other: TableInfo, rule: Comparison) -> Compared:
    if rule.by is By.NOTHING:
        return Compared(one.name, one.folder, Verdict.IDENTICAL, ("not compared, as its spec says",))
    try:
        if _have_equal_rows(left, right, one, other):
            return Compared(one.name, one.folder, Verdict.IDENTICAL)
        if rule.by is By.BYTES:
            return Compared(one.name, one.folder, Verdict.DIFFERS, (f"{one.rows} rows, then other {other.rows}",))
        found = _difference(left, right, one, other, rule)
    except (CorruptError, MissingExtra) as error:  # told where it counts, as of any artifact
        told = f"its rows were not compared: {told_of(error)}"
        return Compared(one.name, one.folder, Verdict.DIFFERS, (told,))
    return Compared(one.name, one.folder, found.verdict, tuple(found.places), found.more, found.largest)


def _have_equal_rows(left: Run, right: Run, one: TableInfo, other: TableInfo) -> bool:
    """Whether it is known that they have: by their parts, or by the hash of what they hold."""
    if sorted(part.sha256 for part in one.parts) == sorted(part.sha256 for part in other.parts):
        return True
    if one.rows != other.rows:
        return False
    try:
        return left.content_sha256(one.name) == right.content_sha256(other.name)
    except UnsupportedFormat:  # a column has a type without a content hash: its values say it
        return False


def _difference(left: Run, right: Run, one: TableInfo, other: TableInfo, rule: Comparison) -> Difference:
    found = Difference(rule)
    is_checked = one.rows == other.rows  # by the content hash
    sides = [(run, table, schema_of(run.path, table.parts)) for run, table in ((left, one), (right, other))]
    for between in _ranges(one, other):
        before, after = (
            scan(
                run.path, table.parts, bucket_by=table.bucket_by, between=between, check=not is_checked, schema=schema
            ).collect()
            for run, table, schema in sides
        )
        place = "" if between is None else f"{one.bucket_by} {between[0]} to {between[1]}"
        _compare_rows(found, place, before, after)
    return found


def _ranges(one: TableInfo, other: TableInfo) -> Iterator[_Range | None]:
    """Ranges of the column that rows go into buckets by, together all rows of both; None: all at once."""
    sizes = [table.bucket_size for table in (one, other) if table.bucket_size is not None]
    if one.bucket_by is None or one.bucket_by != other.bucket_by:
        yield None
        return
    size = max(sizes)
    buckets: set[int] = set()
    for part in (*one.parts, *other.parts):
        if part.low is not None and part.high is not None:
            buckets.update(range(part.low // size, part.high // size + 1))
    yield from ((bucket * size, (bucket + 1) * size - 1) for bucket in sorted(buckets))


def _compare_rows(found: Difference, place: str, before: pl.DataFrame, after: pl.DataFrame) -> None:
    if before.height != after.height:
        found.find(place, f"{before.height} rows, then {after.height}")
        return
    names = [[name for name in frame.columns if not found.rule.ignores(name)] for frame in (before, after)]
    if set(names[0]) != set(names[1]):
        compare_parts(found, place, *(dict.fromkeys(each, "a column") for each in names))
    else:
        compare_parts(found, place, *(_sorted(frame.select(sorted(names[0]))) for frame in (before, after)))


def _sorted(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows by all columns; floats last, so that what is near stays side by side."""
    selectors = need("polars.selectors", "tables")
    plain = frame.with_columns((selectors.categorical() | selectors.enum()).cast(need("polars", "tables").String))
    order = sorted(plain.columns, key=lambda name: plain.schema[name].is_float())
    return plain.sort(order) if order else plain
