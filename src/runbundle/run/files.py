"""What lies in a run besides what its log records: the library's own files, and what nothing accounts for."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

from runbundle.contract.layout import ATTEMPTS_FOLDER, LOGS_FOLDER, PROVENANCE_FOLDER
from runbundle.io.atomic import os_errors
from runbundle.io.confine import files_below
from runbundle.run.log.lines import METRICS_FILE, is_log
from runbundle.run.log.manifest import MANIFEST
from runbundle.run.log.state import RunState
from runbundle.run.seal import SEAL, is_covered
from runbundle.run.settings.files import CONFIG, CONFIG_RESOLVED, CONTRACT

_OWN = frozenset((MANIFEST, CONFIG, CONFIG_RESOLVED, CONTRACT, METRICS_FILE, SEAL))
_FREE_FOLDERS = tuple(f"{name}/" for name in (LOGS_FOLDER, PROVENANCE_FOLDER, ATTEMPTS_FOLDER))


def free_folder(run_dir: Path, stem: str, attempt: int) -> str:
    """A folder under ``attempts/`` for what is set aside now, and nothing else is in."""
    name = f"{ATTEMPTS_FOLDER}/{stem}.{attempt}"
    numbers = itertools.count(2)
    folder = name
    while os.path.lexists(run_dir / folder):
        folder = f"{name}-{next(numbers)}"
    return folder


def unrecorded(run_dir: Path, state: RunState) -> list[str]:
    """The files of an unsealed run that nothing accounts for."""
    known = {path for path, _, _ in (*state.files(), *state.moved_files(run_dir))}
    with os_errors("Listing", run_dir):
        found = sorted(files_below(run_dir))
    return [path for path in found if path not in known and is_covered(path) and not is_own(path)]


def is_own(path: str) -> bool:
    """Whether a path is the library's own, or lies where anything may lie."""
    return path in _OWN or is_log(path) or path.startswith(_FREE_FOLDERS)
