"""Stages of a run: begun, and committed against the contract (docs/format.md, I16 and I17)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from runbundle.base.errors import ContractUnmet, RunbundleError, StageError
from runbundle.base.ids import check_identifier
from runbundle.base.jsontext import plain_text
from runbundle.contract.check import missing_of_stage
from runbundle.contract.layout import ATTEMPTS_FOLDER
from runbundle.contract.spec import Outcome
from runbundle.io.atomic import os_errors
from runbundle.run.given import given_name
from runbundle.run.session import Session
from runbundle.run.settle import await_background, settle


class Stage:
    """A stage that is open: ``with run.stage("grid") as stage: ...``.

    Leaving the block commits it: what it owes must be there. An exception fails it. When the block is left, a power
    cut loses nothing that the stage wrote.

    Attributes:
        name: the stage's name. outcome: how it ended, or None while it is open.
    """

    def __init__(self, session: Session, name: str) -> None:
        self._session = session
        self._reasons: tuple[str, ...] | None = None
        self.name = given_name(name, what="The name of a stage")
        self.outcome: Outcome | None = None

    def decline(self, *reasons: str) -> None:
        """The stage worked, and has nothing to give. It ends as ``declined``; what depends on it is skipped."""
        self._reasons = tuple(str(reason) for reason in reasons) or ("no reason was given",)

    def __enter__(self) -> Self:
        before = self._session.stage
        try:
            with self._session.blamed():
                begin(self._session, self.name)
        except BaseException:  # Ctrl-C as well: its block is not entered
            self._session.stage = before
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        session = self._session
        if session.is_forked or not session.is_creator:  # a forked child leaves the block; the stage is its parent's
            return
        try:
            with session.blamed():
                self._end(session, error)
        finally:
            session.stage = None

    def _end(self, session: Session, error: BaseException | None) -> None:
        if error is not None:
            self._commit(Outcome.FAILED, _reason(error))
            return
        self._settle()
        outcome = Outcome.COMMITTED if self._reasons is None else Outcome.DECLINED
        missing = _missing(session, self.name, outcome)
        if missing:
            reason = f"The stage {self.name} ended without {', '.join(missing)}"
            self._commit(Outcome.FAILED, reason)
            raise ContractUnmet(
                reason,
                hint="Write what its contract requires, or decline",
                run=session.run_id,
                artifact=missing[0],
            )
        self._commit(outcome, *(self._reasons or ()))

    def _settle(self) -> None:
        """What the stage gave to the background is written, or the stage fails."""
        try:
            settle(self._session)
        except RunbundleError as error:
            self._commit(Outcome.FAILED, _reason(error))
            raise

    def _commit(self, outcome: Outcome, *reasons: str) -> None:
        _commit(self._session, self.name, outcome, reasons)
        self.outcome = outcome


def begin(session: Session, name: str) -> None:
    """Open a stage; what an earlier try of it left uncommitted is set aside first.

    Raises:
        StageError: another is open, or this one has passed.
        ContractError: the contract declares no such stage.
    """
    session.require_open()
    session.require_creator("A stage")
    if session.contract is not None:
        session.contract.stage(name)
    name = check_identifier(name, what="stage")
    await_background(session)  # what was given before belongs to no stage
    with session.acting(), session.lock:
        if session.stage is not None:
            raise StageError(f"The stage {session.stage} is open", hint=f"End it before {name} begins")
        if session.state.is_passed(name):
            raise StageError(f"The stage {name} has committed", hint=f'Ask first: if run.needs("{name}"): ...')
        session.refresh()
        set_aside(session, name)
        number = session.state.tries.get(name, 0) + 1
        session.say("stage", stage=name, event="start", attempt=session.attempt, **{"try": number})
        session.stage = name


def skip(session: Session, name: str, reasons: Sequence[str]) -> None:
    """Record that a stage was not run, because of what another gave."""
    begin(session, name)
    try:
        _commit(session, name, Outcome.SKIPPED, reasons)
    finally:
        session.stage = None


def set_aside(session: Session, name: str) -> None:
    """Move the uncommitted artifacts of a stage's last try to ``attempts/``; finish moves a crash cut short."""
    number = session.state.tries.get(name, 0)
    left = session.state.uncommitted(name)
    if left:
        session.unsynced.sync()  # what is moved is whole, and the log says so, before it leaves its place
        moved = [
            {
                "from": record.filename,
                "to": f"{ATTEMPTS_FOLDER}/{name}.{number}/{record.filename}",
                "artifact": record.pointer.to_json(),
            }
            for record in left
        ]
        session.say("stage", stage=name, event="set_aside", attempt=session.attempt, moved=moved, **{"try": number})
        session.log.sync()
    finish_moves(session)


def finish_moves(session: Session) -> None:
    """Do the moves that the log announces and that are not done yet."""
    in_force = {path for path, _, _ in session.state.files()}
    for source, target, _ in session.state.moves:
        has_moved = (session.run_dir / target).exists()
        if source not in in_force and not has_moved and (session.run_dir / source).is_file():
            session.move(source, target)


def _reason(error: BaseException) -> str:
    """The type and the message of an error; of one without a message, the type."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _missing(session: Session, name: str, outcome: Outcome) -> list[str]:
    """The ids that a stage owes and that are not there whole."""
    session.refresh()
    records = [record for record in list(session.state.in_force.values()) if record.stage == name]
    sizes = session.state.sizes
    whole = [record for record in records if is_whole(session.run_dir / record.filename, sizes(record))]
    gone = [record.artifact_id for record in records if record not in whole]
    if session.contract is None:
        return gone
    return gone + [spec.artifact_id for spec in missing_of_stage(session.contract, name, outcome, whole)]


def is_whole(place: Path, sizes: set[int]) -> bool:
    """Whether a file is there, and of one of these lengths."""
    with os_errors("Looking at the file", place):
        try:
            return place.stat().st_size in sizes
        except (FileNotFoundError, NotADirectoryError):
            return False


def _commit(session: Session, name: str, outcome: Outcome, reasons: Sequence[str]) -> None:
    """End a stage: first all it wrote and said becomes safe, then the commit is said, then that becomes safe."""
    session.sync()
    session.mark(
        "commit",
        stage=name,
        outcome=outcome.value,
        reasons=[session.hide(plain_text(reason)) for reason in reasons],
        **{"try": session.state.tries[name]},
    )
