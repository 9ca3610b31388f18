"""The end of an attempt: metrics written, the end said, the manifest brought up to it, the run sealed."""

from __future__ import annotations

import fcntl
import time
import traceback
import warnings
from collections.abc import Collection, Iterable
from pathlib import Path

from runbundle.base.errors import ContractUnmet, CorruptError, RunbundleError
from runbundle.base.ids import Digest
from runbundle.base.jsontext import plain_text
from runbundle.contract.check import check_records
from runbundle.contract.layout import LOGS_FOLDER
from runbundle.io.atomic import Staged
from runbundle.io.confine import inside
from runbundle.io.journal import Journal, has_writer
from runbundle.io.jsonbytes import checked_pretty
from runbundle.run.join import run_lock
from runbundle.run.log.lines import CREATOR, METRICS_FILE, chain_of, is_log, log_writer
from runbundle.run.log.manifest import COMPLETED, FAILED
from runbundle.run.log.state import RunState
from runbundle.run.metrics.log import MetricLog
from runbundle.run.metrics.series import metrics_document
from runbundle.run.seal import sealable, write_seal
from runbundle.run.session import Session
from runbundle.run.settle import await_background, fault_at_end
from runbundle.run.stages import is_whole

PATIENCE_S = 30.0
_POLL_S = 0.02
_JOINING_S = 5.0  # a joiner holds the folder for as long as it takes to read the log


def finish(
    session: Session, metrics: MetricLog, status: str, error: BaseException | None, patience_s: float = PATIENCE_S
) -> str | None:
    """End the attempt with ``status`` and seal the run; returns the root digest, None if a writer stayed.

    A run that is to complete and lacks what its contract requires, or lost a write in the background, is sealed as
    failed, and then this raises.

    Raises:
        StageError: a stage is open. ContractUnmet: the contract is not met.
        RunbundleError: what went wrong with a write in the background.
        CorruptError: a file that the log records is gone or cut. InvalidName: a file's name cannot be sealed.
    """
    with session.blamed():
        with session.closing(), run_lock(session.run_dir, fcntl.LOCK_EX, patience_s=_JOINING_S):
            session.remove_orphans()
            found, staying = _wait_for_others(session, patience_s)
            lost = fault_at_end(session, error)
            fault = _fault(session) if status == COMPLETED else None
            fault = lost or fault
            _remember_others(session, found, staying)
            status = _end(session, metrics, FAILED if fault else status, fault or error)
            root_digest = None if staying else seal(session, found)
            session.close()
        if staying:
            who = ", ".join(_who(session, writer) for writer in sorted(staying))
            warnings.warn(
                f"The run {session.run_id} is {status} and not sealed: {who} still write into it. "
                "When they have ended, `runbundle repair` seals it",
                stacklevel=3,
            )
        if fault is not None:
            raise fault
        return root_digest


def leave(session: Session) -> None:
    """End one's part in a run that one joined: all of it becomes safe, and who finishes the run need not wait."""
    session.require_open()
    with session.blamed():
        try:
            await_background(session)
        finally:
            session.flush()
            session.close()


def _wait_for_others(session: Session, patience_s: float) -> tuple[list[str], set[str]]:
    """Wait for the writers that joined; returns the files that are there then, and who stayed.

    What a dead writer left of a line is cut off. A run that cannot be sealed is not ended: it can be put right.
    """
    deadline = time.monotonic() + patience_s
    staying: set[str] = set()
    seen: set[str] = set()
    while True:
        found = sealable(session.run_dir)
        new = [path for path in found if is_log(path) and log_writer(path) != CREATOR and path not in seen]
        if not new:  # one may be made while others are waited for
            break
        for path in map(session.run_dir.joinpath, new):
            while has_writer(path) and time.monotonic() < deadline:
                time.sleep(_POLL_S)
            if has_writer(path):
                staying.add(log_writer(path.name))
            else:
                Journal.reopen(path, chain_of(path.name)).close()
            seen.add(path.name)
    if seen:
        session.refresh()
        if not staying:
            session.unsynced.adopt_foreign()
    return found, staying


def _who(session: Session, writer: str) -> str:
    host = session.state.writers.get(writer, {})
    return f"the writer {writer} (process {host.get('pid')} on {host.get('name')})"


def _fault(session: Session) -> RunbundleError | None:
    """Why the run cannot be completed, if it cannot."""
    for record in session.state.in_force.values():
        place = session.run_dir / record.filename
        if not is_whole(place, session.state.sizes(record)):
            return CorruptError(
                f"The file of {record.label} is gone or cut since it was written",
                hint="Something else changes the run folder",
                artifact=record.label,
                path=place,
            )
    if session.contract is None:
        return None
    found = check_records(
        session.contract,
        session.state.in_force.values(),
        outcomes=session.state.outcomes,
        has_input=session.state.primary_input is not None,
    )
    faults = [f"{finding.subject}: {finding.message}" for finding in found]
    if not faults:
        return None
    return ContractUnmet(f"The run does not meet its contract: {'; '.join(faults)}", hint="It was sealed as failed")


def _end(session: Session, metrics: MetricLog, status: str, error: BaseException | None) -> str:
    """All that was written becomes safe, then the end is said, then the manifest follows: each safe before the next.

    Returns the status that was said: that of an earlier call, which the disk refused after it.
    """
    if error is not None:
        _keep_traceback(session, error)
    if metrics.has_points:
        _put(session, METRICS_FILE, checked_pretty(metrics_document(metrics.columns())))
    if session.text_log is not None:
        session.text_log.close()
        session.text_log = None
    session.sync()
    if session.attempt not in session.state.ends:
        said = None if error is None else {"type": type(error).__name__, "message": session.hide(plain_text(error))}
        session.mark("attempt", event="end", status=status, error=said)
    session.log.sync()
    session.rewrite_manifest()
    session.sync_files()
    return str(session.state.ends[session.attempt]["status"])


def _remember_others(session: Session, found: Iterable[str], staying: Collection[str]) -> None:
    """What this writer did not write, or not as a file of its own: the logs of others, and text logs."""
    for path in found:
        if is_log(path) and log_writer(path) != CREATOR:
            writer = log_writer(path)
        elif path.startswith(f"{LOGS_FOLDER}/"):
            writer = path.removeprefix(f"{LOGS_FOLDER}/run.").removesuffix(".log")
        else:
            continue
        if writer in staying:
            session.unsynced.remember_foreign(f"{session.run_dir}/{path}", None)
        else:
            session.remember(f"{session.run_dir}/{path}", is_new=False)


def seal(session: Session, found: Iterable[str]) -> Digest:
    """Seal a run of which all is written and safe, of the files found and those written since.

    Returns the root digest.
    """
    known = {**session.own_digests, **recorded_digests(session.run_dir, session.state)}
    return write_seal(session.run_dir, found, known)


def _put(session: Session, relative: str, data: bytes) -> None:
    """Write a file of the library's own, whole also after a power cut; its name becomes safe with the next group."""
    with Staged(f"{session.run_dir}/{relative}") as staged:
        staged.write(data)
        session.own_digests[relative] = staged.seal(sync=True).sha256
        staged.replace()
        session.unsynced.remember_folder(staged.folder)


def recorded_digests(run_dir: Path, state: RunState) -> dict[str, str]:
    """The digests that the log holds, by path: of files in force, and of those set aside."""
    told = [*state.files(), *state.moved_files(run_dir)]
    return {path: next(iter(allowed)) for path, _, allowed in told if len(allowed) == 1}


def _keep_traceback(session: Session, error: BaseException) -> None:
    text = session.hide("".join(traceback.format_exception(error)))
    path = f"{LOGS_FOLDER}/traceback.{session.attempt}.txt"
    inside(session.run_dir, path)
    session.folder(LOGS_FOLDER)
    _put(session, path, text.encode("utf-8", "backslashreplace"))
