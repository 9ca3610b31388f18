"""``verify``: is a run intact? Every byte is held against the seal, or against the log where there is none yet.

The codes of the findings are in docs/format.md, section 7.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runbundle.base import jsontext
from runbundle.base.errors import CorruptError, RunbundleError
from runbundle.base.findings import Finding, Report
from runbundle.io.atomic import Written
from runbundle.io.confine import files_below, is_link
from runbundle.io.journal import Content, read_journal
from runbundle.run.create import CONFIG, CONFIG_RESOLVED, CONTRACT
from runbundle.run.manifest import MANIFEST, RUNNING, project_manifest, read_manifest
from runbundle.run.reopen import is_own, read_config
from runbundle.run.seal import SEAL, Progress, hash_files, is_covered, is_sealed, read_seal
from runbundle.run.state import CREATOR, LOG_STEM, METRICS_STEM, RunState, log_name, log_paths, unite


@dataclass(frozen=True, slots=True)
class Expected:
    """What a file must hold: one of some digests, and a length where it is known."""

    digests: frozenset[str]
    size: int | None = None


@dataclass(slots=True)
class _Run:
    """A run under examination."""

    run_dir: Path
    logs: Mapping[str, Content]
    state: RunState
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def find(self, code: str, subject: str, message: str) -> None:
        self.findings.append(Finding(code, subject, message))


def verify(run_dir: Path, *, root_digest: str | None = None, progress: Progress | None = None) -> Report:
    """What is not as it was written; no findings when every byte is.

    Args:
        run_dir: the run.
        root_digest: the digest of its seal, kept elsewhere: finds a run that was rewritten and sealed anew.
        progress: called with the length of each file hashed, from several threads.

    Raises:
        RunNotFound: the folder is no run. UnavailableError: a file cannot be read.
    """
    paths = {path.name: path for stem in (LOG_STEM, METRICS_STEM) for path in log_paths(run_dir, stem).values()}
    if not paths and not (run_dir / MANIFEST).exists():
        read_manifest(run_dir)  # says that this is no run
    logs = {name: read_journal(path) for name, path in paths.items() if not is_link(path)}
    artifact_logs = {writer: logs[log_name(writer)] for writer in log_paths(run_dir) if log_name(writer) in logs}
    run = _Run(run_dir, logs, RunState())
    _check_logs(run)
    try:
        run.state = unite(artifact_logs)
    except RunbundleError as error:
        run.find("log_damaged", log_name(CREATOR), error.what)
    for label in run.state.conflicts:
        run.find("log_damaged", log_name(CREATOR), f"two records of {label} are in force")
    seal = _read_seal(run, root_digest)
    _check_manifest(run, is_closed=seal is not None)
    expected = _expected_by_log(run) if seal is None else _expected_by_seal(run, seal)
    _check_files(run, expected, progress, is_closed=seal is not None)
    return Report(tuple(run.findings), tuple(run.notes))


def _read_seal(run: _Run, root_digest: str | None) -> Mapping[str, str] | None:
    """The seal's digests; None where the run has none, or none that can be read."""
    if not is_sealed(run.run_dir):
        run.notes.append("the run is not sealed: it was checked against its log")
        if root_digest is not None:
            run.find("root_digest_differs", SEAL, "the run has no seal")
        return None
    if is_link(run.run_dir / SEAL):
        run.find("not_a_file", SEAL, "a symbolic link stands in its place")
        return None
    try:
        digests, root = read_seal(run.run_dir)
    except CorruptError as error:
        run.find("seal_damaged", SEAL, error.what)
        return None
    if root_digest is not None and root != root_digest.lower():
        run.find("root_digest_differs", SEAL, f"its SHA-256 is {root}, not the one given")
    return digests


def _check_logs(run: _Run) -> None:
    if log_name(CREATOR) not in run.logs:
        run.find("missing", log_name(CREATOR), "the creator's log is not there")
    for name, content in run.logs.items():
        if content.damage:
            run.find("log_damaged", name, f"line {content.damage.line}: {content.damage.reason}")
        elif content.torn_bytes and is_sealed(run.run_dir):
            run.find("log_damaged", name, f"line {len(content.records) + 1} is unfinished")
        elif content.torn_bytes:
            run.notes.append(f"{name} ends in an unfinished line, which no writer acknowledged")


def _check_manifest(run: _Run, *, is_closed: bool) -> None:
    if is_link(run.run_dir / MANIFEST):
        return  # told as not_a_file
    try:
        manifest = read_manifest(run.run_dir)
    except RunbundleError as error:
        run.find("manifest_damaged", MANIFEST, error.what)
        return
    if any(content.damage for content in run.logs.values()):
        return  # the log cannot say what the manifest should be
    try:
        # as a reader of the file would see it
        told = jsontext.parse(jsontext.pretty(project_manifest(run.state, read_config(run.run_dir))))
    except RunbundleError as error:
        run.notes.append(f"the manifest was not held against the log: {error}")
        return
    differing = sorted(key for key in told.keys() | manifest.keys() if told.get(key) != manifest.get(key))
    if not is_closed and manifest["status"] == RUNNING:
        # the log runs ahead of the manifest by the step between the two
        differing = [key for key in differing if key in ("run_id", "run_uuid", "project_name", "created_at_utc")]
    if differing:
        run.find("manifest_differs", MANIFEST, f"the log says otherwise about {', '.join(differing)}")


def _expected_by_seal(run: _Run, seal: Mapping[str, str]) -> dict[str, Expected]:
    sizes = {path: size for path, size, _ in run.state.files()}
    for path, _, digests in run.state.files():
        if path not in seal:
            run.find("seal_damaged", path, "the log accounts for the file, and the seal does not name it")
        elif digests and seal[path] not in digests:
            run.find("seal_damaged", path, "the seal and the log give it different digests")
    return {path: Expected(frozenset((digest,)), sizes.get(path)) for path, digest in seal.items()}


def _expected_by_log(run: _Run) -> dict[str, Expected]:
    expected = {path: Expected(digests, size) for path, size, digests in run.state.files()}
    for source, target, pointer in run.state.moves:
        if pointer in run.state.records:
            record = run.state.records[pointer]
            place = target if os.path.lexists(run.run_dir / target) else source
            if place not in expected:
                expected[place] = Expected(frozenset((record.sha256,)), record.bytes)
    start = run.state.starts.get(run.state.attempt, {})
    fields = {CONFIG: "config_sha256", CONFIG_RESOLVED: "config_resolved_sha256", CONTRACT: "contract_sha256"}
    for path, name in fields.items():
        if start.get(name):
            expected[path] = Expected(frozenset((start[name],)))
    return expected


def _check_files(run: _Run, expected: Mapping[str, Expected], progress: Progress | None, *, is_closed: bool) -> None:
    found = files_below(run.run_dir)
    present = []
    for path in sorted(expected):
        if _place_fault(run.run_dir, path):
            run.find("not_a_file", path, _place_fault(run.run_dir, path))
        elif path not in found:
            run.find("missing", path, "the file is not there")
        elif expected[path].digests:
            present.append(path)
    hashed = hash_files(run.run_dir, present, progress)
    for path in present:
        if hashed[path].sha256 not in expected[path].digests:
            run.find(*_difference(run, path, hashed[path], expected))
    if not is_closed and any(content.damage for content in run.logs.values()):
        run.notes.append("the log is damaged: what it does not account for was not looked at")
        return
    for path in sorted(found.keys() - expected.keys()):
        if is_covered(path) and (is_closed or not is_own(run.run_dir, path)):
            run.find("stray", path, "nothing accounts for the file")


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


def _difference(run: _Run, path: str, found: Written, expected: Mapping[str, Expected]) -> tuple[str, str, str]:
    if path in run.logs:
        return _log_difference(run.logs[path], path)
    others = [other for other, wanted in expected.items() if other != path and found.sha256 in wanted.digests]
    if others:
        return "swapped", path, f"the file holds what was written as {others[0]}"
    size = expected[path].size
    if size is not None and found.size < size:
        return "truncated", path, f"the file has {found.size} of {size} bytes"
    return "changed", path, "the bytes are not those that were recorded"


def _log_difference(content: Content, name: str) -> tuple[str, str, str]:
    if content.damage or content.torn_bytes:
        return "log_damaged", name, "the log is not the one that was sealed"
    last = content.records[-1] if content.records else {}
    is_whole = last.get("record") == "attempt" and last.get("event") == "end"
    if name == log_name(CREATOR) and not is_whole:
        return "log_shortened", name, "the log ends before the end of the last attempt"
    return "log_edited", name, "the log is unbroken, and is not the one that was sealed"


def root_digest_of(run_dir: Path) -> str | None:
    """The SHA-256 of a run's seal; None if it has none."""
    return hashlib.sha256((run_dir / SEAL).read_bytes()).hexdigest() if is_sealed(run_dir) else None


def covered_bytes(run_dir: Path) -> int:
    """How many bytes ``verify`` will hash at most; for a progress bar."""
    return sum(_size(entry) for entry in files_below(run_dir).values())


def _size(entry: os.DirEntry[str]) -> int:
    return entry.stat(follow_symlinks=False).st_size
