"""The picture of a run that is there already, written beside it."""

from __future__ import annotations

from pathlib import Path

import runbundle as rb
from crv.engine.contract import ArtifactId, project
from crv.engine.tables import tables_of
from crv.lab import figures
from crv.lab.series import Told, told

NEEDED = ("world/events", "world/holdings", "mind/valuations", "mind/oracle_calls")


def told_of(run: rb.Run) -> Told:
    """What there is to show of a run, also of one that failed or still goes on.

    Raises:
        ArtifactNotFound: the run has not the tables of a simulation. CorruptError: a part was cut or changed.
    """
    missing = [name for name in NEEDED if name not in run.tables]
    if missing:
        raise rb.errors.ArtifactNotFound(
            f"The run {run.run_id} has no table {', '.join(missing)}",
            hint="Give a run that crv simulate made",
            run=run.run_id,
        )
    config = run.config
    title = f"{config['agents']} agents, {config['ticks']} ticks, seed {config['seed']}"
    has_survey = any(record.artifact_id == ArtifactId.POLICY for record in run.artifacts())
    return told(tables_of(run), title, run.read(ArtifactId.POLICY) if has_survey else None)


def draw(run_dir: Path, out: Path | None = None) -> Path:
    """Draw a run.

    Args:
        run_dir: the run's folder.
        out: the PNG to write; left out, ``overview.png`` in a folder beside the run, ``<run>.report``.

    Returns:
        Where the picture is. It replaces the one that was there.

    Raises:
        RunNotFound: there is no run. RunSealed: ``out`` lies in a sealed run. Others as ``told_of``.
    """
    run = rb.open_run(run_dir)
    place = out or run.path.with_name(f"{run.path.name}.report") / "overview.png"
    rb.write_file(place, figures.png(figures.overview(told_of(run))))
    return place


def find_run(wanted: str, store: str | None = None) -> Path:
    """The folder of a run: given as it is, or by its id, or a unique beginning of it, in a store.

    Raises:
        RunNotFound: there is none, or more than one.
    """
    if (Path(wanted).expanduser() / "run_manifest.json").is_file():
        return Path(wanted).expanduser()
    runs = project(store).folder_of_runs
    found = sorted(place.parent for place in runs.glob("*/run_manifest.json") if place.parent.name.startswith(wanted))
    exact = [place for place in found if place.name == wanted]
    if len(exact or found) != 1:
        names = ", ".join(place.name for place in found[:3])
        raise rb.errors.RunNotFound(
            f"{wanted!r} is the beginning of {len(found)} runs: {names} ..." if found else f"There is no run {wanted}",
            hint=f"Give a folder, or the id of a run in {runs}",
        )
    return (exact or found)[0]
