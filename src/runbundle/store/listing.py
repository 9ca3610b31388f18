"""The runs of a store, found by their manifests; nothing but the folders is needed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runbundle.base.errors import CorruptError, InvalidName, RunbundleError, RunNotFound
from runbundle.io.atomic import os_errors
from runbundle.run.given import given_path
from runbundle.run.log.manifest import MANIFEST, UNKNOWN, read_manifest
from runbundle.run.seal import is_sealed
from runbundle.run.status import shown_status

RUNS = "runs"


@dataclass(frozen=True, slots=True)
class Listed:
    """One run of a store, as a listing shows it.

    Attributes:
        path: its folder. run_id: the folder's name.
        project_name, created_at_utc: None where the manifest cannot be read.
        status: as ``Run.status``, ``unknown`` also where a newer version made the run; or ``damaged``.
        is_sealed: whether it has a seal.
        error: why its manifest cannot be read, or None.
    """

    path: Path
    run_id: str
    project_name: str | None
    status: str
    created_at_utc: str | None
    is_sealed: bool
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The row as a JSON object."""
        return {
            "run_id": self.run_id,
            "project_name": self.project_name,
            "status": self.status,
            "created_at_utc": self.created_at_utc,
            "is_sealed": self.is_sealed,
            "path": str(self.path),
            "error": self.error,
        }


def run_folders(store: Path) -> Iterator[Path]:
    """The folders of a store that are runs: ``runs/<run>`` or ``runs/<project>/<run>``.

    Raises:
        RunNotFound: the store has no ``runs/``.
    """
    top = store / RUNS
    with os_errors("Looking for the store", store):
        is_there = top.is_dir()
    if not is_there:
        raise RunNotFound(
            f"{store} is no store: it has no folder {RUNS}/",
            hint=f"Give the folder that holds {RUNS}/ (on the command line by --store)",
            path=store,
        )
    for folder in _folders(top):
        if (folder / MANIFEST).is_file():
            yield folder
        else:
            yield from (below for below in _folders(folder) if (below / MANIFEST).is_file())


def list_runs(store: Path) -> list[Listed]:
    """The runs of a store, newest first; one that is damaged hides no other."""
    return sorted((_listed(folder) for folder in run_folders(store)), key=_order, reverse=True)


def find_run(wanted: str, store: Path) -> Path:
    """The folder of a run: a path, or an id in the store, or a unique beginning of one.

    Raises:
        RunNotFound: none, or more than one. InvalidName: no run can have that name.
    """
    if not wanted:
        raise InvalidName("The name of a run is empty", hint="Give a run folder, or an id")
    place = given_path(wanted, what="the run")
    with os_errors("Looking for the run", place):
        if place.is_dir() and ("/" in wanted or (place / MANIFEST).exists()):
            return place.resolve()
    found = [] if "/" in wanted else [f for f in run_folders(store) if f.name.startswith(wanted)]
    exact = [folder for folder in found if folder.name == wanted]
    if len(exact) == 1 or len(found) == 1:
        return (exact or found)[0]
    if found:
        shown = ", ".join(sorted(folder.name for folder in found)[:5])
        raise RunNotFound(f"{len(found)} runs begin with {wanted!r}: {shown}", hint="Give more of the id, or a path")
    raise RunNotFound(f"There is no run {wanted!r}", hint=f"It is no folder of a run, and no id in the store {store}")


def _folders(folder: Path) -> list[Path]:
    with os_errors("Listing", folder), os.scandir(folder) as entries:
        return sorted(Path(e.path) for e in entries if not e.name.startswith(".") and e.is_dir(follow_symlinks=False))


def _listed(folder: Path) -> Listed:
    try:
        manifest = read_manifest(folder)
        status = shown_status(folder, manifest)
    except RunbundleError as error:
        status = "damaged" if isinstance(error, CorruptError) else UNKNOWN
        return Listed(folder, folder.name, None, status, None, is_sealed(folder), error.what)
    created = str(manifest["created_at_utc"])
    return Listed(folder, folder.name, str(manifest["project_name"]), status, created, is_sealed(folder))


def _order(run: Listed) -> tuple[str, str]:
    return run.created_at_utc or "", run.run_id
