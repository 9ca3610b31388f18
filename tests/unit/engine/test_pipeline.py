"""Pipelines: order, what is skipped, what runs all the same, and running again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import runbundle as rb
from runbundle import errors
from sample_runs import CONTRACT, ROWS, abandon, codes, project

Context = rb.StageContext[list[str]]


@dataclass
class Step:
    """A stage that notes in the configuration that it ran."""

    name: str
    work: Callable[[Context], object] = field(default=lambda _: None)

    @property
    def run(self) -> Callable[[Context], None]:
        def call(context: Context) -> None:
            context.config.append(self.name)
            self.work(context)

        return call


def prepare(context: Context) -> object:
    return context.run_io.write("fact", {"known": True})


def measure(context: Context) -> object:
    assert context.read("fact") == {"known": True}
    return context.run_io.write("table", ROWS)


def report(context: Context) -> object:
    return context.run_io.write("report", f"measure {context.outcome('measure')}")


def pipeline(**steps: Callable[[Context], object]) -> rb.Pipeline[list[str]]:
    works = {"prepare": prepare, "measure": measure, "report": report, **steps}
    return rb.Pipeline([Step(name, work) for name, work in works.items()])


def crash(_: Context) -> None:
    raise ZeroDivisionError("by zero")


def test_stages_run_in_order_and_the_run_is_complete(tmp_path: Path) -> None:
    ran: list[str] = []
    with project(tmp_path, CONTRACT).start() as run:
        outcomes = pipeline().run(run, ran)
    assert ran == ["prepare", "measure", "report"]
    assert list(outcomes.values()) == [rb.Outcome.COMMITTED] * 3
    done = rb.open_run(run.path)
    assert (done.status, codes(done.check()), codes(done.verify())) == ("completed", [], [])


def test_what_depends_on_a_decline_is_skipped_and_always_runs(tmp_path: Path) -> None:
    ran: list[str] = []

    def decline(context: Context) -> None:
        prepare(context)
        context.decline("nothing to measure")

    with project(tmp_path, CONTRACT).start() as run:
        outcomes = pipeline(prepare=decline).run(run, ran)
    assert ran == ["prepare", "report"]
    assert outcomes == {
        "prepare": rb.Outcome.DECLINED,
        "measure": rb.Outcome.SKIPPED,
        "report": rb.Outcome.COMMITTED,
    }
    done = rb.open_run(run.path)
    assert (done.status, codes(done.check()), codes(done.verify())) == ("completed", [], [])
    assert done.read("report") == "measure skipped"
    assert done.check().notes[:2] == (
        "the stage prepare declined: nothing to measure",
        "the stage measure skipped: prepare declined",
    )


def test_an_exception_fails_the_run_and_no_later_stage_runs(tmp_path: Path) -> None:
    ran: list[str] = []
    with pytest.raises(ZeroDivisionError), project(tmp_path, CONTRACT).start() as run:
        pipeline(measure=crash).run(run, ran)
    assert ran == ["prepare", "measure"]
    done = rb.open_run(run.path)
    assert (done.status, done.is_sealed) == ("failed", True)
    assert ("stage_failed", "measure") in codes(done.check())
    assert ("stage_missing", "report") in codes(done.check())


def test_a_missing_artifact_fails_the_run_naming_stage_and_artifact(tmp_path: Path) -> None:
    with (
        pytest.raises(errors.ContractUnmet, match="measure ended without table") as caught,
        project(tmp_path, CONTRACT).start() as run,
    ):
        pipeline(measure=lambda _: None).run(run, [])
    assert caught.value.artifact == "table"
    assert rb.open_run(run.path).status == "failed"


def test_running_again_skips_what_committed(tmp_path: Path) -> None:
    ran: list[str] = []
    with pytest.raises(ZeroDivisionError), project(tmp_path, CONTRACT).start() as run:
        pipeline(measure=crash).run(run, ran)
    with project(tmp_path, CONTRACT).resume(run.run_id) as again:
        outcomes = pipeline().run(again, ran)
    assert ran == ["prepare", "measure", "measure", "report"]
    assert set(outcomes.values()) == {rb.Outcome.COMMITTED}
    assert codes(rb.open_run(run.path).check()) == []


def test_a_stage_skipped_for_a_failed_try_is_reconsidered(tmp_path: Path) -> None:
    """A declined stage is passed and stays; what was skipped after it is skipped again."""
    run = project(tmp_path, CONTRACT).start()

    def decline(context: Context) -> None:
        prepare(context)
        context.decline()

    pipeline(prepare=decline).run(run, [])
    abandon(run)
    ran: list[str] = []
    with project(tmp_path, CONTRACT).resume(run.run_id) as again:
        assert pipeline().run(again, ran)["measure"] is rb.Outcome.SKIPPED
    assert ran == []


def test_without_a_contract_each_stage_needs_the_one_before(tmp_path: Path) -> None:
    ran: list[str] = []
    steps: list[Step] = [Step("a"), Step("b", lambda context: context.decline("no")), Step("c"), Step("d")]
    with project(tmp_path).start() as run:
        outcomes = rb.Pipeline(steps).run(run, ran)
    assert ran == ["a", "b"]
    assert [str(outcome) for outcome in outcomes.values()] == ["committed", "declined", "skipped", "skipped"]


def test_what_is_remembered_is_made_once(tmp_path: Path) -> None:
    made: list[int] = []

    def make() -> int:
        made.append(1)
        return 42

    def use(context: Context) -> object:
        assert context.recall("value", make) == 42
        return context

    with project(tmp_path).start() as run:
        rb.Pipeline([Step("a", use), Step("b", use)]).run(run, [])
        rb.Pipeline([Step("c", use)]).run(run, [])  # another run of a pipeline remembers nothing
    assert made == [1, 1]


@pytest.mark.parametrize("names", [["prepare", "measure"], ["measure", "prepare", "report"], ["a", "b", "c"]])
def test_other_stages_than_the_contract_are_refused(tmp_path: Path, names: list[str]) -> None:
    ran: list[str] = []
    run = project(tmp_path, CONTRACT).start()
    with pytest.raises(errors.ContractError, match="the contract"):
        rb.Pipeline([Step(name) for name in names]).run(run, ran)
    assert ran == []


def test_a_pipeline_has_each_stage_once() -> None:
    with pytest.raises(errors.ContractError, match="once"):
        rb.Pipeline([Step("a"), Step("a")])


@pytest.mark.parametrize("name", [None, 5])
def test_the_name_of_a_stage_is_text(name: Any) -> None:
    with pytest.raises(errors.InvalidType):
        rb.Pipeline([Step(name)])
