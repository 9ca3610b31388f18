"""Durability: the order of writes, syncs and names that each promise needs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import runbundle as rb
from runbundle import errors
from sample_runs import CONTRACT, LOG, MANIFEST, ROWS, SEAL, project

Step = tuple[str, str]


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Step]]:
    """What reaches the disk, in order: (write | sync | name, path). A temporary file has the name ``.tmp``."""
    seen: list[Step] = []
    real = {name: getattr(os, name) for name in ("write", "fsync", "link", "replace", "rename")}

    def name_of(fd: int) -> str:
        place = Path(os.readlink(f"/proc/self/fd/{fd}"))  # noqa: PTH115
        return ".tmp" if place.name.startswith(".tmp-") else place.name

    def on_fd(kind: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def spy(fd: int, *rest: Any) -> Any:
            seen.append((kind, name_of(fd)))
            return call(fd, *rest)

        return spy

    def on_name(call: Callable[..., Any]) -> Callable[..., Any]:
        def spy(source: Any, target: Any, **options: Any) -> Any:
            seen.append(("name", Path(target).name))
            return call(source, target, **options)

        return spy

    monkeypatch.setattr(os, "write", on_fd("write", real["write"]))
    monkeypatch.setattr(os, "fsync", on_fd("sync", real["fsync"]))
    for name in ("link", "replace", "rename"):
        monkeypatch.setattr(os, name, on_name(real[name]))
    yield seen
    monkeypatch.undo()


pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="names of open files are read from /proc")


def in_order(steps: list[Step], *wanted: Step) -> None:
    """Whether the steps hold the wanted ones, in that order, others between them."""
    rest = iter(steps)
    for step in wanted:
        assert step in rest, (step, steps)


def test_a_write_that_a_kill_must_not_lose_is_named_then_recorded(tmp_path: Path, steps: list[Step]) -> None:
    run = project(tmp_path).start()
    steps.clear()
    run.save("x.json", 1)
    assert steps == [("write", ".tmp"), ("name", "x.json"), ("write", LOG)]


def test_a_power_cut_loses_no_write_that_returned(tmp_path: Path, steps: list[Step]) -> None:
    """The bytes are safe before the name, the name before the record, the record before the call returns."""
    run = rb.Project("demo", store=tmp_path, durability="power").start()
    steps.clear()
    run.save("new/x.json", 1)
    in_order(
        steps,
        ("write", ".tmp"),
        ("sync", ".tmp"),
        ("name", "x.json"),
        ("sync", "artifacts"),
        ("sync", "new"),
        ("write", LOG),
        ("sync", LOG),
    )
    assert steps[-1] == ("sync", LOG)


def test_a_power_cut_leaves_one_of_the_two_of_a_replacement(tmp_path: Path, steps: list[Step]) -> None:
    run = rb.Project("demo", store=tmp_path, durability="power").start()
    run.save("x.json", 1)
    steps.clear()
    run.save("x.json", 2, replace=True)
    in_order(
        steps,
        ("sync", ".tmp"),
        ("write", LOG),  # the intent
        ("sync", LOG),
        ("name", "x.json"),
        ("sync", "artifacts"),
        ("write", LOG),
        ("sync", LOG),
    )


def test_a_power_cut_loses_no_point_that_was_logged(tmp_path: Path, steps: list[Step]) -> None:
    run = rb.Project("demo", store=tmp_path, durability="power").start()
    run.log({"x": 1})
    steps.clear()
    run.log({"x": 2})
    in_order(steps, ("write", "metrics.jsonl"), ("sync", "metrics.jsonl"))


def test_a_power_cut_loses_no_new_run(tmp_path: Path, steps: list[Step]) -> None:
    run = rb.Project("demo", store=tmp_path, durability="power").start(run_id="r")
    named = steps.index(("name", "r"))
    before = {name for kind, name in steps[:named] if kind == "sync"}
    assert before >= {MANIFEST, "config.yaml", "config_resolved.yaml", LOG}  # it is whole before it has its name
    assert {name for kind, name in steps[named:] if kind == "sync"} >= {"demo", "runs", tmp_path.name}
    assert run.path.name == "r"


def test_a_commit_syncs_what_the_stage_wrote_before_it_is_said(tmp_path: Path, steps: list[Step]) -> None:
    run = project(tmp_path, CONTRACT).start()
    with run.stage("prepare"):
        run.write("fact", {})
        assert ("sync", "fact.json") not in steps
        steps.clear()
    in_order(
        steps,
        ("sync", "fact.json"),
        ("sync", "facts"),
        ("write", LOG),  # the commit
        ("sync", LOG),
    )
    assert steps[-2:] == [("write", LOG), ("sync", LOG)]  # the log ends with what is safe before it


def test_a_flush_syncs_files_names_log_and_points(tmp_path: Path, steps: list[Step]) -> None:
    run = project(tmp_path).start()
    run.save("new/x.json", 1)
    run.log({"x": 1})
    steps.clear()
    run.flush()
    synced = [name for kind, name in steps if kind == "sync"]
    assert {"x.json", "new", "artifacts", "metrics.jsonl", LOG} <= set(synced)
    assert steps[-2:] == [("write", LOG), ("sync", LOG)]  # that it is safe is said last
    said = json.loads((run.path / LOG).read_bytes().splitlines()[-1])
    assert (said["record"], said["attempt"], said["points"]) == (
        "flush",
        1,
        2,
    )  # the header of the journal, and a point
    steps.clear()
    run.flush()
    assert steps == []  # what is safe is not synced again, nor said again


def test_the_seal_comes_last_and_is_synced_with_its_name(tmp_path: Path, steps: list[Step]) -> None:
    run = project(tmp_path).start(run_id="r")
    run.save("x.json", 1)
    run.logger.info("text")
    steps.clear()
    run.finish()
    in_order(
        steps,
        ("sync", "x.json"),
        ("write", LOG),  # the end
        ("sync", LOG),
        ("name", MANIFEST),
        ("write", ".tmp"),
        ("sync", ".tmp"),
        ("name", SEAL),
        ("sync", "r"),
    )
    ended = steps.index(("write", LOG))
    assert {("sync", "x.json"), ("sync", "run.log"), ("sync", "artifacts"), ("sync", "r")} <= set(steps[:ended])
    named = steps.index(("name", MANIFEST))
    assert ("sync", ".tmp") in steps[ended:named] or ("sync", MANIFEST) in steps[named:]
    assert steps[-1] == ("sync", "r")


def test_another_attempt_makes_its_moves_safe(tmp_path: Path, steps: list[Step]) -> None:
    run = project(tmp_path, CONTRACT).start()
    stage = run.stage("prepare")
    stage.__enter__()
    run.write("fact", {})
    run._session.stage = None
    run.finish("failed")
    steps.clear()
    project(tmp_path).resume(run.run_id)
    in_order(steps, ("name", f"{SEAL}.1"), ("write", LOG), ("name", "fact.json"), ("sync", "fact.json"))
    assert {"prepare.1", "attempts", "provenance", run.run_id} <= {name for kind, name in steps if kind == "sync"}


@pytest.mark.parametrize("durability", ["process", "power"])
def test_a_sync_that_fails_is_never_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durability: str
) -> None:
    run = rb.Project("demo", store=tmp_path, durability=durability, contract=CONTRACT).start()

    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    def prepare() -> None:
        with run.stage("prepare"):
            run.write("fact", {})

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(errors.UnavailableError, match="Input/output error"):
            prepare()
    assert run.needs("prepare")
    with run.stage("prepare"):
        run.write("fact", {})
    with run.stage("measure"):
        run.write("table", ROWS)
    with run.stage("report"):
        run.write("report", "")
    run.finish()
    done = rb.open_run(run.path)
    assert [finding for report in (done.verify(), done.check()) for finding in report] == []


def test_a_power_cut_takes_no_folder_above_a_new_store(tmp_path: Path, steps: list[Step]) -> None:
    with rb.start("demo", store=tmp_path / "n1" / "n2" / "store"):
        pass
    for folder in (tmp_path.name, "n1", "n2", "store", "runs", "demo"):
        assert ("sync", folder) in steps


def test_the_folder_of_a_replacement_that_failed_is_synced_with_the_next_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: list[Step]
) -> None:
    run = rb.start("demo", store=tmp_path)
    run.save("a.json", 1)
    run.flush()
    real = os.fsync

    def refuse(fd: int) -> None:
        if os.readlink(f"/proc/self/fd/{fd}").endswith("/artifacts"):  # noqa: PTH115
            raise OSError(5, "Input/output error")
        real(fd)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(errors.UnavailableError):
            run.save("a.json", 2, replace=True)
    steps.clear()
    run.finish()
    assert ("sync", "artifacts") in steps
