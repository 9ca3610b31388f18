"""Every test here has a current folder of its own, and no launcher around it."""

import pytest

from sample_runs import own_folder

__all__ = ["no_launcher", "own_folder"]
LAUNCHERS = (
    *("RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"),
    *("TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT"),
    *("SLURM_PROCID", "SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_RESTART_COUNT"),
)


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests say themselves what a launcher would."""
    for name in LAUNCHERS:
        monkeypatch.delenv(name, raising=False)
