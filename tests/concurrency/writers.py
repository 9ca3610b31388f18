"""What the tests of many writers share: programs that write, as real processes, and what must be there at the end."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import runbundle as rb
from sample_runs import codes

TESTS = Path(__file__).parent.parent
IS_LONG = os.environ.get("RUNBUNDLE_LONG") == "1"


def scale(short: int, long: int) -> int:
    """How much is done: in CI, and in the long form (RUNBUNDLE_LONG=1)."""
    return long if IS_LONG else short


def write_share(run: rb.RunIO, writer: int, each: int) -> None:
    """The share of one writer: artifacts and points that tell whose they are."""
    for number in range(each):
        run.save(f"{writer}/{number}.json", {"writer": writer, "number": number})
        run.log({"x": number, f"only/{writer}": writer})


def share_of_a_worker(run: rb.RunIO, writer: int, each: int) -> int:
    """A task of a pool of processes: the handle was pickled."""
    write_share(run, writer, each)
    run.flush()
    return os.getpid()


@contextmanager
def program(code: str, folder: Path, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A Python program that runs beside us, and does not outlive us."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])}
    command = [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=folder, env=env, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def told(process: subprocess.Popen[str]) -> str:
    """The next line that a program says."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def say(process: subprocess.Popen[str], line: str = "") -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def assert_done(process: subprocess.Popen[str]) -> str:
    """It ended well; what it said last."""
    out, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (0, ""), err
    return out


def assert_whole(run_dir: Path, writers: int, each: int) -> None:
    """None lost, torn, doubled, or out of its log's chain."""
    run = rb.open_run(run_dir)
    assert codes(run.verify()) == []
    assert len(list(run.artifacts())) == writers * each
    for writer in range(writers):
        for number in range(each):
            assert run.read(f"{writer}/{number}.json") == {"writer": writer, "number": number}
        points = run.series(f"only/{writer}", raw=True)
        first = points[0].step  # "x" counts on where a process of a pool takes another share
        assert first % each == 0
        assert [point.step for point in points] == list(range(first, first + each))
        assert {point.value for point in points} == {writer}
    assert len(run.series("x", raw=True)) == writers * each


def look(run_dir: Path) -> int:
    """What readers do while a run is written; none of it fails, and nothing is found. Tells how much there is."""
    run = rb.open_run(run_dir)
    records = list(run.artifacts())
    for record in records[:: max(1, len(records) // 5)]:
        value = run.read(record.artifact_id)
        assert record.artifact_id == f"{value['writer']}/{value['number']}.json"
    try:
        points = run.series("x", raw=True)
    except rb.errors.ArtifactNotFound:
        points = []
    for writer in {point.writer for point in points}:
        steps = [point.step for point in points if point.writer == writer]
        assert steps == list(range(len(steps)))
    found = run.verify().findings
    assert not found, found
    return len(records)
