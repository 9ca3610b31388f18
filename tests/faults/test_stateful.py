"""A run against its plain-Python model, whatever is done to it and in whatever order."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import runbundle as rb
from faults.aftermath import assert_clean, assert_tells, findings, mend, no_real_syncs
from faults.facts import OPEN, SEALED, STATUS
from faults.seeds import IS_LONG, seeds
from faults.workloads import CONTRACT, OWED, RUN, Scene, let_go
from runbundle import errors
from sample_runs import own_folder

__all__ = ["no_real_syncs", "own_folder"]
EXAMPLES = 12
NAMES = st.sampled_from(["a.bin", "b.bin", "deep/c.bin"])
DATA = st.binary(max_size=40)
STEPS = st.integers(0, 5)


class RunMachine(RuleBasedStateMachine):
    """One run: written, killed, resumed and finished."""

    run: rb.RunIO
    stage: str | None = None  # the one that is open

    @initialize(durability=st.sampled_from(["process", "power"]))
    def start(self, durability: str) -> None:
        base = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - what Linux has
        self.folder = Path(tempfile.mkdtemp(prefix="faults-", dir=base))
        (self.folder / "store").mkdir()
        self.scene = Scene(self.folder / "store", self.folder / "sources", durability, CONTRACT)
        self.run = self.scene.start()

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            let_go(self.folder)
            shutil.rmtree(self.folder)

    def has(self, *key: Any) -> bool:
        return key in self.scene.facts

    @property
    def is_open(self) -> bool:
        return bool(self.scene.facts[STATUS] == OPEN)

    @precondition(lambda self: self.is_open)
    @rule(name=NAMES, data=DATA)
    def save(self, name: str, data: bytes) -> None:
        if self.has("artifact", name, None):
            with pytest.raises(errors.ArtifactExists):
                self.run.save(name, data)
        else:
            self._save(name, data, replace=False)

    def _save(self, name: str, data: bytes, *, replace: bool) -> None:
        self.scene.save(self.run, name, data, replace=replace)
        self.scene.belongs[name] = self.stage  # what is written in an open stage is part of it

    @precondition(lambda self: self.is_open)
    @rule(name=NAMES, data=DATA)
    def replace(self, name: str, data: bytes) -> None:
        self._save(name, data, replace=True)

    @precondition(lambda self: self.is_open)
    @rule(name=st.sampled_from(["in.csv", "other.csv"]), data=DATA)
    def ingest(self, name: str, data: bytes) -> None:
        self.scene.ingest(self.run, name, data, "overwrite")

    @precondition(lambda self: self.is_open)
    @rule(step=STEPS, value=st.floats(allow_nan=False))
    def log(self, step: int, value: float) -> None:
        self.scene.log(self.run, step, loss=value)

    @precondition(lambda self: self.is_open)
    @rule(value=st.one_of(st.booleans(), st.integers(-5, 5), st.none()))
    def summarize(self, value: Any) -> None:
        assume(value is not None)
        self.scene.summarize(self.run, "best", value)

    @precondition(lambda self: self.is_open)
    @rule()
    def flush(self) -> None:
        self.scene.flush(self.run)

    @precondition(lambda self: self.is_open and self.stage is None)
    @rule(name=st.sampled_from(sorted(OWED)), end=st.sampled_from(["committed", "failed", "left open"]))
    def stage_of(self, name: str, end: str) -> None:
        if not self.run.needs(name):
            with pytest.raises(errors.StageError):
                self.run.stage(name).__enter__()
            return
        for spec in OWED[name]:  # written before, outside of its stage
            assume(not self.has("artifact", spec, None) or self.has("stage", name))

        def body(_: Any) -> None:
            for spec, value in OWED[name].items():
                self.scene.write(self.run, spec, value)

        if end == "left open":
            self.stage = name
            self.scene.begin(name, self.run.stage(name))
            body(None)
        elif end == "failed":
            self.scene.fail_stage(self.run, name, body)
        else:
            self.scene.stage(self.run, name, body)

    @precondition(lambda self: self.is_open)
    @rule()
    def kill_and_resume(self) -> None:
        let_go(self.scene.store)
        self._resume()

    @precondition(lambda self: self.is_open and self.stage is None)
    @rule(status=st.sampled_from(["failed", "aborted", "completed"]))
    def finish(self, status: str) -> None:
        met = {("stage", name): "committed" for name in OWED}.items() <= self.scene.facts.items()
        if status == "completed" and not met:
            with pytest.raises(errors.ContractUnmet):
                self.run.finish()
            self.scene.facts |= {STATUS: "failed", SEALED: True}
        else:
            self.scene.finish(self.run, status)
        with pytest.raises(errors.RunSealed):
            self.run.save("late.bin", b"")

    @precondition(lambda self: not self.is_open)
    @rule()
    def resume(self) -> None:
        if self.scene.facts[STATUS] == "completed":
            with pytest.raises(errors.RunSealed):
                self.scene.project.resume(RUN)
        else:
            self._resume()

    def _resume(self) -> None:
        passed = {name for name in OWED if self.scene.facts.get(("stage", name)) == "committed"}
        drops = [spec for spec, stage in self.scene.belongs.items() if stage is not None and stage not in passed]
        self.stage = None
        self.run = self.scene.resume(drops=tuple(drops))

    @invariant()
    def tells_what_the_model_says(self) -> None:
        if hasattr(self, "scene"):
            assert_tells(self.scene.run_dir, [self.scene.facts], "now")
            assert findings(self.scene.run_dir) == []

    @precondition(lambda self: not self.is_open)
    @rule()
    def repair(self) -> None:
        if mend(self.scene.run_dir):
            assert_clean(self.scene.run_dir, "repair has nothing to do")


def test_a_run_is_what_its_model_says() -> None:
    count = len(seeds(EXAMPLES))
    checks = (HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large)
    phases = (Phase.generate, Phase.shrink) if IS_LONG else (Phase.generate,)
    options = settings(
        max_examples=count,
        stateful_step_count=20,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=checks,
        phases=phases,
    )
    run_state_machine_as_test(RunMachine, settings=options)
