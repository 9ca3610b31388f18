"""The end of a run: its status, its seal, what is refused after it, and ends that fail."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import shutil
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest

import runbundle as rb
from runbundle import errors
from runbundle.run import finish
from sample_runs import (
    CONTRACT,
    FACT,
    LOG,
    MANIFEST,
    SEAL,
    FixedClock,
    codes,
    files,
    finished_run,
    project,
    run_child,
    write_all,
)


def end(folder: Path, error: BaseException | None) -> rb.Run:
    """How a run stands whose block was left by an exception."""
    run = project(folder).start()
    passes_through: AbstractContextManager[object] = nullcontext() if error is None else pytest.raises(type(error))
    with passes_through, run:
        run.save("x.json", 1)
        leave(error)
    return rb.open_run(run.path)


def leave(error: BaseException | None) -> None:
    if error is not None:
        raise error


# --- statuses -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (None, "completed"),
        (SystemExit(), "completed"),
        (SystemExit(0), "completed"),
        (SystemExit(3), "failed"),
        (SystemExit("no"), "failed"),
        (ValueError("no"), "failed"),
        (KeyboardInterrupt(), "aborted"),
    ],
    ids=repr,
)
def test_how_the_block_is_left_is_the_status(tmp_path: Path, error: BaseException | None, status: str) -> None:
    done = end(tmp_path, error)
    assert (done.status, done.is_sealed, codes(done.verify())) == (status, True, [])
    assert codes(done.check()) == ([] if status == "completed" else [("run_not_finished", done.run_id)])


def test_the_traceback_of_a_failure_is_kept(tmp_path: Path) -> None:
    done = end(tmp_path, ValueError("leaf\udcff.jpg"))
    assert "ValueError: leaf\\udcff.jpg" in (done.path / "logs" / "traceback.1.txt").read_text()
    assert done.manifest["attempts"][0]["error"] == {"type": "ValueError", "message": "leaf\\udcff.jpg"}


def test_a_run_without_a_folder_for_logs_gets_one_for_its_traceback(tmp_path: Path) -> None:
    contract = rb.Contract("bare", "1", layout=rb.Layout(name="bare", precreate=()))
    run = project(tmp_path, contract).start()
    run.finish("failed", ValueError("why"))
    assert "ValueError: why" in (run.path / "logs" / "traceback.1.txt").read_text()


def test_an_end_may_be_given(tmp_path: Path) -> None:
    run = project(tmp_path).start()
    run.finish("aborted", ValueError("given up"))
    assert rb.open_run(run.path).manifest["attempts"][0]["error"] == {"type": "ValueError", "message": "given up"}
    assert rb.open_run(run.path).status == "aborted"


@pytest.mark.parametrize("status", ["running", "done", "", None, 5])
def test_an_end_is_one_of_three(tmp_path: Path, status: Any) -> None:
    run = project(tmp_path).start()
    with pytest.raises(errors.ContractError, match="completed, failed or aborted"):
        run.finish(status)
    run.finish()


# --- a contract that is not met -------------------------------------------------------------------


def test_an_unmet_contract_is_an_error_and_a_sealed_failure(tmp_path: Path) -> None:
    run = project(tmp_path, CONTRACT).start()
    with run.stage("prepare"):
        run.write("fact", {})
    with pytest.raises(errors.ContractUnmet, match="measure") as caught:
        run.finish()
    assert caught.value.run == run.run_id
    done = rb.open_run(run.path)
    assert (done.status, done.is_sealed, codes(done.verify())) == ("failed", True, [])
    assert done.manifest["attempts"][0]["error"]["type"] == "ContractUnmet"


def test_an_input_that_is_asked_for_must_be_there(tmp_path: Path) -> None:
    contract = rb.Contract("x", "1", (rb.ArtifactSpec("source", "input", "", "", "file"),))
    with pytest.raises(errors.ContractUnmet, match="no input"):
        project(tmp_path, contract).start().finish()


@pytest.mark.parametrize("change", [os.unlink, lambda path: os.truncate(path, 0)])
def test_a_file_that_is_gone_or_cut_is_found_at_the_end(tmp_path: Path, change: Callable[[Path], None]) -> None:
    run = project(tmp_path).start()
    record = run.save("x.json", [1, 2, 3])
    change(run.path / record.filename)
    with pytest.raises(errors.CorruptError, match=r"x\.json is gone or cut") as caught:
        run.finish()
    assert (caught.value.artifact, caught.value.run) == ("x.json", run.run_id)
    done = rb.open_run(run.path)
    assert (done.status, done.is_sealed) == ("failed", True)
    assert [subject for _, subject in codes(done.verify())] == [record.filename]


# --- the seal -------------------------------------------------------------------------------------


def test_the_seal_covers_every_file_and_plain_tools_check_it(tmp_path: Path) -> None:
    run_dir = finished_run(tmp_path)
    lines = (run_dir / SEAL).read_text().splitlines()
    assert {line[66:] for line in lines} == files(run_dir) - {SEAL}
    assert lines == sorted(lines, key=lambda line: line[66:].encode())
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "--strict", "--quiet", "-c", SEAL], cwd=run_dir, check=True)


def test_the_root_digest_is_that_of_the_seal(tmp_path: Path) -> None:
    run = project(tmp_path).start()
    assert run.root_digest is None
    digest = run.finish()
    assert digest == hashlib.sha256((run.path / SEAL).read_bytes()).hexdigest()
    assert run.root_digest == rb.open_run(run.path).root_digest == digest


def test_what_was_recorded_stands_in_the_seal_although_the_bytes_changed(tmp_path: Path) -> None:
    """I22: tampering before the end is found after it."""
    run = project(tmp_path, CONTRACT).start()
    write_all(run)
    (run.path / FACT).write_bytes((run.path / FACT).read_bytes().replace(b"true", b"TRUE"))
    run.finish()
    done = rb.open_run(run.path)
    assert (done.status, codes(done.verify())) == ("completed", [("changed", FACT)])


def test_the_manifest_is_brought_up_to_the_end(tmp_path: Path) -> None:
    run = rb.Project("demo", store=tmp_path, clock=FixedClock()).start()
    run.finish()
    manifest = json.loads((run.path / MANIFEST).read_bytes())
    assert (manifest["status"], manifest["finished_at_utc"]) == ("completed", "2026-11-21T10:00:00.417+00:00")


def test_names_with_odd_characters_are_sealed_and_intact(tmp_path: Path) -> None:
    """A line separator of Unicode ends no line of a seal."""
    run = project(tmp_path).start()
    run.save("a b c é 表.json", 1)
    source = tmp_path / "a b\u2028c \u200b: é 表.jpg"
    source.write_bytes(b"from a camera")
    run.ingest(source)
    (run.path / "logs" / "aux").write_text("by hand")
    run.finish()
    assert codes(rb.open_run(run.path).verify()) == []


@pytest.mark.parametrize("name", [b"a\nb", b"a\\b", b"leaf\xff"])
def test_a_name_that_no_seal_can_hold_is_named_and_the_run_goes_on(tmp_path: Path, name: bytes) -> None:
    run = project(tmp_path).start()
    place = os.path.join(os.fsencode(run.path), b"logs", name)  # noqa: PTH118 - bytes
    with open(place, "wb"):  # noqa: PTH123
        pass
    with pytest.raises(errors.InvalidName, match="cannot be sealed"):
        run.finish()
    assert rb.open_run(run.path).status == "running"
    os.unlink(place)  # noqa: PTH108
    run.save("x.json", 1)
    run.finish()
    done = rb.open_run(run.path)
    assert (done.status, codes(done.verify())) == ("completed", [])


def test_links_and_pipes_are_not_sealed_and_called_stray(tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("secret")
    run = project(tmp_path / "store").start()
    (run.path / "artifacts" / "latest").symlink_to(outside)
    (run.path / "artifacts" / "folder").symlink_to(tmp_path)
    (run.path / "logs" / "gone").symlink_to(tmp_path / "gone")
    os.mkfifo(run.path / "logs" / "pipe")
    run.finish()
    strays = ["artifacts/folder", "artifacts/latest", "logs/gone", "logs/pipe"]
    assert codes(rb.open_run(run.path).verify()) == [("stray", path) for path in strays]
    assert outside.read_text() == "secret"


# --- after the end --------------------------------------------------------------------------------


def test_after_the_end_every_write_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "source.bin"
    source.write_bytes(b"x")
    run = project(tmp_path / "store").start()
    summary = run.summary
    summary["rate"] = 1
    run.finish()
    before = {path: (run.path / path).read_bytes() for path in files(run.path)}
    writes: list[Callable[[], object]] = [
        lambda: run.save("x.json", 1),
        lambda: run.write(rb.ArtifactSpec("a", "k", "a", ".json", "json"), 1),
        lambda: run.log({"loss": 1}),
        lambda: summary.update(rate=2),
        lambda: run.ingest(source),
        lambda: run.read_input(source),
        lambda: run.skip("stage"),
        lambda: run.stage("stage").__enter__(),
        lambda: run.logger,
        run.flush,
        run.finish,
    ]
    for write in writes:
        with pytest.raises(errors.RunSealed):
            write()
    assert {path: (run.path / path).read_bytes() for path in files(run.path)} == before
    assert summary["rate"] == 1


def test_a_finished_run_can_still_be_read_through_its_handle(tmp_path: Path) -> None:
    run = project(tmp_path).start()
    run.save("x.json", {"a": 1})
    run.finish()
    assert run.read("x.json") == {"a": 1}


def test_finishing_inside_the_block_is_enough(tmp_path: Path) -> None:
    with project(tmp_path).start() as run:
        run.finish("aborted")
    assert rb.open_run(run.path).status == "aborted"


def test_what_is_logged_after_the_end_never_reaches_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = project(tmp_path).start()
    logger = run.logger
    logger.info("before")
    run.finish()
    logger.warning("after")
    assert (run.path / "logs" / "run.log").read_text().endswith("INFO before\n")
    assert "after" in capsys.readouterr().err
    assert codes(rb.open_run(run.path).verify()) == []


def test_the_text_log_is_a_standard_logger_of_its_own(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = project(tmp_path).start()
    run.logger.debug("leaf %s", "é\udcff")
    assert run.logger is run.logger
    assert isinstance(run.logger, logging.Logger)
    line = (run.path / "logs" / "run.log").read_text(encoding="utf-8")
    assert line.endswith("DEBUG leaf é\\udcff\n")
    assert "+00:00 " in line
    assert caplog.records == []
    run.finish()


# --- ends that fail -------------------------------------------------------------------------------


def test_an_end_that_the_disk_refuses_can_be_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = project(tmp_path).start()
    run.save("x.json", 1)

    def refuse(*_: object) -> str:
        raise errors.UnavailableError("Writing failed: No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(finish, "write_seal", refuse)
        with pytest.raises(errors.UnavailableError):
            run.finish("failed", ValueError("why"))
    done = rb.open_run(run.path)
    assert (done.status, done.is_sealed, codes(done.verify())) == ("failed", False, [])
    run.finish("failed", ValueError("why"))
    assert codes(rb.open_run(run.path).verify()) == []
    assert rb.open_run(run.path).is_sealed


def test_a_completed_run_without_its_seal_is_said_not_found(tmp_path: Path) -> None:
    run_dir = finished_run(tmp_path)
    (run_dir / SEAL).unlink()
    done = rb.open_run(run_dir)
    assert (done.status, codes(done.verify()), codes(done.check())) == ("completed", [], [])
    assert done.verify().notes == ("the run is not sealed: it was checked against its log",)


def test_the_end_is_said_before_the_manifest_and_the_seal_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    real = os.replace

    def spy(source: Any, target: Any, **options: Any) -> None:
        ended = b'"event":"end"' in (run.path / LOG).read_bytes()
        order.append(f"{Path(target).name} {'after' if ended else 'before'} the end")
        real(source, target, **options)

    run = project(tmp_path).start()
    run.log({"loss": 1})
    monkeypatch.setattr(os, "replace", spy)
    run.finish()
    assert order == ["metrics.json before the end", f"{MANIFEST} after the end", f"{SEAL} after the end"]


FORKED = """
import os
from pathlib import Path
from sample_runs import project

with project(Path("store")).start(run_id="r") as run:
    run.save("x.json", 1)
    run.log({"a": 0})
    for is_writing in (False, True):
        child = os.fork()
        if child == 0:
            if is_writing:
                run.save("y.json", 1)
                run.log({"a": 1})
                run.flush()
            raise SystemExit(0)  # leaves the block, and must not end the run
        assert os.waitpid(child, 0)[1] == 0
    assert not run.is_finished
    run.save("z.json", 1)
    run.log({"a": 2})
"""


def test_a_forked_child_writes_in_its_own_log_and_cannot_end_the_run(tmp_path: Path) -> None:
    done = run_child(FORKED, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    run = rb.open_run(tmp_path / "store" / "runs" / "demo" / "r")
    writers = {record.artifact_id: record.pointer and record.pointer.writer for record in run.artifacts()}
    (child,) = {name.split(".")[1] for name in files(run.path) if name.startswith("artifacts.")} - {"jsonl"}
    assert writers == {"x.json": "", "y.json": child, "z.json": ""}
    assert run.series("a") == ([0, 1], [0, 2])
    told = sorted((point.writer, point.step, point.value) for point in run.series("a", raw=True))
    assert told == [("", 0, 0), ("", 1, 2), (child, 0, 1)]
    assert (run.status, codes(run.verify())) == ("completed", [])


@pytest.mark.parametrize("log", [LOG, "metrics.jsonl"])
def test_a_log_that_does_not_close_keeps_no_lock_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: str
) -> None:
    """The run is sealed by then; who goes on with it must not wait until the program drops its handle."""
    run = project(tmp_path / "store").start()
    run.log({"x": 1})
    close, refused = os.close, (run.path / log).stat().st_ino

    def refuse(fd: int) -> None:
        is_it = os.fstat(fd).st_ino == refused and (run.path / SEAL).exists()
        close(fd)
        if is_it:
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "close", refuse)
    with pytest.raises(errors.UnavailableError, match="Closing the log failed"):
        run.finish("failed")
    monkeypatch.undo()
    with project(tmp_path / "store").resume(run.run_id) as again:
        again.log({"x": 2})
    assert codes(rb.open_run(run.path).verify()) == []
