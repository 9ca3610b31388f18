"""SIGKILL at every call that changes something, and half-way through writes: nothing acknowledged is lost."""

import signal
from pathlib import Path

import pytest

from faults.aftermath import (
    Rehearsal,
    assert_survives_kill,
    emptied,
    folder,
    no_real_syncs,
    play_until_killed,
    rehearse,
)
from faults.seeds import share
from faults.syscalls import Action, at, kill_after, kill_before, kill_half_way
from faults.workloads import POWERFUL, WORKLOADS, Workload, lawful_after_kill
from sample_runs import own_folder

__all__ = ["folder", "no_real_syncs", "own_folder"]
SEEDS = 4
SAMPLE = 4  # of each seed, in CI
WAYS = (kill_before, kill_after, kill_half_way)


def moments(told: Rehearsal) -> list[tuple[int, Action]]:
    """Where to kill: around each call that a kill can tell from its neighbours."""
    calls = [step.call for step in told.trace if step.call.is_changing and step.op not in ("fsync", "fdatasync")]
    return [(call.number, way) for call in calls for way in WAYS if way is not kill_half_way or call.size > 1]


@pytest.mark.parametrize("seed", range(SEEDS), ids=lambda seed: f"seed{seed}")
@pytest.mark.parametrize("workload", [*WORKLOADS, POWERFUL[1]], ids=str)
def test_a_kill_at_any_call_loses_nothing_acknowledged_and_the_run_comes_home(
    folder: Path, workload: Workload, seed: int
) -> None:
    told = rehearse(workload, emptied(folder))
    for number, way in share(moments(told), seed, SEEDS, sample=SAMPLE):
        code, acknowledged = play_until_killed(workload, emptied(folder), at(number, way))
        when = f"{way.__name__} {told.trace[number].call}, {acknowledged} acts acknowledged"
        assert code == -signal.SIGKILL, when
        assert_survives_kill(workload.scene(folder), lawful_after_kill(told.history, acknowledged), when)
