"""How a run's command is started again elsewhere: where it was started, and which of its words name places.

A command names the interpreter, a program of its environment, files of the repository. In another checkout, with
another environment, these lie elsewhere; so they are told by what they belong to (docs/format.md, section 4.4).
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from runbundle.base.jsontext import plain_text

PYTHON, ENVIRONMENT, REPOSITORY = "python", "environment", "repository"
# what else than code, configuration and inputs changes what a program computes
VARIABLES = (
    *("PYTHONHASHSEED", "PYTHONUTF8", "PYTHONOPTIMIZE", "TZ", "LANG", "LC_ALL", "RUNBUNDLE_PROJECT"),
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "POLARS_MAX_THREADS"),
    *("CUBLAS_WORKSPACE_CONFIG", "CUDA_VISIBLE_DEVICES", "NVIDIA_TF32_OVERRIDE"),
)
_numbers = itertools.count()


def next_number() -> int | None:
    """Which run of this process is being made: 0, 1, 2 ...; None in a worker, to which runs come in no order."""
    workers = sys.modules.get("multiprocessing.process")
    return next(_numbers) if workers is None or workers.parent_process() is None else None


def invocation(command: Sequence[str], root: Path, folder: Path | None) -> Mapping[str, Any]:
    """The field ``invocation`` of an attempt; empty where the current folder is gone, or outside the repository.

    Args:
        command: the words as they are recorded.
        root: the top of the repository.
        folder: the current folder.
    """
    if folder is None:
        return {}
    return _invocation(tuple(command), str(root), str(folder), sys.prefix, tuple(sys.path))


@lru_cache(maxsize=64)
def _invocation(
    command: tuple[str, ...], root: str, folder: str, prefix: str, modules: tuple[str, ...]
) -> Mapping[str, Any]:
    """Made once for the runs of a process: nothing of it changes under most programs."""
    if not Path(folder).is_relative_to(root):
        return {}
    return {
        "invocation": {
            "folder": plain_text(Path(folder).relative_to(root).as_posix()),
            "places": list(_places(command, root, prefix)),
            "variables": {name: plain_text(os.environ[name]) for name in VARIABLES if name in os.environ},
            "python_path": list(_python_path(modules, root, prefix)),
        }
    }


def _places(command: tuple[str, ...], root: str, prefix: str) -> Iterator[Mapping[str, Any]]:
    if command:
        yield {"word": 0, "of": PYTHON}
    for number, word in enumerate(command[1:], 1):
        before, sign, value = word.partition("=")
        after = f"{before}{sign}" if sign and not word.startswith("/") else ""  # as in --config=/repository/a.yaml
        place = _place(value if after else word, root, prefix)
        if place is not None:
            yield {"word": number, **place, **({"after": after} if after else {})}


def _place(path: str, root: str, prefix: str) -> Mapping[str, str] | None:
    """What an absolute path belongs to; of the environment and the repository one may lie in the other."""
    if not path.startswith("/"):
        return None
    owners = ((ENVIRONMENT, prefix), (REPOSITORY, root))
    for owner, top in sorted(owners, key=lambda owner: -len(owner[1])):
        relative = os.path.relpath(path, top)
        if relative.partition("/")[0] != "..":
            return {"of": owner, "path": relative}
    return None


def _python_path(entries: tuple[str, ...], root: str, prefix: str) -> Iterator[str]:
    """The folders of the repository that modules are imported from; editable installs are among them."""
    places = (_place(entry, root, prefix) for entry in entries)
    return iter(dict.fromkeys(plain_text(at["path"]) for at in places if at and at["of"] == REPOSITORY))
