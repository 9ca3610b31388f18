"""Which store: the one that is meant where none is named, and the one that a run lies in."""

from __future__ import annotations

import os
from pathlib import Path

from runbundle.contract.layout import Layout
from runbundle.io.atomic import os_errors
from runbundle.run.given import given_path
from runbundle.run.origin.code import root_here


def default_store() -> Path:
    """``RUNBUNDLE_STORE``, else the top of the repository that holds the current folder, else that folder.

    Raises:
        UnavailableError: the current folder is gone.
    """
    named = os.environ.get("RUNBUNDLE_STORE")
    if named:
        return given_path(named, what="RUNBUNDLE_STORE")
    with os_errors("Asking for the current folder", "."):
        return root_here() or Path.cwd()


def store_of(run_dir: Path, layout: Layout) -> Path | None:
    """The store that a run lies in, as its layout places it; None where the run was taken elsewhere."""
    depth = layout.run_folder.count("/")
    if len(run_dir.parents) <= depth or run_dir.parents[depth - 1].name != layout.run_folder.partition("/")[0]:
        return None
    return run_dir.parents[depth]
