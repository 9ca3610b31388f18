"""Artifacts: written whole or not at all, never silently overwritten, read back checked."""

from __future__ import annotations

import errno
import itertools
import json
import os
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import runbundle as rb
from runbundle import errors
from runbundle.run import artifacts
from sample_runs import CONTRACT, FACT, LOG, OPTIONAL, ROWS, SPEC, codes, files, finished_run, project

A = SPEC("a", "k", "a", ".json", "json", description="The first")


@pytest.fixture
def run(tmp_path: Path) -> rb.RunIO:
    return project(tmp_path / "store").start()


def nothing_new(run: rb.RunIO, before: set[str]) -> None:
    assert files(run.path) == before
    assert codes(rb.open_run(run.path).verify()) == []


# --- by spec, by id, by name ----------------------------------------------------------------------


def test_a_spec_suffices_without_a_contract(run: rb.RunIO) -> None:
    record = run.write(A, {"n": 1}, variant="0007", meta={"unit": "mm"})
    assert (record.filename, record.label, record.description) == ("artifacts/k/a_0007.json", "a[0007]", "The first")
    assert (record.meta, record.attempt, record.stage) == ({"unit": "mm"}, 1, None)
    assert run.read("a", "0007") == {"n": 1}
    assert rb.open_run(run.path).record("a", "0007") == record


def test_an_id_needs_a_contract(run: rb.RunIO) -> None:
    with pytest.raises(errors.ContractError, match="no contract"):
        run.write("a", 1)


def test_an_undeclared_id_or_another_spec_is_refused(tmp_path: Path) -> None:
    run = project(tmp_path, CONTRACT).start()
    with pytest.raises(errors.ContractError, match="declares no artifact 'nothing'"):
        run.write("nothing", 1)
    with pytest.raises(errors.ContractError, match="not the one in the run's contract"):
        run.write(SPEC("fact", "facts", "fact", ".yaml", "yaml", stage="prepare"), 1)


def test_ids_may_be_members_of_an_enum(run: rb.RunIO) -> None:
    class Ids(str, Enum):  # noqa: UP042 - as seed 000 declares its enums
        FIRST = "first"

    record = run.write(SPEC(Ids.FIRST, "k", "first", ".json", "json"), 1)
    assert record.artifact_id == "first"
    assert run.read(Ids.FIRST) == rb.open_run(run.path).read(Ids.FIRST) == 1


def test_a_saved_artifact_has_its_name_as_id(run: rb.RunIO) -> None:
    record = run.save("below/x.json", {"n": 1}, description="free")
    assert (record.artifact_id, record.kind, record.variant) == ("below/x.json", "extra", None)
    assert (record.filename, record.description) == ("artifacts/below/x.json", "free")
    assert run.read("below/x.json") == {"n": 1}


def test_the_format_is_told_by_the_extension(run: rb.RunIO) -> None:
    assert run.save("a.npz", {"x": np.arange(3)}).format == "npz"
    assert run.save("b.TXT", "text").format == "text"
    assert run.save("c.csv", ROWS).content_type.startswith("text/csv")
    for name in ("weights.pkl", "weights.pth", "noextension", ".json"):
        with pytest.raises(errors.UnsupportedFormat):
            run.save(name, {})


def test_extras_need_the_contract_to_allow_them(tmp_path: Path) -> None:
    strict = project(tmp_path, CONTRACT).start()
    with pytest.raises(errors.ContractError, match="allows no extras"):
        strict.save("x.json", 1)
    allowing = rb.Contract("free", "1", (A,), formats=frozenset({"json"}), allow_extras=True)
    run = project(tmp_path, allowing).start()
    run.write("a", 1)
    run.save("x.json", 1)
    with pytest.raises(errors.ContractError, match="does not allow the format text"):
        run.save("x.txt", "")
    run.finish()
    report = rb.open_run(run.path).check()
    assert (codes(report), report.notes) == ([], ("1 undeclared artifacts: x.json",))


def test_a_schema_is_checked_at_the_write(tmp_path: Path) -> None:
    schema = {"document": {"type": "object", "required": ["n"]}}
    spec = SPEC("a", "k", "a", ".json", "json", required=OPTIONAL, schema=schema)
    run = project(tmp_path, rb.Contract("x", "1", (spec,))).start()
    with pytest.raises(errors.InvalidValue, match="required property"):
        run.write("a", {})
    assert run.write("a", {"n": 1}).artifact_id == "a"


def test_an_option_that_the_format_does_not_take_is_named(run: rb.RunIO) -> None:
    with pytest.raises(errors.InvalidInputError, match="quality"):
        run.save("x.json", 1, quality=3)


@pytest.mark.parametrize(
    "fields",
    [
        {"meta": {"a": np.arange(3)}},
        {"meta": {"a": float("inf")}},
        {"meta": {1: "x"}},
        {"meta": ["x"]},
        {"meta": {"a": "\ud800"}},
        {"description": 5},
        {"description": "\ud800"},
    ],
)
def test_what_a_record_cannot_hold_is_refused_before_a_file_is_made(run: rb.RunIO, fields: dict[str, Any]) -> None:
    before = files(run.path)
    with pytest.raises(ValueError, match=r"meta|description") as caught:
        run.save("x.json", 1, **fields)
    assert isinstance(caught.value, errors.InvalidInputError)
    nothing_new(run, before)


def test_what_a_caller_does_to_a_value_later_changes_nothing(run: rb.RunIO) -> None:
    meta = {"tags": ["a"]}
    record = run.save("x.json", 1, meta=meta)
    meta["tags"].append("b")
    assert record.meta == rb.open_run(run.path).record("x.json").meta == {"tags": ["a"]}


# --- never silently overwritten -------------------------------------------------------------------


def test_again_is_refused_and_the_first_is_kept(run: rb.RunIO) -> None:
    run.write(A, 1)
    with pytest.raises(FileExistsError, match="replace=True") as caught:
        run.write(A, 2)
    assert isinstance(caught.value, errors.ArtifactExists)
    assert run.read("a") == 1


def test_a_replacement_is_announced_and_points_to_what_it_replaces(run: rb.RunIO) -> None:
    first = run.write(A, 1)
    second = run.write(A, 2, replace=True)
    third = run.write(A, 3, replace=True)
    assert (second.replaces, third.replaces) == (first.pointer, second.pointer)
    said = [json.loads(line) for line in (run.path / LOG).read_bytes().splitlines()]
    assert [record["record"] for record in said[2:]] == ["artifact", "intent", "artifact", "intent", "artifact"]
    assert said[3]["sha256"] == second.sha256
    run.finish()
    done = rb.open_run(run.path)
    assert (done.read("a"), len(list(done.artifacts())), codes(done.verify())) == (3, 1, [])


def test_replacing_what_is_not_there_writes_it(run: rb.RunIO) -> None:
    assert run.write(A, 1, replace=True).replaces is None


def test_a_replacement_has_the_name_of_what_it_replaces(run: rb.RunIO) -> None:
    """Else it would cover the file of another artifact without a word."""
    run.write(A, 1)
    run.write(SPEC("b", "k", "b", ".json", "json"), 2)
    with pytest.raises(errors.ContractError, match=r"a_?\.json"):
        run.write(SPEC("a", "k", "b", ".json", "json"), 3, replace=True)
    assert (run.read("a"), run.read("b")) == (1, 2)


def test_two_ids_of_one_file_name_never_meet(run: rb.RunIO) -> None:
    run.write(A, 1)
    with pytest.raises(errors.ArtifactExists, match="is there already"):
        run.write(SPEC("other", "k", "a", ".json", "json"), 2)
    assert run.read("a") == 1


def test_a_file_that_no_record_names_is_kept(run: rb.RunIO) -> None:
    place = run.path / "artifacts" / "x.json"
    place.write_text("by hand")
    for replace in (False, True):
        with pytest.raises(errors.ArtifactExists):
            run.save("x.json", 1, replace=replace)
    assert place.read_text() == "by hand"


@pytest.mark.parametrize(
    ("first", "second"),
    [("x.json", "X.json"), ("é.json", "e\u0301.json"), ("Å.json", "\u212b.json"), ("d/x.json", "D/x.json")],
)
def test_names_that_some_disk_takes_for_one_are_refused(run: rb.RunIO, first: str, second: str) -> None:
    run.save(first, 1)
    with pytest.raises(errors.ArtifactExists, match="one name on some disks"):
        run.save(second, 2)
    assert run.read(first) == 1


def test_twins_written_at_once_are_refused_as_well(run: rb.RunIO, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, go_on = threading.Event(), threading.Event()
    real = artifacts._put

    def slow(*args: Any) -> Any:
        inside.set()
        go_on.wait(10)
        return real(*args)

    monkeypatch.setattr(artifacts, "_put", slow)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(run.save, "x.json", 1)
        inside.wait(10)
        for name in ("X.json", "x.json"):
            with pytest.raises(errors.ArtifactExists):
                run.save(name, 2)
        go_on.set()
        assert first.result().artifact_id == "x.json"


# --- all or nothing -------------------------------------------------------------------------------


def refuse(number: int) -> Callable[..., Any]:
    def call(*_: object, **__: object) -> Any:
        raise OSError(number, os.strerror(number))

    return call


@pytest.mark.parametrize("step", ["write", "link", "open"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_refuses_leaves_nothing_and_the_run_goes_on(
    run: rb.RunIO, monkeypatch: pytest.MonkeyPatch, step: str, number: int
) -> None:
    run.save("before.json", 1)
    before = files(run.path)
    with monkeypatch.context() as patch:
        patch.setattr(os, step, refuse(number))
        with pytest.raises(OSError, match=os.strerror(number)) as caught:
            run.save("x.json", 1)
    assert isinstance(caught.value, errors.UnavailableError)
    assert (caught.value.run, caught.value.artifact) == (run.run_id, "x.json")
    assert caught.value.hint
    nothing_new(run, before)
    run.save("x.json", 2)
    run.finish()
    assert codes(rb.open_run(run.path).verify()) == []


def test_a_log_that_refuses_frees_the_name_again(run: rb.RunIO, monkeypatch: pytest.MonkeyPatch) -> None:
    source = run.path.parents[3] / "source.bin"
    source.write_bytes(b"source")
    before = files(run.path)

    def full(*_: object, **__: object) -> int:
        raise errors.UnavailableError("Appending failed: No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(run._session.log, "append", full)
        for write in (lambda: run.save("x.json", 1), lambda: run.ingest(source)):
            with pytest.raises(errors.UnavailableError):
                write()
    nothing_new(run, before)
    run.save("x.json", 1)
    run.ingest(source)
    run.finish()
    assert codes(rb.open_run(run.path).verify()) == []


def test_a_file_stays_as_long_as_its_record_cannot_be_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sync of the record fails under power, and so does cutting it off: at every instant the two agree."""
    run = rb.Project("demo", store=tmp_path, durability="power").start(run_id="r")
    run.save("a.json", 1)
    log = (run.path / LOG).stat().st_ino

    def refuse(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(fd: int, *rest: Any) -> Any:
            if os.fstat(fd).st_ino == log:
                raise OSError(5, "Input/output error")
            return real(fd, *rest)

        return call

    with monkeypatch.context() as patch:
        for name in ("fsync", "ftruncate"):
            patch.setattr(os, name, refuse(getattr(os, name)))
        with pytest.raises(errors.UnavailableError):
            run.save("b.json", 2)
        assert codes(rb.open_run(run.path).verify()) == []
        assert rb.open_run(run.path).read("b.json") == 2
    run.save("c.json", 3)
    run.finish()
    done = rb.open_run(run.path)
    assert sorted(record.artifact_id for record in done.artifacts()) == ["a.json", "c.json"]
    assert not (run.path / "artifacts" / "b.json").exists()
    assert codes(done.verify()) == []


@pytest.mark.parametrize("policy", ["resume", "overwrite"])
def test_an_input_that_a_failed_call_left_and_the_next_one_took_is_kept(
    run: rb.RunIO, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    """Its record could not be said, nor the file removed: what a later call makes of it must not be removed then."""
    (tmp_path / "in.csv").write_bytes(b"1,2")
    write, unlink, log = os.write, os.unlink, (run.path / LOG).stat().st_ino

    def refuse_log(fd: int, data: bytes) -> int:
        if os.fstat(fd).st_ino == log:
            raise OSError(errno.EIO, "Input/output error")
        return write(fd, data)

    def refuse_input(place: Any, *rest: Any) -> None:
        if str(place).endswith("in.csv"):
            raise OSError(errno.EIO, "Input/output error")
        unlink(place, *rest)

    monkeypatch.setattr(os, "unlink", refuse_input)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", refuse_log)
        with pytest.raises(errors.UnavailableError):
            run.ingest(tmp_path / "in.csv")
    run.ingest(tmp_path / "in.csv", collision_policy=policy)
    monkeypatch.undo()
    run.save("a.json", 1)
    run.finish()
    assert codes(rb.open_run(run.path).verify()) == []
    assert (run.path / "input" / "in.csv").read_bytes() == b"1,2"


@pytest.mark.parametrize("number", [1, 2])
def test_an_interrupted_write_leaves_a_run_that_can_go_on(
    run: rb.RunIO, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Ctrl-C in the middle of the file, of its record, of a point: what was said is so, and each chain is whole."""
    real, count = os.write, itertools.count(1)

    def interrupt(fd: int, data: bytes) -> int:
        done = real(fd, data)
        if next(count) % 2 == number % 2:
            raise KeyboardInterrupt
        return done

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run.save("x.json", 1)
        with pytest.raises(KeyboardInterrupt):
            run.log({"loss": 1})
    run.save("x.json", 2)
    run.log({"loss": 2})
    run.finish("aborted")
    done = rb.open_run(run.path)
    assert (done.read("x.json"), done.series("loss").values, codes(done.verify())) == (2, [2], [])


def test_a_bad_value_leaves_nothing(run: rb.RunIO) -> None:
    before = files(run.path)
    values = {"x.json": {1, 2}, "x.png": "text", "x.npz": {"a": np.array([object()])}, "x.csv": [], "x.txt": 5}
    for name, value in values.items():
        with pytest.raises(errors.InvalidInputError):
            run.save(name, value)
    nothing_new(run, before)


# --- many writers ---------------------------------------------------------------------------------


def test_eight_threads_write_two_hundred_artifacts(run: rb.RunIO) -> None:
    gate = threading.Barrier(8)

    def write(worker: int) -> None:
        gate.wait()
        for number in range(25):
            run.write(A, [worker, number], variant=f"{worker}.{number}")
            run.log({f"w{worker}": number})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    run.finish()
    done = rb.open_run(run.path)
    assert len(list(done.artifacts())) == 200
    assert all(done.read("a", f"{w}.{n}") == [w, n] for w in range(8) for n in range(25))
    assert [done.series(f"w{worker}").values for worker in range(8)] == [list(range(25))] * 8
    assert codes(done.verify()) == []


def test_of_many_threads_one_wins_a_name(run: rb.RunIO) -> None:
    gate = threading.Barrier(8)

    def write(worker: int) -> bool:
        gate.wait()
        try:
            run.write(A, worker)
        except errors.ArtifactExists:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(write, range(8)))
    assert won.count(True) == 1
    assert run.read("a") == won.index(True)
    assert codes(rb.open_run(run.path).verify()) == []


# --- reading --------------------------------------------------------------------------------------


def test_what_is_not_there_is_not_found_and_what_is_there_is_told(run: rb.RunIO) -> None:
    run.write(A, 1, variant="b")
    with pytest.raises(FileNotFoundError, match=r"It has a\[b\]") as caught:
        run.read("a")
    assert isinstance(caught.value, errors.ArtifactNotFound)
    for wanted in (None, 5):
        with pytest.raises(errors.InvalidType):
            run.read(wanted)  # type: ignore[arg-type]


def test_bytes_are_checked_against_the_log(tmp_path: Path) -> None:
    run_dir = finished_run(tmp_path)
    (run_dir / FACT).write_text("{}")
    with pytest.raises(errors.DigestMismatch, match="runbundle verify") as caught:
        rb.open_run(run_dir).read("fact")
    assert (caught.value.artifact, caught.value.path) == ("fact", str(run_dir / FACT))
    (run_dir / FACT).unlink()
    with pytest.raises(errors.ArtifactNotFound, match="is gone"):
        rb.open_run(run_dir).read("fact")


def test_bytes_of_a_run_without_a_seal_are_checked_as_well(run: rb.RunIO) -> None:
    run.save("x.json", 1)
    (run.path / "artifacts" / "x.json").write_text("2\n")
    for read in (run.read, rb.open_run(run.path).read):
        with pytest.raises(errors.DigestMismatch, match="runbundle verify"):
            read("x.json")


def test_a_run_that_was_moved_is_whole(tmp_path: Path) -> None:
    run_dir = finished_run(tmp_path)
    digest = rb.open_run(run_dir).root_digest
    moved = Path(shutil.move(run_dir, tmp_path / "elsewhere"))
    done = rb.open_run(moved)
    assert done.run_id == run_dir.name
    assert done.read("fact") == {"known": True}
    assert codes(done.verify(root_digest=digest)) == []
    assert codes(done.check()) == []


def test_a_reader_follows_a_live_run(run: rb.RunIO) -> None:
    reader = rb.open_run(run.path)
    run.write(A, 1)
    assert reader.read("a") == 1
    run.write(A, 2, replace=True)
    assert reader.read("a") == 2  # found by its digest, without being told
    run.write(A, 3, variant="b")
    with pytest.raises(errors.ArtifactNotFound):
        reader.read("a", "b")
    reader.refresh()
    assert [record.label for record in reader.artifacts()] == ["a", "a[b]"]


def test_what_is_no_run_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path, tmp_path / "nothing", tmp_path / "file"):
        with pytest.raises(errors.RunNotFound):
            rb.open_run(place)


def test_integers_beyond_64_bits_stay_what_they_are_in_meta(run: rb.RunIO) -> None:
    meta = {"seed": 2**70, "list": [-(2**65)], "small": 1, "float": 1e300}
    assert run.save("x.json", 1, meta=meta).meta == meta
    assert run.save("x.json", 2, meta=meta, replace=True).meta == meta
    run.finish()
    (record,) = rb.open_run(run.path).artifacts()
    assert (record.meta, type(record.meta["seed"])) == (meta, int)
    assert codes(rb.open_run(run.path).verify()) == []
