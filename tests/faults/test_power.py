"""A power cut at any moment: what was promised to be safe is there, whatever else the disk kept or lost."""

from pathlib import Path

import pytest

from faults.aftermath import CAN_REPAIR, assert_survives_power_cut, emptied, folder, no_real_syncs, rehearse
from faults.disk import power_cuts, write_image
from faults.seeds import seeds, share
from faults.workloads import POWERFUL, TABLES, WORKLOADS, Workload, lawful_after_power_cut
from sample_runs import own_folder

__all__ = ["folder", "no_real_syncs", "own_folder"]
SEEDS = 3
SAMPLE = 5  # moments of each seed, in CI
STATES = 2  # random ones at each moment


@pytest.mark.parametrize("seed", range(SEEDS), ids=lambda seed: f"seed{seed}")
@pytest.mark.parametrize("workload", [*WORKLOADS, TABLES, *POWERFUL], ids=str)
def test_a_power_cut_at_any_call_loses_nothing_that_was_safe(folder: Path, workload: Workload, seed: int) -> None:
    told = rehearse(workload, emptied(folder))
    returns = {act.ended for act in told.history if act.is_power_safe and act.ended is not None}
    others = set(range(len(told.trace) + 1)) - returns
    moments = {*share(sorted(returns), seed, SEEDS, sample=SAMPLE), *share(sorted(others), seed, SEEDS, sample=SAMPLE)}
    states = len(seeds(STATES)) if CAN_REPAIR else 0
    for done, state, image in power_cuts([*told.before, *told.trace], moments, states):
        scene = workload.scene(emptied(folder))
        write_image(image, scene.store)
        last = f"after {told.trace[done - 1]}" if done else "at the start"
        assert_survives_power_cut(scene, lawful_after_power_cut(told.history, done), f"{state} state {last}")


@pytest.mark.skipif(CAN_REPAIR, reason="the test above does it")
def test_random_states_wait_for_repair() -> None:
    pytest.skip("there is no runbundle.run.repair yet: only the worst state of each moment is looked at")
