"""Calls that fail, once and in a row: our own error, nothing acknowledged is harmed, and the same handle goes on."""

import errno
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

import runbundle as rb
from faults.aftermath import (
    Rehearsal,
    assert_clean,
    assert_survives_power_cut,
    assert_tells,
    emptied,
    folder,
    no_real_syncs,
    rehearse,
)
from faults.disk import power_cuts, write_image
from faults.facts import SEALED, STATUS, told_by_library, told_by_reader, unlawful
from faults.seeds import share
from faults.syscalls import Action, Syscalls, burst, cut_short, fail, interrupt_after, interrupt_before
from faults.workloads import POWERFUL, TABLES, WORKLOADS, Scene, Workload, lawful_after_power_cut, let_go
from runbundle import errors
from sample_runs import own_folder

__all__ = ["folder", "no_real_syncs", "own_folder"]
SEEDS = 2
SAMPLE = 1  # moments of each seed, fault and length of burst, in CI
CUTS = 4  # after each of which the power may fail
BURSTS = (1, 3)
MAKING = ("open", "write", "pwrite", "writev", "link", "rename", "replace", "mkdir", "ftruncate", "copy_file_range")
SYNCS = ("fsync", "fdatasync")


@dataclass(frozen=True)
class Fault:
    """What goes wrong, and in which calls it can."""

    name: str
    ops: Sequence[str]
    action: Action
    is_silent: bool = False  # a good program does not fail for it

    def __str__(self) -> str:
        return self.name


FAULTS = (
    Fault("ENOSPC", (*MAKING, *SYNCS), fail(errno.ENOSPC)),
    Fault("EDQUOT", (*MAKING, *SYNCS), fail(errno.EDQUOT)),
    Fault("EIO", (*MAKING, *SYNCS, "unlink", "close", "flock", "scandir", "listdir"), fail(errno.EIO)),
    Fault("EMFILE", ("open", "scandir", "listdir"), fail(errno.EMFILE)),
    Fault("EINTR", ("write",), fail(errno.EINTR)),
    Fault("short-write", ("write", "pwrite", "writev"), cut_short, is_silent=True),
    Fault("interrupt-before", (*MAKING, *SYNCS), interrupt_before),
    Fault("interrupt-after", (*MAKING, *SYNCS), interrupt_after),
)
PLAYED = (
    *(workload for workload in WORKLOADS if str(workload) != "abandoning"),
    TABLES,
)  # it loses its handles on purpose


class Critic:
    """Looks at each error, and at the run right after it."""

    def __init__(self, fault: Fault, when: str) -> None:
        self.fault, self.when = fault, when
        self.scene: Scene | None = None
        self.nameless: list[str] = []

    def __call__(self, error: BaseException, act: str) -> None:
        when = f"{self.when}, in {act}: {error!r}"
        assert not self.fault.is_silent, when
        assert isinstance(error, errors.RunbundleError) or self.fault.name.startswith("interrupt"), when
        if isinstance(error, errors.RunbundleError):
            due = ("path", "run", "artifact") if act.startswith("write") else ("path", "run")
            self.nameless += [f"{when} names no {name}" for name in due if not getattr(error, name)]
        self.look(when)

    def look(self, when: str) -> None:
        """What was acknowledged is whole; what was being done is done, or not, or on its way."""
        scene = self.scene
        assert scene is not None
        if STATUS not in scene.facts:  # the run was being made
            return
        lawful = [scene.facts, scene.history[-1].facts]
        for who, tell in (("library", told_by_library), ("independent reader", told_by_reader)):
            wrong = [text for text in unlawful(tell(scene.run_dir), lawful) if not text.startswith("('stage'")]
            assert wrong == [], f"{when}: the {who} tells {'; '.join(wrong)}"
        broken = [finding for finding in rb.open_run(scene.run_dir).verify() if finding.code != "stray"]
        assert broken == [], f"{when}: {broken}"


def play_with(
    workload: Workload, folder: Path, fault: Fault, first: int, count: int, when: str
) -> tuple[Scene, Syscalls, list[str]]:
    """Play with a fault; returns the scene, the watch, and the errors that did not say where they happened."""
    critic = Critic(fault, when)
    watch = Syscalls(folder / "store")
    scene = workload.scene(folder, now=lambda: len(watch.trace), is_patient=True, on_failure=critic)
    critic.scene = scene
    plan = burst(first, count, fault.ops, fault.action)
    watch.plan = lambda call: None if scene.is_looking else plan(call)  # the critic is not to be disturbed
    with watch:
        workload.play(scene)
    return scene, watch, critic.nameless


def moments(told: Rehearsal, ops: Sequence[str]) -> list[int]:
    return [number for number, step in enumerate(told.trace) if step.op in ops]


@pytest.mark.parametrize("seed", range(SEEDS), ids=lambda seed: f"seed{seed}")
@pytest.mark.parametrize("fault", FAULTS, ids=str)
@pytest.mark.parametrize("workload", [*PLAYED, POWERFUL[0]], ids=str)
def test_a_failing_call_is_an_error_of_ours_and_the_handle_goes_on(
    folder: Path, workload: Workload, fault: Fault, seed: int
) -> None:
    told = rehearse(workload, emptied(folder))
    for first in share(moments(told, fault.ops), seed, SEEDS, sample=SAMPLE):
        for count in BURSTS:
            when = f"{count} times {fault} from {told.trace[first].call}"
            scene, _, nameless = play_with(workload, emptied(folder), fault, first, count, when)
            assert_clean(scene.run_dir, when)
            assert_tells(scene.run_dir, [scene.facts], when)
            assert scene.facts[SEALED], when
            assert nameless == []


@pytest.mark.parametrize("seed", range(SEEDS), ids=lambda seed: f"seed{seed}")
@pytest.mark.parametrize("count", BURSTS, ids=lambda count: f"{count} in a row")
@pytest.mark.parametrize("workload", [*PLAYED, *POWERFUL], ids=str)
def test_after_a_failed_fsync_nothing_is_called_safe_that_rests_on_it(
    folder: Path, workload: Workload, count: int, seed: int
) -> None:
    """The kernel forgets what it could not write: a later fsync of the same file proves nothing (``disk.py``)."""
    told = rehearse(workload, emptied(folder))
    fault = Fault("EIO", SYNCS, fail(errno.EIO))
    for first in share(moments(told, SYNCS), seed, SEEDS, sample=SAMPLE):
        when = f"{count} times EIO from {told.trace[first].call}"
        scene, watch, _ = play_with(workload, emptied(folder), fault, first, count, when)
        let_go(scene.store)
        history, trace = scene.history, [*watch.before, *watch.trace]
        returns = [act.ended for act in history if act.is_power_safe and act.ended is not None and act.ended > first]
        cuts = {*returns[-1:], *share(returns, 0, 1, sample=CUTS)}
        for done, state, image in power_cuts(trace, cuts, 0):
            later = workload.scene(emptied(folder))
            write_image(image, later.store)
            lawful = lawful_after_power_cut(history, done)
            assert_survives_power_cut(later, lawful, f"{when}; {state} state after {done} calls")
