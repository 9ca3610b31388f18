"""The limit rows: bare programs that do the least that the work takes. They keep no log, no manifest and no seal."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import orjson
from work import (
    MIB,
    PARAMS,
    Watch,
    Works,
    count_files,
    document,
    documents,
    make_source,
    many_metrics,
    mebibytes,
    metrics,
    serve,
    time_windows,
    work_for,
)

WORKS: Works = {}
APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL


def put(place: Path | str, data: bytes) -> None:
    """A small file: open, write, close."""
    file = os.open(place, NEW)
    os.write(file, data)
    os.close(file)


def log_lines(place: Path, points: Sequence[Mapping[str, float]], steps: int, *, sync: bool = False) -> None:
    """*raw*: a line a step, each by one write; with ``sync``, each made durable."""
    file = os.open(place, APPEND)
    for step in range(steps):
        os.write(file, orjson.dumps({"step": step, "values": points[step % 1000]}, option=orjson.OPT_APPEND_NEWLINE))
        if sync:
            os.fsync(file)
    os.close(file)


def series_points(names: int) -> list[dict[str, float]]:
    """1,000 points of some series."""
    return [{f"series_{name:02}": (step * 0.618 + name * 0.1) % 1 for name in range(names)} for step in range(1000)]


@work_for(WORKS, "limit", "log")
def log(folder: Path, steps: int, watch: Watch) -> None:
    """*raw*."""
    points = many_metrics()
    with watch:
        log_lines(folder / "log.jsonl", points, steps)


@work_for(WORKS, "limit", "power")
def power(folder: Path, steps: int, watch: Watch) -> None:
    """*raw*, with an fsync after each write."""
    points = many_metrics()
    with watch:
        log_lines(folder / "log.jsonl", points, steps, sync=True)


@work_for(WORKS, "limit", "flat")
def flat(folder: Path, steps: int, watch: Watch) -> None:
    """*raw*, in windows: what the machine itself does over the length of the run."""
    points = many_metrics()
    file = os.open(folder / "log.jsonl", APPEND)

    def step(number: int) -> None:
        os.write(
            file, orjson.dumps({"step": number, "values": points[number % 1000]}, option=orjson.OPT_APPEND_NEWLINE)
        )

    with watch:
        time_windows(step, steps, watch)
    os.close(file)


@work_for(WORKS, "limit", "json")
def json_files(folder: Path, count: int, watch: Watch) -> None:
    """*sha256*: each document written and hashed in one pass, no fsync."""
    docs = documents(count)
    with watch:
        for number, doc in enumerate(docs):
            data = orjson.dumps(doc)
            put(f"{folder}/doc_{number:05}.json", data)
            hashlib.sha256(data).hexdigest()


@work_for(WORKS, "limit", "stage")
def durable_files(folder: Path, count: int, watch: Watch) -> None:
    """*fsync*: the same made durable one by one, file and folder."""
    docs = documents(count)
    with watch:
        parent = os.open(folder, os.O_RDONLY)
        for number, doc in enumerate(docs):
            data = orjson.dumps(doc)
            file = os.open(f"{folder}/doc_{number:05}.json", NEW)
            os.write(file, data)
            os.fsync(file)
            os.close(file)
            os.fsync(parent)
            hashlib.sha256(data).hexdigest()
        os.close(parent)


@work_for(WORKS, "limit", "mib")
def mebibyte_files(folder: Path, count: int, watch: Watch) -> None:
    """*sha256*: bytes in memory written and hashed."""
    pieces = mebibytes(count)
    with watch:
        for number, data in enumerate(pieces):
            put(f"{folder}/file_{number:03}.bin", data)
            hashlib.sha256(data).hexdigest()


@work_for(WORKS, "limit", "gib")
def gibibyte_file(folder: Path, size: int, watch: Watch) -> None:
    """*sha256*: a file read in pieces of 1 MiB, each written and hashed."""
    source = make_source(folder / "source.bin", size)
    with watch:
        digest = hashlib.sha256()
        piece = bytearray(MIB)
        with source.open("rb", buffering=0) as given, (folder / "copy.bin").open("xb", buffering=0) as out:
            while got := given.readinto(piece):
                view = memoryview(piece)[:got]
                out.write(view)
                digest.update(view)
        digest.hexdigest()


@work_for(WORKS, "limit", "adopt")
def hash_alone(folder: Path, size: int, watch: Watch) -> None:
    """The hash of a file, and a hard link."""
    source = make_source(folder / "source.bin", size)
    with watch:
        (folder / "link.bin").hardlink_to(source)
        with source.open("rb") as given:
            hashlib.file_digest(given, "sha256").hexdigest()


def small_run(folder: Path) -> None:
    """A folder with three small files."""
    folder.mkdir()
    put(folder / "params.json", orjson.dumps(PARAMS))
    put(folder / "metrics.json", orjson.dumps(metrics(0)))
    put(folder / "status.json", orjson.dumps({"status": "completed", "began": time.time_ns(), "ended": time.time_ns()}))


@work_for(WORKS, "limit", "create")
def create(folder: Path, count: int, watch: Watch) -> None:
    """*raw*: mkdir and three small files."""
    with watch:
        for number in range(count):
            small_run(folder / f"run_{number:04}")


@work_for(WORKS, "limit", "files")
def files(folder: Path, count: int, watch: Watch) -> None:  # noqa: ARG001 - one run
    """What lies there after it."""
    small_run(folder / "run")
    count_files(folder, watch)


def sha256sum(folder: Path, at_once: int) -> None:
    """``sha256sum`` of all files below a folder, on all cores."""
    find = subprocess.Popen(["find", str(folder), "-type", "f", "-print0"], stdout=subprocess.PIPE)
    cores = str(len(os.sched_getaffinity(0)))
    subprocess.run(
        ["xargs", "-0", f"-P{cores}", "-n", str(at_once), "sha256sum"],
        stdin=find.stdout,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    find.wait()


def hash_file(place: str) -> str:
    """What hashlib makes of a file; it uses the processor's SHA instructions where OpenSSL does."""
    with Path(place).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_all(folder: Path) -> None:
    """A bare program in place of ``sha256sum``: as many threads as there are cores."""
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        places = [entry.path for entry in os.scandir(folder)]
        for _ in pool.map(hash_file, places):
            pass


@work_for(WORKS, "hashlib", "verify_one")
def hash_one(folder: Path, size: int, watch: Watch) -> None:
    """hashlib, one large file."""
    make_source(folder / "file.bin", size)
    with watch:
        hash_all(folder)


@work_for(WORKS, "hashlib", "verify_many")
def hash_many(folder: Path, count: int, watch: Watch) -> None:
    """hashlib, many small files."""
    write_many(folder, count)
    with watch:
        hash_all(folder)


def write_many(folder: Path, count: int) -> None:
    """Small documents, byte by byte as a run holds them: what is hashed is the same."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
    for number in range(count):
        put(f"{folder}/doc_{number:05}.json", orjson.dumps(document(number), option=options))


@work_for(WORKS, "limit", "verify_one")
def verify_one(folder: Path, size: int, watch: Watch) -> None:
    """``sha256sum`` of one large file."""
    make_source(folder / "file.bin", size)
    with watch:
        sha256sum(folder, 1)


@work_for(WORKS, "limit", "verify_many")
def verify_many(folder: Path, count: int, watch: Watch) -> None:
    """``sha256sum`` of many small files."""
    write_many(folder, count)
    with watch:
        sha256sum(folder, 500)


@work_for(WORKS, "limit", "read")
def read(folder: Path, runs: int, watch: Watch) -> None:
    """20 series of 1,000 points out of each file of lines, into lists."""
    for number in range(runs):
        log_lines(folder / f"{number}.jsonl", series_points(20), 1000)
    with watch:
        for number in range(runs):
            series: dict[str, list[float]] = {}
            for line in (folder / f"{number}.jsonl").read_bytes().splitlines():
                for name, value in orjson.loads(line)["values"].items():
                    series.setdefault(name, []).append(value)


if __name__ == "__main__":
    serve(WORKS, sys.argv[1:])
