"""One program started several times over, as torchrun, SLURM and Lightning do: real processes, one run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

import runbundle as rb
from runbundle import errors
from runbundle.interop import ranks

RANK_OF = "int(os.environ.get('RANK') or os.environ.get('SLURM_PROCID') or os.environ['LOCAL_RANK'])"
PROGRAM = f"""
import os, sys, time
from runbundle.interop import ranks
rank, size = {RANK_OF}, int(sys.argv[1])
with ranks.start("many", {{"lr": 0.5}}, run_id=sys.argv[2] if len(sys.argv) > 2 else None) as run:
    run.save(f"shard_{{rank}}.json", rank)
    run.log({{"loss": 1.0 + rank}}, step=0)
    while rank == 0 and len(list((run.path / "artifacts").glob("shard_*.json"))) < size:
        time.sleep(0.005)  # as a barrier at the end of a training
"""


def launch(environments: list[Mapping[str, str]], *words: str) -> list[subprocess.Popen[str]]:
    """Start the program once for each environment, the first one last."""
    command = [sys.executable, "-c", PROGRAM, str(len(environments)), *words]
    return [
        subprocess.Popen(command, env={**os.environ, **environment}, text=True, stderr=subprocess.PIPE)
        for environment in reversed(environments)
    ]


def ended(processes: list[subprocess.Popen[str]]) -> list[str]:
    return [process.communicate(timeout=60)[1] for process in processes]


def only_run() -> rb.Run:
    (place,) = Path("runs/many").iterdir()
    return rb.open_run(place)


def assert_holds_all(run: rb.Run, size: int) -> None:
    assert (run.status, run.is_sealed, run.verify().findings) == ("completed", True, ())
    assert [run.read(f"shard_{rank}.json") for rank in range(size)] == list(range(size))
    assert run.series("loss").values == [1.0]  # the series is that of the first process
    assert sorted(point.value for point in run.series("loss", raw=True)) == [1.0 + rank for rank in range(size)]


MASTER = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29511", "WORLD_SIZE": "3"}
LAUNCHES: dict[str, list[Mapping[str, str]]] = {
    "torchrun": [{**MASTER, "RANK": str(n), "LOCAL_RANK": str(n), "TORCHELASTIC_RUN_ID": "none"} for n in range(3)],
    "two nodes": [
        {**MASTER, "MASTER_ADDR": "node-a", "RANK": str(n), "LOCAL_RANK": "0", "NODE_RANK": str(n)} for n in range(2)
    ],
    "lightning": [{**MASTER, "LOCAL_RANK": str(n)} for n in range(3)],
    "slurm": [{"SLURM_JOB_ID": "77", "SLURM_STEP_ID": "0", "SLURM_PROCID": str(n)} for n in range(3)],
}


@pytest.mark.parametrize("launcher", LAUNCHES)
def test_only_the_first_process_makes_a_run_and_the_others_join_it(launcher: str) -> None:
    environments = LAUNCHES[launcher]
    with rb.start("many") as other:  # a run of the project that is open and of no launch is not theirs
        assert ended(launch(environments)) == [""] * len(environments)
        (place,) = set(Path("runs/many").resolve().iterdir()) - {other.path}
    run = rb.open_run(place)
    assert_holds_all(run, len(environments))
    assert run.manifest["launch"] == {
        "torchrun": f"master {os.uname().nodename}:29511 0",
        "two nodes": "master node-a:29511 0",
        "lightning": f"master {os.uname().nodename}:29511 0",
        "slurm": "slurm 77.0 0",
    }.get(launcher)


def test_a_launch_after_another_on_the_same_port_has_a_run_of_its_own() -> None:
    for count in (1, 2):
        assert ended(launch(LAUNCHES["torchrun"])) == [""] * 3
        assert len(list(Path("runs/many").iterdir())) == count


def test_where_the_launcher_says_nothing_of_the_launch_a_run_id_brings_them_together() -> None:
    assert ended(launch([{"RANK": "0"}, {"RANK": "1"}], "agreed")) == ["", ""]
    assert only_run().run_id == "agreed"
    assert_holds_all(only_run(), 2)


def test_every_process_joins_the_run_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    with rb.start("many") as run:
        monkeypatch.setenv("RUNBUNDLE_RUN_DIR", str(run.path))
        assert ended(launch(LAUNCHES["slurm"])) == [""] * 3
    assert run.path == only_run().path.resolve()
    assert only_run().verify().is_good


def test_without_a_launcher_it_is_a_plain_start() -> None:
    with ranks.start("many", {"lr": 1}) as run:
        run.log({"loss": 0.5})
    assert (only_run().config, only_run().status) == ({"lr": 1}, "completed")
    assert "launch" not in only_run().manifest


def test_a_process_that_cannot_know_the_run_says_so_and_makes_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(errors.RunNotFound, match="nothing says which run"):
        ranks.start("many")
    monkeypatch.setenv("MASTER_PORT", "29511")
    with pytest.raises(errors.RunNotFound, match=r"made no run of many within 0\.01 s"):
        ranks.start("many", patience_s=0.01)
    assert not Path("runs/many").exists()


@pytest.mark.parametrize(
    ("environment", "first"),
    [
        ({}, True),
        ({"RANK": "0", "LOCAL_RANK": "0"}, True),
        ({"RANK": "8", "LOCAL_RANK": "0"}, False),
        ({"RANK": "0", "SLURM_PROCID": "3"}, True),
        ({"NODE_RANK": "1", "LOCAL_RANK": "0"}, False),
        ({"NODE_RANK": "1"}, False),
        ({"LOCAL_RANK": "2"}, False),
        ({"SLURM_PROCID": "1"}, False),
        ({"RANK": "", "SLURM_PROCID": ""}, True),
    ],
)
def test_who_is_first(environment: Mapping[str, str], first: bool) -> None:  # noqa: FBT001 - what is expected
    assert ranks.is_first(environment) is first


def test_launches_are_told_apart_also_when_they_are_started_again() -> None:
    torchrun = {"TORCHELASTIC_RUN_ID": "abc", "RANK": "0", "TORCHELASTIC_RESTART_COUNT": "2"}
    assert ranks.launch_key(torchrun) == "torchrun abc 2"
    slurm = {"SLURM_JOB_ID": "7", "SLURM_PROCID": "0", "SLURM_STEP_ID": "1"}
    assert ranks.launch_key(slurm) == "slurm 7.1 0"
    assert ranks.launch_key({**slurm, "SLURM_RESTART_COUNT": "1"}) == "slurm 7.1 1"
    assert ranks.launch_key({"SLURM_JOB_ID": "7", "MASTER_PORT": "1"}) is None
