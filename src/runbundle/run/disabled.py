"""``RUNBUNDLE_DISABLED=1``: the same calls with the same checks, and nothing stays.

Runs are then made in a store of the process's own, in the system's folder for temporary files, which is removed when
the process ends (SIGKILL leaves it there). Until then they can be read, and resumed. No run elsewhere is written.
"""

from __future__ import annotations

import atexit
import os
import shutil
from pathlib import Path

VARIABLE = "RUNBUNDLE_DISABLED"
_PREFIX = "runbundle-disabled-"
_NO = ("", "0", "false", "no", "off")

_made: tuple[Path, int] | None = None  # the store, and the process that made it and removes it


def is_disabled() -> bool:
    """Whether the environment says so; ``0``, ``false``, ``no`` and ``off`` do not."""
    return os.environ.get(VARIABLE, "").strip().lower() not in _NO


def scratch_store() -> Path:
    """The store of this process; a forked child shares its parent's.

    Raises:
        OSError: there is no place for temporary files.
    """
    global _made  # noqa: PLW0603 - one a process
    if _made is None or not _made[0].is_dir():
        import tempfile  # noqa: PLC0415 - few need it, and it loads much

        _made = Path(os.path.realpath(tempfile.mkdtemp(prefix=_PREFIX))), os.getpid()
        atexit.register(remove_scratch)
    return _made[0]


def is_scratch(run_dir: Path) -> bool:
    """Whether a run lies in such a store, of this process or of one that started it."""
    return any(folder.name.startswith(_PREFIX) for folder in run_dir.parents)


def remove_scratch() -> None:
    """Remove the store, if this process made it."""
    global _made  # noqa: PLW0603 - one a process
    if _made is not None and _made[1] == os.getpid():
        shutil.rmtree(_made[0], ignore_errors=True)  # what is left there is the system's to clear
        _made = None
