"""Stages: how they end, what they owe, and the orders that are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

import runbundle as rb
from runbundle import errors
from sample_runs import ALWAYS, CONTRACT, FACT, ROWS, SPEC, STAGE, codes, project

Outcome = rb.Outcome


@pytest.fixture
def run(tmp_path: Path) -> rb.RunIO:
    return project(tmp_path, CONTRACT).start()


def outcomes_of(run: rb.RunIO) -> dict[str, str]:
    return {stage: str(outcome) for stage, outcome in rb.open_run(run.path).state.outcomes.items()}


def test_a_stage_with_all_it_owes_commits(run: rb.RunIO) -> None:
    assert run.needs("prepare")
    assert run.outcome("prepare") is None
    with run.stage("prepare") as stage:
        record = run.write("fact", {})
    assert (stage.outcome, run.outcome("prepare"), run.needs("prepare")) == (Outcome.COMMITTED,) * 2 + (False,)
    assert (record.stage, outcomes_of(run)) == ("prepare", {"prepare": "committed"})


def test_a_stage_that_declines_owes_only_what_is_always_owed(run: rb.RunIO) -> None:
    with run.stage("prepare"):
        run.write("fact", {})
    with run.stage("measure") as stage:
        stage.decline("nothing to see", "too dark")
    assert (stage.outcome, run.needs("measure")) == (Outcome.DECLINED, False)
    state = rb.open_run(run.path).state
    assert state.endings["measure"].reasons == ("nothing to see", "too dark")


def test_a_stage_that_declines_still_owes_what_is_always_required(run: rb.RunIO) -> None:
    with pytest.raises(errors.ContractUnmet) as caught, run.stage("prepare") as stage:
        stage.decline()
    assert (caught.value.artifact, caught.value.run) == ("fact", run.run_id)
    assert "prepare" in str(caught.value)
    assert outcomes_of(run) == {"prepare": "failed"}


def test_a_stage_without_what_it_owes_fails_and_names_it(run: rb.RunIO) -> None:
    with run.stage("prepare"):
        run.write("fact", {})
    with pytest.raises(errors.ContractUnmet, match=r"measure ended without table"), run.stage("measure"):
        run.write("hint", "only the optional one")
    assert (run.outcome("measure"), run.needs("measure")) == (Outcome.FAILED, True)


@pytest.mark.parametrize("contract", [CONTRACT, None])
def test_a_stage_whose_file_vanished_fails_and_names_it(tmp_path: Path, contract: rb.Contract | None) -> None:
    run = project(tmp_path, contract).start()

    def work() -> None:
        with run.stage("prepare"):
            record = run.write("fact", {}) if contract else run.save("fact.json", {})
            (run.path / record.filename).unlink()

    with pytest.raises(errors.ContractUnmet, match="fact"):
        work()
    assert outcomes_of(run) == {"prepare": "failed"}


def test_an_exception_fails_the_stage_and_passes_on(run: rb.RunIO) -> None:
    with pytest.raises(ZeroDivisionError), run.stage("prepare") as stage:
        raise ZeroDivisionError("by zero")
    assert stage.outcome is Outcome.FAILED
    assert rb.open_run(run.path).state.endings["prepare"].reasons == ("ZeroDivisionError: by zero",)


def test_an_error_without_a_message_is_told_by_its_type(run: rb.RunIO) -> None:
    with pytest.raises(KeyboardInterrupt), run.stage("prepare"):
        raise KeyboardInterrupt
    assert rb.open_run(run.path).state.endings["prepare"].reasons == ("KeyboardInterrupt",)


def test_text_that_is_no_unicode_is_spelt_out_in_reasons(run: rb.RunIO) -> None:
    """A file name as the operating system gives it may hold a lone surrogate."""
    with pytest.raises(FileNotFoundError), run.stage("prepare"):
        raise FileNotFoundError("no file leaf\udcff.jpg")
    assert rb.open_run(run.path).state.endings["prepare"].reasons == ("FileNotFoundError: no file leaf\\udcff.jpg",)
    run.skip("measure", "leaf\udcff")
    with run.stage("report") as stage:
        run.write("report", "")
        stage.decline("leaf\udcff")
    assert outcomes_of(run) == {"prepare": "failed", "measure": "skipped", "report": "declined"}


def test_a_skipped_stage_is_recorded_with_its_reasons(run: rb.RunIO) -> None:
    run.skip("measure", "prepare declined")
    assert (run.outcome("measure"), run.needs("measure")) == (Outcome.SKIPPED, True)
    assert rb.open_run(run.path).state.endings["measure"].reasons == ("prepare declined",)


def test_stages_do_not_nest(run: rb.RunIO) -> None:
    with run.stage("prepare"):
        run.write("fact", {})
        for attempt in (run.stage("measure").__enter__, lambda: run.skip("measure"), run.finish):
            with pytest.raises(errors.StageError, match="prepare is open"):
                attempt()
    assert outcomes_of(run) == {"prepare": "committed"}


def test_a_passed_stage_does_not_begin_again(run: rb.RunIO) -> None:
    with run.stage("prepare"):
        run.write("fact", {})
    with pytest.raises(errors.StageError, match="has committed"), run.stage("prepare"):
        pass
    with pytest.raises(errors.StageError, match="has committed"):
        run.skip("prepare")


def test_a_write_for_another_stage_is_refused(run: rb.RunIO) -> None:
    with run.stage("prepare"):
        with pytest.raises(errors.StageError, match="belongs to the stage measure"):
            run.write("table", ROWS)
        run.write("fact", {})
    with pytest.raises(errors.StageError, match="has committed"):
        run.write("fact", {}, variant="late")
    assert codes(rb.open_run(run.path).verify()) == []


@pytest.mark.parametrize(
    ("name", "error"),
    [("unknown", errors.ContractError), ("../x", errors.ContractError), (5, errors.InvalidType)],
)
def test_a_stage_is_one_of_the_contract(run: rb.RunIO, name: str, error: type[Exception]) -> None:
    with pytest.raises(error), run.stage(name):
        pass
    assert outcomes_of(run) == {}


@pytest.mark.parametrize("name", ["a/b", "a\0", "", "a b", "x" * 200])
def test_without_a_contract_a_stage_has_a_plain_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(errors.InvalidName), project(tmp_path).start().stage(name):
        pass


def test_extras_written_in_a_stage_belong_to_it(tmp_path: Path) -> None:
    """And what committed stays: a later stage does not replace it, so that setting that aside loses nothing."""
    run = project(tmp_path).start()
    with run.stage("first"):
        assert run.save("x.json", 1).stage == "first"
    with run.stage("second"):
        with pytest.raises(errors.StageError, match="first, which has committed"):
            run.save("x.json", 2, replace=True)
        run.save("y.json", 2)
        assert run.save("y.json", 3, replace=True).stage == "second"
    assert (run.read("x.json"), run.read("y.json")) == (1, 3)


def test_an_artifact_of_no_stage_may_be_written_at_any_time(tmp_path: Path) -> None:
    contract = rb.Contract("x", "1", (SPEC("note", "k", "note", ".txt", "text", required=ALWAYS),), (STAGE("only"),))
    run = project(tmp_path, contract).start()
    with run.stage("only"):
        assert run.write("note", "in a stage").stage == "only"
    run.write("note", "after it", variant="b")
    run.finish()
    assert codes(rb.open_run(run.path).check()) == []


def test_a_commit_survives_what_comes_next(run: rb.RunIO) -> None:
    with run.stage("prepare"):
        run.write("fact", {})
    with pytest.raises(ZeroDivisionError), run:
        raise ZeroDivisionError
    assert (run.path / FACT).is_file()
    assert outcomes_of(run) == {"prepare": "committed"}
