"""Metrics: points, steps, series, the summary, what a kill leaves, and what another attempt adds."""

from __future__ import annotations

import errno
import json
import math
import os
import random
import threading
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import runbundle as rb
from runbundle import errors
from runbundle.io import journal
from runbundle.io.scan import CRC32
from runbundle.run.metrics import series
from sample_runs import MOMENT, FixedClock, abandon, codes, project

INF, NAN = math.inf, math.nan


class Tensor:
    """A number as array libraries hold it: ``item`` gives it, or refuses."""

    def __init__(self, value: float, size: int = 1) -> None:
        self._value, self._size = value, size

    def size(self) -> int:
        return self._size

    def item(self) -> float:
        if self._size != 1:
            raise RuntimeError("a Tensor with 2 elements cannot be converted to Scalar")
        return self._value


@pytest.fixture
def run(tmp_path: Path) -> rb.RunIO:
    return project(tmp_path / "store").start()


def document(run: rb.RunIO) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run.path / "metrics.json").read_bytes())
    return found


def same(one: list[float], other: list[float]) -> bool:
    return [repr(float(value)) for value in one] == [repr(float(value)) for value in other]


def test_steps_count_by_themselves_for_each_name(run: rb.RunIO) -> None:
    run.log({"loss": 1.0})
    run.log({"loss": 0.5, "rate": 0.1})
    run.log({"rate": 0.2})
    run.log({"loss": 0.25}, step=10)
    run.log({"loss": 0.2})
    reader = rb.open_run(run.path)
    assert reader.series("loss") == ([0, 1, 10, 11], [1.0, 0.5, 0.25, 0.2])
    assert reader.series("rate") == ([1, 2], [0.1, 0.2])


def test_of_one_step_the_last_value_counts_and_steps_are_sorted(run: rb.RunIO) -> None:
    for step, value in ((2, 1), (1, 2), (2, 3), (-1, 4)):
        run.log({"x": value}, step=step)
    assert rb.open_run(run.path).series("x") == ([-1, 1, 2], [4, 2, 3])


@pytest.mark.parametrize(
    ("value", "back"),
    [
        (1, 1),
        (0.1, 0.1),
        (True, True),
        (np.float32(0.5), 0.5),
        (np.float64(0.1), 0.1),
        (np.int64(3), 3),
        (np.array([2.5]), 2.5),
        (np.bool_(1), True),
        (Tensor(0.5), 0.5),
        (NAN, NAN),
        (INF, INF),
        (-INF, -INF),
        (2**60, 2**60),
    ],
)
def test_numbers_come_back(run: rb.RunIO, value: object, back: float) -> None:
    run.log({"x": value})
    run.summary["y"] = value
    run.finish()
    done = rb.open_run(run.path)
    assert same(done.series("x").values, [back])
    assert same([done.summary["x"], done.summary["y"]], [back, back])
    assert codes(done.verify()) == []


@pytest.mark.parametrize(
    "values",
    [
        {"x": "1"},
        {"x": None},
        {"x": [1]},
        {"x": 1j},
        {"x": np.arange(2)},
        {"x": Tensor(1, 2)},
        {"x": 10**400},
        {"": 1},
        {None: 1},
        {"\ud800": 1},
        {},
        [1],
        None,
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_point_is_refused_and_the_next_one_is_taken(run: rb.RunIO, values: Any) -> None:
    with pytest.raises(errors.InvalidInputError):
        run.log(values)
    run.log({"x": 1})
    assert rb.open_run(run.path).series("x") == ([0], [1])


@pytest.mark.parametrize(("step", "is_good"), [(np.int64(7), True), (7.0, False), (True, False), ("7", False)])
def test_a_step_is_an_integer(run: rb.RunIO, step: Any, is_good: bool) -> None:  # noqa: FBT001
    if is_good:
        run.log({"x": 1}, step=step)
        assert rb.open_run(run.path).series("x").steps == [7]
    else:
        with pytest.raises(errors.InvalidType, match="step is an integer"):
            run.log({"x": 1}, step=step)


def test_metrics_json_holds_scalars_and_series(run: rb.RunIO) -> None:
    for value in (2, NAN, -INF, 1):
        run.log({"x": value})
    run.log({"only": NAN})
    run.summary.update(x=9, note="good", nothing=None)
    run.finish()
    assert document(run) == {
        "schema_version": 1,
        "scalars": {"x": 9, "only": "NaN", "note": "good", "nothing": None},
        "series": {
            "x": {
                "count": 4,
                "min": "-Infinity",
                "max": 2,
                "last": 1,
                "steps": [0, 1, 2, 3],
                "values": [2, "NaN", "-Infinity", 1],
            },
            "only": {"count": 1, "min": "NaN", "max": "NaN", "last": "NaN", "steps": [0], "values": ["NaN"]},
        },
    }


@pytest.mark.parametrize("count", [9_999, 10_000, 10_001])
@pytest.mark.parametrize("order", ["by step", "with a step again"])
def test_more_than_ten_thousand_points_stay_in_the_journal(run: rb.RunIO, count: int, order: str) -> None:
    """Of all metrics together."""
    for step in range(count - 2):
        run.log({"x": step})
    last = count - 4 if order == "with a step again" else count - 2
    run.log({"x": -1, "y": 2.5}, step=last)
    run.finish()
    x, y = document(run)["series"]["x"], document(run)["series"]["y"]
    assert (x.pop("steps", None) is None, x.pop("values", None) is None) == (count > 10_000, count > 10_000)
    assert x == {
        "count": count - 2 if last == count - 4 else count - 1,
        "min": -1,
        "max": count - 3,
        "last": count - 3 if last == count - 4 else -1,
    }
    assert y["last"] == 2.5
    steps, values = rb.open_run(run.path).series("x")
    assert len(steps) == x["count"]
    assert values[last] == -1
    assert rb.open_run(run.path).summary == document(run)["scalars"]
    assert codes(rb.open_run(run.path).verify()) == []


def test_a_run_without_metrics_has_no_metric_files(run: rb.RunIO) -> None:
    run.finish()
    assert list(run.path.glob("metrics*")) == []
    assert rb.open_run(run.path).summary == {}
    with pytest.raises(errors.ArtifactNotFound, match="no metric 'x'"):
        rb.open_run(run.path).series("x")


def test_the_summary_is_a_mapping_whose_entries_are_kept_at_once(run: rb.RunIO) -> None:
    run.summary["a"] = 1
    run.summary["a"] = 2
    run.summary["b"] = "text"
    assert (dict(run.summary), len(run.summary)) == ({"a": 2, "b": "text"}, 2)
    assert rb.open_run(abandon(run)).summary == {"a": 2, "b": "text"}
    with pytest.raises(errors.InvalidType, match="never taken back"):
        del run.summary["a"]


@pytest.mark.parametrize("value", [[1], {}, "NaN", "Infinity", object(), "\ud800"])
def test_what_is_no_scalar_is_refused(run: rb.RunIO, value: object) -> None:
    with pytest.raises(errors.InvalidInputError):
        run.summary["x"] = value
    assert "x" not in run.summary


def test_another_attempt_goes_on_where_the_last_one_was(run: rb.RunIO) -> None:
    """And of one step the value of the latest attempt counts."""
    run.log({"x": 1})
    run.log({"x": 2})
    run.summary["best"] = 2
    abandon(run)
    with (run.path / "metrics.jsonl").open("ab") as stream:
        stream.write(b'{"record":"poi')  # torn by the kill
    again = project(run.path.parents[2]).resume(run.run_id)
    assert dict(again.summary) == {"best": 2}
    again.log({"x": 3})
    again.log({"x": 20}, step=1)
    again.finish()
    done = rb.open_run(run.path)
    assert done.series("x") == ([0, 1, 2], [1, 20, 3])
    assert document(run)["scalars"] == {"x": 3, "best": 2}
    assert codes(done.verify()) == []


def test_points_of_a_killed_attempt_are_in_the_document_of_the_next(run: rb.RunIO) -> None:
    run.log({"x": 1})
    abandon(run)
    project(run.path.parents[2]).resume(run.run_id).finish()
    assert document(run)["scalars"] == {"x": 1}


def test_a_journal_that_a_kill_left_empty_gets_its_header(run: rb.RunIO) -> None:
    (run.path / "metrics.jsonl").touch()
    abandon(run)
    again = project(run.path.parents[2]).resume(run.run_id)
    again.log({"x": 1})
    again.finish()
    assert json.loads((run.path / "metrics.jsonl").read_bytes().splitlines()[0])["record"] == "header"
    assert codes(rb.open_run(run.path).verify()) == []


def test_a_journal_that_could_not_be_begun_can_be_begun_again(run: rb.RunIO, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> int:
        raise errors.UnavailableError("Appending failed: No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(journal.Journal, "append", full)
        with pytest.raises(errors.UnavailableError):
            run.log({"x": 1})
    run.log({"x": 2})
    assert rb.open_run(run.path).series("x").values == [2]


def test_a_damaged_journal_is_an_error_never_an_empty_one(run: rb.RunIO) -> None:
    run.log({"x": 1})
    path = run.path / "metrics.jsonl"
    with path.open("ab") as stream:
        stream.write(b'{"record":"point"}\n')
    with pytest.raises(errors.LogCorrupt, match="Line 3"):
        rb.open_run(run.path).series("x")
    run.finish(patience_s=0)
    with pytest.raises(errors.CorruptError):
        rb.open_run(run.path).series("x")


# --- what is gathered for metrics.json, against what the journal says -------------------------------------------


class Model:
    """What `run.log` promises: steps count by themselves for each name, and the last value of a step counts."""

    def __init__(self) -> None:
        self.points: dict[str, dict[int, float]] = {}
        self.count = 0

    def log(self, values: dict[str, float], step: int | None) -> None:
        tops = [max([-1, *self.points.get(name, {})]) for name in values]
        number = max(tops) + 1 if step is None else step
        for name, value in values.items():
            self.points.setdefault(name, {})[number] = value
            self.count += 1

    def series(self, name: str) -> tuple[list[int], list[float]]:
        steps = sorted(self.points[name])
        return steps, [self.points[name][step] for step in steps]


def held(run: rb.RunIO, model: Model) -> None:
    """Whether the reader and the document say what the model says."""
    reader, told = rb.open_run(run.path), document(run)
    assert sorted(told["series"]) == sorted(model.points)
    for name in model.points:
        steps, values = model.series(name)
        assert reader.series(name).steps == steps
        assert same(reader.series(name).values, values)
        numbers = [value for value in values if not math.isnan(value)]
        entry = told["series"][name]
        assert entry["count"] == len(steps)
        assert same([read(entry["last"])], values[-1:])
        if numbers:
            assert (read(entry["min"]), read(entry["max"])) == (min(numbers), max(numbers))
        else:
            assert (entry["min"], entry["max"]) == ("NaN", "NaN")
        if model.count <= 10_000:
            assert entry["steps"] == steps
            assert same([read(value) for value in entry["values"]], values)
    assert codes(reader.verify()) == []


def read(value: Any) -> float:
    return float(value) if isinstance(value, str) else value


def random_point(source: random.Random) -> tuple[dict[str, float], int | None]:
    names = source.sample(["a", "b", "c/d", "größe"], source.randint(1, 3))
    values = [source.choice([1, -2, True, 0.5, -0.0, 1e308, 2**62, NAN, INF, -INF]) for _ in names]
    step = source.choice([None, None, None, source.randint(-3, 40)])
    return dict(zip(names, values, strict=True)), step


@pytest.mark.parametrize("seed", range(6))
def test_random_points_of_changing_names_are_what_a_plain_dict_says(run: rb.RunIO, seed: int) -> None:
    source, model = random.Random(seed), Model()  # noqa: S311
    for _ in range(source.choice([10, 700, 1500])):
        values, step = random_point(source)
        run.log(values, step)
        model.log(values, step)
    run.finish()
    held(run, model)


@pytest.mark.parametrize("seed", range(3))
def test_random_points_over_several_attempts_are_what_a_plain_dict_says(run: rb.RunIO, seed: int) -> None:
    source, model = random.Random(seed), Model()  # noqa: S311
    for attempt in range(3):
        if attempt:
            run = project(run.path.parents[2]).resume(run.run_id)
        for _ in range(600):
            values, step = random_point(source)
            run.log(values, step)
            model.log(values, step)
        if attempt < 2:
            abandon(run) if attempt else run.finish("failed")
    run.finish()
    held(run, model)
    raw = rb.open_run(run.path).series("a", raw=True)
    assert {point.attempt for point in raw} == {1, 2, 3}
    assert [point.attempt for point in raw] == sorted(point.attempt for point in raw)


def test_two_name_sets_in_turn_count_on_from_each_other(run: rb.RunIO) -> None:
    """Training at every step, validation at some."""
    model = Model()
    for step in range(2000):
        values: dict[str, float] = {"loss": step} if step % 3 else {"loss": step, "val/loss": -step}
        run.log(values)
        model.log(values, None)
    run.finish()
    held(run, model)
    assert rb.open_run(run.path).series("loss").steps == list(range(2000))


def test_names_in_another_order_are_the_same_names(run: rb.RunIO) -> None:
    run.log({"a": 1, "b": 2})
    run.log({"b": 4, "a": 3})
    run.log({"a": 5, "b": 6})
    reader = rb.open_run(run.path)
    assert (reader.series("a"), reader.series("b")) == (([0, 1, 2], [1, 3, 5]), ([0, 1, 2], [2, 4, 6]))
    run.finish()
    assert [document(run)["series"][name]["values"] for name in "ab"] == [[1, 3, 5], [2, 4, 6]]


def test_a_hundred_thousand_names(run: rb.RunIO) -> None:
    names = [f"layer/{number}/größe" for number in range(100_000)]
    for start in range(0, len(names), 1000):
        run.log(dict.fromkeys(names[start : start + 1000], start))
    run.log({names[0]: 7, names[-1]: 8})
    run.finish()
    reader = rb.open_run(run.path)
    assert reader.series(names[0]) == ([0, 1], [0, 7])
    assert reader.series(names[-1]) == ([0, 1], [99_000, 8])
    assert len(reader.summary) == len(document(run)["scalars"]) == 100_000


def test_thousands_of_name_sets_are_all_told(run: rb.RunIO) -> None:
    model = Model()
    for number in range(4500):
        values: dict[str, float] = {f"n{number % 2250}": number, "shared": -number}
        run.log(values)
        model.log(values, None)
    run.finish()
    held(run, model)


def test_a_dict_that_is_changed_after_it_was_logged_changes_nothing(run: rb.RunIO) -> None:
    values: dict[str, float] = {"x": 1, "y": 2}
    for step in range(3):
        values["x"] = step
        run.log(values)
    values.clear()
    run.finish()
    assert document(run)["series"]["x"]["values"] == [0, 1, 2]
    assert document(run)["series"]["y"]["values"] == [2, 2, 2]


@pytest.mark.parametrize(
    "bad",
    [None, "1", [1], Tensor(1, 2), np.arange(2), 1j, Fraction(1, 2), Decimal("0.5"), 10**400, 2**70],
    ids=lambda bad: type(bad).__name__,
)
def test_what_is_no_number_is_refused_among_numbers_and_after_them(run: rb.RunIO, bad: Any) -> None:
    """Where the quick way has begun, as at the first point."""
    for _ in range(2):
        run.log({"x": 1.0, "y": 2})
        with pytest.raises(errors.InvalidInputError, match="metric 'y'"):
            run.log({"x": 1.0, "y": bad})
    run.finish()
    assert document(run)["series"]["x"]["steps"] == [0, 1]


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize(
    "value",
    [np.float32(0.5), np.float64(0.1), np.int64(3), np.bool_(1), np.array([2.5]), Tensor(0.25), True, -0.0, NAN, -INF],
    ids=lambda value: f"{type(value).__name__}-{float(value.item() if hasattr(value, 'item') else value)}",
)
def test_numbers_come_back_as_what_they_were(run: rb.RunIO, value: Any, *, is_first: bool) -> None:
    plain = value.item() if hasattr(value, "item") else value
    if not is_first:
        run.log({"x": 1})
    run.log({"x": value})
    run.log({"x": value, "y": 1})
    run.finish()
    for back in rb.open_run(run.path).series("x").values[-2:]:
        assert (type(back), repr(back)) == (type(plain), repr(plain))


@pytest.mark.parametrize("step", [-(2**63), 2**63 - 1, np.int64(5)], ids=["least", "greatest", "numpy"])
@pytest.mark.parametrize("is_first", [True, False])
def test_steps_are_of_64_bits(run: rb.RunIO, step: Any, *, is_first: bool) -> None:
    if not is_first:
        run.log({"x": 0}, step=0)
    run.log({"x": 1}, step=step)
    assert int(step) in rb.open_run(run.path).series("x").steps
    for bad in (2**63, -(2**63) - 1, 10**30):
        with pytest.raises(errors.InvalidType, match="step is an integer of 64 bits"):
            run.log({"x": 1}, step=bad)


def test_after_every_refused_point_the_journal_is_whole(run: rb.RunIO) -> None:
    for number in range(20):
        run.log({"x": number})
        for bad in ({"x": None}, {"x": 1, 2: 3}, {"x": 2**70}, {}, {"x": "1"}):
            with pytest.raises(errors.InvalidInputError):
                run.log(bad)  # type: ignore[arg-type]
    run.finish()
    assert rb.open_run(run.path).series("x").values == list(range(20))
    assert codes(rb.open_run(run.path).verify()) == []


def test_threads_log_at_once_and_nothing_is_lost_torn_or_doubled(run: rb.RunIO) -> None:
    gate = threading.Barrier(6)

    def work(name: int) -> None:
        gate.wait()
        for number in range(400):
            run.log({f"t{name}": number})
            run.log({"all": number, f"t{name % 3}/x": number})

    threads = [threading.Thread(target=work, args=(name,)) for name in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run.finish()
    reader = rb.open_run(run.path)
    for name in range(6):
        assert reader.series(f"t{name}") == (list(range(400)), list(range(400)))
    assert reader.series("all").steps == list(range(2400))
    assert document(run)["series"]["all"]["count"] == 2400
    assert codes(reader.verify()) == []


def test_a_live_reader_sees_points_as_they_come(run: rb.RunIO) -> None:
    run.log({"x": 0})
    reader = rb.open_run(run.path)
    for number in range(1, 4):
        assert reader.series("x").values == list(range(number))
        run.log({"x": number})
        reader.refresh()
    assert reader.summary == {"x": 3}


def test_points_carry_when_by_whom_and_in_which_attempt(tmp_path: Path) -> None:
    owner = rb.Project("demo", store=tmp_path / "store", clock=FixedClock())
    run = owner.start()
    run.log({"x": 1})
    run.log({"x": NAN}, step=0)
    run.finish("failed")
    again = owner.resume(run.run_id)
    again.log({"x": 3}, step=0)
    told = rb.open_run(run.path).series("x", raw=True)
    moment = round(MOMENT.timestamp() * 1000)
    assert [(point.name, point.step, point.ts_ms, point.writer, point.attempt) for point in told] == [
        ("x", 0, moment, "", 1),
        ("x", 0, moment, "", 1),
        ("x", 0, moment, "", 2),
    ]
    assert same([point.value for point in told], [1, NAN, 3])
    assert rb.open_run(run.path).series("x") == ([0], [3])


def test_a_point_that_the_disk_refused_can_be_logged_again(run: rb.RunIO, monkeypatch: pytest.MonkeyPatch) -> None:
    run.log({"x": 0})
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full_disk)
        for _ in range(2):
            with pytest.raises(errors.UnavailableError, match="No space left") as caught:
                run.log({"x": 1})
            assert caught.value.path == str(run.path / "metrics.jsonl")
    run.log({"x": 1})
    run.finish()
    assert document(run)["series"]["x"]["values"] == [0, 1]


def full_disk(*_: object) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_integers_that_cancel_each_other_are_looked_at_one_by_one(run: rb.RunIO) -> None:
    run.log({"a": 1, "b": 1})
    with pytest.raises(errors.InvalidValue, match="beyond 64 bits"):
        run.log({"a": 2**63, "b": -(2**63)})


def test_an_integer_beyond_64_bits_is_refused_at_every_point(run: rb.RunIO) -> None:
    for _ in range(2):
        with pytest.raises(errors.InvalidValue, match="beyond 64 bits"):
            run.log({"x": 2**63})
        run.log({"x": 1})


@pytest.mark.parametrize("value", [1, NAN])
def test_no_step_counts_beyond_64_bits(run: rb.RunIO, value: float) -> None:
    run.log({"x": 1}, step=2**63 - 1)
    with pytest.raises(errors.InvalidInputError):
        run.log({"x": value})


def test_a_point_that_the_disk_refused_names_its_run(run: rb.RunIO, monkeypatch: pytest.MonkeyPatch) -> None:
    run.log({"x": 0})
    monkeypatch.setattr(os, "write", full_disk)
    with pytest.raises(errors.UnavailableError) as caught:
        run.log({"x": 1})
    assert caught.value.run == run.run_id


def test_what_is_done_to_a_series_changes_no_other(run: rb.RunIO) -> None:
    run.log({"x": 1})
    reader = rb.open_run(run.path)
    reader.series("x").values.append(9)
    assert reader.series("x").values == [1]


def test_a_flush_says_how_many_points_are_safe(run: rb.RunIO) -> None:
    for _ in range(2):
        run.log({"x": 1})
        run.flush()
    lines = map(json.loads, (run.path / "artifacts.jsonl").read_bytes().splitlines())
    assert [line["points"] for line in lines if line["record"] == "flush"] == [2, 3]


def test_ctrl_c_while_a_batch_is_gathered_loses_nothing(run: rb.RunIO, monkeypatch: pytest.MonkeyPatch) -> None:
    real = series.Columns.add

    def stop(*_: object) -> None:
        monkeypatch.setattr(series.Columns, "add", real)
        raise KeyboardInterrupt

    monkeypatch.setattr(series.Columns, "add", stop)
    with pytest.raises(KeyboardInterrupt):
        log_many(run, 10_000)
    run.log({"x": -1})
    run.finish()
    assert document(run)["series"]["x"]["count"] == len(rb.open_run(run.path).series("x").steps)


def log_many(run: rb.RunIO, count: int) -> None:
    for step in range(count):
        run.log({"x": step})


class Late(int):
    """A number that logs while it is added up: what another thread may do at that moment."""

    run: rb.RunIO

    def __radd__(self, other: int) -> int:
        for number in range(2001):
            self.run.log({f"n{number}": 1})
        return other + int(self)


def test_a_point_logged_while_thousands_of_names_come_is_not_lost(run: rb.RunIO) -> None:
    run.log({"x": 1})
    late = Late(2)
    late.run = run
    run.log({"x": late})
    run.log({"x": 3})
    run.finish()
    assert document(run)["series"]["x"]["values"] == rb.open_run(run.path).series("x").values == [1, 2, 3]


NO_POINTS = {
    "a list": {"step": 0, "values": {"x": [1]}},
    "text": {"step": 0, "values": {"x": "one"}},
    "no values": {"step": 0},
    "a step of text": {"step": "0", "values": {"x": 1}},
}


@pytest.mark.parametrize("read", [lambda run: run.series("x"), lambda run: run.series("x", raw=True)])
@pytest.mark.parametrize("fields", NO_POINTS.values(), ids=NO_POINTS)
def test_a_line_that_is_no_point_is_told_with_its_run_and_its_file(
    tmp_path: Path, fields: dict[str, Any], read: Callable[[rb.Run], object]
) -> None:
    """Its chain is whole: somebody wrote it so."""
    run = project(tmp_path / "store").start()
    run.log({"y": 1})
    run_dir = abandon(run)
    log = journal.Journal.reopen(run_dir / "metrics.jsonl", CRC32)
    log.append({"record": "point", "attempt": 1, "ts_ms": 0, **fields})
    log.close()
    with pytest.raises(errors.LogCorrupt, match=r"Line 3 of metrics\.jsonl is no point of numbers") as caught:
        read(rb.open_run(run_dir))
    assert (caught.value.run, caught.value.path) == (run_dir.name, str(run_dir / "metrics.jsonl"))
    assert "runbundle verify" in caught.value.hint


def test_points_of_a_sealed_run_that_were_written_anew_are_refused(run: rb.RunIO, tmp_path: Path) -> None:
    """The chain of the other journal is whole; the seal tells."""
    run.log({"x": 1})
    run.finish()
    with rb.start("demo", store=tmp_path / "other") as other:
        other.log({"x": 2})
    (run.path / "metrics.jsonl").write_bytes((other.path / "metrics.jsonl").read_bytes())
    reader = rb.open_run(run.path)
    for read in (lambda: reader.series("x"), lambda: reader.series("x", raw=True), lambda: reader.summary):
        with pytest.raises(errors.DigestMismatch):
            read()


def test_the_last_point_of_a_run_that_goes_on_cannot_be_edited_unseen(run: rb.RunIO) -> None:
    run.log({"x": 12345})
    place = run.path / "metrics.jsonl"
    place.write_bytes(place.read_bytes().replace(b"12345", b"12346"))
    assert [finding.code for finding in rb.open_run(run.path).verify().findings] == ["log_damaged"]
    with pytest.raises(errors.LogCorrupt):
        rb.open_run(run.path).series("x")
