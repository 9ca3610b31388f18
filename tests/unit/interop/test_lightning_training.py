"""A training of Lightning, recorded into a run (seed 002, sections 2 to 6), with the real package."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import runbundle as rb
from runbundle import errors
from runbundle.io.formats import FORMAT_NAMES

torch = pytest.importorskip("torch", reason="torch is not installed")
lightning = pytest.importorskip("lightning", reason="lightning is not installed")

from lightning.pytorch.callbacks import ModelCheckpoint  # noqa: E402 - only where there is Lightning

from runbundle.interop.lightning import RunbundleLogger  # noqa: E402
from sample_lightning import EPOCHS, STEPS, WARNINGS, Model, data, trainer  # noqa: E402

pytestmark = [pytest.mark.filterwarnings(f"ignore:{text}") for text in WARNINGS]
needs_checkpoints = pytest.mark.skipif("checkpoint" not in FORMAT_NAMES, reason="there is no format for checkpoints")


def only_run() -> rb.Run:
    (place,) = Path("runs/sample").iterdir()
    run = rb.open_run(place)
    assert run.verify().is_good
    return run


def test_seed_002_section_3_a_training_is_a_run_with_its_hyperparameters_as_configuration_and_its_metrics() -> None:
    logger = RunbundleLogger("sample", config={"seed": 7})
    trainer(logger).fit(Model(lr=0.5), data())
    assert (logger.name, logger.version, only_run().status) == ("sample", only_run().run_id, "running")
    logger.experiment.finish()
    run = only_run()
    assert (run.status, run.config) == ("completed", {"seed": 7, "lr": 0.5, "kind": "tiny"})
    steps, values = run.series("loss")
    assert list(steps) == [0, 1, 2, 3, 4, 5]
    assert list(values) == [0.5**step for step in steps]
    assert list(run.series("epoch").values) == [0, 0, 0, 1, 1, 1]


def test_a_test_after_the_training_goes_into_the_same_run() -> None:
    logger = RunbundleLogger("sample")
    coach, model = trainer(logger), Model()
    coach.fit(model, data())
    coach.test(model, data(), verbose=False)
    logger.experiment.finish()
    assert only_run().series("test_loss").values == [0.25]


def test_a_training_that_raises_fails_its_run_at_once_with_the_traceback() -> None:
    model = Model()
    model.fails_at = 2
    with pytest.raises(ZeroDivisionError):
        trainer(RunbundleLogger("sample")).fit(model, data())
    run = only_run()
    assert (run.status, run.is_sealed, len(run.series("loss").steps)) == ("failed", True, 2)
    assert "it diverged" in (run.path / "logs/traceback.1.txt").read_text()


def test_ctrl_c_aborts_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("signal.signal", lambda *_: None)  # Lightning would leave Ctrl-C without effect
    model = Model()
    model.fails_at, model.error = 1, KeyboardInterrupt()
    with pytest.raises(SystemExit):
        trainer(RunbundleLogger("sample")).fit(model, data())
    assert only_run().status == "aborted"


def test_the_handle_begins_the_run_with_its_first_use_and_reaches_all_of_it() -> None:
    logger = RunbundleLogger("sample")
    handle = logger.experiment
    assert not Path("runs").exists()
    handle.save("before.json", 1)
    trainer(logger).fit(Model(lr=0.5), data())
    logger.experiment.finish()
    run = only_run()
    assert (run.read("before.json"), run.read("hparams.json")) == (1, {"lr": 0.5, "kind": "tiny"})


def test_a_run_that_is_given_is_recorded_into_and_left_to_who_began_it() -> None:
    with rb.start("sample", config={"model": {"a": 1}, "lr": 0.1, "kind": "tiny"}) as run:
        trainer(RunbundleLogger(run=run)).fit(Model(), data())
        assert not run.is_finished
    assert (only_run().status, [record.artifact_id for record in only_run().artifacts()]) == ("completed", [])


def test_a_run_that_the_environment_names_is_recorded_into(monkeypatch: pytest.MonkeyPatch) -> None:
    with rb.start("sample", config={"lr": 0.1}) as run:
        monkeypatch.setenv("RUNBUNDLE_RUN_DIR", str(run.path))
        trainer(RunbundleLogger("elsewhere")).fit(Model(), data())
    assert len(only_run().series("loss").steps) == STEPS * EPOCHS
    assert only_run().read("hparams.json") == {"lr": 0.1, "kind": "tiny"}
    assert [place.name for place in Path("runs").iterdir()] == ["sample"]


def test_secrets_among_the_hyperparameters_are_masked_where_they_are_saved() -> None:
    with rb.start("sample") as run:
        RunbundleLogger(run=run).log_hyperparams(
            {"api_key": "hunter2", "url": "https://me:hunter2@host/x", "max_tokens": 5}
        )
    assert only_run().read("hparams.json") == {
        "api_key": "<secret:api_key>",
        "url": "https://me:<secret:api_key>@host/x",
        "max_tokens": 5,
    }


# --- checkpoints ----------------------------------------------------------------------------------------------


@needs_checkpoints
def test_seed_002_section_6_checkpoints_land_in_the_run_and_the_best_one_is_told() -> None:
    logger = RunbundleLogger("sample")
    keep = ModelCheckpoint(monitor="val_loss", mode="max", save_top_k=-1)
    trainer(logger, callbacks=[keep], enable_checkpointing=True).fit(Model(), data(), data())
    logger.experiment.finish()
    run = only_run()
    names = sorted(record.filename for record in run.artifacts() if record.format == "checkpoint")
    assert names == ["artifacts/checkpoints/best.pt", "artifacts/checkpoints/last.pt"]
    last, best = run.read("checkpoints/last.pt"), run.read("checkpoints/best.pt")
    assert (last["global_step"], best["global_step"]) == (STEPS * EPOCHS, STEPS)
    assert set(last["state_dict"]) == {"layer.weight", "layer.bias"}


@needs_checkpoints
def test_a_training_goes_on_from_the_checkpoint_in_a_run() -> None:
    logger, more = RunbundleLogger("sample"), {"enable_checkpointing": True}
    trainer(logger, callbacks=[ModelCheckpoint(dirpath="kept")], **more).fit(Model(), data())
    logger.experiment.finish()
    again = trainer(False, max_epochs=EPOCHS + 1, callbacks=[ModelCheckpoint(dirpath="kept")], **more)
    again.fit(Model(), data(), ckpt_path=str(only_run().path / "artifacts/checkpoints/last.pt"), weights_only=True)
    assert again.global_step == STEPS * (EPOCHS + 1)


@needs_checkpoints
def test_seed_002_section_5_a_checkpoint_that_holds_an_object_is_refused_with_advice_and_the_run_holds_no_pickle() -> (
    None
):
    logger = RunbundleLogger("sample")
    with pytest.raises(errors.InvalidValue, match=r"save_hyperparameters\(ignore"):
        trainer(logger, enable_checkpointing=True).fit(Model(kind=Path("a")), data())
    assert only_run().status == "failed"
    assert list(only_run().path.rglob("*.pt")) == []


def test_nothing_of_lightnings_own_lands_in_the_run() -> None:
    logger = RunbundleLogger("sample")
    coach = trainer(logger, callbacks=[ModelCheckpoint(every_n_epochs=9)], enable_checkpointing=True)
    coach.fit(Model(), data())
    assert (logger.save_dir, coach.log_dir) == (None, None)
    logger.experiment.finish()
    assert only_run().verify().is_good


# --- errors of the library's own ------------------------------------------------------------------------------


def full_at(step_of_error: int) -> Any:
    from runbundle.run.metrics.log import MetricLog  # noqa: PLC0415 - beside what is done with it

    real = MetricLog.log

    def log(self: MetricLog, values: Any, step: int | None = None) -> None:
        if step == step_of_error:
            raise errors.UnavailableError("No space left on device", hint="Make room")
        real(self, values, step)

    return log


def test_an_error_of_the_library_ends_the_training_and_the_run_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runbundle.run.metrics.log.MetricLog.log", full_at(2))
    with pytest.raises(errors.UnavailableError, match="No space left"):
        trainer(RunbundleLogger("sample")).fit(Model(), data())
    run = only_run()
    assert (run.status, run.manifest["attempts"][0]["error"]["type"]) == ("failed", "UnavailableError")


def test_by_choice_the_training_goes_on_and_the_run_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runbundle.run.metrics.log.MetricLog.log", full_at(2))
    logger = RunbundleLogger("sample", on_error="warn")
    with pytest.warns(RuntimeWarning, match="Not recorded: No space left"):
        trainer(logger).fit(Model(), data())
    logger._recording.end(None)
    run = only_run()
    assert (run.status, run.summary["lost_writes"]) == ("completed", 1)
    assert list(run.series("loss").steps) == [0, 1, 3, 4, 5]


def test_by_choice_a_training_without_room_for_a_run_goes_on() -> None:
    Path("file").write_text("no folder")
    logger = RunbundleLogger(rb.Project("sample", store="file"), on_error="warn")
    coach = trainer(logger)
    with pytest.warns(RuntimeWarning, match="Not recorded: The store"):
        coach.fit(Model(), data())
    assert coach.global_step == STEPS * EPOCHS
    with pytest.raises(errors.InvalidValue, match="is a file"):
        logger.experiment.save("x.json", 1)


def test_on_error_is_one_of_two_words() -> None:
    with pytest.raises(errors.InvalidValue, match="raise or warn"):
        RunbundleLogger("sample", on_error="never")  # type: ignore[arg-type]  # what is tested


# --- processes ------------------------------------------------------------------------------------------------

SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
from runbundle.interop.lightning import RunbundleLogger
from sample_lightning import *
logger = RunbundleLogger("sample")
model = Model()
{before}
trainer(logger{more}).fit(model, data())
{after}
"""


def play_script(
    before: str = "", after: str = "", more: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    tests = str(Path(__file__).resolve().parents[2])
    code = SCRIPT.format(tests=tests, before=before, after=after, more=more)
    env = {**os.environ, **environment}
    return subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False, timeout=120
    )


def test_the_run_is_completed_when_the_process_ends_after_a_good_training() -> None:
    done = play_script()
    assert done.returncode == 0, done.stderr
    assert (only_run().status, only_run().is_sealed) == ("completed", True)


def test_an_exception_after_the_training_fails_the_run_when_the_process_ends() -> None:
    assert play_script(after="1 / 0").returncode == 1
    assert (only_run().status, json.dumps(only_run().manifest["attempts"][0]["error"])) == (
        "failed",
        '{"message": "division by zero", "type": "ZeroDivisionError"}',
    )


def test_a_process_of_another_rank_records_nothing() -> None:
    logger_of_rank_1 = "assert logger.experiment.save('x.json', 1) is None; logger.log_metrics({'x': 1.0}); sys.exit(0)"
    done = play_script(before=logger_of_rank_1, LOCAL_RANK="1")
    assert (done.returncode, Path("runs").exists()) == (0, False), done.stderr
