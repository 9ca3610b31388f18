"""Files by their bare paths, and which run a path lies in."""

from __future__ import annotations

import os
from pathlib import Path

from runbundle.base.errors import InvalidName, InvalidType, RunSealed
from runbundle.io.atomic import os_errors, replace_file
from runbundle.io.confine import refuse_special
from runbundle.io.safefolders import make_safe_folder
from runbundle.run.artifacts import write_at
from runbundle.run.given import given_path
from runbundle.run.log.manifest import MANIFEST
from runbundle.run.runio import RunIO, joined
from runbundle.run.seal import is_sealed


def write_file(path: str | Path, data: bytes) -> None:
    """Write a whole file: old or new is there at every instant, and a power cut loses nothing once this returns.

    Folders that are missing are made. Inside a run that is open, by this process or another, the file is recorded as
    well: as the declared artifact that has this path, else as one that no contract declares. The same path again
    replaces it; in a run, by the process that wrote it.

    Args:
        path: where to; a symbolic link there is replaced, not followed.
        data: what the file is to hold.

    Raises:
        RunSealed: the run that the path lies in is finished. RunClosed: no process has that run open.
        InvalidType: ``data`` is not bytes. InvalidName: the path names no file, or a pipe, socket or device is there.
        InvalidName, InvalidValue, ContractError: the run cannot take it. ConflictError: another process wrote it there.
        UnavailableError: the disk refused; what was there is there.
    """
    if not isinstance(data, bytes | bytearray | memoryview):
        raise InvalidType(f"A file is written from bytes, not {type(data).__name__}", hint="Encode text first")
    place = absolute(path)
    if os.path.basename(os.fspath(path)) in ("", ".", ".."):  # noqa: PTH119 - a Path has lost the slash at its end
        raise InvalidName(f"The path {str(path)[:80]!r} names no file", hint="Give one that ends in a file's name")
    refuse_special(place)
    run_dir = enclosing_run(place)
    if run_dir is None:
        make_safe_folder(place.parent)
        replace_file(place, data, sync=True)
        return
    run = handle_of(run_dir)
    write_at(run._session, place.relative_to(run_dir).as_posix(), bytes(data))  # noqa: SLF001 - the library's own
    run.flush()


def absolute(path: str | Path, *, follow: bool = False) -> Path:
    """A path from the root, with no link in its folders: so it can be told which run it lies in.

    ``follow``: nor is it one itself.
    """
    given = given_path(path, what="the path")
    with os_errors("Looking at the folder", given):
        return Path(os.path.realpath(given)) if follow else Path(os.path.realpath(given.parent), given.name)


def enclosing_run(place: Path) -> Path | None:
    """The run that a path lies in, if any."""
    with os_errors("Looking at the folder", place):
        return next((folder for folder in place.parents if (folder / MANIFEST).is_file()), None)


def handle_of(run_dir: Path) -> RunIO:
    """This process's handle of an open run.

    Raises:
        RunSealed: it is finished. RunClosed: no process has it open.
    """
    if is_sealed(run_dir):
        raise RunSealed(
            f"The run {run_dir.name} is sealed; nothing in it may change",
            hint="Write beside it, or start another run",
            run=run_dir.name,
            path=run_dir,
        )
    return joined(run_dir)
