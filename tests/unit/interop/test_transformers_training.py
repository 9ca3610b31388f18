"""A training of a Transformers ``Trainer``, recorded into a run (seed 002, sections 2 to 6), with the real package."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import runbundle as rb
from runbundle import errors
from runbundle.io.formats import FORMAT_NAMES

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("accelerate", reason="accelerate is not installed, which the Trainer needs")

from transformers import TrainerCallback

from runbundle.interop.transformers import RunbundleCallback
from sample_transformers import Data, Tiny, TinyConfig, trainer

needs_checkpoints = pytest.mark.skipif("checkpoint" not in FORMAT_NAMES, reason="there is no format for checkpoints")


def runs() -> list[rb.Run]:
    found = [rb.open_run(place) for place in sorted(Path("runs/sample").iterdir())]
    assert all(run.verify().is_good for run in found)
    return found


def test_seed_002_section_3_a_training_is_a_run_with_arguments_and_model_as_configuration_and_its_metrics() -> None:
    callback = RunbundleCallback("sample")
    trainer(callback).train()
    callback.run.finish()
    (run,) = runs()
    assert (run.status, run.config["args"]["logging_steps"], run.config["model"]["width"]) == ("completed", 1, 1)
    steps, values = run.series("loss")
    assert (list(steps), list(values)) == ([1, 2, 3, 4], [1, 0.5, 0.25, 0.125])
    assert {"learning_rate", "grad_norm", "epoch", "train_runtime"} <= set(run.summary)


def test_an_evaluation_after_the_training_goes_into_the_same_run() -> None:
    callback = RunbundleCallback("sample")
    coach = trainer(callback)
    coach.train()
    coach.evaluate(Data())
    callback.run.finish()
    assert len(runs()[0].series("eval_loss").values) == 1


def test_another_training_is_another_run() -> None:
    callback = RunbundleCallback("sample")
    coach = trainer(callback)
    coach.train()
    coach.train()
    assert [run.status for run in runs()] == ["completed", "running"]
    callback.run.finish()


def test_a_run_around_the_training_is_recorded_into_and_fails_with_it() -> None:
    model = Tiny(TinyConfig())
    model.fails_at = 2
    with pytest.raises(ZeroDivisionError), rb.start("sample", config={"a": 1}) as run:
        trainer(RunbundleCallback(run=run), model=model).train()
    (done,) = runs()
    assert (done.status, done.config, len(done.series("loss").steps)) == ("failed", {"a": 1}, 2)


def test_what_is_logged_and_is_no_number_is_told_in_the_text_log() -> None:
    class Talker(TrainerCallback):  # type: ignore[misc, unused-ignore] # as above
        def on_log(self, *_: Any, logs: Any = None, **__: Any) -> None:
            logs["mood"] = "good"

    callback = RunbundleCallback("sample")
    trainer(Talker(), callback).train()
    callback.run.finish()
    assert "mood: good" in (runs()[0].path / "logs/run.log").read_text()


@needs_checkpoints
def test_seed_002_section_6_of_a_checkpoint_the_safe_files_come_in_and_no_pickle_does() -> None:
    callback = RunbundleCallback("sample")
    trainer(callback, save_strategy="steps", save_steps=2, save_total_limit=1).train()
    callback.run.finish()
    (run,) = runs()
    names = {record.artifact_id for record in run.artifacts()}
    for step in (2, 4):
        assert f"checkpoints/checkpoint-{step}/model.safetensors" in names
        assert run.read(f"checkpoints/checkpoint-{step}/optimizer.pt")["param_groups"]
    assert not [name for name in names if "training_args" in name or "rng_state" in name]


def full_at(step_of_error: int) -> Any:
    from runbundle.run.metrics.log import MetricLog  # noqa: PLC0415 - beside what is done with it

    real = MetricLog.log

    def log(self: MetricLog, values: Any, step: int | None = None) -> None:
        if step == step_of_error:
            raise errors.UnavailableError("No space left on device", hint="Make room")
        real(self, values, step)

    return log


@pytest.mark.parametrize("on_error", ["raise", "warn"])
def test_an_error_of_the_library_ends_the_training_or_is_warned_of_as_its_user_chose(
    monkeypatch: pytest.MonkeyPatch, on_error: Any
) -> None:
    monkeypatch.setattr("runbundle.run.metrics.log.MetricLog.log", full_at(2))
    callback = RunbundleCallback("sample", on_error=on_error)
    coach = trainer(callback)
    if on_error == "raise":
        with pytest.raises(errors.UnavailableError, match="No space left"):
            coach.train()
        assert coach.state.global_step == 2
    else:
        with pytest.warns(RuntimeWarning, match="Not recorded: No space left"):
            coach.train()
        callback._recording.end(None)
        assert (list(runs()[0].series("loss").steps), runs()[0].summary["lost_writes"]) == ([1, 3, 4], 1)


SCRIPT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it from the start
sys.path.insert(0, {tests!r})
from runbundle.interop.transformers import RunbundleCallback
from sample_transformers import *
model = Tiny(TinyConfig())
{before}
coach = trainer(RunbundleCallback("sample"), model=model)
{after}
"""


@pytest.mark.parametrize(
    ("before", "after", "status"),
    [
        ("", "coach.train()", "completed"),
        ("model.fails_at = 2", "coach.train()", "failed"),
        ("model.forward = lambda *_, **__: signal.raise_signal(signal.SIGINT)", "coach.train()", "aborted"),
    ],
)
def test_the_run_ends_when_the_process_does_and_as_it_does(before: str, after: str, status: str) -> None:
    code = SCRIPT.format(tests=str(Path(__file__).resolve().parents[2]), before=before, after=after)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode == 0) == (status == "completed"), done.stderr
    (run,) = runs()
    assert (run.status, run.is_sealed) == (status, True)


def test_only_the_first_process_of_all_records() -> None:
    coach = trainer(callback := RunbundleCallback("sample"))
    coach.state.is_world_process_zero = False
    for hook in ("on_train_begin", "on_log", "on_save", "on_train_end"):
        getattr(callback, hook)(coach.args, coach.state, coach.control, logs={"loss": 1.0}, model=coach.model)
    assert not Path("runs").exists()
    assert os.environ.get("RUNBUNDLE_RUN_DIR") is None
