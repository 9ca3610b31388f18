"""The end of an attempt: metrics written, the end said, the manifest brought up to it, the run sealed."""

from __future__ import annotations

import traceback

from runbundle.base import jsontext
from runbundle.base.errors import ContractUnmet, CorruptError, RunbundleError, StageError
from runbundle.contract.check import check_records
from runbundle.io.atomic import os_errors, replace_file
from runbundle.io.confine import files_below, inside
from runbundle.run.lines import METRICS_STEM
from runbundle.run.metrics import METRICS_FILE, MetricLog, metrics_document, read_points
from runbundle.run.provenance import plain_text
from runbundle.run.seal import sealable, write_seal
from runbundle.run.session import Session
from runbundle.run.state import log_paths

COMPLETED, FAILED, ABORTED = "completed", "failed", "aborted"


def finish(session: Session, metrics: MetricLog, status: str, error: BaseException | None) -> str:
    """End the attempt with ``status`` and seal the run; returns the root digest.

    A run that is to complete and lacks what its contract requires is sealed as failed, and then this raises.

    Raises:
        StageError: a stage is open. ContractUnmet: the contract is not met.
        CorruptError: a file that the log records is gone or cut. InvalidName: a file's name cannot be sealed.
    """
    session.require_open()
    with session.blamed():
        if session.stage is not None:
            raise StageError(f"The stage {session.stage} is open", hint="End it before the run finishes")
        if status == COMPLETED:
            sealable(session.run_dir)  # a run that cannot be sealed is not ended: it can be put right
            error = _fault(session)
            status = FAILED if error else COMPLETED
        root_digest = _end(session, metrics, status, error)
        if isinstance(error, RunbundleError) and error.code in (ContractUnmet.code, CorruptError.code):
            raise error
        return root_digest


def _fault(session: Session) -> RunbundleError | None:
    """Why the run cannot be completed, if it cannot."""
    for record in session.state.in_force.values():
        place = session.run_dir / record.filename
        if not place.is_file() or place.stat().st_size != record.bytes:
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
    if error is not None:
        _keep_traceback(session, error)
    if log_paths(session.run_dir, METRICS_STEM):
        document = metrics_document(read_points(session.run_dir))
        replace_file(session.run_dir / METRICS_FILE, jsontext.pretty(document, what="the metrics"))
        session.remember(session.run_dir / METRICS_FILE)
    said = None if error is None else {"type": type(error).__name__, "message": plain_text(error)}
    session.say("attempt", event="end", attempt=session.attempt, status=status, error=said)
    session.rewrite_manifest()
    if session.text_log is not None:
        session.text_log.close()
    _remember_logs(session)
    session.sync()
    root_digest = write_seal(session.run_dir, recorded_digests(session))
    session.is_finished = True
    session.log.close()
    if metrics.journal is not None:
        metrics.journal.close()
    return root_digest


def recorded_digests(session: Session) -> dict[str, str]:
    """The digests that the log holds, by path: of files in force, and of those set aside."""
    told = [*session.state.files(), *session.state.moved_files(session.run_dir)]
    return {path: next(iter(allowed)) for path, _, allowed in told if len(allowed) == 1}


def _remember_logs(session: Session) -> None:
    """What others wrote into the run by hand, such as text logs, is made safe as well."""
    with os_errors("Listing", session.run_dir):
        for relative, entry in files_below(session.run_dir).items():
            if relative.startswith("logs/") and entry.is_file(follow_symlinks=False):
                session.remember(session.run_dir / relative)


def _keep_traceback(session: Session, error: BaseException) -> None:
    text = "".join(traceback.format_exception(error))
    place = inside(session.run_dir, f"logs/traceback.{session.attempt}.txt")
    session.folder("logs")
    replace_file(place, text.encode("utf-8", "backslashreplace"))
