"""How two of the golden runs came to be: by hand, with ``json``, ``hashlib`` and ``zlib``, and nothing of the library.

``joined``: a sealed run of two attempts and three writers. The first attempt was killed, with a writer that had joined
it; the second has another configuration. ``interrupted``: a run whose writers were all killed, each somewhere else.
``python tests/golden_maker.py FOLDER`` writes both; what was written so is frozen, and this must go on giving the same.
"""

import hashlib
import json
import sys
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import independent_reader as reader

Json = dict[str, Any]

JOINED, INTERRUPTED = "runs/train/2026-11-23_09-15-00_nogit-x7Kq", "runs/run_20261124_180000_417_a9F3K2Qx"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def pretty(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True) + "\n").encode()


class Maker:
    """A run folder being made, and the time, which goes on by 7 ms with all that is said."""

    def __init__(self, place: Path, moment: datetime) -> None:
        self.place = place
        self.moment = moment
        place.mkdir(parents=True)

    def stamp(self) -> str:
        self.moment += timedelta(milliseconds=7)
        return self.moment.isoformat(timespec="milliseconds")

    def put(self, path: str, data: bytes) -> Json:
        """Write a file, and tell its digest and length."""
        (self.place / path).parent.mkdir(parents=True, exist_ok=True)
        (self.place / path).write_bytes(data)
        return {"sha256": sha256(data), "bytes": len(data)}

    def move(self, source: str, target: str) -> None:
        (self.place / target).parent.mkdir(parents=True, exist_ok=True)
        (self.place / source).rename(self.place / target)

    def manifest(self) -> None:
        config = reader.parse_yaml((self.place / "config_resolved.yaml").read_bytes())
        self.put("run_manifest.json", pretty(reader.project(reader.Journal(reader.Folder(self.place)), config)))

    def metrics(self) -> None:
        told = json.dumps(reader.describe_metrics(reader.IndependentRun(self.place)))
        self.put("metrics.json", pretty(json.loads(told, parse_constant=str)))

    def seal(self) -> None:
        paths = {path.relative_to(self.place).as_posix() for path in self.place.rglob("*") if path.is_file()}
        lines = [f"{sha256((self.place / path).read_bytes())}  {path}\n" for path in sorted(paths, key=str.encode)]
        self.put("SHA256SUMS", "".join(lines).encode())


class Writer:
    """A process that writes into a run: its log, and its journal of points."""

    def __init__(self, folder: Maker, pid: int, writer: str = "", *, attempt: int = 1, **header: Any) -> None:
        self.run, self.writer, self.attempt = folder, writer, attempt
        name = f".{writer}.jsonl" if writer else ".jsonl"
        self.log, self.points = f"artifacts{name}", f"metrics{name}"
        self.next: dict[str, tuple[int, str | int]] = {self.log: (0, "0" * 64), self.points: (0, 0)}
        self.header = {"format": "runbundle-log", "format_version": 1, "writer": writer, "host": host(pid)}
        self.say("header", **self.header, **({"attempt": attempt} if writer else {}), **header)

    def append(self, name: str, record: Json) -> int:
        seq, link = self.next[name]
        field = "prev_crc32" if name == self.points else "prev_sha256"
        spelled = {key: value if key == "values" else in_order(value) for key, value in record.items()}
        line = {**spelled, "seq": seq, field: link}
        data = json.dumps({key: line[key] for key in sorted(line)}, ensure_ascii=False, separators=(",", ":"))
        raw = f"{data}\n".encode()
        with (self.run.place / name).open("ab") as log:
            log.write(raw)
        self.next[name] = (seq + 1, zlib.crc32(raw) if name == self.points else sha256(raw))
        return seq

    def say(self, record: str, **fields: Any) -> Json:
        """Append to the log; returns the pointer to the record."""
        seq = self.append(self.log, {"record": record, "ts_utc": self.run.stamp(), **fields})
        return {"writer": self.writer, "seq": seq}

    def point(self, step: int, **values: Any) -> None:
        self._begin_points()
        self.run.stamp()
        ts_ms = round(self.run.moment.timestamp() * 1000)
        told = {name.replace("__", "/"): value for name, value in values.items()}
        self.append(
            self.points, {"record": "point", "attempt": self.attempt, "step": step, "ts_ms": ts_ms, "values": told}
        )

    def summarize(self, **values: Any) -> None:
        self._begin_points()
        fields = {"ts_utc": self.run.stamp(), "attempt": self.attempt, "values": in_order(values)}
        self.append(self.points, {"record": "summary", **fields})

    def _begin_points(self) -> None:
        if self.next[self.points][0] == 0:
            self.append(self.points, {"record": "header", "ts_utc": self.run.stamp(), **self.header})

    def artifact(self, artifact_id: str, path: str, data: bytes, **more: Any) -> Json:
        """Write an artifact; with ``replaces``, announced first. Returns the pointer."""
        if more.get("replaces"):
            self.intent(artifact_id, path, data, more["replaces"], more.get("variant"))
        fields = {"variant": None, "stage": None, "description": "", "meta": {}, "replaces": None, **more}
        kinds = {".json": ("json", "application/json"), ".csv": ("csv", "text/csv; charset=utf-8")}
        form, content_type = kinds.get(Path(path).suffix, ("text", "text/plain; charset=utf-8"))
        told = {"kind": "extra", "format": form, "content_type": content_type, **fields, **self.run.put(path, data)}
        return self.say("artifact", artifact_id=artifact_id, filename=path, attempt=self.attempt, **told)

    def intent(self, artifact_id: str, path: str, data: bytes, replaces: Json, variant: str | None = None) -> None:
        digest = {"sha256": sha256(data), "bytes": len(data)}
        self.say("intent", artifact_id=artifact_id, variant=variant, filename=path, **digest, replaces=replaces)

    def stage(self, stage: str, number: int, event: str, **more: Any) -> None:
        self.say("stage", stage=stage, event=event, attempt=self.attempt, **{"try": number}, **more)

    def commit(self, stage: str, number: int, outcome: str, *reasons: str) -> None:
        ended = {"outcome": outcome, "reasons": list(reasons), "attempt": self.attempt, "try": number}
        self.say("commit", stage=stage, **ended, points=self.next[self.points][0])

    def flush(self) -> None:
        self.say("flush", attempt=self.attempt, points=self.next[self.points][0])

    def end(self, status: str) -> None:
        points = self.next[self.points][0]
        self.say("attempt", event="end", attempt=self.attempt, status=status, error=None, points=points)

    def torn(self, name: str, text: str) -> None:
        """What a killed writer was about to say."""
        with (self.run.place / name).open("ab") as log:
            log.write(text.encode())


def in_order(value: Any) -> Any:
    return json.loads(json.dumps(value, sort_keys=True))


def host(pid: int) -> Json:
    return {"name": "bench-2", "boot_id": "9d2c4c1e-0b7a-4e0e-8a53-77aa4cf0b002", "pid": pid}


def run_header(run_id: str, uuid: str, contract: Json | None, layout: str, created: datetime, **facts: Any) -> Json:
    return {
        "run_id": run_id,
        "run_uuid": uuid,
        "project_name": "train",
        "producer": {"name": "runbundle", "version": "0.3.0"},
        "created_at_utc": created.isoformat(timespec="milliseconds"),
        "contract": contract,
        "layout": layout,
        "requires": [],
        "facts": facts,
    }


def attempt_start(attempt: int, pid: int, digests: Json, *more: str) -> Json:
    told: Json = {
        "git_hash": None,
        "git_dirty": False,
        "package_versions": {"numpy": "2.3.4"},
        "python": "CPython 3.13.1",
    }
    told |= {"platform": "Linux-6.8-x86_64", "command": ["python", "train.py", *more], "host": host(pid)}
    return {"event": "start", "attempt": attempt, "contract_sha256": None, **told, **digests}


CONFIG = """"layers":
  - 64
  - 32
"lr": {}
"name": "målt"
"seed": 7
"""
POINTS: list[tuple[int, Json]] = [  # steps, and values in an order of their own
    (0, {"loss": 4.0, "acc": 0, "ok": True}),
    (1, {"loss": 3.5, "acc": 1, "ok": False}),
    (2, {"loss": "NaN", "acc": 2, "ok": False}),
    (3, {"loss": 9.5}),
]
MORE_POINTS: list[tuple[int, Json]] = [
    (2, {"loss": 2.25, "acc": 9223372036854775807, "ok": True}),
    (3, {"loss": "-Infinity", "acc": -9223372036854775808, "ok": True}),
    (7, {"val__Genauigkeit ≈": 0.5, "loss": 1.5}),
    (5, {"loss": "Infinity", "none": "NaN"}),
    (7, {"val__Genauigkeit ≈": 0.25}),
    (-1, {"val__Genauigkeit ≈": -0.0}),
]


SPLIT, STATE, SHARD = "artifacts/data/split.json", "artifacts/data/state.json", "artifacts/data/shard_1.json"
LOGBOOK, BEST = "artifacts/log/målt bok.txt", "artifacts/best.json"
OF_FIT: Json = {"kind": "data", "stage": "fit"}


def make_joined(store: Path) -> Path:
    """A sealed run: killed, resumed under another configuration, with one writer that joined in each attempt."""
    moment = datetime(2026, 11, 23, 9, 15, tzinfo=UTC)
    run = Maker(store / JOINED, moment)
    told = run_header(run.place.name, "01a20b2c-9d20-7def-8abc-00112233aabb", None, "standard", moment)
    creator = Writer(run, 100, run=told)
    _resumed(run, creator, _killed(run, creator))
    run.put("logs/run.log", b"2026-11-23T09:15:00.500+00:00 done\n")
    run.metrics()
    creator.end("completed")
    run.manifest()
    run.seal()
    return run.place


def _killed(run: Maker, creator: Writer) -> Json:
    """The first attempt; returns the pointers of what it left, by path."""
    config = CONFIG.format("0.01").encode()
    digests = {name: run.put(path, config)["sha256"] for name, path in CONFIG_FILES.items()}
    creator.say("attempt", **attempt_start(1, 100, digests))
    run.manifest()
    creator.stage("prepare", 1, "start")
    creator.artifact("split", SPLIT, pretty({"train": [0, 2], "test": [1]}), kind="data", stage="prepare")
    creator.commit("prepare", 1, "committed")
    creator.stage("fit", 1, "start")

    dead = Writer(run, 101, "z9y8x7w6")
    left = {SHARD: dead.artifact("shard", SHARD, pretty([1]), variant="1", **OF_FIT)}
    left[LOGBOOK] = dead.artifact("log/målt bok.txt", LOGBOOK, b"first\n")
    dead.flush()
    dead.point(0, loss=77.0)
    left[LOGBOOK] = dead.artifact("log/målt bok.txt", LOGBOOK, b"second\n", replaces=left[LOGBOOK])

    left[STATE] = creator.artifact("state", STATE, pretty({"weights": [0.5]}), **OF_FIT)
    for step, values in POINTS:
        creator.point(step, **values)
    creator.flush()
    left[BEST] = creator.artifact("best.json", BEST, pretty({"loss": 3.5}))
    left[BEST] = creator.artifact("best.json", BEST, pretty({"loss": 3.25}), replaces=left[BEST])
    run.put("artifacts/data/half.json", b"[0.1, 0.")
    return left


def _resumed(run: Maker, creator: Writer, left: Json) -> None:
    """The second attempt, up to its end."""
    config = CONFIG.format("0.005").encode()
    for path in CONFIG_FILES.values():
        run.move(path, f"provenance/1.{path}")
    digests = {name: run.put(path, config)["sha256"] for name, path in CONFIG_FILES.items()}
    creator.attempt = 2
    creator.say("attempt", **attempt_start(2, 200, digests, "--lr", "0.005"))
    moved: list[Json] = [
        {"from": path, "to": f"attempts/fit.1/{path}", "artifact": left[path]} for path in (STATE, SHARD)
    ]
    creator.stage("fit", 1, "set_aside", moved=moved)
    orphan = {"from": "artifacts/data/half.json", "to": "attempts/_unrecorded.2/artifacts/data/half.json"}
    for move in (*moved, orphan):
        run.move(move["from"], move["to"])
    creator.say("note", text="a file that no record accounts for was set aside", data=orphan)
    creator.stage("fit", 2, "start")

    helper = Writer(run, 201, "a1b2c3d4", attempt=2)  # its log comes before the creator's, by name
    helper.artifact("state", STATE, pretty({"weights": [0.75]}), **OF_FIT)
    again = helper.artifact("shard", SHARD, pretty([1, 2]), variant="1", **OF_FIT)
    helper.say("note", text="half way", data={"shards": [1]})
    helper.artifact("shard", SHARD, pretty([1, 2, 3]), variant="1", replaces=again, **OF_FIT)
    helper.point(0, loss=88.0)
    helper.point(9, loss=99.0, only_here=1)
    helper.flush()

    for step, values in MORE_POINTS:
        creator.point(step, **values)
    creator.artifact("log/målt bok.txt", LOGBOOK, b"third\n", replaces=left[LOGBOOK])
    creator.artifact("best.json", BEST, pretty({"loss": 1.5}), replaces=left[BEST], description="The best so far")
    creator.commit("fit", 2, "committed")
    creator.summarize(grade="B", loss="NaN", rows=3)
    creator.summarize(rows=4, best=None)


CONFIG_FILES = {"config_sha256": "config.yaml", "config_resolved_sha256": "config_resolved.yaml"}
LAYOUT = {
    "name": "bench",
    "run_folder": "runs/{run_id}",
    "run_id": "run_%Y%m%d_%H%M%S_{millis}_{random8}",
    "folders": {"qc": "quality"},
    "default_folder": "{kind}",
    "file_name": "{input_stem}__{suffix}[__{variant}]{ext}",
    "extras_folder": "extras",
    "precreate": ["input", "scan"],
}


def spec(artifact_id: str, kind: str, ext: str, form: str, stage: str | None, required: str) -> Json:
    told = {"artifact_id": artifact_id, "kind": kind, "suffix": artifact_id if ext else "", "ext": ext, "format": form}
    return told | {"stage": stage, "required": required, "is_deliverable": False, "description": "", "schema": None}


BENCH = {
    "schema_version": 0,
    "name": "bench",
    "version": "2",
    "allow_extras": True,
    "formats": None,
    "layout": LAYOUT,
    "stages": [
        {"stage": "scan", "needs": [], "always": False},
        {"stage": "measure", "needs": ["scan"], "always": False},
    ],
    "artifacts": [
        spec("source", "input", "", "file", None, "always"),
        spec("raw", "scan", ".json", "json", "scan", "always"),
        spec("reading", "qc", ".json", "json", "measure", "always"),
        spec("curve", "qc", ".csv", "csv", "measure", "if_passed"),
        spec("remark", "qc", ".txt", "text", None, "optional"),
    ],
}


def make_interrupted(store: Path) -> Path:
    """An unsealed run: killed between two moves, around a replacement, before a header, in a line."""
    moment = datetime(2026, 11, 24, 18, 0, 0, 417_000, tzinfo=UTC)
    run = Maker(store / INTERRUPTED, moment)
    config = b'"rate": 0.5\n'
    digests = {name: run.put(path, config)["sha256"] for name, path in CONFIG_FILES.items()}
    digests["contract_sha256"] = run.put("contract.json", pretty(BENCH))["sha256"]
    contract = {"name": "bench", "version": "2", "sha256": digests["contract_sha256"]}
    uuid = "01a2131f-5a81-7abc-9def-445566778899"
    creator = Writer(run, 300, run=run_header(run.place.name, uuid, contract, "bench", moment, bench_version="1.4"))
    creator.say("attempt", **attempt_start(1, 300, digests))
    source: Json = {
        "artifact_id": "source",
        "filename": "input/prøve 7.txt",
        "input_original_path": "/data/prøve 7.txt",
    }
    source |= {"collision_policy": "fail", "is_primary": True, "replaces": None, "attempt": 1}
    creator.say("input", **source, **run.put("input/prøve 7.txt", b"7 8 9\n"))
    run.manifest()
    creator.stage("scan", 1, "start")
    creator.artifact("raw", "scan/prøve 7__raw.json", pretty([7, 8, 9]), kind="scan", stage="scan")
    creator.commit("scan", 1, "committed")
    creator.point(0, rate=0.5)
    creator.point(1, rate=0.25)

    remarks = {name: f"quality/prøve 7__remark__{name}.txt" for name in ("b8", "k3")}
    before = Writer(run, 301, "b8")  # killed before it renamed its replacement
    first = before.artifact("remark", remarks["b8"], b"before\n", kind="qc", variant="b8")
    before.flush()
    before.intent("remark", remarks["b8"], b"after, and longer\n", first, "b8")
    run.put("quality/.tmp-0a1b2c3d4e5f-3", b"after, and longer\n")
    before.torn(before.points, '{"format":"runbundle-log","format_ver')

    after = Writer(run, 302, "k3")  # killed before it recorded its replacement
    first = after.artifact("remark", remarks["k3"], b"before\n", kind="qc", variant="k3")
    after.point(0, rate=9.5)
    after.point(1, rate=9.25)
    after.flush()
    after.intent("remark", remarks["k3"], b"after\n", first, "k3")
    run.put(remarks["k3"], b"after\n")
    after.torn(after.log, '{"artifact_id":"remark","attempt":1,"by')
    after.torn(after.points, '{"attempt":1,"prev_crc32":')
    run.put("artifacts.q0.jsonl", b"")  # killed before it said anything

    creator.stage("measure", 1, "start")
    reading, curve = "quality/prøve 7__reading.json", "quality/prøve 7__curve.csv"
    kinds = {"kind": "qc", "stage": "measure"}
    left = [(reading, creator.artifact("reading", reading, pretty({"mean": None}), **kinds))]
    left += [(curve, creator.artifact("curve", curve, b"x,y\n1,2\n", **kinds))]
    creator.commit("measure", 1, "failed", "ValueError: no mean")
    moved = [{"from": path, "to": f"attempts/measure.1/{path}", "artifact": pointer} for path, pointer in left]
    creator.stage("measure", 1, "set_aside", moved=moved)
    run.move(reading, f"attempts/measure.1/{reading}")
    creator.torn(creator.points, '{"attempt":1,"prev_cr')
    return run.place


if __name__ == "__main__":
    make_joined(Path(sys.argv[1]))
    make_interrupted(Path(sys.argv[1]))
