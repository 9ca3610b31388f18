"""What is done before a run says that all is there: writes in the background end, rosters follow the records."""

from __future__ import annotations

from runbundle.base.errors import AlreadyExistsError, ConflictError, InvalidInputError, RunbundleError
from runbundle.run.rosters import write_rosters
from runbundle.run.session import Session


def settle(session: Session) -> None:
    """When this returns, what was given to the background is written, and each roster lists what is in force.

    Raises:
        RunbundleError: what went wrong with a write in the background. Others as ``write_rosters``.
    """
    await_background(session)
    write_rosters(session)


def await_background(session: Session) -> None:
    """When this returns, what was given to the background is written; errors as ``settle``."""
    if session.background is not None:
        session.background.wait()


def fault_at_end(session: Session, error: BaseException | None) -> RunbundleError | None:
    """What keeps a run that is ending from being completed: a write that was lost, or a roster that cannot be written.

    Where an error ends the run anyway, it is told in that error's notes.

    Raises:
        UnavailableError, CorruptError: the environment failed: the run is not ended, and can be ended later.
    """
    fault = session.background.failure() if session.background is not None else None
    try:
        write_rosters(session)
    except (AlreadyExistsError, ConflictError, InvalidInputError) as refusal:
        fault = fault or refusal
    if fault is None or error is None:
        return fault
    error.add_note(f"Besides: {fault}")
    return None
