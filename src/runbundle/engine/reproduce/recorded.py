"""What a run recorded of how it was made."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runbundle.base.errors import InvalidName
from runbundle.contract.layout import STANDARD
from runbundle.io.confine import check_confined, inside
from runbundle.run.run import Run
from runbundle.run.settings.secrets import masks

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Recorded:
    """A run, and the record of its first attempt: of the command that made it.

    Attributes:
        run: the run. start: the record.
    """

    run: Run
    start: Mapping[str, Any]

    @classmethod
    def of(cls, run: Run) -> Recorded:
        """What a run that was verified says."""
        return cls(run, run.state.starts[1])

    @property
    def commit(self) -> str | None:
        """The whole hash; None outside git, or where it is none."""
        commit = self.start["git_hash"]
        return commit if isinstance(commit, str) and _COMMIT.fullmatch(commit) else None

    @property
    def kept(self) -> Mapping[str, Any]:
        """What was kept of the code and the environment; empty in a run of an earlier version."""
        kept: Mapping[str, Any] = self.start.get("provenance", {})
        return kept

    @property
    def lock(self) -> Mapping[str, Any] | None:
        """What is told of the lock file."""
        return self.start.get("lock_file")

    @property
    def command(self) -> tuple[str, ...]:
        """The words, secrets masked."""
        return tuple(map(str, self.start["command"]))

    @property
    def shown_command(self) -> str:
        """The command as it would be typed."""
        return shlex.join(self.command)

    @property
    def invocation(self) -> Mapping[str, Any] | None:
        """Where and how it was started; None where that was not recorded."""
        return self.start.get("invocation")

    @property
    def folder(self) -> str:
        """The folder it was started in, from the top of the repository; ``.`` is the top.

        Raises:
            InvalidName: it leads out of the repository.
        """
        return confined(str((self.invocation or {}).get("folder", ".")), "the folder of the command")

    @property
    def secrets(self) -> tuple[str, ...]:
        """The keys of all that was masked and is needed: of the configuration, the command, the lock file."""
        lock = ("url",) if (self.lock or {}).get("is_masked") else ()
        return tuple(sorted({*self.start.get("masked", ()), *masks(list(self.command)), *lock}))

    @property
    def host(self) -> str:
        """The name of the machine."""
        return str(self.start["host"]["name"])

    @property
    def home(self) -> Path:
        """The store that the run is of; where it was taken elsewhere, a folder that holds no other."""
        layout = self.run.contract.layout if self.run.contract else STANDARD
        depth = layout.run_folder.count("/")
        above = self.run.path.parents
        return above[min(depth, len(above) - 1)]


def confined(path: str, what: str) -> str:
    """A relative path that a run recorded, which stays inside of what it is relative to.

    Raises:
        InvalidName: it does not.
    """
    if path != ".":
        check_confined(path, what=what)
        if ".git" in path.lower().split("/"):
            raise InvalidName(f"{what} {path!r} lies in a folder of git's own", hint="The run was changed")
    return path


def within(tree: Path, path: str, what: str) -> Path:
    """The place of a recorded path in a checkout; no link leads out of it.

    Raises:
        InvalidName: it leads out.
    """
    return tree if path == "." else inside(tree, confined(path, what), what=what)
