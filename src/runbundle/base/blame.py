"""Whose error it is: what goes wrong in a block names the run, and the artifact, that the block is about."""

from __future__ import annotations

from types import TracebackType

from runbundle.base.errors import RunbundleError


class Blamed:
    """A block whose errors name the run, and the artifact if one is concerned."""

    __slots__ = ("_artifact", "_run")

    def __init__(self, run: str, artifact: str | None) -> None:
        self._run = run
        self._artifact = artifact

    def __enter__(self) -> None:
        """The block begins."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, RunbundleError):
            error.run = error.run or self._run
            error.artifact = error.artifact or self._artifact
