"""A reader and checker of run folders, written from docs/format.md alone; it shares no code with the library.

It trades speed for being easy to compare with that page: invariants are cited by number (I1, I2 ...).
``IndependentRun`` reads a sound run and raises ``Damaged`` otherwise; ``verify`` and ``check`` give the findings of
section 7. It never writes, and takes no locks: whether a writer still lives (I21) is not asked here.
"""

import hashlib
import json
import math
import os
import re
import unicodedata
import zlib
from pathlib import Path
from typing import Any, NamedTuple

Json = dict[str, Any]
Pointer = tuple[str, int]  # (writer, seq); the creator's writer is "" (I13)
Finding = tuple[str, str]  # (code, path or what)

VERSION = 1
LOG_NAME = re.compile(r"(artifacts|metrics)(?:\.([a-z0-9]{1,32}))?\.jsonl")
CREATION = {  # the attempt records hold the digests of these
    "config.yaml": "config_sha256",
    "config_resolved.yaml": "config_resolved_sha256",
    "contract.json": "contract_sha256",
}
MANIFEST, METRICS, SEAL, LOG = "run_manifest.json", "metrics.json", "SHA256SUMS", "artifacts.jsonl"
FREE = ("logs/", "provenance/", "attempts/")  # of an unsealed run: section 6
FIELDS = {  # section 3: what a line of each type (and event) holds besides I10; other types are not looked into
    "header": "format format_version writer host",
    "attempt start": "attempt durability git_hash git_dirty config_sha256 config_resolved_sha256 contract_sha256"
    " package_versions python platform command host",
    "attempt end": "attempt status error points",
    "input": "attempt artifact_id filename bytes sha256 input_original_path collision_policy is_primary replaces",
    "intent": "artifact_id variant filename sha256 bytes replaces",
    "artifact": "artifact_id variant stage attempt kind format filename content_type bytes sha256 description"
    " meta replaces",
    "stage start": "stage try attempt",
    "stage set_aside": "stage try attempt moved",
    "commit": "stage try attempt outcome reasons points",
    "flush": "attempt points",
    "quarantine": "attempt moved reason",
    "model": "attempt reference path sha256 bytes source",
    "note": "text data",
    "point": "attempt step ts_ms values",
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


def parse_number(value: Any) -> Any:
    """A value of a metric: of texts, three stand for the non-finite numbers (I7)."""
    return float(value) if value in ("NaN", "Infinity", "-Infinity") else value


def is_integer(value: Any) -> bool:
    """Whether this is an integer of 64 bits (I7); to JSON, unlike Python, true is none."""
    return type(value) is int and -(2**63) <= value < 2**63


def parse_yaml(data: bytes) -> Any:
    """The YAML of I9; what follows the dash of a list item may stand beside it or below it."""
    lines = data.decode("utf-8").split("\n")
    rest = [(len(line) - len(line.lstrip(" ")), line.strip(" ")) for line in lines if line.strip(" ")]
    value = _yaml_block(rest)
    if rest:
        raise ValueError(f"not in the YAML of the format: {rest[0][1]}")
    return value


def _yaml_block(rest: list[tuple[int, str]]) -> Any:
    if not rest:
        raise ValueError("a value is wanting")
    depth, text = rest[0]
    if re.match(r"-( |$)", text):
        items = []
        while rest and rest[0][0] == depth and re.match(r"-( |$)", rest[0][1]):
            beside = rest.pop(0)[1][2:]
            rest[:0] = [(depth + 2, beside)] if beside else []
            items.append(_yaml_block(rest))
        return items
    key = re.compile(r'("(?:[^"\\]|\\.)*"):(?: (.*))?', re.DOTALL)
    if not key.fullmatch(text):
        return _yaml_scalar(rest.pop(0)[1])
    pairs: Json = {}
    while rest and rest[0][0] == depth and (match := key.fullmatch(rest[0][1])):
        rest.pop(0)
        name = _yaml_scalar(match[1])
        if name in pairs:
            raise ValueError(f"duplicate key {name}")
        pairs[name] = _yaml_scalar(match[2]) if match[2] else _yaml_block(rest)
    return pairs


def _yaml_scalar(text: str) -> Any:
    return parse_json(re.sub(r"(\\\\)|\\x", lambda match: match[1] or r"\u00", text).encode())  # JSON has no \x..


def is_log(name: str) -> bool:
    return LOG_NAME.fullmatch(name) is not None


def is_path(text: Any) -> bool:
    """Whether this may stand as a path in a log or seal (I2)."""
    if not isinstance(text, str) or "\\" in text or any(unicodedata.category(c) == "Cc" for c in text):
        return False
    return all(part not in ("", ".", "..") for part in text.split("/"))


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def parse_seal(data: bytes) -> dict[str, str]:
    """The lines of a seal as {path: digest}."""
    *lines, end = data.decode("utf-8").split("\n")
    pairs = {line[66:]: line[:64] for line in lines if re.match(r"[0-9a-f]{64}  ", line) and is_path(line[66:])}
    if end or len(pairs) < len(lines) or not lines:
        raise ValueError("not a seal")
    return pairs


class Folder:
    """What stands in the run folder: files with their bytes, folders, and the rest (links, devices)."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files: dict[str, bytes] = {}
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
                    self.files[name] = path.read_bytes()
        self.seal: dict[str, str] | None = None  # also where it cannot be read: the logs are asked then
        self.seal_fault = ""
        try:
            self.seal = self.parse_if_there(SEAL, parse_seal)
        except Damaged:
            self.seal_fault = "seal_damaged" if SEAL in self.files else "not_a_file"

    def parse(self, name: str, parse: Any) -> Any:
        try:
            return parse(self.files[name])
        except (KeyError, ValueError) as error:
            raise Damaged(name) from error

    def parse_if_there(self, name: str, parse: Any) -> Any:
        return self.parse(name, parse) if name in self.files.keys() | self.folders | self.rest else None


# --- the logs (section 3) ---------------------------------------------------------------------------------


class Log(NamedTuple):
    """One log, read up to its torn tail or to its first damaged line (counted from 1)."""

    name: str
    writer: str
    records: list[Json]
    torn_tail: bytes
    damaged_line: int | None


def read_log(name: str, data: bytes) -> Log:
    match = LOG_NAME.fullmatch(name)
    writer = (match[2] if match else None) or ""
    *lines, tail = data.split(b"\n")
    records: list[Json] = []
    crc, link = 0, None if name.startswith("metrics") else "0" * 64
    for number, line in enumerate(lines, start=1):
        try:
            crc = _crc_of(line, crc)
            record = parse_object(line)
            _check_line(record, number - 1, link)
            if number == 1:
                _check_header(record, name, writer)
        except (ValueError, KeyError, TypeError):
            return Log(name, writer, records, b"", number)  # I11: nothing is read past damage
        records.append(record)
        link = link and sha256(line + b"\n")
    return Log(name, writer, records, tail, None)  # I11: bytes after the last newline are no line


def _crc_of(line: bytes, before: int) -> int:
    """The ``crc32`` of a line (without its newline), which stands last in it and goes on from the line before (I10)."""
    match = re.fullmatch(rb'(.*),"crc32":(0|[1-9][0-9]*)\}', line, re.DOTALL)
    if not match or int(match[2]) != zlib.crc32(match[1], before):
        raise ValueError("crc32 is wanting, not last, or wrong (I10)")
    return int(match[2])


def _check_line(record: Json, seq: int, link: str | None) -> None:
    """Whether a line has its number, follows from the line before (points do so by crc32 alone), and lacks nothing."""
    if type(record.get("seq")) is not int or record["seq"] != seq or (link and record["prev_sha256"] != link):
        raise ValueError("the chain is broken (I10)")
    kind = record["record"]
    fields = FIELDS.get(f"{kind} {record['event']}" if kind in ("attempt", "stage") else kind, "")
    stamp = "ts_ms" if kind == "point" else "ts_utc"
    if not isinstance(kind, str) or not record.keys() >= {stamp, *fields.split()}:
        raise ValueError("a field is wanting")
    moved = record["moved"] if (kind, record.get("event")) in (("stage", "set_aside"), ("quarantine", None)) else []
    paths = [record["filename"]] if kind in ("input", "intent", "artifact") else []
    if kind == "model" and not (
        is_path(record["path"])
        and isinstance(record["reference"], str)
        and isinstance(record["sha256"], str)
        and type(record["bytes"]) is int
        and isinstance(record["source"], dict | None)
    ):
        raise ValueError("not a model that was used")
    places = paths + [move[end] for move in moved for end in ("from", "to")]
    if not all(is_path(path) for path in places if not (path is None and kind == "quarantine")):
        raise ValueError("not a path (I2)")
    if kind == "artifact" and record.get("table") is not None and not _is_table(record["table"]):
        raise ValueError("not a part of a table (3.6)")
    for value in [record["replaces"]] if paths else [move["artifact"] for move in moved]:
        may_be_null = value is None and bool(paths)
        if not may_be_null and (type(value["writer"]), type(value["seq"])) != (str, int):
            raise ValueError("not a pointer (I13)")
    if kind == "point" and not _is_point(record):
        raise ValueError("not a point (4.1)")


def _is_table(table: Json) -> bool:
    numbers = [table[name] for name in ("bucket", "bucket_size", "low", "high")]
    pointers = all(type(each["writer"]) is str and type(each["seq"]) is int for each in table.get("merges", []))
    texts = isinstance(table["append"], str) and isinstance(table["columns"], str)
    counts = type(table["of"]) is int and type(table["rows"]) is int
    are_right = all(type(number) in (int, type(None)) for number in numbers)
    return pointers and texts and counts and are_right and isinstance(table["bucket_by"], str | None)


def _is_point(record: Json) -> bool:
    values = [parse_number(value) for value in dict(record["values"]).values()]
    are_numbers = all(isinstance(value, float | bool) or is_integer(value) for value in values)
    return bool(values) and are_numbers and is_integer(record["step"]) and is_integer(record["ts_ms"])


def _check_header(record: Json, name: str, writer: str) -> None:
    if (record["record"], record.get("format"), record.get("writer")) != ("header", "runbundle-log", writer):
        raise ValueError("the first line is not the header of this log")
    if record["format_version"] != VERSION:
        raise Unsupported(f"{name}: format version {record['format_version']}")
    if name == LOG and not isinstance(record.get("run"), dict):
        raise ValueError("the creator's header holds no run")
    if name.startswith("artifacts.") and name != LOG and not {"attempt", "durability"} <= record.keys():
        raise ValueError("the header of a writer that joined does not say which attempt, or how durable it is")


def pointer(value: Json) -> Pointer:
    return value["writer"], value["seq"]  # I13


class Journal:
    """The union of a run's logs, and what is in force in it. Of damaged logs, the lines before the damage."""

    def __init__(self, folder: Folder) -> None:
        names = sorted(filter(is_log, folder.files))
        self.logs = {name: read_log(name, folder.files[name]) for name in names}
        self.records: dict[Pointer, Json] = {}
        for name, log in self.logs.items():
            if name.startswith("artifacts"):
                self.records |= {(log.writer, record["seq"]): record for record in log.records}
        self.moves = [move for r in self.of("stage") if r["event"] == "set_aside" for move in r["moved"]]
        lost = [move for record in self.of("quarantine") for move in record["moved"]]  # section 8
        gone = {pointer(move["artifact"]) for move in self.moves + lost if move["artifact"]}
        gone |= {pointer(r["replaces"]) for r in self.of("artifact", "input") if r["replaces"]}
        parts = [record["table"] for record in self.of("artifact") if record.get("table")]
        self.merged = {pointer(each) for part in parts for each in part.get("merges", [])}  # I30
        gone |= self.merged
        self.in_force = {where: record for where, record in self.records.items() if where not in gone}  # I14
        self.artifacts = [record for record in self.in_force.values() if record["record"] == "artifact"]
        self.inputs = [record for record in self.in_force.values() if record["record"] == "input"]
        self.intents: dict[Pointer, list[str]] = {}  # what may take the place of a record (I15)
        for record in self.of("intent"):
            if record["replaces"]:
                self.intents.setdefault(pointer(record["replaces"]), []).append(record["sha256"])
        self.announced: dict[str, list[str]] = {}  # what may take the place of the configuration (I15)
        for record in self.logs[LOG].records if LOG in self.logs else []:
            if record["record"] == "attempt":
                self.announced = {}
            elif record["record"] == "intent" and record["replaces"] is None:
                self.announced.setdefault(record["filename"], []).append(record["sha256"])
        events = sorted(self.of("attempt"), key=lambda record: int(record["attempt"]))
        self.starts = [record for record in events if record["event"] == "start"]
        self.ends = {record["attempt"]: record for record in events if record["event"] == "end"}
        self.status = str(self.end_of(self.starts[-1])["status"]) if self.starts else "running"

    def of(self, *kinds: str) -> list[Json]:
        return [record for record in self.records.values() if record["record"] in kinds]

    def parts(self, artifact_id: str) -> list[Json]:
        """The records of the parts of a table that count: those of appends that are whole (I30)."""
        seen: dict[str, int] = {}
        for where, record in self.records.items():
            if record.get("table") and (where in self.in_force or where in self.merged):
                seen[record["table"]["append"]] = seen.get(record["table"]["append"], 0) + 1
        mine = [r for r in self.artifacts if r.get("table") and r["artifact_id"] == artifact_id]
        return [record for record in mine if seen[record["table"]["append"]] >= record["table"]["of"]]

    def end_of(self, start: Json) -> Json:
        """The end of an attempt, or what stands in the manifest for one that was never said (section 4)."""
        status = "running" if start is self.starts[-1] else "interrupted"
        return self.ends.get(start["attempt"], {"ts_utc": None, "status": status, "error": None})

    def outcomes(self) -> dict[str, str]:
        """How each stage ended, by the commit of its highest try (I17); not if it began again after that."""
        events = [record for record in self.of("stage", "commit") if record.get("event") != "set_aside"]
        events.sort(key=lambda record: (record["try"], record["record"] == "commit"))
        last = {record["stage"]: record for record in events}
        return {stage: str(record["outcome"]) for stage, record in last.items() if record["record"] == "commit"}

    def contradicts_itself(self) -> bool:
        """Whether more is in force than may be (I14)."""
        pairs = [(record["artifact_id"], record["variant"]) for record in self.artifacts]
        names = [record["filename"] for record in self.artifacts + self.inputs]
        primary = [record for record in self.inputs if record["is_primary"]]
        return len(set(pairs)) < len(pairs) or len(set(names)) < len(names) or len(primary) > 1


# --- the run (sections 1, 4 and 5) ------------------------------------------------------------------------


class IndependentRun:
    """What a sound run folder says; ``Damaged`` names what cannot be read. Digests are left to ``verify``."""

    def __init__(self, path: Path) -> None:
        folder = Folder(path)
        self.journal = Journal(folder)
        for log in self.journal.logs.values():
            if log.damaged_line is not None:
                raise Damaged(f"{log.name}:{log.damaged_line}")
        if not self.journal.starts:
            raise Damaged(LOG)  # I11: it had its header and first attempt before the run had its name
        self.manifest: Json = folder.parse(MANIFEST, parse_manifest)
        self.config = folder.parse("config.yaml", parse_yaml)
        self.config_resolved = folder.parse("config_resolved.yaml", parse_yaml)
        self.contract: Json | None = folder.parse_if_there("contract.json", parse_contract)
        self.metrics: Json | None = folder.parse_if_there(METRICS, parse_object)
        self.seal = folder.seal
        self.points = [point for log in self.journal.logs.values() for point in read_points(log)]
        self.series = read_series([point for point in self.points if not point.writer])
        self.summary: Json = {}
        for record in self.journal.logs["metrics.jsonl"].records if "metrics.jsonl" in self.journal.logs else []:
            if record["record"] == "summary":
                self.summary |= {name: parse_number(value) for name, value in record["values"].items()}


def parse_manifest(data: bytes) -> Json:
    manifest = parse_object(data)
    if type(manifest.get("schema_version")) is not int:
        raise ValueError("no schema_version")
    if manifest["schema_version"] != VERSION or manifest.get("requires"):
        raise Unsupported(f"{MANIFEST}: {manifest['schema_version']} {manifest.get('requires')}")
    return manifest


def parse_contract(data: bytes) -> Json:
    contract = parse_object(data)
    if contract.get("schema_version") != VERSION:
        raise Unsupported(f"contract.json: {contract.get('schema_version')}")
    return contract


class Point(NamedTuple):
    """One value of a metric, as it was logged."""

    name: str
    step: int
    value: Any
    ts_ms: int
    writer: str
    attempt: int


def read_points(log: Log) -> list[Point]:
    """The values that a journal of points holds, in its order (4.1)."""
    points = []
    for record in log.records if log.name.startswith("metrics") else []:
        if record["record"] == "point":
            said = record["ts_ms"], log.writer, record["attempt"]
            values = record["values"].items()
            points += [Point(name, record["step"], parse_number(value), *said) for name, value in values]
    return points


def read_series(points: list[Point]) -> dict[str, dict[int, float]]:
    """For each step the value of the latest attempt, and of that the last (4.1)."""
    series: dict[str, dict[int, float]] = {}
    for point in sorted(points, key=lambda point: point.attempt):
        series.setdefault(point.name, {})[point.step] = point.value
    return {name: dict(sorted(values.items())) for name, values in series.items()}


def describe_metrics(run: IndependentRun) -> Json:
    """``metrics.json`` as it follows from the creator's journal (4.1), with numbers for the texts of I7."""
    told: Json = {}
    for name, points in run.series.items():
        values = list(points.values())
        numbers = [value for value in values if not math.isnan(value)] or [math.nan]
        least, greatest = float(min(numbers)), float(max(numbers))
        told[name] = {"count": len(values), "min": least, "max": greatest, "last": values[-1]}
        if sum(not point.writer for point in run.points) <= 10_000:  # as logged, each value of each point
            told[name] |= {"steps": list(points), "values": values}
    scalars = {name: described["last"] for name, described in told.items()} | run.summary
    return {"schema_version": VERSION, "scalars": scalars, "series": told}


def project(journal: Journal, config_resolved: Any) -> Json:
    """The manifest that the log and the configuration in force tell (I20)."""
    run: Json = journal.records["", 0]["run"]
    last = journal.starts[-1]
    primary = next((record for record in journal.inputs if record["is_primary"]), {})
    attempts = []
    for start in journal.starts:
        end = journal.end_of(start)
        told = {key: start[key] for key in ("attempt", "git_hash", "git_dirty", "config_sha256", "command", "host")}
        told |= {"started_at_utc": start["ts_utc"], "ended_at_utc": end["ts_utc"]}
        attempts.append(told | {key: end[key] for key in ("status", "error")})
    renamed = {"original_path": "input_original_path", "filename": "filename", "sha256": "sha256", "bytes": "bytes"}
    models: list[Json] = []  # each once, in the order of its text (section 4)
    for record in journal.of("model"):
        model = {key: record[key] for key in ("reference", "path", "sha256", "bytes", "source")}
        models += [model] if model not in models else []
    models.sort(key=lambda model: json.dumps(model, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode())
    return {
        **{key: last[key] for key in OPTIONAL_FIELDS if key in last},
        **({"models": models} if models else {}),
        **run["facts"],
        **{key: value for key, value in run.items() if key != "facts"},
        **{key: last[key] for key in ("git_hash", "git_dirty", "python", "platform", "package_versions")},
        "schema_version": VERSION,
        "status": journal.status,
        "finished_at_utc": attempts[-1]["ended_at_utc"],
        "config_snapshot": config_resolved,
        "inputs": [{key: r[name] for key, name in renamed.items()} for r in journal.inputs],
        "input_original_path": primary.get("input_original_path"),
        "input_copied_path": primary.get("filename"),
        "input_sha256": primary.get("sha256"),
        "attempts": attempts,
    }


OPTIONAL_FIELDS = (  # section 4
    *("masked", "masked_command", "provenance", "lock_file", "torch_version", "cuda_version", "device_info"),
    *("invocation", "run_number", "reproduces"),
)
MANIFEST_FIELDS = frozenset(  # section 4
    [
        "schema_version",
        "requires",
        "run_id",
        "run_uuid",
        "project_name",
        "producer",
        "status",
        "created_at_utc",
        "finished_at_utc",
        "git_hash",
        "git_dirty",
        "python",
        "platform",
        "package_versions",
        "config_snapshot",
        "contract",
        "layout",
        "inputs",
        "input_original_path",
        "input_copied_path",
        "input_sha256",
        "attempts",
    ]
)

# --- verify (sections 6 and 7) ----------------------------------------------------------------------------


class Due(NamedTuple):
    """What a file should be: one of these digests (any, if none), and at least this long, if that is recorded."""

    digests: tuple[str, ...] = ()
    size: int = 0


def difference(folder: Folder, name: str, due: dict[str, Due]) -> str | None:
    """The code for the one file, or None if it is what it should be (section 7, in its order)."""
    if name not in folder.files:
        way = [name, *(parent.as_posix() for parent in Path(name).parents)]
        return "not_a_file" if name in folder.folders or folder.rest.intersection(way) else "missing"
    digest = sha256(folder.files[name])
    if not due[name].digests or digest in due[name].digests:
        return None
    if folder.files[name] and any(digest in other.digests for other in due.values()):
        return "swapped"
    return "truncated" if len(folder.files[name]) < due[name].size else "changed"


def log_difference(folder: Folder, name: str, journal: Journal, due: dict[str, Due]) -> str | None:
    """The same for a log, which has codes of its own."""
    differs = difference(folder, name, due)
    if name not in journal.logs:
        return differs
    log, is_creators = journal.logs[name], name == LOG
    if log.damaged_line is not None or (is_creators and journal.contradicts_itself()):
        return "log_damaged"
    if folder.seal is None:
        return "log_damaged" if is_creators and not journal.starts else None  # I11
    if log.torn_tail:
        return "log_damaged"
    if is_creators and journal.status == "running":
        return "log_shortened"
    return "log_edited" if differs else None


def told_by_logs(journal: Journal, folder: Folder) -> dict[str, Due]:
    """The files that the logs account for."""
    told: dict[str, Due] = {}
    for name, key in CREATION.items():
        if journal.starts and journal.starts[-1][key]:
            told[name] = Due((journal.starts[-1][key], *journal.announced.get(name, [])))
    for where, record in journal.in_force.items():
        if record["record"] in ("artifact", "input"):
            told[record["filename"]] = _due(record, where, journal)
    for move in journal.moves:  # I16
        stayed = move["to"] not in folder.files and move["from"] in folder.files and move["from"] not in told
        if record := journal.records.get(pointer(move["artifact"]), {}):
            told[move["from"] if stayed else move["to"]] = _due(record, pointer(move["artifact"]), journal)
    return told


def _due(record: Json, where: Pointer, journal: Journal) -> Due:
    announced = journal.intents.get(where, [])  # I15
    if record["sha256"] is None:
        return Due()
    return Due((record["sha256"], *announced), 0 if announced else record["bytes"])


def verify(path: Path, root_digest: str | None = None) -> list[Finding]:
    """Whether the run is intact: the findings, sorted; none if it is."""
    folder = Folder(path)
    journal = Journal(folder)
    seal, is_sealed = folder.seal or {}, folder.seal is not None
    findings = {(folder.seal_fault, SEAL)} if folder.seal_fault else set()
    if not findings and root_digest not in (None, sha256(folder.files.get(SEAL, b""))):
        findings.add(("root_digest_differs", SEAL))
    told = told_by_logs(journal, folder)
    there = folder.files.keys() | folder.rest
    own = {MANIFEST, LOG, *(name for name in there | folder.folders if is_log(name) or name in (METRICS, *CREATION))}
    due = {name: Due() for name in own if not is_sealed or name not in there}
    due |= {name: Due((digest,), told.get(name, Due()).size) for name, digest in seal.items()}
    about_logs = {(log_difference(folder, name, journal, due), name) for name in due if is_log(name)}
    found = {(code, name) for code, name in about_logs if code}
    if not found and is_sealed and not all(_agree(seal.get(name), told[name]) for name in told):
        findings.add(("seal_damaged", SEAL))
    if not (found and is_sealed):  # a log with a finding is no witness against a seal or manifest
        due |= {name: said for name, said in told.items() if said.digests or name not in due}  # I22
    found |= {(code, name) for name in due if not is_log(name) and (code := difference(folder, name, due))}
    if code := manifest_difference(folder, journal, found):
        found = found - {("changed", MANIFEST)} | {(code, MANIFEST)}
    if is_sealed or not any(is_log(name) for _, name in found):
        found |= {("stray", name) for name in there if _is_stray(folder, name, due)}
    return sorted(findings | found)


def _agree(sealed: str | None, told: Due) -> bool:
    return sealed is not None and (not told.digests or sealed in told.digests)


def manifest_difference(folder: Folder, journal: Journal, findings: set[Finding]) -> str | None:
    if MANIFEST not in folder.files:
        return None
    try:
        manifest = folder.parse(MANIFEST, parse_manifest)  # I20
    except Damaged:
        return "manifest_damaged"
    if not manifest.keys() >= MANIFEST_FIELDS:  # section 7
        return "manifest_damaged"
    if not journal.starts or any(is_log(name) or name == "config_resolved.yaml" for _, name in findings):
        return None
    told = project(journal, folder.parse("config_resolved.yaml", parse_yaml))
    if folder.seal is None and manifest.get("status") == "running":  # I20: the log runs ahead of it
        told = {key: told[key] for key in ("run_id", "run_uuid", "project_name", "created_at_utc")}
    elif folder.seal is None:  # I20: who joined may say more behind the end
        told.pop("models", None)
    # as JSON, 1 and 1.0 and true are three
    is_same = all(
        json.dumps(manifest.get(key), sort_keys=True) == json.dumps(told[key], sort_keys=True) for key in told
    )
    return None if is_same else "manifest_differs"


def _is_stray(folder: Folder, name: str, due: dict[str, Due]) -> bool:
    is_temporary = name.rpartition("/")[2].startswith(".tmp-")  # I4
    on_the_way = any(other.startswith(name + "/") for other in due)  # a link there is `not_a_file` already
    is_free = name.startswith(FREE) or name in (METRICS, *CREATION) or is_log(name)
    return not (name in due or name == SEAL or is_temporary or on_the_way or (is_free and folder.seal is None))


# --- check (sections 3 to 7) ------------------------------------------------------------------------------


def check(path: Path) -> list[Finding]:
    """Whether the run is complete, by its log and contract: the findings, sorted."""
    folder = Folder(path)
    journal = Journal(folder)
    contract: Json | None = folder.parse_if_there("contract.json", parse_contract)
    findings = set() if journal.status == "completed" else {("run_not_finished", path.name)}
    findings |= _rosters(folder, journal, contract or {"artifacts": []})
    return sorted(findings | (_owed(contract, journal) if contract else set()))


def _label(record: Json) -> str:
    return str(record["artifact_id"]) + ("" if record["variant"] is None else f"[{record['variant']}]")


def _rosters(folder: Folder, journal: Journal, contract: Json) -> set[Finding]:
    """What rosters lack, or have too much (3.4)."""
    findings = set()
    told = {
        record["roster"]["artifact_id"]: record["roster"] for record in journal.of("artifact") if record.get("roster")
    }
    for name, roster in told.items():
        members = [r for r in journal.artifacts if r.get("roster") and r["roster"]["artifact_id"] == name]
        files = [r["filename"] for r in journal.artifacts if (r["artifact_id"], r["variant"]) == (name, None)]
        if not members and not files:
            continue
        try:
            entries: Any = folder.parse(files[0], parse_object)[roster["entries"]] if files else None
            listed = [entry[roster["key"]] for entry in entries]
        except (Damaged, KeyError, TypeError):
            findings.add(("artifact_missing", name))
            continue
        due = {r["variant"]: r for r in members}
        found = dict(zip(listed, entries, strict=True))
        findings |= {("entry_missing", _label(r)) for v, r in due.items() if not _same(found.get(v), _entry(r))}
        findings |= {
            ("entry_stray", f"{(members or [{'artifact_id': name}])[0]['artifact_id']}[{v}]")
            for v in found.keys() - due
        }
        if len(found) < len(listed):
            findings.add(("entry_stray", name))
    listed_specs = {spec["artifact_id"] for spec in contract["artifacts"] if spec.get("roster")}
    strangers = [r for r in journal.artifacts if r["artifact_id"] in listed_specs and not r.get("roster")]
    return findings | {("entry_missing", _label(r)) for r in strangers}


def _entry(record: Json) -> Json:
    roster = record["roster"]
    own = {roster["key"]: record["variant"], "file": record["filename"].rpartition("/")[2]}
    return {**record["meta"], **own, "contract_version": roster["contract_version"]}


def _same(left: Any, right: Any) -> bool:
    return json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)


def _owed(contract: Json, journal: Journal) -> set[Finding]:
    """What the run lacks to meet its contract (section 5)."""
    outcomes = journal.outcomes()
    outcome_of = {stage["stage"]: outcomes.get(stage["stage"], "missing") for stage in contract["stages"]}
    findings = {(f"stage_{end}", stage) for stage, end in outcome_of.items() if end in ("missing", "failed")}
    written = {record["artifact_id"] for record in journal.artifacts}
    owed = {"committed": ("always", "if_passed"), "declined": ("always",)}  # I17
    for spec in contract["artifacts"]:
        is_input = spec["kind"] == "input"
        is_there = any(r["is_primary"] for r in journal.inputs) if is_input else spec["artifact_id"] in written
        end = "committed" if spec["stage"] is None else outcome_of[spec["stage"]]
        if spec["required"] in owed.get(end, ()) and not is_there:
            findings.add(("input_missing" if is_input else "artifact_missing", spec["artifact_id"]))
    declared = {spec["artifact_id"] for spec in contract["artifacts"]}
    for record in journal.artifacts:
        label = _label(record)
        if record["artifact_id"] not in declared and not contract["allow_extras"]:
            findings.add(("artifact_undeclared", label))
        if contract["formats"] is not None and record["format"] not in contract["formats"]:
            findings.add(("format_not_allowed", label))
    return findings


# --- models (section 9) -----------------------------------------------------------------------------------


def read_model(folder: Path) -> Json:
    """The manifest of a model of which every file is as its sums say (I29), and which says what it must."""
    try:
        sums = parse_seal((folder / SEAL).read_bytes())
        whole = all(sha256((folder / name).read_bytes()) == digest for name, digest in sums.items())
        manifest = parse_object((folder / "manifest.json").read_bytes())
        whole = whole and "manifest.json" in sums and sums[manifest["file"]] == manifest["sha256"]
        version = manifest["schema_version"]
    except (OSError, KeyError, ValueError) as error:
        raise Damaged(str(folder)) from error
    if not whole:
        raise Damaged(str(folder))
    if version != 1:
        raise Unsupported(f"{folder}: schema version {version}")
    return manifest


def models_of(store: Path) -> dict[str, Json]:
    """The models of a store by the path of their folder in it; names that begin with a dot are passed over (I28)."""
    top = store / "models"
    places = [place.parent for place in top.rglob("manifest.json") if place.parent.parts[-2] == "pretrained"]
    places += [place.parent for place in top.rglob("manifest.json") if place.parent.parts[-3] == "trained"]
    paths = {place.relative_to(store).as_posix(): place for place in places}
    return {path: read_model(place) for path, place in sorted(paths.items()) if "/." not in path}


def resolve(store: Path, reference: str) -> Path:
    """The file that a reference names (9.3), by folder or by alias; what leads out of ``models/`` is refused."""
    scheme, rest = reference.split("://", 1)
    if scheme == "model":
        whole, alias = rest.rsplit("@", 1)
        (place,) = [found for found in (store / "models").rglob("aliases.json") if _is_called(found, store, whole)]
        told = parse_object(place.read_bytes())["aliases"][alias]
        rest = (place.parent / told["path"]).relative_to(store / "models").as_posix()
    if not is_path(rest):
        raise Damaged(reference)
    manifest = read_model(store / "models" / rest)
    if scheme == "model" and told["sha256"] != manifest["sha256"]:
        raise Damaged(reference)
    return store / "models" / rest / str(manifest["file"])


def _is_called(aliases: Path, store: Path, whole: str) -> bool:
    path = aliases.parent.relative_to(store / "models").as_posix()
    return path == whole or ("/" not in whole and aliases.parent.name == whole)
