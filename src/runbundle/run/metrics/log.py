"""Metrics as they are logged: an append-only journal of points, and the summary of a run (docs/format.md, section 4.1).

A point costs little more than the bare loop that writes it (benchmarks/speed.py): a plain dict of finite numbers goes
one short way, everything else goes the careful one, and what ``metrics.json`` will say is gathered a batch at a time.
"""

from __future__ import annotations

import math
import operator
import os
import sys
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from runbundle.base.errors import AlreadyExistsError, InvalidType, InvalidValue, RunbundleError
from runbundle.base.jsontext import read_number, refuse_non_json, spell_number
from runbundle.io.confine import refuse_links
from runbundle.io.points import PointJournal
from runbundle.io.scan import CRC32
from runbundle.run.log.lines import FORMAT_VERSION, LOG_FORMAT, METRICS_STEM, log_name
from runbundle.run.metrics.series import INLINE_POINTS, Columns, read_columns
from runbundle.run.origin import provenance
from runbundle.run.session import Session

_BATCH = 512
_MOST_GROUPS = 2000
_MIN, _MAX = -(2**63), 2**63 - 1
_LARGE = 2**62


class _Group:
    """Points that were logged with the same names, until they are gathered.

    Attributes:
        names: the names. pick: takes their values out of a mapping, in order. size: how many there are.
        points: step and row of each. keep: append one. next_step: what a step that is left out will be.
        peers: the groups that share a name with this one, itself among them.
    """

    __slots__ = ("keep", "names", "next_step", "peers", "pick", "points", "size")

    keep: Callable[[tuple[int, tuple[float, ...]]], None]
    points: list[tuple[int, tuple[float, ...]]]

    def __init__(self, names: tuple[str, ...], next_step: int) -> None:
        self.names = names
        self.size = len(names)
        self.pick: Callable[[Mapping[str, Any]], tuple[Any, ...]] = (
            operator.itemgetter(*names) if len(names) > 1 else lambda values: (values[names[0]],)
        )
        self.next_step = next_step
        self.peers = [self]
        self.begin()

    def begin(self) -> None:
        """Have no points."""
        self.points = []
        self.keep = self.points.append


class MetricLog:
    """The writing end of a run's metrics. The journal is made with the first point. Threads may share it."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._journal: PointJournal | None = None
        self._begin()

    def _begin(self) -> None:
        self._groups: dict[tuple[str, ...], _Group] = {}
        self._by_name: dict[str, list[_Group]] = {}
        self._last: _Group | None = None
        self._columns = Columns(limit=INLINE_POINTS)
        self._lines = 0
        self.safe_lines = 0

    @property
    def has_points(self) -> bool:
        """Whether anything was logged, in this attempt or before."""
        return self._journal is not None or os.path.lexists(self._place)

    @property
    def _place(self) -> str:
        return f"{self._session.run_dir}/{log_name(self._session.writer, METRICS_STEM)}"

    def log(self, values: Mapping[str, Any], step: int | None = None) -> None:
        """Append a point; see ``RunIO.log``. A plain dict of the same names as the last one goes the short way."""
        group, journal = self._last, self._journal
        if group is None or journal is None or type(values) is not dict or len(values) != group.size:
            self._log_carefully(values, step)
            return
        try:
            row = group.pick(values)
            total = sum(row)
        except (KeyError, TypeError, OverflowError):
            total = None
        # of plain numbers alone, a float among them, the sum is a float; what is not finite is in no range
        is_step = step is None or (type(step) is int and _MIN <= step <= _MAX)
        if not is_step or type(total) is not float or not -_LARGE < total < _LARGE:
            self._log_carefully(values, step)
            return
        with journal.lock:
            if group.peers:  # else it was let go of meanwhile
                try:
                    if step is None:
                        step = self._next(group)
                    journal.put_point(step, values)
                    if step >= group.next_step:
                        group.next_step = step + 1
                    group.keep((step, row))
                    if len(group.points) >= _BATCH:
                        self._gather(group)
                    return  # noqa: TRY300 - the way of nearly every point
                except TypeError:  # a key that is no plain text
                    pass
                except RunbundleError as error:
                    error.run = self._session.run_id
                    raise
        self._log_carefully(values, step)

    def _next(self, group: _Group) -> int:
        """The step of a point that was given none: it counts by itself for each name."""
        step = max(peer.next_step for peer in group.peers)
        if step > _MAX:
            raise InvalidValue("Steps have come to the end of 64 bits", hint="Give a step")
        return step

    def _log_carefully(self, values: Mapping[str, Any], step: int | None) -> None:
        group = self._groups.get(tuple(values)) if type(values) is dict else None
        if group is not None and group is not self._last:
            self._last = group
            self.log(values, step)
            return
        self._session.require_open()
        with self._session.blamed():
            numbers, spelled = _checked(values)
            given = None if step is None else _step(step)
            names = tuple(numbers)
            with self._session.acting(), (journal := self._open()).lock:  # looking at a value may have taken long
                group = self._groups.get(names) or self._new_group(names)
                number = self._next(group) if given is None else given
                journal.put_point(number, spelled)
                self._last = group
                group.keep((number, tuple(numbers.values())))
                group.next_step = max(group.next_step, number + 1)
                if len(group.points) >= _BATCH:
                    self._gather(group)

    def _new_group(self, names: tuple[str, ...]) -> _Group:
        if len(self._groups) >= _MOST_GROUPS:
            self._let_go()
        known = (self._columns.by_name.get(name) for name in names)
        group = _Group(names, max((column.top_step + 1 for column in known if column is not None), default=0))
        for peer in {id(peer): peer for name in names for peer in self._by_name.get(name, ())}.values():
            peer.peers.append(group)
            group.peers.append(peer)
        for name in names:
            self._by_name.setdefault(name, []).append(group)
        self._groups[names] = group
        return group

    def _gather(self, group: _Group) -> None:
        """Take in a batch. Where groups share a name, the columns find out if that is not the order of the journal."""
        points = group.points
        if points:
            group.begin()
            steps, rows = zip(*points, strict=True)
            self._columns.add(group.names, steps, rows)
            self._lines += len(points)  # last: who was interrupted above is found out by the length of the journal

    def _let_go(self) -> None:
        """Gather all points, and forget the groups: who holds one sees that it has no peers any more."""
        self._gather_all()
        for group in self._groups.values():
            group.peers = []
        self._groups, self._by_name, self._last = {}, {}, None

    def _gather_all(self) -> None:
        for group in self._groups.values():
            self._gather(group)

    def columns(self) -> Columns:
        """All that was logged, at the end; read again from the journal where what was gathered does not tell all."""
        journal = self._open()
        with journal.lock:
            self._let_go()
            has_doubt = not all(column.is_ordered for column in self._columns.by_name.values())
            if has_doubt or self._lines != journal.seq:
                return read_columns(journal.path, self._session.writer)
            return self._columns

    def set_summary(self, name: str, value: Any) -> None:
        """Record one entry of the summary."""
        self._session.require_open()
        with self._session.blamed():
            self._session.require_creator("The summary")
            spelled = {_name(name): _scalar(name, value)}
            with self._session.acting():
                journal = self._open()
                stamp = {"ts_utc": self._session.now(), "attempt": self._session.attempt}
                journal.append({"record": "summary", **stamp, "values": spelled}, sync=self._session.is_power)
                with journal.lock:
                    self._lines += 1
                    self._columns.summary[name] = read_number(spelled[name])

    def summary(self) -> dict[str, Any]:
        """The entries of the summary so far, those of earlier attempts among them."""
        if self._journal is None and self.has_points:
            place = refuse_links(str(self._session.run_dir), log_name(self._session.writer, METRICS_STEM))
            return read_columns(Path(place), self._session.writer, limit=0).summary
        return dict(self._columns.summary)

    def _open(self) -> PointJournal:
        """The journal. It is made with the first point; one that a crash left empty gets its header."""
        with self._session.lock:
            if self._journal is None:
                self._journal = self._opened()
                self._session.points = self
            return self._journal

    def _opened(self) -> PointJournal:
        session = self._session
        path = Path(self._place)
        journal: PointJournal | None = None
        try:
            try:
                journal = PointJournal.create(path, CRC32)
            except AlreadyExistsError:
                refuse_links(str(session.run_dir), path.name)
                self._columns = read_columns(path, session.writer, limit=INLINE_POINTS)
                journal = PointJournal.reopen(path, CRC32)
            journal.is_for(session.attempt, session.clock.nanoseconds, sync=session.is_power)
            if journal.seq == 0:
                header = {"format": LOG_FORMAT, "format_version": FORMAT_VERSION, "writer": session.writer}
                full = {"record": "header", "ts_utc": session.now(), **header, "host": provenance.host()}
                journal.append(full, is_checked=True)
            session.unsynced.leave_to(journal.path)
            if session.is_power:
                journal.sync()
                session.unsynced.sync()
        except BaseException:  # Ctrl-C as well: what has the file open holds its lock
            if journal is not None:
                journal.close()
            raise
        self._lines = journal.seq
        return journal

    def sync(self) -> None:
        """When this returns, a power cut loses no point."""
        if self._journal is not None:
            lines = self._journal.seq
            self._journal.sync()
            self.safe_lines = lines

    def close(self) -> None:
        """Let go of the journal."""
        journal, self._journal = self._journal, None
        if journal is not None:
            journal.close()

    def forget(self) -> None:
        """In a forked child: the journal is the parent's."""
        self._journal = None
        self._begin()


class Summary(MutableMapping[str, Any]):
    """The final scalars of a run; each assignment is recorded at once and survives a kill."""

    def __init__(self, metrics: MetricLog) -> None:
        self._metrics = metrics
        self._values = metrics.summary()

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


def _checked(values: Any) -> tuple[Mapping[str, float], Mapping[str, Any]]:
    """The numbers of a point by name, and how they are spelt."""
    if type(values) is dict and _is_plain(values):
        return values, values
    if not isinstance(values, Mapping):
        raise InvalidType(
            f"Metrics are a mapping of names to numbers, not {type(values).__name__}", hint="Log {'name': number}"
        )
    if not values:
        raise InvalidValue("A point has at least one metric", hint="Log {'name': number}")
    numbers = {_name(name): _number(name, value) for name, value in values.items()}
    return numbers, {name: spell_number(value) for name, value in numbers.items()}


def _is_plain(values: dict[Any, Any]) -> bool:
    """Whether a point is of plain names and finite floats alone, as most are."""
    if set(map(type, values)) != {str} or set(map(type, values.values())) != {float}:
        return False
    return "" not in values and "".join(values).isascii() and math.isfinite(sum(values.values()))


def _name(name: Any) -> str:
    if not isinstance(name, str) or not name:
        raise InvalidType(f"The name of a metric is text, not {name!r}", hint="Log {'name': number}")
    if not name.isascii():
        refuse_non_json(name, "the name of a metric")
    return str.__str__(name)


def _number(name: str, value: Any) -> float:
    plain = value
    if type(value) is not float and hasattr(
        value, "item"
    ):  # arrays and tensors, of which one with several elements refuses
        with suppress(TypeError, ValueError, RuntimeError):
            plain = value.item()
    if not isinstance(plain, int | float):
        raise InvalidType(f"The metric {name!r} is a number, not {type(value).__name__}", hint="Log one number a name")
    if isinstance(plain, bool | float):
        return plain if isinstance(plain, bool) else float(plain)
    if abs(plain) > sys.float_info.max:
        raise InvalidValue(f"The metric {name!r} is too large for a float")
    if not _MIN <= plain <= _MAX:
        raise InvalidValue(f"The metric {name!r} is an integer beyond 64 bits", hint="Log it as a float")
    return int(plain)


def _step(step: Any) -> int:
    try:
        if not isinstance(step, bool):
            number = operator.index(step)
            if _MIN <= number <= _MAX:
                return number
    except TypeError:
        pass
    raise InvalidType(f"step is an integer of 64 bits, not {step!r}", hint="Give a whole number, or leave it out")


def _scalar(name: str, value: Any) -> Any:
    if value is None or isinstance(value, str):
        if isinstance(value, str) and read_number(value) is not value:
            raise InvalidValue(
                f"{name!r} is the text {value!r}, which would be read back as a number", hint="Give the number itself"
            )
        return value
    return spell_number(_number(name, value))
