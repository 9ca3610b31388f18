"""``verify``: is a run intact? Every byte is held against the seal, or against the log where there is none yet.

The codes of the findings are in docs/format.md, section 7. A path has one finding: the first that is made.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runbundle.base import jsontext
from runbundle.base.collector import uncollected
from runbundle.base.errors import CorruptError, DecodeError, LogCorrupt, RunbundleError
from runbundle.base.findings import Finding, Report
from runbundle.contract.record import Pointer
from runbundle.io.atomic import Written, hash_file, os_errors
from runbundle.io.confine import files_below, read_regular
from runbundle.io.hashing import Hashing, Progress
from runbundle.io.journal import has_writer
from runbundle.io.scan import Scan
from runbundle.run.files import is_own
from runbundle.run.log.follow import log_paths
from runbundle.run.log.lines import CREATOR, LOG_STEM, check_line, is_log, log_name, log_writer, scan_of
from runbundle.run.log.manifest import MANIFEST, RUNNING, parse_manifest, project_manifest, read_manifest
from runbundle.run.log.state import RunState
from runbundle.run.seal import SEAL, is_covered, is_sealed, read_seal
from runbundle.run.settings.files import CONFIG, CONFIG_RESOLVED, CONTRACT, read_config

LOG = log_name(CREATOR)


@dataclass(frozen=True, slots=True)
class Expected:
    """What a file must hold: one of some digests (anything, if there are none), and a length where it is known."""

    digests: frozenset[str] = frozenset()
    size: int | None = None


@dataclass(slots=True)
class _Run:
    """A run under examination."""

    run_dir: Path
    entries: Mapping[str, os.DirEntry[str]]
    seal: Mapping[str, str] | None = None
    logs: dict[str, Scan] = field(default_factory=dict)
    state: RunState = field(default_factory=RunState)
    due: Mapping[str, Expected] = field(default_factory=dict)
    findings: dict[str, Finding] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def find(self, code: str, subject: str, message: str) -> None:
        self.findings.setdefault(subject, Finding(code, subject, message))

    @property
    def has_witness(self) -> bool:
        """Whether the logs can be believed: a log that has a finding is no witness against other files."""
        return not any(map(is_log, self.findings))

    def is_regular(self, path: str) -> bool:
        """Whether a file of the run is there; else the finding is made."""
        entry = self.entries.get(path)  # what was listed lies behind no link
        if entry is not None and _is_file(entry):
            return path not in self.findings
        fault = _place_fault(self.run_dir, path)
        if fault:
            self.find("not_a_file", path, fault)
        elif path not in self.entries:
            self.find("missing", path, "the file is not there")
        return path not in self.findings


def verify(run_dir: Path, *, root_digest: str | None = None, progress: Progress | None = None) -> Report:
    """What is not as it was written; no findings when every byte is.

    A run that is being written may be examined too: what changes under the examination is no finding.

    Args:
        run_dir: the run.
        root_digest: the digest of its seal, kept elsewhere: finds a run that was rewritten and sealed anew.
        progress: called with the length of each file hashed, from several threads.

    Raises:
        RunNotFound: the folder is no run. UnavailableError: a file cannot be read.
        UnsupportedVersion: a later version wrote it.
    """
    if not os.path.lexists(run_dir / MANIFEST) and not os.path.lexists(run_dir / LOG):
        read_manifest(run_dir)  # says that this is no run
    with uncollected():
        run = _examine(run_dir, root_digest, progress)
    if run.findings and (run.seal is not None or is_sealed(run_dir)) and (run.seal is None or not is_sealed(run_dir)):
        run = _examine(run_dir, root_digest, None)  # it was finished, or resumed, under the examination
    if run.findings and run.seal is None and any(map(has_writer, log_paths(run_dir).values())):
        run.notes.append("the run is being written: files that no record names yet were not looked at")
        again = _examine(run_dir, root_digest, None)
        for path in list(run.findings):
            is_settled = path in again.findings and run.due.get(path) == again.due.get(path)
            if not is_settled or run.findings[path].code == "stray":
                del run.findings[path]
    return Report(tuple(run.findings[path] for path in sorted(run.findings)), tuple(run.notes))


def _examine(run_dir: Path, root_digest: str | None, progress: Progress | None) -> _Run:
    run = _Run(run_dir, files_below(run_dir))
    _read_seal(run, root_digest)
    if run.seal is None:
        _check_logs(run)
        run.due = _due(run)
    sure: Iterable[str] = run.seal or (path for path, expected in run.due.items() if expected.digests)
    sure = [path for path in sure if not is_log(path) and path in run.entries and _is_file(run.entries[path])]
    with Hashing(run_dir, sure, progress) as hashing:  # while the log of a sealed run is read
        if run.seal is not None:
            _check_logs(run)
            run.due = _due(run)
        _check_files(run, hashing)
    _check_strays(run)
    return run


def _is_file(entry: os.DirEntry[str]) -> bool:
    return entry.is_file(follow_symlinks=False)


def _read_seal(run: _Run, root_digest: str | None) -> None:
    """Find out what the seal says; a run whose seal cannot be read is checked as if it had none."""
    if not is_sealed(run.run_dir):
        run.notes.append("the run is not sealed: it was checked against its log")
        if root_digest is not None:
            run.find("root_digest_differs", SEAL, "the run has no seal")
        return
    if not run.is_regular(SEAL):
        return
    try:
        run.seal, root = read_seal(run.run_dir)
    except CorruptError as error:
        run.find("seal_damaged", SEAL, error.what)
        return
    if root_digest is not None and root != root_digest.lower():
        run.find("root_digest_differs", SEAL, f"its SHA-256 is {root}, not the one given")


def _check_logs(run: _Run) -> None:
    with os_errors("Listing", run.run_dir):
        there = [place.name for place in run.run_dir.iterdir()]
    for name in sorted(filter(is_log, {LOG, *there, *(run.seal or ())})):
        if run.is_regular(name):
            run.logs[name] = scan_of(run.run_dir / name)
            _take_records(run, name)
            _check_lines(run, name)
    if LOG in run.logs:
        _check_what_is_said(run)
    for name in run.logs:
        if run.seal is not None and name in run.seal and hash_file(run.run_dir / name).sha256 != run.seal[name]:
            run.find("log_edited", name, "the log is unbroken, and is not the one that was sealed")


def _check_lines(run: _Run, name: str) -> None:
    scan = run.logs[name]
    if scan.damage:
        run.find("log_damaged", name, f"line {scan.damage.line}: {scan.damage.reason}")
    elif scan.torn_bytes and run.seal is not None:
        run.find("log_damaged", name, f"line {scan.seq + 1} is unfinished")
    elif scan.torn_bytes:
        run.notes.append(f"{name} ends in an unfinished line, which no writer acknowledged")


def _check_what_is_said(run: _Run) -> None:
    for contradiction in run.state.contradictions():
        run.find("log_damaged", LOG, contradiction)
    if run.seal is not None and run.state.attempt not in run.state.ends:
        run.find("log_shortened", LOG, "the log ends before the end of the last attempt")
    if not run.state.starts:
        run.find("log_damaged", LOG, "it has no header or no attempt")


def _take_records(run: _Run, name: str) -> None:
    take: Callable[[Mapping[str, Any], Pointer], None] = run.state.apply if name.startswith(LOG_STEM) else check_line
    writer, scan = log_writer(name), run.logs[name]
    for record in scan:
        try:
            take(record, Pointer(writer, scan.seq - 1))
        except LogCorrupt as error:
            run.find("log_damaged", name, f"line {scan.seq}: {error.what}")
            return


def _due(run: _Run) -> dict[str, Expected]:
    """The files that must be there, and what they must hold."""
    always = {MANIFEST: Expected(), LOG: Expected()}
    told = _told_by_logs(run)
    if run.seal is None:
        return {**always, **dict.fromkeys(run.logs, Expected()), **told}
    sealed = {
        path: Expected(frozenset((digest,)), told[path].size if path in told else None)
        for path, digest in run.seal.items()
    }
    if not run.has_witness:
        return {**always, **sealed}
    # where the seal says one of what the log allows, as after a replacement that was cut short, the seal decides
    otherwise = {p: said for p, said in told.items() if said.digests and run.seal.get(p) not in said.digests}
    for path in otherwise:
        run.find("seal_damaged", SEAL, f"the log says otherwise about {path}")
    return {**always, **sealed, **otherwise}


def _told_by_logs(run: _Run) -> dict[str, Expected]:
    files = (*run.state.moved_files(run.run_dir), *run.state.files())
    told = {path: Expected(digests, size) for path, size, digests in files}
    start = run.state.starts.get(run.state.attempt, {})
    fields = {CONFIG: "config_sha256", CONFIG_RESOLVED: "config_resolved_sha256", CONTRACT: "contract_sha256"}
    for path, name in fields.items():
        if start.get(name):
            told[path] = Expected(frozenset((start[name], *run.state.announced.get(path, ()))))
    return told


def _check_files(run: _Run, hashing: Hashing) -> None:
    due = run.due
    there = [path for path in sorted(due) if run.is_regular(path) and due[path].digests and not is_log(path)]
    hashed = hashing.of(there)
    differing = [path for path in there if hashed[path].sha256 not in due[path].digests]
    for path in differing:
        if path != MANIFEST:
            run.find(*_difference(path, hashed[path], due))
    _check_manifest(run)  # says more than that the bytes differ
    if MANIFEST in differing:
        run.find(*_difference(MANIFEST, hashed[MANIFEST], due))


def _place_fault(run_dir: Path, path: str) -> str:
    """What stands where a file, or a folder on the way to it, should be; empty if all is well or nothing is there."""
    place = run_dir
    for part in path.split("/"):
        place /= part
        try:
            mode = os.lstat(place).st_mode
        except (FileNotFoundError, NotADirectoryError):
            return ""
        if stat.S_ISLNK(mode):
            return f"a symbolic link stands at {place.relative_to(run_dir)}"
    return "" if stat.S_ISREG(mode) else "it is no regular file"


def _difference(path: str, found: Written, due: Mapping[str, Expected]) -> tuple[str, str, str]:
    others = [other for other, expected in due.items() if other != path and found.sha256 in expected.digests]
    if others and found.size:
        return "swapped", path, f"the file holds what was written as {others[0]}"
    size = due[path].size
    if size is not None and found.size < size:
        return "truncated", path, f"the file has {found.size} of {size} bytes"
    return "changed", path, "the bytes are not those that were recorded"


def _check_manifest(run: _Run) -> None:
    if MANIFEST in run.findings:
        return
    try:
        manifest = parse_manifest(read_regular(run.run_dir / MANIFEST))
    except DecodeError as error:
        run.find("manifest_damaged", MANIFEST, error.what)
        return
    if not run.has_witness or CONFIG_RESOLVED in run.findings:
        return  # nothing can say what it should be
    try:
        told = project_manifest(run.state, read_config(run.run_dir))
    except RunbundleError as error:
        run.notes.append(f"the manifest was not held against the log: {error}")
        return
    names: Iterable[str] = told
    if run.seal is None and manifest.get("status") == RUNNING:  # the log runs ahead of it (I20)
        names = ("run_id", "run_uuid", "project_name", "created_at_utc")
    elif run.seal is None:  # who joined may say more behind the end
        names = told.keys() - {"models"}
    # as text: to Python, 1 and 1.0 and true are equal
    differing = sorted(name for name in names if _spelled(told[name]) != _spelled(manifest.get(name)))
    if differing:
        run.find("manifest_differs", MANIFEST, f"the log says otherwise about {', '.join(differing)}")


def _spelled(value: Any) -> bytes:
    return jsontext.line({"": value})


def _check_strays(run: _Run) -> None:
    if run.seal is None and not run.has_witness:
        run.notes.append("the log is damaged: what it does not account for was not looked at")
        return
    accounted = run.due.keys() if run.seal is None else run.seal.keys() | (run.due.keys() - {MANIFEST, LOG})
    on_the_way = {folder for path in run.due for folder in _folders_above(path)}
    for path in run.entries.keys() - accounted - on_the_way:
        if is_covered(path) and (run.seal is not None or not is_own(path)):
            run.find("stray", path, "nothing accounts for the file")


def _folders_above(path: str) -> Iterable[str]:
    parts = path.split("/")
    return ("/".join(parts[:count]) for count in range(1, len(parts)))


def covered_bytes(run_dir: Path) -> int:
    """How many bytes ``verify`` will hash at most; for a progress bar."""
    return sum(_size(entry) for entry in files_below(run_dir).values())


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_size
    except FileNotFoundError:  # a file of a run that is being written
        return 0
