"""Many processes and threads write into one run, in every way that one can come to it, with readers all the while."""

import io
import json
from contextlib import redirect_stdout
from pathlib import Path

import pytest

import runbundle as rb
from concurrency.writers import assert_done, assert_whole, look, program, scale
from runbundle.cli import main
from sample_runs import own_folder

__all__ = ["own_folder"]
WRITERS, EACH = scale(8, 64), scale(60, 1000)

BEGIN = """
import os, subprocess, sys, threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
import runbundle as rb
from concurrency.writers import share_of_a_worker, write_share
from sample_runs import project

writers, each = map(int, sys.argv[1:])
"""
FORKED = """
with project(Path("store")).start(run_id="r") as run:
    wait, go = os.pipe()
    children = []
    for writer in range(1, writers):
        children.append(os.fork())
        if children[-1] == 0:
            os.close(go)
            os.read(wait, 1)
            write_share(run, writer, each)
            run.finish()
            os._exit(0)
    os.close(go)
    write_share(run, 0, each)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * len(children)
"""
KILLED_AT_THEIR_END = FORKED.replace("run.finish()", "os.kill(os.getpid(), 9)").replace("[0] * len", "[9] * len")
STARTED = """
child = '''
import sys, runbundle as rb
from concurrency.writers import write_share
with (rb.start("other") if int(sys.argv[1]) % 2 else rb.join()) as run:
    write_share(run, int(sys.argv[1]), int(sys.argv[2]))
'''
with project(Path("store")).start(run_id="r") as run:
    commands = [[sys.executable, "-c", child, str(writer), str(each)] for writer in range(1, writers)]
    children = [subprocess.Popen(command, env=run.environment()) for command in commands]
    write_share(run, 0, each)
    assert [process.wait() for process in children] == [0] * len(children)
"""
POOL = """
if __name__ == "__main__":
    with project(Path("store")).start(run_id="r") as run:
        with ProcessPoolExecutor(min(writers, 8), mp_context=get_context("KIND")) as pool:
            list(pool.map(share_of_a_worker, [run] * writers, range(writers), [each] * writers))
"""
PROCESSES = """
if __name__ == "__main__":
    context = get_context("KIND")
    with project(Path("store")).start(run_id="r") as run:
        others = [context.Process(target=share_of_a_worker, args=(run, writer, each)) for writer in range(1, writers)]
        for process in others:
            process.start()
        write_share(run, 0, each)
        for process in others:
            process.join()
        assert [process.exitcode for process in others] == [0] * len(others)
"""
THREADS_TOO = """
with project(Path("store")).start(run_id="r") as run:
    run.log({"begun": 1})
    for half in range(2):
        child = os.fork() if half == 0 else -1
        if child == 0 or half == 1:
            mine = range(writers)[half::2]
            threads = [threading.Thread(target=write_share, args=(run, writer, each)) for writer in mine]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        if child == 0:
            run.finish()
            os._exit(0)
    assert os.wait()[1] == 0
"""
WAYS = {
    "forked": FORKED,
    "killed at their end": KILLED_AT_THEIR_END,
    "started by a command": STARTED,
    "a pool of forked workers": POOL.replace("KIND", "fork"),
    "a pool of spawned workers": POOL.replace("KIND", "spawn"),
    "multiprocessing by fork": PROCESSES.replace("KIND", "fork"),
}


@pytest.mark.parametrize("way", WAYS)
def test_many_writers_lose_nothing_and_readers_see_no_fault(tmp_path: Path, way: str) -> None:
    count, each = (WRITERS, EACH) if way.startswith(("forked", "killed")) else (scale(4, 16), scale(20, 200))
    run_dir = tmp_path / "store" / "runs" / "demo" / "r"
    seen = [0]
    with program(BEGIN + WAYS[way], tmp_path, count, each) as writing:
        while writing.poll() is None:
            if not run_dir.exists():
                continue
            seen.append(look(run_dir))
            out = io.StringIO()
            with redirect_stdout(out):
                assert main(["ls", "--store", str(tmp_path / "store"), "--json"]) == 0
            assert [row["run_id"] for row in json.loads(out.getvalue())["runs"]] == ["r"]
        assert_done(writing)
    assert seen == sorted(seen)
    assert_whole(run_dir, count, each)
    assert rb.open_run(run_dir).is_sealed


def test_threads_of_several_processes_write_at_once(tmp_path: Path) -> None:
    count, each = scale(8, 32), scale(20, 200)
    with program(BEGIN + THREADS_TOO, tmp_path, count, each) as writing:
        assert_done(writing)
    run = rb.open_run(tmp_path / "store" / "runs" / "demo" / "r")
    assert [finding.code for finding in run.verify()] == []
    assert len(list(run.artifacts())) == count * each
    points = run.series("x", raw=True)
    assert len(points) == count * each
    for writer in range(count):
        values = [point.step for point in run.series(f"only/{writer}", raw=True)]
        assert len(set(values)) == each


RIVALS = """
won = []
with project(Path("store")).start(run_id="r") as run:
    wait, go = os.pipe()
    answers, answer = os.pipe()
    children = []
    for writer in range(writers):
        children.append(os.fork())
        if children[-1] == 0:
            os.close(go)
            os.read(wait, 1)
            for number in range(each):
                try:
                    run.save(f"{number}.json", {"writer": writer}, replace=bool(number % 2))
                    os.write(answer, b"%d %d\\n" % (writer, number))
                except (rb.errors.ArtifactExists, rb.errors.ConflictError):
                    pass
            run.finish()
            os._exit(0)
    os.close(go)
    os.close(answer)
    with open(answers) as lines:
        print(lines.read())
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * len(children)
"""


def test_of_writers_of_one_name_exactly_one_wins(tmp_path: Path) -> None:
    count, each = scale(6, 24), scale(30, 300)
    with program(BEGIN + RIVALS, tmp_path, count, each) as writing:
        won = [tuple(map(int, line.split())) for line in assert_done(writing).split("\n") if line]
    assert sorted(number for _, number in won) == list(range(each))
    run = rb.open_run(tmp_path / "store" / "runs" / "demo" / "r")
    assert {(run.read(f"{number}.json")["writer"], number) for number in range(each)} == set(won)
    assert [finding.code for finding in run.verify()] == []


REPLACING = """
with project(Path("store")).start(run_id="r") as run:
    run.save("last.json", [0] * 100)
    for number in range(1, writers + 1):
        run.save("last.json", [number] * 100, replace=True)
"""


def test_a_reader_of_thousands_of_replacements_sees_the_old_or_the_new(tmp_path: Path) -> None:
    run_dir = tmp_path / "store" / "runs" / "demo" / "r"
    seen: list[float] = []
    count = scale(200, 10_000)
    with program(BEGIN + REPLACING, tmp_path, count, 0) as writing:
        while writing.poll() is None:
            if not (run_dir / "artifacts" / "last.json").exists():
                continue
            run = rb.open_run(run_dir)
            try:
                values = run.read("last.json")
            except rb.errors.ArtifactNotFound:
                continue  # the file is there, and its record not yet
            assert len(set(values)) == 1
            seen.append(values[0])
            assert list(run.verify()) == []
        assert_done(writing)
    assert seen == sorted(seen)
    run = rb.open_run(run_dir)
    assert (run.read("last.json"), run.is_sealed, list(run.verify())) == ([count] * 100, True, [])
