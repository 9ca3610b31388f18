"""SIGKILL in the hooks of the integrations, at calls that change something in the store: the run comes home."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import runbundle as rb
from faults.aftermath import assert_clean, emptied, findings, folder, in_child, listed, mend, no_real_syncs
from faults.syscalls import Plan, Syscalls, at, kill_after, kill_before, kill_half_way, leave_alone
from runbundle.io.formats import FORMAT_NAMES
from sample_runs import own_folder

__all__ = ["folder", "no_real_syncs", "own_folder"]
SAMPLE = 24  # kills of each integration
WAYS = (kill_before, kill_after, kill_half_way)


def project(place: Path) -> rb.Project:
    return rb.Project("sample", store=place / "store")


def by_hydra(place: Path) -> None:
    import hydra  # noqa: PLC0415 - each world where it is used

    def job(_: Any) -> None:
        rb.join().save("checkpoints.json", {"step": 1})
        rb.join().log({"loss": 0.5}, step=0)

    (place / "conf").mkdir(exist_ok=True)
    target = f"_target_: runbundle.interop.hydra.RunbundleCallback, project: sample, store: {place}/store"
    (place / "conf/config.yaml").write_text(f"hydra: {{callbacks: {{runbundle: {{{target}}}}}}}")
    sys.argv = ["job.py", f"hydra.run.dir={place}/out", "hydra/job_logging=none", "hydra/hydra_logging=none"]
    hydra.main(version_base=None, config_path=str(place / "conf"), config_name="config")(job)()


def by_lightning(place: Path) -> None:
    import torch  # noqa: PLC0415

    import sample_lightning as world  # noqa: PLC0415
    from runbundle.interop.lightning import RunbundleLogger  # noqa: PLC0415

    world.be_quiet()
    torch.set_num_threads(1)
    logger = RunbundleLogger(project(place))
    has_checkpoints = "checkpoint" in FORMAT_NAMES
    world.trainer(logger, enable_checkpointing=has_checkpoints).fit(world.Model(), world.data())
    logger._recording.end(None)


def by_transformers(place: Path) -> None:
    import torch  # noqa: PLC0415

    import sample_transformers as world  # noqa: PLC0415
    from runbundle.interop.transformers import RunbundleCallback  # noqa: PLC0415

    torch.set_num_threads(1)
    callback = RunbundleCallback(project(place))
    strategy = "epoch" if "checkpoint" in FORMAT_NAMES else "no"
    world.trainer(callback, save_strategy=strategy).train()
    callback._recording.end(None)


NEEDS: dict[Callable[[Path], None], list[str]] = {
    by_hydra: ["hydra"],
    by_lightning: ["torch", "lightning"],
    by_transformers: ["torch", "transformers"],
}


def play(training: Callable[[Path], None], place: Path, plan: Plan = leave_alone) -> tuple[int, list[int]]:
    """A training in a child; returns its exit code, and the calls at which a kill can tell."""
    told = place / "told.json"

    def work() -> None:
        with Syscalls(place / "store", plan) as watch:
            training(place)
        calls = [step.call for step in watch.trace if step.call.is_changing and "sync" not in step.op]
        told.write_text(json.dumps([call.number for call in calls]))

    (place / "store").mkdir()
    code = in_child(work)
    return code, json.loads(told.read_text()) if told.exists() else []


@pytest.mark.parametrize("training", NEEDS)
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_kill_in_any_hook_leaves_a_run_that_comes_home(
    folder: Path, training: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    lacking = [name for name in NEEDS[training] if find_spec(name) is None]
    if lacking:
        pytest.skip(f"{', '.join(lacking)} is not installed")
    place = emptied(folder)
    monkeypatch.chdir(place)
    code, calls = play(training, place)
    assert (code, len(calls) > SAMPLE) == (0, True)
    for turn in range(SAMPLE):
        number, way = calls[turn * len(calls) // SAMPLE], WAYS[turn % len(WAYS)]
        place = emptied(folder)
        monkeypatch.chdir(place)
        when = f"{way.__name__} call {number} of {training.__name__}"
        assert play(training, place, at(number, way))[0] == -signal.SIGKILL, when
        assert_comes_home(place, when)


def assert_comes_home(place: Path, when: str) -> None:
    """There is no run yet, or one that is readable, is repaired to what verifies, and can be resumed."""
    for row in listed(place / "store"):
        assert row["status"] in ("interrupted", "completed"), when
        run_dir = Path(row["path"])
        assert {code for code, _ in findings(run_dir)} <= {"stray"}, when
        mend(run_dir)
        assert_clean(run_dir, f"{when}: after repair")
        if rb.open_run(run_dir).status != "completed":
            project(place).resume(run_dir.name).finish()
            assert_clean(run_dir, f"{when}: after another attempt")
            assert rb.open_run(run_dir).status == "completed", when
