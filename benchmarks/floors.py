"""The floor rows: bare programs that do what the promises of a run take, in plain Python, and nothing else.

What they leave out: checks of names, values and links, errors that name the run, threads, other writers, resuming. What
they do: each file whole before it has its name, hashed, and recorded in a log whose lines are chained; extremes of each
metric; manifest, configuration and seal. Nothing in plain Python that keeps the promises can be quicker than these.
"""

from __future__ import annotations

import fcntl
import hashlib
import operator
import os
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from zlib import crc32

import orjson
from work import PARAMS, Watch, Works, documents, many_metrics, metrics, serve, work_for

WORKS: Works = {}
SIDE = "floor"
APPEND = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
PRETTY = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
BATCH = 512


class Log:
    """Lines chained by CRC-32, those of facts by SHA-256 as well."""

    def __init__(self, place: str) -> None:
        self.file = os.open(place, APPEND)
        fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.seq, self.crc, self.sha256 = 0, 0, "0" * 64

    def say(self, record: Mapping[str, object]) -> None:
        """Append a fact."""
        full = {**record, "seq": self.seq, "prev_sha256": self.sha256}
        head = orjson.dumps(full, option=orjson.OPT_SORT_KEYS)[:-1]
        self.crc = crc32(head, self.crc)
        line = b'%b,"crc32":%d}\n' % (head, self.crc)
        os.write(self.file, line)
        self.sha256 = hashlib.sha256(line).hexdigest()
        self.seq += 1


def stage(folder: str, name: str, data: bytes, *, sync: bool = False) -> str:
    """A whole file under a temporary name; returns its digest."""
    file = os.open(f"{folder}/.tmp-{name}", NEW)
    os.write(file, data)
    if sync:
        os.fsync(file)
    os.close(file)
    return hashlib.sha256(data).hexdigest()


def create(folder: str, name: str, data: bytes) -> str:
    """A file that must not exist yet."""
    digest = stage(folder, name, data)
    os.link(f"{folder}/.tmp-{name}", f"{folder}/{name}")
    os.unlink(f"{folder}/.tmp-{name}")
    return digest


def replace(folder: str, name: str, data: bytes) -> str:
    """A file in the place of another, safe before it has the name."""
    digest = stage(folder, name, data, sync=True)
    os.replace(f"{folder}/.tmp-{name}", f"{folder}/{name}")
    sync(folder)
    return digest


def sync(folder: str) -> None:
    """Make the names of a folder safe."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(file)
    os.close(file)


def record_of(name: str, size: int, digest: str) -> dict[str, object]:
    """What a run's log says of a file."""
    return {
        "record": "artifact",
        "ts_utc": "2026-11-21T10:00:00.000+00:00",
        "artifact_id": name,
        "variant": None,
        "stage": None,
        "attempt": 1,
        "kind": "extra",
        "format": "json",
        "filename": f"artifacts/{name}",
        "content_type": "application/json",
        "bytes": size,
        "sha256": digest,
        "description": "",
        "meta": {},
        "replaces": None,
    }


@work_for(WORKS, SIDE, "log")
def log(folder: Path, steps: int, watch: Watch) -> None:
    """Points as lines with a clock, a count and a CRC-32; extremes; the seal's hash of the journal."""
    points = many_metrics()
    pick = operator.itemgetter(*points[0])
    lock = threading.Lock()
    rows: list[tuple[float, ...]] = []
    with watch:
        file = os.open(folder / "metrics.jsonl", APPEND)
        crc = 0
        for step in range(steps):
            values = points[step % 1000]
            row = pick(values)
            with lock:
                head = b'{"attempt":1,"record":"point","seq":%d,"step":%d,"ts_ms":%d,"values":%b' % (
                    *(step, step, time.time_ns() // 1_000_000),
                    orjson.dumps(values),
                )
                crc = crc32(head, crc)
                os.write(file, b'%b,"crc32":%d}\n' % (head, crc))
                rows.append(row)
                if len(rows) == BATCH:
                    [(min(column), max(column)) for column in zip(*rows, strict=True)]
                    rows = []
        os.close(file)
        with (folder / "metrics.jsonl").open("rb") as given:
            hashlib.file_digest(given, "sha256").hexdigest()


@work_for(WORKS, SIDE, "json")
def json_files(folder: Path, count: int, watch: Watch) -> None:
    """Documents spelt as a run holds them, each whole before it has its name, hashed and recorded."""
    docs = documents(count)
    said = Log(f"{folder}/artifacts.jsonl")
    place = f"{folder}/artifacts"
    os.mkdir(place)
    with watch:
        for number, doc in enumerate(docs):
            name, data = f"doc_{number:05}.json", orjson.dumps(doc, option=PRETTY)
            said.say(record_of(name, len(data), create(place, name, data)))


@work_for(WORKS, SIDE, "create")
def create_runs(folder: Path, count: int, watch: Watch) -> None:
    """The files of a run in their order, with their syncs."""
    with watch:
        for number in range(count):
            small_run(str(folder), f"run_{number:04}")


def small_run(store: str, name: str) -> None:
    """Built aside and renamed; ten params, one point; metrics, manifest and seal."""
    aside, run = f"{store}/.new-{name}", f"{store}/{name}"
    os.mkdir(aside)
    log = Log(f"{aside}/artifacts.jsonl")
    params = orjson.dumps(PARAMS, option=PRETTY)
    files = [(file, os.open(f"{aside}/{file}", NEW)) for file in ("config.yaml", "config_resolved.yaml")]
    for _, file in files:
        os.write(file, params)
    for folder in ("artifacts", "logs"):
        os.mkdir(f"{aside}/{folder}")
    log.say({"record": "header", "run": PARAMS})
    log.say({"record": "attempt", "event": "start", "command": sys.argv})
    manifest = os.open(f"{aside}/run_manifest.json", NEW)
    os.write(manifest, params * 8)
    for file in (*(file for _, file in files), manifest, log.file):
        os.fsync(file)
    for file in (*(file for _, file in files), manifest):
        os.close(file)
    sync(aside)
    os.rename(aside, run)
    points = Log(f"{run}/metrics.jsonl")
    points.say({"record": "header"})
    points.say({"record": "point", "step": 0, "values": metrics(0)})
    for folder in ("", "/artifacts", "/logs"):
        with os.scandir(f"{run}{folder}") as entries:
            list(entries)
    replace(run, "metrics.json", orjson.dumps(metrics(0), option=PRETTY))
    os.fsync(points.file)
    sync(store)
    log.say({"record": "attempt", "event": "end"})
    os.fsync(log.file)
    replace(run, "run_manifest.json", params * 8)
    digests = []
    for file in ("artifacts.jsonl", "metrics.jsonl"):
        with open(f"{run}/{file}", "rb") as given:
            digests.append(f"{hashlib.sha256(given.read()).hexdigest()}  {file}\n")
    replace(run, "SHA256SUMS", "".join(digests).encode())
    os.close(log.file)
    os.close(points.file)


if __name__ == "__main__":
    serve(WORKS, sys.argv[1:])
