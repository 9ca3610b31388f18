"""Metrics: an append-only journal of points, and the summary of a run (docs/format.md, section 4)."""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from runbundle.base.errors import InvalidType, InvalidValue
from runbundle.base.jsontext import read_number, spell_number
from runbundle.contract.record import Pointer
from runbundle.io.atomic import os_errors
from runbundle.io.confine import inside
from runbundle.io.journal import Journal, read_intact
from runbundle.run import provenance
from runbundle.run.lines import CREATOR, FORMAT_VERSION, LOG_FORMAT, METRICS_STEM, check_line, log_name
from runbundle.run.session import Session
from runbundle.run.state import log_paths

INLINE_POINTS = 10_000
METRICS_FILE = "metrics.json"


class Series(NamedTuple):
    """The points of one metric, by step.

    Attributes:
        steps: the steps, ascending.
        values: the values; non-finite ones are floats.
    """

    steps: list[int]
    values: list[float]


@dataclass(slots=True)
class MetricLog:
    """The writing end of a run's metrics. The journal is made with the first point."""

    session: Session
    journal: Journal | None = None
    next_step: dict[str, int] = field(default_factory=dict)

    def log(self, values: Mapping[str, Any], step: int | None) -> None:
        """Append a point; see ``RunIO.log``."""
        self.session.require_open()
        with self.session.blamed():
            if not isinstance(values, Mapping):
                raise InvalidType(f"Metrics are a mapping of names to numbers, not {type(values).__name__}")
            if not values:
                raise InvalidValue("A point has at least one metric", hint="Log {'name': number}")
            spelled = {_name(name): _number(name, value) for name, value in values.items()}
            given = None if step is None else _step(step)
            with self.session.lock:
                self._open()
                number = max(self.next_step.get(name, 0) for name in spelled) if given is None else given
                self._append("point", step=number, values=spelled)
                for name in spelled:
                    self.next_step[name] = max(self.next_step.get(name, 0), number + 1)

    def set_summary(self, name: str, value: Any) -> None:
        """Record one entry of the summary."""
        self.session.require_open()
        with self.session.blamed():
            spelled = {_name(name): _scalar(name, value)}
            with self.session.lock:
                self._open()
                self._append("summary", values=spelled)

    def _append(self, record: str, **fields: Any) -> None:
        journal = self._open()
        stamp = {"ts_utc": self.session.now(), "attempt": self.session.attempt}
        journal.append({"record": record, **stamp, **fields})
        self.session.remember(journal.path)

    def _open(self) -> Journal:
        """The journal. It is made with the first point; one that a crash left empty gets its header."""
        if self.journal is not None:
            return self.journal
        path = inside(self.session.run_dir, log_name(self.session.writer, METRICS_STEM))
        is_there = path.exists()
        if is_there:
            points = read_points(self.session.run_dir)
            self.next_step = {name: max(series.steps) + 1 for name, series in points.series.items()}
        journal = Journal.reopen(path) if is_there else Journal.create(path)
        try:
            with os_errors("Reading", path):
                is_empty = path.stat().st_size == 0
            if is_empty:
                header = {"format": LOG_FORMAT, "format_version": FORMAT_VERSION, "writer": self.session.writer}
                journal.append({"record": "header", "ts_utc": self.session.now(), **header, "host": provenance.host()})
        except BaseException:
            journal.close()
            raise
        self.journal = journal
        return journal


class Summary(MutableMapping[str, Any]):
    """The final scalars of a run; each assignment is recorded at once and survives a kill."""

    def __init__(self, metrics: MetricLog, values: dict[str, Any]) -> None:
        self._metrics = metrics
        self._values = values

    def __setitem__(self, name: str, value: Any) -> None:
        self._metrics.set_summary(name, value)
        self._values[name] = read_number(_scalar(name, value))

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __delitem__(self, name: str) -> None:
        raise InvalidType(f"{name} was recorded, and records are never taken back", hint="Assign another value")

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


@dataclass(frozen=True, slots=True)
class Points:
    """What the metric journals of a run hold: the creator's series and the summary."""

    series: Mapping[str, Series]
    summary: Mapping[str, Any]


def read_points(run_dir: Path) -> Points:
    """The metrics of a run, also of one that is still written.

    For each step the value of the latest attempt counts, and of that the last one logged.

    Raises:
        LogCorrupt: the journal is damaged before its end.
    """
    path = log_paths(run_dir, METRICS_STEM).get(CREATOR)
    if path is None:
        return Points({}, {})
    found: dict[str, dict[int, tuple[int, float]]] = {}
    summary: dict[str, Any] = {}
    for seq, record in enumerate(read_intact(path).records):
        check_line(record, Pointer(CREATOR, seq))
        if record["record"] == "point":
            _take_point(found, record)
        elif record["record"] == "summary":
            summary.update({name: read_number(value) for name, value in record["values"].items()})
    series = {}
    for name, points in found.items():
        steps = sorted(points)
        series[name] = Series(steps, [points[step][1] for step in steps])
    return Points(series, summary)


def _take_point(found: dict[str, dict[int, tuple[int, float]]], record: Mapping[str, Any]) -> None:
    for name, value in record["values"].items():
        points = found.setdefault(name, {})
        earlier = points.get(record["step"])
        if earlier is None or record["attempt"] >= earlier[0]:
            points[record["step"]] = (record["attempt"], read_number(value))


def metrics_document(points: Points) -> dict[str, Any]:
    """``metrics.json``: the scalars, and each series with its values where they are few."""
    total = sum(len(series.steps) for series in points.series.values())
    described: dict[str, dict[str, Any]] = {}
    for name, series in points.series.items():
        described[name] = {
            "count": len(series.values),
            "min": spell_number(_extreme(min, series.values)),
            "max": spell_number(_extreme(max, series.values)),
            "last": spell_number(series.values[-1]),
        }
        if total <= INLINE_POINTS:
            described[name] |= {"steps": series.steps, "values": [spell_number(value) for value in series.values]}
    scalars = {name: spell_number(value) for name, value in final_scalars(points).items()}
    return {"schema_version": 0, "scalars": scalars, "series": described}


def final_scalars(points: Points) -> dict[str, Any]:
    """The last value of each series, and over them what the summary says."""
    return {**{name: series.values[-1] for name, series in points.series.items()}, **points.summary}


def _extreme(choose: Any, values: Iterable[float]) -> float:
    """The least or greatest of the values that are numbers; NaN if none is."""
    numbers = [value for value in values if not math.isnan(value)]
    return float(choose(numbers)) if numbers else math.nan


def _name(name: Any) -> str:
    if not isinstance(name, str) or not name:
        raise InvalidType(f"The name of a metric is text, not {name!r}")
    return name


def _number(name: str, value: Any) -> Any:
    plain = value
    if hasattr(value, "item"):  # arrays and tensors, of which one with several elements refuses
        with suppress(TypeError, ValueError, RuntimeError):
            plain = value.item()
    if not isinstance(plain, int | float):
        raise InvalidType(f"The metric {name!r} is a number, not {type(value).__name__}", hint="Log one number a name")
    if isinstance(plain, bool):
        return plain
    if isinstance(plain, int):
        if abs(plain) > sys.float_info.max:
            raise InvalidValue(f"The metric {name!r} is too large for a float")
        return int(plain)
    return spell_number(float(plain))


def _step(step: Any) -> int:
    try:
        if not isinstance(step, bool):
            return operator.index(step)
    except TypeError:
        pass
    raise InvalidType(f"step is an integer, not {step!r}")


def _scalar(name: str, value: Any) -> Any:
    if value is None or isinstance(value, str):
        if isinstance(value, str) and read_number(value) is not value:
            raise InvalidValue(f"{name!r} is the text {value!r}, which would be read back as a number")
        return value
    return _number(name, value)
