"""How the golden runs came to be: by hand, with ``json``, ``hashlib`` and ``zlib``, and nothing of the library.

``demo``: a sealed run with a contract, a failed attempt and another. ``joined``: a sealed run of two attempts and three
writers. The first attempt was killed, with a writer that had joined it; the second has another configuration, and syncs
each line. ``interrupted``: a run whose writers were all killed, each somewhere else. ``halfway``: repaired after a
power cut, then killed while it was being resumed under another configuration. ``python tests/golden_maker.py FOLDER``
writes all; what was written so is frozen, and this must go on giving the same.
"""

import hashlib
import json
import sys
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import golden_demo as demo
import independent_reader as reader

Json = dict[str, Any]

JOINED, INTERRUPTED = "runs/train/2026-11-23_09-15-00_nogit-x7Kq", "runs/run_20261124_180000_417_a9F3K2Qx"
HALFWAY = "runs/train/2026-11-25_07-00-00_nogit"


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

    def __init__(
        self, folder: Maker, pid: int, writer: str = "", *, attempt: int = 1, durability: str = "process", **header: Any
    ) -> None:
        self.run, self.writer, self.attempt = folder, writer, attempt
        name = f".{writer}.jsonl" if writer else ".jsonl"
        self.log, self.points = f"artifacts{name}", f"metrics{name}"
        # of each log: the next seq, and the crc32 and the digest of the line before it
        self.next: dict[str, tuple[int, int, str]] = dict.fromkeys((self.log, self.points), (0, 0, "0" * 64))
        self.header = {"format": "runbundle-log", "format_version": 1, "writer": writer, "host": host(pid)}
        joined: Json = {"attempt": attempt, "durability": durability} if writer else {}
        self.say("header", **self.header, **joined, **header)

    def append(self, name: str, record: Json) -> int:
        seq, crc, link = self.next[name]
        spelled = {key: value if key == "values" else in_order(value) for key, value in record.items()}
        line = {**spelled, "seq": seq} | ({"prev_sha256": link} if name == self.log else {})
        data = json.dumps({key: line[key] for key in sorted(line)}, ensure_ascii=False, separators=(",", ":"))
        head = data.removesuffix("}").encode()
        crc = zlib.crc32(head, crc)
        raw = head + f',"crc32":{crc}}}\n'.encode()
        with (self.run.place / name).open("ab") as log:
            log.write(raw)
        self.next[name] = (seq + 1, crc, sha256(raw))
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
        kinds[".png"] = ("png", "image/png")
        form, content_type = kinds.get(Path(path).suffix, ("text", "text/plain; charset=utf-8"))
        told = {"kind": "extra", "format": form, "content_type": content_type, **fields, **self.run.put(path, data)}
        return self.say("artifact", artifact_id=artifact_id, filename=path, attempt=self.attempt, **told)

    def intent(
        self, artifact_id: str | None, path: str, data: bytes, replaces: Json | None, variant: str | None = None
    ) -> None:
        digest = {"sha256": sha256(data), "bytes": len(data)}
        self.say("intent", artifact_id=artifact_id, variant=variant, filename=path, **digest, replaces=replaces)

    def input(self, path: str, original: str, data: bytes, **more: Any) -> Json:
        """Ingest an input; with ``replaces``, announced first. Returns the pointer."""
        if more.get("replaces"):
            self.intent("source", path, data, more["replaces"])
        told = {"artifact_id": "source", "filename": path, "input_original_path": original, "is_primary": False}
        told |= {"collision_policy": "fail", "replaces": None, "attempt": self.attempt, **more}
        return self.say("input", **told, **self.run.put(path, data))

    def stage(self, stage: str, number: int, event: str, **more: Any) -> None:
        self.say("stage", stage=stage, event=event, attempt=self.attempt, **{"try": number}, **more)

    def commit(self, stage: str, number: int, outcome: str, *reasons: str) -> None:
        ended = {"outcome": outcome, "reasons": list(reasons), "attempt": self.attempt, "try": number}
        self.say("commit", stage=stage, **ended, points=self.next[self.points][0])

    def flush(self) -> None:
        self.say("flush", attempt=self.attempt, points=self.next[self.points][0])

    def end(self, status: str, error: Json | None = None) -> None:
        points = self.next[self.points][0]
        self.say("attempt", event="end", attempt=self.attempt, status=status, error=error, points=points)

    def configure(self, config: bytes, attempt: int) -> Json:
        """Put another configuration in the place of that of an attempt; returns its digests."""
        for path in CONFIG_FILES.values():
            self.run.put(f"provenance/{attempt}.{path}", (self.run.place / path).read_bytes())
        for path in CONFIG_FILES.values():
            self.intent(None, path, config, None)
            self.run.put(path, config)
        return dict.fromkeys(CONFIG_FILES, sha256(config))

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
        "project_name": facts.pop("project_name", "train"),
        "producer": {"name": "runbundle", "version": "0.3.0"},
        "created_at_utc": created.isoformat(timespec="milliseconds"),
        "contract": contract,
        "layout": layout,
        "requires": [],
        "facts": facts,
    }


def attempt_start(attempt: int, pid: int, digests: Json, *more: str) -> Json:
    told: Json = {
        "durability": "process",
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

    dead = Writer(run, 101, "z9y8x7w6", durability="power")
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
    digests = creator.configure(CONFIG.format("0.005").encode(), 1)
    creator.attempt = 2
    creator.say("attempt", **attempt_start(2, 200, {"durability": "power", **digests}, "--lr", "0.005"))
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
    "schema_version": 1,
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
    creator.input("input/prøve 7.txt", "/data/prøve 7.txt", b"7 8 9\n", is_primary=True)
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
    said = '{"attempt":1,"record":"point","seq":3,"step":2,"ts_ms":1795543200599,"values":{"rate":9.0}'
    after.torn(after.points, f'{said},"crc32":17')
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
    creator.torn(creator.points, '{"attempt":1,"reco')
    return run.place


ROWS = {"half": "artifacts/half.json", "gone": "artifacts/gone.json", "whole": "artifacts/whole.json"}


def make_halfway(store: Path) -> Path:
    """An unsealed run: a power cut, a repair, and a resumption that was killed between two configuration files."""
    moment = datetime(2026, 11, 25, 7, tzinfo=UTC)
    run = Maker(store / HALFWAY, moment)
    config = CONFIG.format("0.5").encode()
    digests = {name: run.put(path, config)["sha256"] for name, path in CONFIG_FILES.items()}
    told = run_header(run.place.name, "01a21181-0d80-7123-8456-778899aabbcc", None, "standard", moment)
    creator = Writer(run, 400, run=told)
    creator.say("attempt", **attempt_start(1, 400, digests))
    run.manifest()
    creator.artifact("safe.json", "artifacts/safe.json", pretty("safe"))
    creator.point(0, loss=2.5)
    creator.flush()
    lost = {name: creator.artifact(f"{name}.json", path, pretty([name])) for name, path in ROWS.items()}

    moved: list[Json] = [
        {"from": ROWS["half"], "to": f"attempts/_unflushed.1/{ROWS['half']}", "artifact": lost["half"]}
    ]
    moved += [{"from": ROWS["gone"], "to": None, "artifact": lost["gone"]}]
    for move in moved:
        creator.say("quarantine", attempt=1, moved=[move], reason="a power cut took bytes that were not yet safe")
    (run.place / ROWS["half"]).write_bytes(b"[\0\0\0")
    run.move(ROWS["half"], f"attempts/_unflushed.1/{ROWS['half']}")
    (run.place / ROWS["gone"]).unlink()
    size = (run.place / creator.points).stat().st_size
    run.put(f"attempts/_damaged.1/{creator.points}.from-{size}", b'{"attempt":1\0\0\0\0\n')
    run.put("attempts/_unrecorded.1/artifacts/unfinished.tmp-0a1b2c3d4e5f-4", b"[")
    orphan = {
        "from": "artifacts/.tmp-0a1b2c3d4e5f-4",
        "to": "attempts/_unrecorded.1/artifacts/unfinished.tmp-0a1b2c3d4e5f-4",
    }
    creator.say("note", text="a file that no record accounts for was set aside", data=orphan)
    run.manifest()
    creator.flush()

    creator.configure(CONFIG.format("0.75").encode(), 1)
    run.put(".tmp-5e4d3c2b1a09-1", (run.place / "config_resolved.yaml").read_bytes())  # killed before this rename
    run.put("config_resolved.yaml", config)
    return run.place


HEIGHTS, HALF = "artifacts/table/heights.csv", "artifacts/table/half.csv"
VERDICT = "artifacts/data/verdict.json"


def make_demo(store: Path) -> Path:
    """A sealed run with a contract: an attempt that failed, another, and a writer that joined it."""
    moment = datetime(2026, 11, 21, 10, 0, 0, 417_000, tzinfo=UTC)
    run = Maker(store / demo.DEMO, moment)
    digests = {
        "config_sha256": run.put("config.yaml", demo.CONFIG.format("${dataset.country}").encode())["sha256"],
        "config_resolved_sha256": run.put("config_resolved.yaml", demo.CONFIG.format("no").encode())["sha256"],
        "contract_sha256": run.put("contract.json", pretty(demo.CONTRACT))["sha256"],
    }
    contract = {"name": "heights", "version": "1.0.0", "sha256": digests["contract_sha256"]}
    told = run_header(run.place.name, demo.UUID, contract, "standard", moment, project_name="demo", **demo.FACTS)
    creator = Writer(run, 4242, run=told)
    creator.say("attempt", **attempt_start(1, 4242, {**demo.CODE, **digests}))
    left = _failed_attempt(run, creator)
    run.move("SHA256SUMS", "provenance/SHA256SUMS.1")
    creator.attempt = 2
    command = [*demo.CODE["command"], "--resume", run.place.name]
    creator.say("attempt", **attempt_start(2, 4250, {**demo.CODE, **digests, "command": command}))
    _second_attempt(run, creator, left)
    run.metrics()
    creator.end("completed")
    run.manifest()
    run.seal()
    return run.place


def _demo_artifact(writer: Writer, artifact_id: str, path: str, data: bytes, **more: Any) -> Json:
    kind = path.split("/")[1]
    told: Json = {"kind": kind, "description": demo.DESCRIPTIONS[artifact_id], **more}
    return writer.artifact(artifact_id, path, data, **told)


def _failed_attempt(run: Maker, creator: Writer) -> Json:
    """The first attempt, up to its seal; returns the pointer of what it left."""
    creator.input(
        "input/heights.csv", "/measurements/2026/heights.csv", b"x,height\n2,0.5\n0,0.25\n1,0.75\n", is_primary=True
    )
    notes = creator.input("input/notes.txt", "/measurements/2026/notes.txt", b"probe warm\n")
    again: Json = {"collision_policy": "overwrite", "replaces": notes}
    creator.input("input/notes.txt", "/measurements/2026/b/notes.txt", "probe varm, målt på nytt\n".encode(), **again)
    creator.stage("prepare", 1, "start")
    creator.point(0, loss=9.5, rate=0.1)
    left = _demo_artifact(creator, "heights", HEIGHTS, b"x,height\n2,0.5\n0,0.25\n", stage="prepare", meta={"rows": 2})
    creator.commit("prepare", 1, "failed", "ValueError: one of 3 rows is gone")
    run.put("logs/run.log", f"{run.stamp()} prepare failed: one of 3 rows is gone\n".encode())
    run.put("logs/traceback.1.txt", demo.TRACEBACK.encode())
    run.manifest()
    run.metrics()
    creator.end("failed", {"type": "ValueError", "message": "one of 3 rows is gone"})
    run.manifest()
    run.seal()
    return left


def _second_attempt(run: Maker, creator: Writer, left: Json) -> None:
    """The second attempt, up to its end."""
    moved = {"from": HEIGHTS, "to": f"attempts/prepare.1/{HEIGHTS}", "artifact": left}
    creator.stage("prepare", 1, "set_aside", moved=[moved])
    run.move(HEIGHTS, f"attempts/prepare.1/{HEIGHTS}")
    orphan = {"from": HALF, "to": f"attempts/_unrecorded.2/{HALF}"}
    run.put(orphan["to"], b"x,hei")
    creator.say("note", text="a file that no record accounts for was set aside", data=orphan)

    creator.stage("prepare", 2, "start")
    columns: Json = {"columns": ["x", "height"], "rows": 3}
    data = b"x,height\n0,0.25\n1,0.75\n2,0.5\n"
    _demo_artifact(creator, "heights", HEIGHTS, data, stage="prepare", meta=columns)
    helper = Writer(run, 4251, "helper", attempt=2, durability="power")
    points: list[Json] = [{"loss": 2.5, "rate": 0.1}, {"loss": "NaN", "rate": 0.1}, {"loss": 0.5}]
    for step, values in enumerate(points):
        creator.point(step, **values)
    told: Json = {"stage": "prepare", "meta": {"dtype": "uint8", "shape": [2, 3]}}
    _demo_artifact(helper, "preview", "artifacts/image/preview.png", demo.PREVIEW, **told)
    data = pretty({"line": "middle", "values": [0.25, 0.75, 0.5]})
    place = "artifacts/data/profile_middle.json"
    _demo_artifact(creator, "profile", place, data, stage="prepare", variant="middle")
    creator.commit("prepare", 2, "committed")

    creator.stage("analyse", 1, "start")
    first = _demo_artifact(helper, "verdict", VERDICT, pretty({"reason": None, "usable": None}), stage="analyse")
    data = pretty({"reason": "range 0.5 µm is above the threshold 0.25 µm", "usable": False})
    _demo_artifact(helper, "verdict", VERDICT, data, stage="analyse", replaces=first)
    helper.flush()
    creator.commit("analyse", 1, "declined", demo.REASON)
    with (run.place / "logs/run.log").open("ab") as log:
        log.write(f"{run.stamp()} analyse declined: {demo.REASON}\n".encode())
    creator.stage("publish", 1, "start")
    creator.commit("publish", 1, "skipped", "analyse declined")
    creator.stage("report", 1, "start")
    _demo_artifact(creator, "summary", "artifacts/text/summary.txt", demo.SUMMARY.encode(), stage="report")
    creator.say("note", text="the probe was warm", data={"temperature_c": 31.5})
    creator.summarize(grade=None, rate="steady", rows=2)
    creator.summarize(height_max_um=0.75, rows=3)
    creator.commit("report", 1, "committed")


MAKERS = {demo.DEMO: make_demo, JOINED: make_joined, INTERRUPTED: make_interrupted, HALFWAY: make_halfway}

if __name__ == "__main__":
    for make in MAKERS.values():
        make(Path(sys.argv[1]))
