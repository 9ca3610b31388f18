"""One program started several times over (torchrun, SLURM, Lightning): the first makes the run, the others join it.

::

    from runbundle.interop import ranks

    with ranks.start("mnist", config={"lr": 0.01}) as run:  # the same line in every process
        run.save(f"shard_{os.environ['RANK']}.json", shard)

Who is first, and which processes belong together, is what launchers say in the environment. Nothing is sent between
the processes: the first notes the launch in its run (the fact ``launch``), and the others look for that.
"""

from __future__ import annotations

import dataclasses
import os
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from runbundle.base.errors import ConflictError, CorruptError, NotFoundError, RunNotFound
from runbundle.base.ids import check_component
from runbundle.io.atomic import os_errors
from runbundle.run.join import RUN_DIR_VARIABLE
from runbundle.run.log.manifest import read_manifest
from runbundle.run.project import Project, named_project
from runbundle.run.runio import RunIO, joined

PATIENCE_S = 60.0
LAUNCH = "launch"
_POLL_S = 0.02
_NEWEST = 64  # runs of a project that may be of this launch: those begun last, by name
_LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))


def is_first(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this process is the first of its launch, or the only one.

    ``RANK`` decides where it is set (torchrun sets it); else no variable that counts nodes or processes may be other
    than 0: a ``LOCAL_RANK`` of 0 is found on every node.
    """
    if environment.get("RANK"):
        return environment["RANK"] == "0"
    return all(environment.get(name, "0") in ("", "0") for name in ("NODE_RANK", "LOCAL_RANK", "SLURM_PROCID"))


def launch_key(environment: Mapping[str, str] = os.environ) -> str | None:
    """What the processes of one launch share and no other launch has; None where no launcher says anything."""
    restart = environment.get("TORCHELASTIC_RESTART_COUNT") or environment.get("SLURM_RESTART_COUNT") or "0"
    torchrun, address = environment.get("TORCHELASTIC_RUN_ID", "none"), environment.get("MASTER_ADDR", "")
    if torchrun != "none":
        return f"torchrun {torchrun} {restart}"
    if environment.get("MASTER_PORT") and (environment.get("RANK") or environment.get("LOCAL_RANK")):
        place = socket.gethostname() if address in _LOOPBACK else address
        return f"master {place}:{environment['MASTER_PORT']} {restart}"
    if environment.get("SLURM_JOB_ID") and environment.get("SLURM_PROCID"):
        return f"slurm {environment['SLURM_JOB_ID']}.{environment.get('SLURM_STEP_ID', '')} {restart}"
    return None


def start(
    project: Project | str | None = None,
    config: Any = None,
    *,
    run_id: str | None = None,
    patience_s: float = PATIENCE_S,
) -> RunIO:
    """In the first process of a launch ``Project.start``; in the others the same run, joined as soon as it is there.

    The handle of the first process ends the run, that of another its own part. Without a launcher this is
    ``Project.start``. Where ``RUNBUNDLE_RUN_DIR`` names a run, every process joins that one.

    Args:
        project: the project or its name; left out, ``RUNBUNDLE_PROJECT``, else ``default``.
        config: as ``Project.start``; that of the first process counts.
        run_id: as ``Project.start``, the same in every process.
        patience_s: how long the others wait for the first, in seconds.

    Raises:
        RunNotFound: the first made no run in time, or nothing says which run it would be.
        RunbundleError: as ``Project.start``.
    """
    key = launch_key()
    owner = project if isinstance(project, Project) else named_project(project)
    if os.environ.get(RUN_DIR_VARIABLE) or (is_first() and key is None):
        return owner.start(config, run_id=run_id)
    if is_first():
        return dataclasses.replace(owner, facts={**owner.facts, LAUNCH: key}).start(config, run_id=run_id)
    return _wait_for_first(owner, key, run_id, patience_s)


def _wait_for_first(owner: Project, key: str | None, run_id: str | None, patience_s: float) -> RunIO:
    if key is None and run_id is None:
        raise RunNotFound(
            "This process is not the first of its launch, and nothing says which run the first one made",
            hint=f"Give every process the same run_id, or set {RUN_DIR_VARIABLE}",
        )
    deadline = time.monotonic() + patience_s
    while True:
        for place in _candidates(owner, run_id):
            found = _try_to_join(place, key, owner)
            if found is not None:
                return found
        if time.monotonic() >= deadline:
            raise RunNotFound(
                f"The first process of this launch made no run of {owner.name} within {patience_s:g} s",
                hint="See what it says, or wait longer: patience_s",
                run=run_id,
            )
        time.sleep(_POLL_S)


def _candidates(owner: Project, run_id: str | None) -> Iterator[Path]:
    """The folders that may be the run: the one of that id, or those whose names sort last, the last first."""
    if run_id is not None:
        yield owner.folder_of_runs / check_component(run_id, what="run id")
        return
    above = owner.folder_of_runs
    with os_errors("Listing", above):
        names = sorted(os.listdir(above), reverse=True) if above.is_dir() else []  # noqa: PTH208 - names alone
    for name in [name for name in names if not name.startswith(".")][:_NEWEST]:
        yield above / name


def _try_to_join(place: Path, key: str | None, owner: Project) -> RunIO | None:
    """The run, if it is that of this launch and is open; others are let be."""
    try:
        if key is not None and read_manifest(place).get(LAUNCH) != key:
            return None
        return joined(place, owner.durability)
    except (NotFoundError, ConflictError, CorruptError):  # not there yet, of an earlier launch, or no run
        return None
