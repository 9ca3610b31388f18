"""Metrics: points, steps, series, the summary, what a kill leaves, and what another attempt adds."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import runbundle as rb
from runbundle import errors
from runbundle.io import journal
from runbundle.run import metrics
from sample_runs import abandon, codes, project

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


def test_many_points_stay_in_the_journal(run: rb.RunIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "INLINE_POINTS", 3)
    for value in range(4):
        run.log({"x": value})
    run.finish()
    assert document(run)["series"]["x"] == {"count": 4, "min": 0, "max": 3, "last": 3}
    assert rb.open_run(run.path).series("x").values == [0, 1, 2, 3]


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
    run.finish()
    path = run.path / "metrics.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"x":1', b'"x":2'))
    with path.open("ab") as stream:
        stream.write(b'{"record":"point"}\n')
    with pytest.raises(errors.LogCorrupt, match="Line 3"):
        rb.open_run(run.path).series("x")
