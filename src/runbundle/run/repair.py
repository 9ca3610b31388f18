"""``repair``: what a crash left of a run is brought to a state that verifies (docs/format.md, section 8).

A kill leaves torn lines, and files that no record names. A power cut also takes what was not yet safe: then a record
names bytes that are gone. The marks in the logs (``flush``, ``commit``, the end of an attempt) tell what was safe:
damage before a mark came from something else, and is left to be seen. No data is deleted.
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runbundle.base import jsontext
from runbundle.base.clock import SystemClock
from runbundle.base.errors import CorruptError, DecodeError, RunbundleError, RunBusy
from runbundle.contract.record import Pointer
from runbundle.io.atomic import TEMPORARY_PREFIX, Staged
from runbundle.io.confine import files_below
from runbundle.io.hashing import Progress, hash_files
from runbundle.io.journal import Journal, cut_journal, has_writer
from runbundle.io.scan import Scan
from runbundle.run.create import open_session
from runbundle.run.files import free_folder, unrecorded
from runbundle.run.finish import seal
from runbundle.run.join import run_lock
from runbundle.run.log.follow import log_paths
from runbundle.run.log.lines import CREATOR, METRICS_STEM, chain_of, log_name, scan_of
from runbundle.run.log.manifest import MANIFEST, project_manifest, read_manifest
from runbundle.run.log.state import RunState
from runbundle.run.reopen import remember_all, set_file_aside
from runbundle.run.seal import SEAL, is_sealed, sealable
from runbundle.run.session import Durability, Session
from runbundle.run.settings.files import CONFIG_RESOLVED, read_config, read_contract, settings_to_put_back

LOG = log_name(CREATOR)
_MARKS = ("flush", "commit", "attempt")
_PATIENCE_S = 1.0


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that a repair does.

    Attributes:
        action: ``cut`` a log, ``restore`` or ``rewrite`` a file, ``quarantine`` what a power cut took a part of,
            ``set_aside`` what no record names, or ``seal`` the run.
        path: the file, relative to the run. to: where it goes, if it moves.
        reason: why.
    """

    action: str
    path: str
    reason: str
    to: str | None = None


@dataclass(slots=True)
class _Plan:
    """What is to be done to a run, in order.

    Attributes:
        steps: each with what does it, once the run is open for writing (logs are cut before).
        cuts: the logs to cut, with the offset, and where the bytes behind it are kept.
        state: what the logs say up to their cuts. safe: for each writer, how many lines of its log a mark covers.
    """

    run_dir: Path
    steps: list[tuple[Step, Callable[[Session], None]]] = field(default_factory=list)
    cuts: list[tuple[Step, Path, int]] = field(default_factory=list)
    state: RunState = field(default_factory=RunState)
    safe: dict[str, int] = field(default_factory=dict)
    safe_points: dict[str, int] = field(default_factory=dict)

    def add(self, step: Step, act: Callable[[Session], None]) -> None:
        self.steps.append((step, act))


def repair(run_dir: Path, *, dry_run: bool = False, progress: Progress | None = None) -> tuple[Step, ...]:
    """Bring a run that nobody writes any more to a state that verifies; returns what was done, or would be.

    Torn lines are cut, a damaged manifest is written anew from the log, files that no record names are set aside under
    ``attempts/``, and so is what a power cut left of files that were not yet safe. A run that said its end is sealed. A
    sealed run is left alone: what differs in it did not come from a crash. A repair that was cut short can be done
    again.

    Raises:
        RunNotFound: the folder is no run. RunBusy: a writer lives. CorruptError: the log is damaged where it was safe,
            or nothing is left of it.
    """
    if not (run_dir / LOG).is_file():
        read_manifest(run_dir)  # says that this is no run
        raise CorruptError(f"The run {run_dir.name} has lost {LOG}", hint="Restore it from a copy", path=run_dir / LOG)
    if is_sealed(run_dir):
        return ()
    with run_lock(run_dir, fcntl.LOCK_EX, patience_s=_PATIENCE_S):
        _refuse_living(run_dir)
        plan = _Plan(run_dir)
        _plan_logs(plan)
        _plan_settings(plan)
        _plan_files(plan, progress)
        _plan_end(plan)
        if not dry_run:
            _carry_out(plan)
    return (*(step for step, _, _ in plan.cuts), *(step for step, _ in plan.steps))


def _refuse_living(run_dir: Path) -> None:
    for writer, path in log_paths(run_dir).items():
        if has_writer(path):
            who = f"its writer {writer}" if writer else "the process that started it"
            raise RunBusy(
                f"The run {run_dir.name} is written by {who}",
                hint="A process of the run is at work: wait for it or end it, then try again",
                path=path,
            )


def _plan_logs(plan: _Plan) -> None:
    """Which logs are cut, and where."""
    power_attempts: dict[str, set[int]] = {}
    for writer, path in log_paths(plan.run_dir).items():
        scan, is_power = scan_of(path), False
        for record in scan:
            plan.state.apply(record, Pointer(writer, scan.seq - 1))
            if "durability" in record:
                is_power = record["durability"] == Durability.POWER
                power_attempts.setdefault(writer, set()).update([record["attempt"]] if is_power else [])
            if is_power or _is_mark(record):
                plan.safe[writer] = scan.seq
            if _is_mark(record):
                plan.safe_points[writer] = max(plan.safe_points.get(writer, 0), record["points"])
        _plan_cut(plan, scan, plan.safe.get(writer, 0), _any_line if is_power else _is_mark)
    for writer, path in log_paths(plan.run_dir, METRICS_STEM).items():
        attempts = power_attempts.get(writer, set())
        scan, safe = scan_of(path), plan.safe_points.get(writer, 0)
        for record in scan:
            if record.get("attempt") in attempts:
                safe = max(safe, scan.seq)
        _plan_cut(plan, scan, safe, _any_line if plan.state.attempt in attempts else _no_line)
    if plan.state.header is None or not plan.state.starts:
        raise CorruptError(
            f"Nothing is left of {LOG} that says what the run was", hint="Restore it from a copy", path=plan.run_dir
        )


def _any_line(_: Mapping[str, Any]) -> bool:
    """Under ``durability="power"`` each line is safe when it stands, and so is all before it."""
    return True


def _no_line(_: Mapping[str, Any]) -> bool:
    """Points say of no other that it is safe."""
    return False


def _is_mark(record: Mapping[str, Any]) -> bool:
    """Whether a line says that all before it is safe from a power cut."""
    return record["record"] in _MARKS and record.get("event") != "start"


def _plan_cut(plan: _Plan, scan: Scan, safe_lines: int, is_mark: Callable[[Mapping[str, Any]], bool]) -> None:
    if scan.damage is not None:
        if scan.seq < safe_lines or _has_mark_behind(scan, is_mark):
            raise CorruptError(
                f"Line {scan.damage.line} of {scan.path.name} is damaged, and was safe from any crash: "
                f"{scan.damage.reason}",
                hint="Something else changed it. Restore the run from a copy",
                path=scan.path,
            )
        reason = f"line {scan.damage.line} and what follows were not safe when the crash came: {scan.damage.reason}"
        to = f"{free_folder(plan.run_dir, '_damaged', plan.state.attempt)}/{scan.path.name}.from-{scan.good_bytes}"
        plan.cuts.append((Step("cut", scan.path.name, reason, to), scan.path, scan.good_bytes))
    elif scan.torn_bytes:
        reason = f"line {scan.seq + 1} is unfinished: no writer acknowledged it"
        plan.cuts.append((Step("cut", scan.path.name, reason), scan.path, scan.good_bytes))


def _has_mark_behind(scan: Scan, is_mark: Callable[[Mapping[str, Any]], bool]) -> bool:
    """Whether a mark stands behind the damage: then the damaged line was safe."""
    with open(scan.path, "rb") as stream:  # noqa: PTH123 - a stream of lines
        stream.seek(scan.good_bytes)
        next(stream, None)  # the damaged line itself
        for raw in stream:
            try:
                record = jsontext.parse(raw) if raw.endswith(b"\n") else None
            except DecodeError:
                continue
            if isinstance(record, dict) and isinstance(record.get("record"), str) and is_mark(record):
                return True
    return False


def _plan_settings(plan: _Plan) -> None:
    """Configuration files that a crash left otherwise than the attempt says are put back, where they are kept."""
    for name, data in settings_to_put_back(plan.run_dir, plan.state.starts[plan.state.attempt]).items():
        plan.add(Step("restore", name, "it is not what the attempt was started with"), _putter(name, data))


def _putter(name: str, data: bytes) -> Callable[[Session], None]:
    def put(session: Session) -> None:
        with Staged(session.run_dir / name) as staged:
            staged.write(data)
            session.put_in_place(staged)
        if name == CONFIG_RESOLVED:
            session.config = read_config(session.run_dir)  # the manifest is to tell of this one

    return put


def _plan_files(plan: _Plan, progress: Progress | None) -> None:
    """What a power cut took of files that were not safe, and files that no record names."""
    run_dir, state = plan.run_dir, plan.state
    there = files_below(run_dir)
    due = {path: digests for path, _, digests in state.files() if digests}
    hashed = hash_files(run_dir, [path for path in due if path in there], progress)
    unflushed = free_folder(run_dir, "_unflushed", state.attempt)
    for path, digests in sorted(due.items()):
        if path in hashed and hashed[path].sha256 in digests:
            continue
        pointer = _pointer_of(state, path)
        if pointer is None or pointer.seq < plan.safe.get(pointer.writer, 0):
            continue  # it was safe: `verify` will say so
        to = f"{unflushed}/{path}" if path in there else None
        reason = "a power cut took bytes that were not yet safe"
        plan.add(Step("quarantine", path, reason, to), _quarantiner(path, to, pointer, reason))
    aside = free_folder(run_dir, "_unrecorded", state.attempt)
    for path in unrecorded(run_dir, state):
        step = Step("set_aside", path, "no record accounts for the file", f"{aside}/{path}")
        plan.add(step, _mover(path, f"{aside}/{path}"))
    for path in sorted(there):
        folder, _, name = path.rpartition("/")
        if name.startswith(TEMPORARY_PREFIX):
            to = f"{aside}/{folder}/unfinished{name}" if folder else f"{aside}/unfinished{name}"
            plan.add(Step("set_aside", path, "a write was cut short", to), _mover(path, to))


def _pointer_of(state: RunState, path: str) -> Pointer | None:
    for pointer, record in state.inputs.items():
        if record["filename"] == path:
            return pointer
    return next((record.pointer for record in state.in_force.values() if record.filename == path), None)


def _quarantiner(path: str, to: str | None, pointer: Pointer, reason: str) -> Callable[[Session], None]:
    def quarantine(session: Session) -> None:
        moved = [{"from": path, "to": to, "artifact": pointer.to_json()}]
        session.say("quarantine", attempt=session.attempt, moved=moved, reason=reason)
        session.log.sync()
        if to is not None:
            session.move(path, to)

    return quarantine


def _mover(path: str, to: str) -> Callable[[Session], None]:
    return lambda session: set_file_aside(session, path, to)


def _plan_end(plan: _Plan) -> None:
    is_over = plan.state.attempt in plan.state.ends
    if plan.steps or is_over or not _has_true_manifest(plan):
        plan.add(Step("rewrite", MANIFEST, "it is brought up to the log"), Session.rewrite_manifest)
    if is_over:
        plan.add(Step("seal", SEAL, "the run said its end and was not sealed"), _seal)


def _has_true_manifest(plan: _Plan) -> bool:
    try:
        manifest = read_manifest(plan.run_dir)
        return bool(manifest == project_manifest(plan.state, read_config(plan.run_dir)))
    except RunbundleError:
        return False


def _seal(session: Session) -> None:
    session.flush()
    seal(session, sealable(session.run_dir))


def _carry_out(plan: _Plan) -> None:
    for step, path, offset in plan.cuts:
        cut_journal(path, chain_of(path.name), offset, keep=plan.run_dir / step.to if step.to else None)
    if not plan.steps:
        return
    with _open(plan) as session:
        for _, act in plan.steps:
            act(session)
        if not is_sealed(plan.run_dir):
            session.flush()


@contextmanager
def _open(plan: _Plan) -> Iterator[Session]:
    log = Journal.reopen(plan.run_dir / LOG)
    try:
        session = open_session(
            plan.run_dir,
            log,
            plan.state,
            read_contract(plan.run_dir),
            _config(plan.run_dir),
            clock=SystemClock(),
            durability=Durability.PROCESS,
        )
        remember_all(session)
        yield session
    finally:
        log.close()


def _config(run_dir: Path) -> Mapping[str, Any]:
    """The configuration, which a power cut may have left to the manifest alone."""
    try:
        return read_config(run_dir)
    except RunbundleError:
        snapshot: Mapping[str, Any] = read_manifest(run_dir)["config_snapshot"]
        return snapshot
