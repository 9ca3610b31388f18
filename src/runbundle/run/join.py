"""Further writers of a run: each has a log of its own, and waits for no other (docs/format.md, section 3)."""

from __future__ import annotations

import fcntl
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from runbundle.base.clock import Clock, timestamp
from runbundle.base.errors import RunBusy, RunClosed, RunSealed
from runbundle.base.ids import random_text
from runbundle.contract.layout import STANDARD
from runbundle.io.folderlock import folder_lock
from runbundle.io.journal import Journal, has_writer
from runbundle.run.log.follow import Followed, follow
from runbundle.run.log.lines import CREATOR, FORMAT_VERSION, LOG_FORMAT, log_name
from runbundle.run.log.manifest import read_manifest
from runbundle.run.log.state import RunState
from runbundle.run.origin import provenance
from runbundle.run.session import Durability, Session
from runbundle.run.settings.files import read_config, read_contract

RUN_DIR_VARIABLE = "RUNBUNDLE_RUN_DIR"


def join(run_dir: Path, *, clock: Clock, durability: Durability) -> Session:
    """Become a writer of a run that another process has open.

    Raises:
        RunNotFound: there is no such run. RunSealed: it is finished. RunBusy: it is being finished. RunClosed: nobody
            has it open.
    """
    manifest = read_manifest(run_dir)
    contract = read_contract(run_dir)
    log, writer, followed, state = _enter(run_dir, clock, durability)
    session = Session(
        run_dir=run_dir,
        run_id=str(manifest["run_id"]),
        writer=writer,
        log=log,
        state=state,
        attempt=state.attempt,
        contract=contract,
        layout=contract.layout if contract else STANDARD,
        config=read_config(run_dir),
        clock=clock,
        durability=durability,
        rejoin=rejoin,
    )
    _settle(session, followed)
    return session


def rejoin(session: Session) -> None:
    """In a forked child: go on as a writer of its own; errors as ``join``."""
    with session.lock:
        if session.is_forked:
            log, writer, followed, state = _enter(session.run_dir, session.clock, session.durability)
            session.log, session.writer, session.state = log, writer, state
            session.is_forked = False
            _settle(session, followed)


def _settle(session: Session, followed: Followed) -> None:
    followed.own = session.writer
    session.others = followed
    session.unsynced.remember_folder(session.run_dir)
    if session.is_power:
        session.sync()


def _enter(run_dir: Path, clock: Clock, durability: Durability) -> tuple[Journal, str, Followed, RunState]:
    """Make a log, unless the run is closed to joiners; what the logs say so far comes with it."""
    with run_lock(run_dir, fcntl.LOCK_SH, patience_s=0):
        followed, state = follow(run_dir)
        if state.attempt in state.ends:
            raise RunSealed(f"The run {run_dir.name} is finished", hint="Start another run", run=run_dir.name)
        if not has_writer(run_dir / log_name(CREATOR)):
            raise RunClosed(
                f"No process has the run {run_dir.name} open", hint="Resume it first, then join", run=run_dir.name
            )
        writer = random_text(clock, 8).lower()
        log = Journal.create(run_dir / log_name(writer))
        header = {
            "record": "header",
            "ts_utc": timestamp(clock.now()),
            "format": LOG_FORMAT,
            "format_version": FORMAT_VERSION,
            "writer": writer,
            "attempt": state.attempt,
            "durability": durability.value,
            "host": provenance.host(),
        }
        try:
            log.append(header)
        except BaseException:
            log.close()
            with suppress(OSError):  # an empty log is lawful as well
                log.path.unlink()
            raise
    return log, writer, followed, state


def run_lock(run_dir: Path, kind: int, *, patience_s: float) -> AbstractContextManager[None]:
    """Hold the run's folder, shared (to join) or exclusively (to close the run to joiners).

    Raises:
        RunBusy: another process closes the run, or joins it for longer than ``patience_s``.
    """
    busy = RunBusy(
        f"The run {run_dir.name} is being finished or joined by another process",
        hint="Try again in a moment",
        run=run_dir.name,
        path=run_dir,
    )
    return folder_lock(run_dir, kind, patience_s=patience_s, busy=busy)
