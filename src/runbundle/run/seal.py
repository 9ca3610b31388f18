"""The seal: SHA-256 of every file of a finished run, as ``sha256sum`` writes it (docs/format.md, section 6)."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from runbundle.base.errors import CorruptError, DigestMismatch, InvalidName
from runbundle.base.ids import Digest
from runbundle.io.atomic import TEMPORARY_PREFIX, os_errors, replace_file
from runbundle.io.confine import files_below, read_regular
from runbundle.io.hashing import hash_files
from runbundle.run.log.lines import is_path

SEAL = "SHA256SUMS"
_HEAD = re.compile(r"[0-9a-f]{64}  ")


def is_sealed(run_dir: Path) -> bool:
    """Whether the run has a seal."""
    return os.path.lexists(run_dir / SEAL)


def write_seal(run_dir: Path, found: Iterable[str], known: Mapping[str, str]) -> Digest:
    """Seal a run whose writer has written everything else; returns the root digest.

    Args:
        run_dir: the run.
        found: its files, as ``sealable`` gave them.
        known: digests that the log holds; they stand in the seal although the file may have changed since.
    """
    hashed = hash_files(run_dir, (path for path in found if path not in known))
    digests = {**known, **{path: written.sha256 for path, written in hashed.items()}}
    lines = (f"{digests[path]}  {path}\n" for path in sorted(digests, key=os.fsencode))
    return replace_file(f"{run_dir}/{SEAL}", "".join(lines).encode(), sync=True).sha256


def sealable(run_dir: Path) -> list[str]:
    """The files that a seal will name. Links and devices are none: ``verify`` calls them stray.

    Raises:
        InvalidName: a file has a name that no seal can hold (docs/format.md, I2).
    """
    with os_errors("Listing", run_dir):
        found = [path for path, entry in files_below(run_dir).items() if entry.is_file(follow_symlinks=False)]
    bad = [path for path in found if not is_path(path)]
    if bad:
        raise InvalidName(
            f"A run with a file named {bad[0]!r} cannot be sealed", hint="Rename or remove it, then finish again"
        )
    return [path for path in found if is_covered(path)]


def is_covered(path: str) -> bool:
    """Whether a file counts as part of the run."""
    return path != SEAL and not path.rpartition("/")[2].startswith(TEMPORARY_PREFIX)


def read_seal(run_dir: Path) -> tuple[dict[str, str], Digest]:
    """The digests of a seal by path, and the root digest.

    Raises:
        CorruptError: it is not a list of digests and paths inside the run.
    """
    with os_errors("Reading", run_dir / SEAL):
        data = read_regular(run_dir / SEAL)
    digests: dict[str, str] = {}
    try:
        *lines, rest = data.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise _damaged(run_dir, str(error)) from error
    for number, line in enumerate(lines, start=1):
        digest, path = line[:64], line[66:]
        if not _HEAD.match(line) or path in digests or not is_path(path):
            raise _damaged(run_dir, f"line {number} is not a new digest and path")
        digests[path] = digest
    if rest or not lines:
        raise _damaged(run_dir, "it does not end with a whole line")
    return digests, Digest(hashlib.sha256(data).hexdigest())


def _damaged(run_dir: Path, reason: str) -> CorruptError:
    return CorruptError(
        f"The seal of {run_dir.name} cannot be read: {reason}",
        hint="Look at what `runbundle verify` says",
        path=run_dir / SEAL,
    )


def root_digest_of(run_dir: Path) -> str | None:
    """The SHA-256 of a run's seal; None if it has none."""
    if not is_sealed(run_dir):
        return None
    with os_errors("Reading", run_dir / SEAL):
        return hashlib.sha256(read_regular(run_dir / SEAL)).hexdigest()


def read_checked(place: Path, sha256: str | None, *, name: str, run: str) -> bytes:
    """The bytes of a file of a run, which are those that were recorded, or sealed.

    Args:
        place: the file.
        sha256: of the bytes; None, and none are right.
        name: what the file is called in the error.
        run: the id of the run.

    Raises:
        DigestMismatch: they are others. UnavailableError: it cannot be read.
    """
    with os_errors("Reading", place):
        data = read_regular(place)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise DigestMismatch(
            f"The bytes of {name} are not those that were recorded",
            hint="`runbundle verify` tells what else differs; restore the run from a copy",
            run=run,
            path=place,
        )
    return data


def check_digest(path: Path, data: bytes, digests: Iterable[str], *, run: str, artifact: str) -> None:
    """Whether bytes just read are those that were recorded.

    Raises:
        DigestMismatch: they are not.
    """
    if hashlib.sha256(data).hexdigest() not in digests:
        raise DigestMismatch(
            f"The bytes of {path.name} are not those that were recorded",
            hint="`runbundle verify` tells what else differs; restore the file from a copy",
            run=run,
            artifact=artifact,
            path=path,
        )
