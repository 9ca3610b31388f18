"""A reader and checker of run folders, written from docs/format.md alone; it shares no code with the library.

It trades speed for being easy to compare with that page: invariants are cited by number (I1, I2 ...).
``read_run`` reads a sound run and raises ``Damaged`` otherwise; ``verify`` and ``check`` give the findings of
section 7. It never writes, and takes no locks: whether a writer still lives (I21) is not asked here.
"""

import hashlib
import json
import os
import re
import sys
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = dict[str, Any]
Pointer = tuple[str, int]  # (writer, seq); the creator's writer is "" (I13)
Finding = tuple[str, str]  # (code, path or what)

LOG_NAME = re.compile(r"(artifacts|metrics)(?:\.([a-z0-9]{1,32}))?\.jsonl")
CREATION = {  # written once, with the run; the attempt records hold their digests
    "config.yaml": "config_sha256",
    "config_resolved.yaml": "config_resolved_sha256",
    "contract.json": "contract_sha256",
}
ATTEMPT = ("git_hash", "git_dirty", "config_sha256", "command", "host")  # the manifest repeats these
MANIFEST, METRICS, SEAL = "run_manifest.json", "metrics.json", "SHA256SUMS"
FIELDS = {  # section 3: what a line of each type (and event) holds besides I10; other types are not looked into
    "header": "format format_version writer host",
    "attempt start": "attempt git_hash git_dirty config_sha256 config_resolved_sha256 contract_sha256"
    " package_versions python platform command host",
    "attempt end": "attempt status error",
    "input": "attempt artifact_id filename bytes sha256 input_original_path collision_policy is_primary replaces",
    "intent": "artifact_id variant filename sha256 bytes replaces",
    "artifact": "artifact_id variant stage attempt kind format filename content_type bytes sha256 description"
    " meta replaces",
    "stage start": "stage try attempt",
    "stage set_aside": "stage try attempt moved",
    "commit": "stage try attempt outcome reasons",
    "note": "text data",
    "point": "attempt step values",
    "summary": "attempt values",
}


class Damaged(Exception):
    """The run cannot be read: what, and where (a path, with ``:line`` for a log)."""


class Unsupported(Exception):
    """The run is of a format version, or requires a feature, that this reader does not know."""


# --- spelling (section 2) ---------------------------------------------------------------------------------


def parse_json(data: bytes) -> Any:
    """Strict JSON (I5): no duplicate keys, no NaN or Infinity literals, no lone surrogates, good UTF-8."""

    def unique(pairs: list[tuple[str, Any]]) -> Json:
        if len(dict(pairs)) != len(pairs):
            raise ValueError("duplicate key")
        return dict(pairs)

    def refuse(literal: str) -> None:
        raise ValueError(f"not JSON: {literal}")

    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=unique, parse_constant=refuse)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    json.dumps(value, ensure_ascii=False).encode("utf-8")  # a lone surrogate has no UTF-8
    return value


def parse_object(data: bytes) -> Json:
    value = parse_json(data)
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - every refusal of a text is a ValueError
    return value


def parse_number(value: Any) -> float:
    """A number of a metric, where three strings stand for the non-finite ones (I7)."""
    if value in ("NaN", "Infinity", "-Infinity"):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"not a number: {value!r}")  # noqa: TRY004
    return value


def parse_yaml(data: bytes) -> Any:
    """The YAML of I9, in block style: quoted keys and strings, and scalars (or flow values) spelt as JSON."""
    lines = [line for line in data.decode("utf-8").split("\n") if re.match(r" *[^ #]", line)]
    rest = [(len(line) - len(line.lstrip(" ")), line.strip()) for line in lines]
    value = _yaml_block(rest)
    if rest:
        raise ValueError(f"not in the YAML of the format: {rest[0][1]}")
    return value


def _yaml_block(rest: list[tuple[int, str]]) -> Any:
    if not rest:
        raise ValueError("a value is wanting")
    depth, text = rest[0]
    if text.startswith("- "):
        items = []
        while rest and rest[0][0] == depth and rest[0][1].startswith("- "):
            rest[0] = (depth + 2, rest[0][1][2:])  # what follows the dash is a block of its own
            items.append(_yaml_block(rest))
        return items
    key = re.compile(r'("(?:[^"\\]|\\.)*"):(?: (.*))?')
    if not key.fullmatch(text):
        return parse_json(rest.pop(0)[1].encode())
    pairs: Json = {}
    while rest and rest[0][0] == depth and (match := key.fullmatch(rest[0][1])):
        rest.pop(0)
        name = json.loads(match[1])
        if name in pairs:
            raise ValueError(f"duplicate key {name}")
        pairs[name] = parse_json(match[2].encode()) if match[2] else _yaml_block(rest)
    return pairs


def is_path(text: Any) -> bool:
    """Whether this may stand as a path in a log or seal (I2)."""
    if not isinstance(text, str) or "\\" in text or any(unicodedata.category(c) == "Cc" for c in text):
        return False
    return all(part not in ("", ".", "..") for part in text.split("/"))


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# --- the logs (section 3) ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Log:
    """One log, read up to its torn tail or to its first damaged line (counted from 1)."""

    name: str
    writer: str
    records: list[Json]
    torn_tail: bytes
    damaged_line: int | None


def read_log(path: Path) -> Log:
    match = LOG_NAME.fullmatch(path.name)
    if match is None:
        raise ValueError(f"not the name of a log: {path.name}")
    writer = match[2] or ""
    *lines, tail = path.read_bytes().split(b"\n")
    records: list[Json] = []
    previous = "0" * 64
    for number, line in enumerate(lines, start=1):
        try:
            record = parse_object(line)
            _check_line(record, number - 1, previous)
            if number == 1:
                _check_header(record, path.name, writer)
        except (ValueError, KeyError, TypeError):
            return Log(path.name, writer, records, b"", number)  # I11: nothing is read past damage
        records.append(record)
        previous = sha256(line + b"\n")
    if not records and path.name == "artifacts.jsonl":
        return Log(path.name, writer, records, tail, 1)  # I3: it had its header before the run had its name
    return Log(path.name, writer, records, tail, None)  # I11: bytes after the last newline are no line


def _check_line(record: Json, seq: int, previous: str) -> None:
    chain = (record.get("seq"), record.get("prev_sha256"))
    if chain != (seq, previous) or type(chain[0]) is not int or not isinstance(record.get("ts_utc"), str):
        raise ValueError("the chain is broken (I10)")
    kind = record.get("record")
    fields = FIELDS.get(f"{kind} {record['event']}" if kind in ("attempt", "stage") else str(kind), "")
    if not isinstance(kind, str) or not record.keys() >= set(fields.split()):
        raise ValueError("a field is wanting")
    moved = record["moved"] if kind == "stage" and record["event"] == "set_aside" else []
    paths = [record["filename"]] if kind in ("input", "intent", "artifact") else []
    if not all(is_path(path) for path in paths + [move[end] for move in moved for end in ("from", "to")]):
        raise ValueError("not a path (I2)")
    for value in [record["replaces"]] if paths else [move["artifact"] for move in moved]:
        if value is not None and (type(value["writer"]), type(value["seq"])) != (str, int):
            raise ValueError("not a pointer (I13)")


def _check_header(record: Json, name: str, writer: str) -> None:
    if (record["record"], record.get("format"), record.get("writer")) != ("header", "runbundle-log", writer):
        raise ValueError("the first line is not the header of this log")
    if record["format_version"] != 0:
        raise Unsupported(f"{name}: format version {record['format_version']}")
    if name == "artifacts.jsonl" and not isinstance(record.get("run"), dict):
        raise ValueError("the creator's header holds no run")


def pointer(value: Json) -> Pointer:
    return value["writer"], value["seq"]  # I13


class Journal:
    """The union of a run's logs, and what is in force in it. Of damaged logs, the lines before the damage."""

    def __init__(self, path: Path) -> None:
        names = sorted(entry.name for entry in path.iterdir() if LOG_NAME.fullmatch(entry.name))
        self.logs = [read_log(path / name) for name in names if (path / name).is_file()]
        self.records: dict[Pointer, Json] = {}
        self.metrics: list[Json] = []
        for log in self.logs:
            if log.name.startswith("artifacts"):
                self.records |= {(log.writer, record["seq"]): record for record in log.records}
            else:
                self.metrics += log.records
        self.moves = [move for r in self.of("stage") if r["event"] == "set_aside" for move in r["moved"]]
        self.pointers = {pointer(move["artifact"]) for move in self.moves}
        self.pointers |= {pointer(r["replaces"]) for r in self.of("artifact", "input") if r["replaces"]}
        # I14. An intent's pointer takes nothing out of force: it says what is about to happen (I15).
        in_force = [record for where, record in self.records.items() if where not in self.pointers]
        self.artifacts = [record for record in in_force if record["record"] == "artifact"]
        self.inputs = [record for record in in_force if record["record"] == "input"]
        done = [(r["replaces"], r["sha256"]) for r in self.of("artifact")]
        self.open_intents = [r for r in self.of("intent") if (r["replaces"], r["sha256"]) not in done]  # I15
        self.commits: dict[str, Json] = {}
        for commit in sorted(self.of("commit"), key=lambda record: int(record["try"])):
            self.commits[commit["stage"]] = commit  # I17: the highest try is in force
        events = sorted(self.of("attempt"), key=lambda record: int(record["attempt"]))
        self.starts = [record for record in events if record["event"] == "start"]
        self.ends = {record["attempt"]: record for record in events if record["event"] == "end"}

    def of(self, *kinds: str) -> list[Json]:
        return [record for record in self.records.values() if record["record"] in kinds]

    @property
    def status(self) -> str:
        """What the log says of the run's last attempt; ``running`` while no end was written (I21)."""
        last = self.starts[-1]["attempt"] if self.starts else None
        return str(self.ends[last]["status"]) if last in self.ends else "running"

    def contradicts_itself(self) -> bool:
        """Whether two artifacts in force have one (artifact_id, variant), or one filename (I14)."""
        pairs = {(record["artifact_id"], record["variant"]) for record in self.artifacts}
        names = {record["filename"] for record in self.artifacts}
        return min(len(pairs), len(names)) < len(self.artifacts)

    def ends_early(self, log: Log, *, is_sealed: bool) -> bool:
        """Whether lines are known to be gone: some are pointed to, or a sealed run has no end."""
        if not log.name.startswith("artifacts"):
            return False
        dangling = any(writer == log.writer and seq >= len(log.records) for writer, seq in self.pointers)
        return dangling or (is_sealed and log.writer == "" and self.status == "running")


# --- the run (sections 1, 4 and 5) ------------------------------------------------------------------------


@dataclass(frozen=True)
class IndependentRun:
    """What a sound run folder says."""

    path: Path
    manifest: Json
    config: Any
    config_resolved: Any
    contract: Json | None
    records: dict[Pointer, Json]
    artifacts: list[Json]  # in force, as are the inputs
    inputs: list[Json]
    stages: dict[str, str]  # the outcome in force of each stage
    points: list[tuple[int, dict[str, float]]]  # (step, values), in the order of each journal
    metrics: Json | None  # metrics.json
    seal: dict[str, str] | None


def read_run(path: Path) -> IndependentRun:
    """Read a run; ``Damaged`` names the file that cannot be read. Digests of files are left to ``verify``."""
    journal = Journal(path)
    for log in journal.logs:
        if log.damaged_line is not None:
            raise Damaged(f"{log.name}:{log.damaged_line}")
    if ("", 0) not in journal.records:
        raise Damaged("artifacts.jsonl")
    points = [record for record in journal.metrics if record["record"] == "point"]
    return IndependentRun(
        path=path,
        manifest=read_manifest(path),
        config=_parse(path / "config.yaml", parse_yaml),
        config_resolved=_parse(path / "config_resolved.yaml", parse_yaml),
        contract=_parse_if_there(path / "contract.json", parse_object),
        records=journal.records,
        artifacts=journal.artifacts,
        inputs=journal.inputs,
        stages={stage: str(commit["outcome"]) for stage, commit in journal.commits.items()},
        points=[(r["step"], {k: parse_number(v) for k, v in r["values"].items()}) for r in points],
        metrics=_parse_if_there(path / METRICS, parse_object),
        seal=_parse_if_there(path / SEAL, parse_seal),
    )


def _parse(path: Path, parse: Any) -> Any:
    try:
        return parse(path.read_bytes())
    except (OSError, ValueError) as error:
        raise Damaged(path.name) from error


def _parse_if_there(path: Path, parse: Any) -> Any:
    return _parse(path, parse) if path.exists() or path.is_symlink() else None


def read_manifest(path: Path) -> Json:
    manifest: Json = _parse(path / MANIFEST, parse_object)
    if manifest.get("schema_version") != 0 or manifest.get("requires") != []:
        raise Unsupported(f"{MANIFEST}: {manifest.get('schema_version')} {manifest.get('requires')}")
    return manifest


def project(journal: Journal, config_resolved: Any) -> Json:
    """The manifest that the log and the configuration in force tell (I20)."""
    run: Json = journal.records["", 0]["run"]
    last = journal.starts[-1]
    primary = next((record for record in journal.inputs if record["is_primary"]), {})
    attempts = []
    for start in journal.starts:
        end = journal.ends.get(start["attempt"], {"ts_utc": None, "status": "running", "error": None})
        told = {key: start[key] for key in ("attempt", *ATTEMPT)}
        told |= {"started_at_utc": start["ts_utc"], "ended_at_utc": end["ts_utc"]}
        attempts.append(told | {"status": end["status"], "error": end["error"]})
    inputs = [{key: record[key] for key in ("filename", "sha256", "bytes")} for record in journal.inputs]
    for told, record in zip(inputs, journal.inputs, strict=True):
        told["original_path"] = record["input_original_path"]
    return {
        **run["facts"],
        **{key: value for key, value in run.items() if key != "facts"},
        **{key: last[key] for key in ("git_hash", "git_dirty", "python", "platform", "package_versions")},
        "status": journal.status,
        "finished_at_utc": attempts[-1]["ended_at_utc"],
        "config_snapshot": config_resolved,
        "inputs": inputs,
        "input_original_path": primary.get("input_original_path"),
        "input_copied_path": primary.get("filename"),
        "input_sha256": primary.get("sha256"),
        "attempts": attempts,
    }


# --- verify (sections 6 and 7) ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Due:
    """What a file should be: one of these digests (any, if none), and this size, where it is recorded."""

    digests: tuple[str, ...] = ()
    size: int | None = None


def parse_seal(data: bytes) -> dict[str, str]:
    """The lines of a seal as {path: digest}; they are sorted by the bytes of the path."""
    *lines, end = data.decode("utf-8").split("\n")
    pairs = [(line[66:], line[:64]) for line in lines if re.match(r"[0-9a-f]{64}  ", line) and is_path(line[66:])]
    paths = [path.encode() for path, _ in pairs]
    if end or len(pairs) < len(lines) or paths != sorted(set(paths)) or SEAL in dict(pairs):
        raise ValueError("not a seal")
    return dict(pairs)


class Folder:
    """What stands in the run folder: files with their digests, folders, and the rest (links, devices)."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files: dict[str, str] = {}
        self.folders: set[str] = set()
        self.rest: set[str] = set()
        for parent, folders, names in os.walk(root):  # follows no links
            for path in (Path(parent, name) for name in folders + names):
                name = path.relative_to(root).as_posix()
                if path.is_symlink() or not (path.is_dir() or path.is_file()):
                    self.rest.add(name)
                elif path.is_dir():
                    self.folders.add(name)
                else:
                    self.files[name] = sha256(path.read_bytes())

    def difference(self, name: str, due: dict[str, Due]) -> str | None:
        """The code for the one file, or None if it is what it should be."""
        if name not in self.files:
            way = [name, *(parent.as_posix() for parent in Path(name).parents)]
            return "not_a_file" if name in self.folders or self.rest.intersection(way) else "missing"
        digest, size = self.files[name], (self.root / name).stat().st_size
        if not due[name].digests or digest in due[name].digests:
            return None
        if size and any(digest in other.digests for other in due.values()):
            return "swapped"
        return "truncated" if size < (due[name].size or 0) else "changed"


def told_by_logs(journal: Journal, folder: Folder) -> dict[str, Due]:
    """The files that the logs speak of, and those that every run has."""
    told = {name: Due() for name in ("run_manifest.json", "artifacts.jsonl")}
    for name, key in CREATION.items():
        if journal.starts and journal.starts[0][key]:
            told[name] = Due((journal.starts[0][key],))
    for record in journal.artifacts + journal.inputs:
        told[record["filename"]] = Due((record["sha256"],) if record["sha256"] else (), record["bytes"])
    for intent in journal.open_intents:  # I15: either digest, while what it replaces is in force
        if pointer(intent["replaces"]) not in journal.pointers and intent["filename"] in told:
            told[intent["filename"]] = Due((*told[intent["filename"]].digests, intent["sha256"]))
    for move in journal.moves:  # I16
        stayed = move["to"] not in folder.files and move["from"] in folder.files and move["from"] not in told
        if record := journal.records.get(pointer(move["artifact"]), {}):
            told[move["from"] if stayed else move["to"]] = Due((record["sha256"],), record["bytes"])
    return told


def verify(path: Path, root_digest: str | None = None) -> list[Finding]:
    """Whether the run is intact: the findings, sorted; none if it is."""
    journal, folder = Journal(path), Folder(path)
    findings: set[Finding] = set()
    try:
        seal: dict[str, str] | None = _parse_if_there(path / SEAL, parse_seal)
    except Damaged:
        seal = None  # and the run is checked against its logs
        findings.add(("seal_damaged", SEAL))
    if root_digest is not None and folder.files.get(SEAL) != root_digest:
        findings.add(("root_digest_differs", SEAL))

    told = told_by_logs(journal, folder)
    due = {name: Due((digest,), told.get(name, Due()).size) for name, digest in (seal or {}).items()}
    due.setdefault(MANIFEST, Due())
    logs = {name for name in due.keys() | told.keys() | {log.name for log in journal.logs} if is_log(name)}
    about_logs = {(code, name) for name in logs if (code := _log_difference(name, journal, folder, due))}
    findings |= about_logs
    if not about_logs:  # else the seal alone is a witness, if there is one
        if seal is not None and not all(_agrees(seal.get(name), told[name]) for name in told):
            findings.add(("seal_damaged", SEAL))
        due |= {name: said for name, said in told.items() if said.digests or name not in due}  # I22
    findings |= {(code, name) for name in due.keys() - logs if (code := folder.difference(name, due))}
    findings |= _manifest_difference(findings, journal, path, is_log_sound=not about_logs)
    if seal is not None or not about_logs:  # an unsealed log may have told of more past its damage
        found = folder.files.keys() | folder.rest
        findings |= {("stray", name) for name in found if _is_stray(name, due, is_sealed=seal is not None)}
    if {("manifest_damaged", MANIFEST), ("manifest_differs", MANIFEST)} & findings:
        findings.discard(("changed", MANIFEST))  # the seal says so too, but less
    return sorted(findings)


def is_log(name: str) -> bool:
    return LOG_NAME.fullmatch(name) is not None


def _log_difference(name: str, journal: Journal, folder: Folder, sealed: dict[str, Due]) -> str | None:
    is_sealed = name in sealed
    differs = folder.difference(name, sealed if is_sealed else {name: Due()})
    log = next((log for log in journal.logs if log.name == name), None)
    if log is None or differs == "swapped":
        return differs
    if log.damaged_line is not None or (name == "artifacts.jsonl" and journal.contradicts_itself()):
        return "log_damaged"
    if differs and log.torn_tail:
        return "truncated"
    if (differs or not is_sealed) and journal.ends_early(log, is_sealed=is_sealed):
        return "log_shortened"
    return "log_edited" if differs else None


def _manifest_difference(findings: set[Finding], journal: Journal, path: Path, *, is_log_sound: bool) -> set[Finding]:
    if ("missing", MANIFEST) in findings or ("not_a_file", MANIFEST) in findings:
        return set()
    try:
        manifest = read_manifest(path)  # I20
    except Damaged:
        return {("manifest_damaged", MANIFEST)}
    if not is_log_sound or any(name == "config_resolved.yaml" for _, name in findings):
        return set()
    told = project(journal, _parse(path / "config_resolved.yaml", parse_yaml)) if journal.starts else {}
    holds = all(key in manifest and _same(manifest[key], value) for key, value in told.items())
    return set() if told and holds else {("manifest_differs", MANIFEST)}


def _same(left: Any, right: Any) -> bool:
    return json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)  # 1, 1.0 and true are three


def _agrees(sealed: str | None, told: Due) -> bool:
    """Whether the seal has a file that the log tells of, with a digest that the log tells (I22)."""
    return sealed is not None and (not told.digests or sealed in told.digests)


def _is_stray(name: str, due: dict[str, Due], *, is_sealed: bool) -> bool:
    is_temporary = any(part.startswith(".tmp-") for part in name.split("/"))  # I4
    on_the_way = any(other.startswith(name + "/") for other in due)  # a link there is `not_a_file` already
    is_free = name.startswith(("logs/", "provenance/", "attempts/")) or name == METRICS or is_log(name)
    return not (name in due or name == SEAL or is_temporary or on_the_way or (is_free and not is_sealed))


# --- check (sections 3 to 7) ------------------------------------------------------------------------------


def check(path: Path) -> list[Finding]:
    """Whether the run is complete, by its log and contract: the findings, sorted."""
    journal = Journal(path)
    contract: Json | None = _parse_if_there(path / "contract.json", parse_object)
    findings: set[Finding] = set()
    if journal.status != "completed":
        findings.add(("run_not_finished", journal.status))
    outcomes = {stage: str(commit["outcome"]) for stage, commit in journal.commits.items()}
    findings |= {("stage_failed", stage) for stage, outcome in outcomes.items() if outcome == "failed"}
    try:
        findings |= _owed(contract, journal, outcomes) if contract else set()
    except (KeyError, TypeError) as error:
        raise Damaged("contract.json") from error
    return sorted(findings)


def _owed(contract: Json, journal: Journal, outcomes: dict[str, str]) -> set[Finding]:
    stages = [stage["stage"] for stage in contract["stages"]]
    findings = {("stage_missing", stage) for stage in stages if stage not in outcomes}
    specs = {spec["artifact_id"]: spec for spec in contract["artifacts"]}
    there = {record["artifact_id"] for record in journal.artifacts + journal.inputs}
    owed = {"committed": ("always", "if_passed"), "declined": ("always",)}  # I17
    for artifact_id, spec in specs.items():
        outcome = "committed" if spec["stage"] is None else outcomes.get(spec["stage"], "")
        if spec["required"] in owed.get(outcome, ()) and artifact_id not in there:
            findings.add(("input_missing" if spec["kind"] == "input" else "artifact_missing", artifact_id))
    for record in journal.artifacts:
        artifact_id, declared = record["artifact_id"], specs.get(record["artifact_id"])
        if declared is None and not contract["allow_extras"]:
            findings.add(("artifact_undeclared", artifact_id))
        is_allowed = contract["formats"] is None or record["format"] in contract["formats"]
        if not is_allowed or (declared is not None and record["format"] != declared["format"]):
            findings.add(("format_not_allowed", artifact_id))
    return findings


def main(arguments: list[str]) -> int:
    """Print a summary and the findings: 0 if there are none, 1 if there are, 2 if the run is not for us."""
    path = Path(arguments[0])
    lines: list[str] = []
    try:
        findings = verify(path)
        lines = [f"{code}: {what}" for code, what in findings + check(path)]
        run = read_run(path)
        print(f"{run.manifest['project_name']}/{run.manifest['run_id']}: {run.manifest['status']}")  # noqa: T201 - a CLI prints
        for record in run.inputs + run.artifacts:
            print(f"  {record['record']} {record['filename']}, {record['bytes']} bytes")  # noqa: T201
        for stage, outcome in run.stages.items():
            print(f"  stage {stage}: {outcome}")  # noqa: T201
    except Unsupported as error:
        print(f"unsupported: {error}")  # noqa: T201
        return 2
    except Damaged as error:
        lines.append(f"cannot be read: {error}")
    print("\n".join(lines or ["no findings"]))  # noqa: T201
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
