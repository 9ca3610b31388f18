"""Every error of the library, in one tree.

::

    RunbundleError
    ├── NotFoundError            LookupError        nothing is there
    │   ├── RunNotFound          FileNotFoundError
    │   ├── ArtifactNotFound     FileNotFoundError
    │   ├── InputNotFound        FileNotFoundError
    │   └── ModelNotFound        FileNotFoundError
    ├── AlreadyExistsError       ValueError         something is there already
    │   ├── RunExists            FileExistsError
    │   ├── ArtifactExists       FileExistsError
    │   ├── InputExists          FileExistsError
    │   └── ModelExists          FileExistsError
    ├── ConflictError            RuntimeError       the run is in a state that forbids it
    │   ├── RunSealed
    │   ├── RunBusy
    │   ├── RunClosed
    │   ├── StageError
    │   ├── ResumeRefused
    │   ├── PromotionRefused
    │   ├── ReproduceRefused
    │   └── OwnershipError       PermissionError
    ├── InvalidInputError        ValueError         what was given cannot be taken
    │   ├── InvalidName
    │   ├── InvalidValue
    │   ├── InvalidType          TypeError
    │   ├── InvalidConfig
    │   ├── ContractError
    │   └── ContractUnmet
    ├── CorruptError             OSError            bytes are not what they must be
    │   ├── DigestMismatch
    │   ├── ManifestCorrupt
    │   ├── LogCorrupt
    │   └── DecodeError          ValueError
    ├── UnsupportedError         RuntimeError       this version or installation cannot do it
    │   ├── UnsupportedFormat    ValueError
    │   ├── UnsupportedVersion
    │   └── MissingExtra         ImportError
    └── UnavailableError         OSError            the environment failed; a retry may help

Branches are by what the caller can do. ``code`` is stable and used by the command line and logs.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar


class RunbundleError(Exception):
    """What happened, to which run and artifact, and what to do.

    Attributes:
        code: stable identifier of the class of error.
        what: one sentence: what happened, and to what.
        hint: one sentence: what to do next; may be empty.
        run: the run's id or folder, if one is concerned.
        artifact: the artifact's id, with ``[variant]``, if one is concerned.
        path: the file concerned, if any.
    """

    code: ClassVar[str] = "error"

    def __init__(
        self,
        what: str,
        *,
        hint: str = "",
        run: str | None = None,
        artifact: str | None = None,
        path: str | Path | None = None,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint
        self.run = run
        self.artifact = artifact
        self.path = None if path is None else str(path)

    def __str__(self) -> str:
        """The message, with the place and the advice."""
        place = ", ".join(
            f"{name} {value}"
            for name, value in (("run", self.run), ("artifact", self.artifact), ("file", self.path))
            if value is not None and value not in self.what
        )
        text = f"{self.what} ({place})" if place else self.what
        return _printable(f"{text}. {self.hint}" if self.hint else text)

    def to_json(self) -> dict[str, str | None]:
        """The error as a JSON object."""
        names = ("what", "hint", "run", "artifact", "path")
        texts = {name: getattr(self, name) for name in names}
        return {"code": self.code, **{name: text if text is None else _printable(text) for name, text in texts.items()}}

    def __reduce__(self) -> tuple[object, ...]:
        """Errors cross process borders whole."""
        # an ImportError keeps its path outside of __dict__
        return (_rebuild, (type(self), {**self.__dict__, "path": self.path}))


def _printable(text: str) -> str:
    """Text that every file and terminal takes: what no name should hold, and what moves a cursor, is spelt out."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in "\n\t" else ascii(char)[1:-1] for char in text)


def _rebuild(kind: type[RunbundleError], state: dict[str, str]) -> RunbundleError:
    error = kind(state["what"], path=state["path"])
    error.__dict__.update(state)
    return error


class NotFoundError(RunbundleError, LookupError):
    """Nothing is there."""

    code = "not_found"


class RunNotFound(NotFoundError, FileNotFoundError):
    """No run is at that path or has that id."""

    code = "run_not_found"


class ArtifactNotFound(NotFoundError, FileNotFoundError):
    """The run has no such artifact in force."""

    code = "artifact_not_found"


class InputNotFound(NotFoundError, FileNotFoundError):
    """The file to ingest or read is not there, or is not a file."""

    code = "input_not_found"


class ModelNotFound(NotFoundError, FileNotFoundError):
    """No model, or no alias, is what a reference names."""

    code = "model_not_found"


class AlreadyExistsError(RunbundleError, ValueError):
    """Something is there already, and is kept."""

    code = "already_exists"


class RunExists(AlreadyExistsError, FileExistsError):
    """A run of that id is there already."""

    code = "run_exists"


class ArtifactExists(AlreadyExistsError, FileExistsError):
    """The pair (artifact_id, variant) was written before."""

    code = "artifact_exists"


class InputExists(AlreadyExistsError, FileExistsError):
    """An input of that name was ingested before, and the collision policy refuses."""

    code = "input_exists"


class ModelExists(AlreadyExistsError, FileExistsError):
    """Another model has that name and variant."""

    code = "model_exists"


class ConflictError(RunbundleError, RuntimeError):
    """The run is in a state that forbids it."""

    code = "conflict"


class RunSealed(ConflictError):
    """The run is finished; nothing in it may change."""

    code = "run_sealed"


class RunBusy(ConflictError):
    """Another writer holds the log."""

    code = "run_busy"


class RunClosed(ConflictError):
    """No process has the run open, or its log is closed in this one."""

    code = "run_closed"


class StageError(ConflictError):
    """Stages were used in an order that cannot be recorded."""

    code = "stage_order"


class ResumeRefused(ConflictError):
    """The code or configuration is not that of the run."""

    code = "resume_refused"


class PromotionRefused(ConflictError):
    """The run is not one from which a model may come, or the rule that was given does not hold for it."""

    code = "promotion_refused"


class ReproduceRefused(ConflictError):
    """The run cannot be made again: it lacks what that takes, or its command left no run to compare."""

    code = "reproduce_refused"


class OwnershipError(ConflictError, PermissionError):
    """A handle that was given for a part of a run was to do more."""

    code = "ownership"


class InvalidInputError(RunbundleError, ValueError):
    """What was given cannot be taken."""

    code = "invalid_input"


class InvalidName(InvalidInputError):
    """A name that would leave the run folder, or that not every file system can hold."""

    code = "invalid_name"


class InvalidValue(InvalidInputError):
    """A value that its format or schema refuses."""

    code = "invalid_value"


class InvalidType(InvalidInputError, TypeError):
    """A value of a type that its format cannot hold."""

    code = "invalid_type"


class InvalidConfig(InvalidInputError):
    """A configuration that cannot be recorded."""

    code = "invalid_config"


class ContractError(InvalidInputError):
    """A contract that contradicts itself, or a write that the contract does not declare."""

    code = "contract"


class ContractUnmet(InvalidInputError):
    """A stage or a run lacks what its contract requires."""

    code = "contract_unmet"


class CorruptError(RunbundleError, OSError):
    """Bytes are not what they must be."""

    code = "corrupt"


class DigestMismatch(CorruptError):
    """A file's bytes are not those that were recorded."""

    code = "digest_mismatch"


class ManifestCorrupt(CorruptError):
    """The manifest cannot be read."""

    code = "manifest_corrupt"


class LogCorrupt(CorruptError):
    """A log is damaged before its end."""

    code = "log_corrupt"


class DecodeError(CorruptError, ValueError):
    """The bytes are not of the format they claim."""

    code = "decode"


class UnsupportedError(RunbundleError, RuntimeError):
    """This version or installation cannot do it."""

    code = "unsupported"


class UnsupportedFormat(UnsupportedError, ValueError):
    """No format of that name or extension."""

    code = "unsupported_format"


class UnsupportedVersion(UnsupportedError):
    """The run was written by a later version."""

    code = "unsupported_version"


class MissingExtra(UnsupportedError, ImportError):
    """An optional dependency is not installed."""

    code = "missing_extra"


class UnavailableError(RunbundleError, OSError):
    """The environment failed: disk full, no permission, I/O error. What was there before is whole."""

    code = "unavailable"
