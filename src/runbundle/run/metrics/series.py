"""Series of points: gathered as they are logged or read, and told in ``metrics.json`` (docs/format.md, section 4.1)."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from runbundle.base.errors import LogCorrupt
from runbundle.base.jsontext import read_number, spell_number
from runbundle.contract.record import Pointer
from runbundle.io.scan import Scan
from runbundle.run.log.follow import log_paths
from runbundle.run.log.lines import CREATOR, METRICS_STEM, check_line, scan_of

INLINE_POINTS = 10_000
_BATCH = 512
_POINT_FIELDS = frozenset(("attempt", "step", "ts_ms", "values"))
_NUMBERS = frozenset((float, int, bool, str))


class Series(NamedTuple):
    """The points of one metric, by step.

    Attributes:
        steps: the steps, ascending.
        values: the values; non-finite ones are floats.
    """

    steps: list[int]
    values: list[float]

    def copied(self) -> Series:
        """A series of one's own."""
        return Series(list(self.steps), list(self.values))


class Point(NamedTuple):
    """One value as it was logged.

    Attributes:
        name: of the metric. step, value: what was logged.
        ts_ms: when, in milliseconds since 1970 UTC.
        writer: who logged it; ``""`` is the run's creator. attempt: in which attempt at the run.
    """

    name: str
    step: int
    value: float
    ts_ms: int
    writer: str
    attempt: int


@dataclass(slots=True)
class Column:
    """One metric, as it was logged: count, extremes and last value, and all points while they are kept.

    Attributes:
        is_ordered: whether each step was greater than the one before. If not, a step may have been logged again, and
            only ``steps`` and ``values`` tell what counts.
    """

    count: int = 0
    low: float = math.nan
    high: float = math.nan
    last: float = math.nan
    last_step: int = -1
    top_step: int = -1
    is_ordered: bool = True
    steps: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def extend(self, steps: Sequence[int], values: Sequence[float], *, are_ordered: bool, keep: bool) -> None:
        """Take in points in the order they were logged."""
        low, high = min(values), max(values)
        if low != low or high != high:  # noqa: PLR0124 - NaN; one that is not the first is passed over
            low, high = extremes(values)
        if not self.count:
            self.low, self.high, self.is_ordered = low, high, are_ordered
        else:
            self.is_ordered = self.is_ordered and are_ordered and steps[0] > self.last_step
            self.low = low if math.isnan(self.low) else min(self.low, low)
            self.high = high if math.isnan(self.high) else max(self.high, high)
        self.count += len(values)
        self.last, self.last_step = values[-1], steps[-1]
        self.top_step = max(self.top_step, self.last_step if are_ordered else max(steps))
        if keep:
            self.steps.extend(steps)
            self.values.extend(values)

    def series(self) -> Series:
        """For each step the value logged last, by step; of a column that kept its points."""
        if self.is_ordered:
            return Series(self.steps, self.values)
        latest = dict(zip(self.steps, self.values, strict=True))
        steps = sorted(latest)
        return Series(steps, [latest[step] for step in steps])

    def described(self, series: Series | None) -> dict[str, Any]:
        """Count, least, greatest and last value; ``series`` is needed where the column is not ordered."""
        if self.is_ordered or series is None:
            count, low, high, last = self.count, self.low, self.high, self.last
        else:
            count, last = len(series.steps), series.values[-1]
            low, high = extremes(series.values)
        return {
            "count": count,
            "min": spell_number(float(low)),
            "max": spell_number(float(high)),
            "last": spell_number(last),
        }


def extremes(values: Sequence[float]) -> tuple[float, float]:
    """The least and the greatest of the values that are numbers; NaN if none is."""
    if math.isnan(sum(values)):  # a NaN is there, or infinities of both signs
        values = [value for value in values if not math.isnan(value)]
    return (min(values), max(values)) if values else (math.nan, math.nan)


@dataclass(slots=True)
class Columns:
    """The metrics of one journal.

    Attributes:
        by_name: the columns.
        summary: the entries of the summary, the latest of a name.
        points: how many values were logged in all.
        limit: how many of them are kept at most; beyond that none is. None: all, always.
    """

    by_name: dict[str, Column] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    points: int = 0
    limit: int | None = None

    @property
    def keeps(self) -> bool:
        """Whether the points are kept."""
        return self.limit is None or self.points <= self.limit

    def add(self, names: Sequence[str], steps: Sequence[int], rows: Iterable[Iterable[float]]) -> None:
        """Take in rows of one value for each name, in the order they were logged."""
        kept = self.keeps
        self.points += len(steps) * len(names)
        if kept and not self.keeps:
            for column in self.by_name.values():
                column.steps, column.values = [], []
        are_ordered, keep = all(map(operator.lt, steps, steps[1:])), self.keeps
        for name, values in zip(names, zip(*rows, strict=True), strict=True):
            column = self.by_name.get(name) or self.by_name.setdefault(name, Column())
            column.extend(steps, values, are_ordered=are_ordered, keep=keep)

    def scalars(self) -> dict[str, Any]:
        """The last value of each series, and over them what the summary says."""
        last = {name: c.last if c.is_ordered else c.series().values[-1] for name, c in self.by_name.items()}
        return {**last, **self.summary}


def read_columns(path: Path, writer: str = CREATOR, *, limit: int | None = None) -> Columns:
    """What a journal of points holds, also one that is still written; ``limit`` as in ``Columns``.

    Raises:
        LogCorrupt: it is damaged before its end.
    """
    columns = Columns(limit=limit)
    for names, steps, rows in _batches(path, writer, columns.summary):
        columns.add(names, steps, rows)
    return columns


def _batches(
    path: Path, writer: str, summary: dict[str, Any]
) -> Iterator[tuple[tuple[str, ...], list[int], list[list[float]]]]:
    """Successive points of the same names, with their steps and values; the summary is filled on the way."""
    names: tuple[str, ...] = ()
    steps: list[int] = []
    rows: list[list[float]] = []
    scan = scan_of(path)
    for record in scan:
        if record["record"] != "point":
            check_line(record, Pointer(writer, scan.seq - 1))
            if record["record"] == "summary":
                summary.update({name: read_number(value) for name, value in record["values"].items()})
            continue
        if (told := tuple(_values(record, scan))) != names or len(steps) == _BATCH:
            if steps:
                yield names, steps, rows
            names, steps, rows = told, [], []
        steps.append(record["step"])
        rows.append(_row(record["values"], scan))
    scan.require_intact()
    if steps:
        yield names, steps, rows


def _values(record: Mapping[str, Any], scan: Scan) -> Mapping[str, Any]:
    values = record.get("values")
    if not record.keys() >= _POINT_FIELDS or type(record["step"]) is not int or not isinstance(values, dict):
        raise _no_point(scan, "it lacks what a point has")
    return values


def _row(values: Mapping[str, Any], scan: Scan) -> list[float]:
    row = list(values.values())
    kinds = set(map(type, row))
    if not kinds <= _NUMBERS:
        raise _no_point(scan, f"it holds {', '.join(sorted(kind.__name__ for kind in kinds - _NUMBERS))}")
    if str in kinds:
        row = [read_number(value) for value in row]
        if any(isinstance(value, str) for value in row):
            raise _no_point(scan, "it holds text")
    return row


def _no_point(scan: Scan, reason: str) -> LogCorrupt:
    return LogCorrupt(
        f"Line {scan.seq} of {scan.path.name} is no point of numbers: {reason}",
        hint="Look at what `runbundle verify` says",
        path=scan.path,
    )


def read_raw(run_dir: Path, name: str) -> list[Point]:
    """Every value of a metric as it was logged: by all writers, in all attempts, in the order of each journal.

    Raises:
        LogCorrupt: a journal is damaged before its end.
    """
    found = []
    for writer, path in log_paths(run_dir, METRICS_STEM).items():
        scan = scan_of(path)
        for record in scan:
            if record["record"] == "point" and name in _values(record, scan):
                (value,) = _row({name: record["values"][name]}, scan)
                found.append(Point(name, record["step"], value, record["ts_ms"], writer, record["attempt"]))
        scan.require_intact()
    return found


def read_points(run_dir: Path) -> Columns:
    """The metrics of a run, also of one that is still written: those of its creator.

    Raises:
        LogCorrupt: the journal is damaged before its end.
    """
    path = log_paths(run_dir, METRICS_STEM).get(CREATOR)
    return Columns() if path is None else read_columns(path)


def metrics_document(columns: Columns) -> dict[str, Any]:
    """``metrics.json``: the scalars, and each series with its values where they are few."""
    described: dict[str, dict[str, Any]] = {}
    scalars: dict[str, Any] = {}
    is_inline = columns.points <= INLINE_POINTS
    for name, column in columns.by_name.items():
        series = column.series() if is_inline or not column.is_ordered else None
        described[name] = column.described(series)
        scalars[name] = described[name]["last"]
        if is_inline and series is not None:
            described[name] |= {"steps": series.steps, "values": [spell_number(value) for value in series.values]}
    scalars |= {name: spell_number(value) for name, value in columns.summary.items()}
    return {"schema_version": 1, "scalars": scalars, "series": described}
