"""Another attempt: after a kill, an exception, a failure; what stays, what is set aside, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import runbundle as rb
from runbundle import errors
from runbundle.io import atomic
from runbundle.run.session import Session
from sample_runs import (
    CONTRACT,
    LOG,
    MANIFEST,
    REPORT,
    ROWS,
    SEAL,
    TABLE,
    abandon,
    codes,
    files,
    project,
    run_child,
    write_all,
)

# a process that is killed inside the second stage, with one artifact written and one file not recorded yet
KILLED = """
import os, sys
from pathlib import Path
from sample_runs import CONTRACT, ROWS, project

run = project(Path("store"), CONTRACT).start({"rate": 0.5}, run_id="r")
run.ingest(Path("source.bin").resolve())
with run.stage("prepare"):
    run.write("fact", {"try": 1})
with run.stage("measure"):
    run.write("table", ROWS)
    run.log({"loss": 1.0})
    (run.path / "artifacts" / "texts").mkdir()
    (run.path / "artifacts" / "texts" / "hint.txt").write_text("not recorded yet")
    (run.path / "artifacts.jsonl").open("a").write('{"record":"artif')
    os._exit(9)
"""


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """The folder of a run whose process was killed."""
    (tmp_path / "source.bin").write_bytes(b"source")
    done = run_child(KILLED, tmp_path)
    assert done.returncode == 9, done.stderr
    return tmp_path / "store" / "runs" / "demo" / "r"


def resume(run_dir: Path, *args: Any, **options: Any) -> rb.RunIO:
    return project(run_dir.parents[2], options.pop("contract", None)).resume(run_dir.name, *args, **options)


def fail_to_measure(run: rb.RunIO) -> None:
    if run.needs("prepare"):
        with run.stage("prepare"):
            run.write("fact", {"try": 1})
    with run.stage("measure"):
        run.write("table", ROWS)
        raise ZeroDivisionError


def failed_run(folder: Path) -> Path:
    """A run that ended with an exception in its second stage, and is sealed."""
    run = project(folder / "store", CONTRACT).start({"rate": 0.5})
    with pytest.raises(ZeroDivisionError), run:
        fail_to_measure(run)
    return run.path


# --- after a kill ---------------------------------------------------------------------------------


def test_a_killed_run_is_interrupted_and_intact(killed: Path) -> None:
    done = rb.open_run(killed)
    assert done.status == "interrupted"
    assert codes(done.verify()) == [("stray", "artifacts/texts/hint.txt")]  # in the window before its record
    assert any("unfinished line" in note for note in done.verify().notes)
    assert ("run_not_finished", "r") in codes(done.check())


def test_what_committed_stays_and_the_rest_is_set_aside(killed: Path) -> None:
    run = resume(killed, contract=CONTRACT)
    assert (run.needs("prepare"), run.needs("measure")) == (False, True)
    assert run.read("fact") == {"try": 1}
    with pytest.raises(errors.ArtifactNotFound):
        run.read("table")
    aside = {path for path in files(killed) if path.startswith("attempts/")}
    assert aside == {f"attempts/measure.1/{TABLE}", "attempts/_unrecorded.2/artifacts/texts/hint.txt"}
    assert not (killed / TABLE).exists()
    assert codes(rb.open_run(killed).verify()) == []


def test_the_second_attempt_completes_the_run(killed: Path) -> None:
    with resume(killed) as run:
        write_all(run)
    done = rb.open_run(killed)
    assert (done.status, codes(done.verify()), codes(done.check())) == ("completed", [], [])
    assert [(item["attempt"], item["status"]) for item in done.manifest["attempts"]] == [
        (1, "interrupted"),
        (2, "completed"),
    ]
    assert done.manifest["input_copied_path"] == "input/source.bin"
    assert done.record("table").attempt == 2
    assert json.loads((killed / "metrics.json").read_bytes())["scalars"] == {"loss": 1.0}


def test_the_old_process_left_no_torn_line(killed: Path) -> None:
    resume(killed).finish("aborted")
    assert all(json.loads(line) for line in (killed / LOG).read_bytes().splitlines())


@pytest.mark.parametrize("where", ["before the rename", "after the rename"])
def test_a_kill_inside_a_replacement_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """I15: at every instant what is there is one of the two; also where the stage is then tried again."""
    run = project(tmp_path, CONTRACT).start()
    stage = run.stage("prepare")
    stage.__enter__()
    run.write("fact", {"version": 1})

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt  # nothing after it is done: we abandon the run

    if where == "before the rename":
        monkeypatch.setattr(atomic.Staged, "replace", die)
    else:
        monkeypatch.setattr(Session, "say_artifact", die)
    with pytest.raises(KeyboardInterrupt):
        run.write("fact", {"version": 2}, replace=True)
    monkeypatch.undo()
    abandon(run)
    assert codes(rb.open_run(run.path).verify()) == []
    assert rb.open_run(run.path).read("fact") == {"version": 1 if where == "before the rename" else 2}
    with resume(run.path) as again:
        assert codes(rb.open_run(run.path).verify()) == []
        write_all(again)
    assert codes(rb.open_run(run.path).verify()) == []


@pytest.mark.parametrize("step", ["say", "move"])
def test_a_kill_while_resuming_is_no_damage(killed: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """I16: the files of a try set aside are at one of two places."""
    real = getattr(Session, step)

    def die(self: Session, *args: Any, **fields: Any) -> Any:
        if args[0] in ("stage", TABLE):
            raise KeyboardInterrupt
        return real(self, *args, **fields)

    monkeypatch.setattr(Session, step, die)
    with pytest.raises(KeyboardInterrupt):
        resume(killed)
    monkeypatch.undo()
    found = codes(rb.open_run(killed).verify())
    assert found == [("stray", "artifacts/texts/hint.txt")]
    with resume(killed) as run:
        write_all(run)
    assert codes(rb.open_run(killed).verify()) == []


# --- after a failure ------------------------------------------------------------------------------


def test_a_failed_run_is_sealed_and_intact(tmp_path: Path) -> None:
    done = rb.open_run(failed_run(tmp_path))
    assert (done.status, done.is_sealed, codes(done.verify())) == ("failed", True, [])
    assert done.manifest["attempts"][0]["error"] == {"type": "ZeroDivisionError", "message": ""}
    assert "ZeroDivisionError" in (done.path / "logs" / "traceback.1.txt").read_text()


def test_the_old_seal_is_kept_and_the_run_is_sealed_again(tmp_path: Path) -> None:
    run_dir = failed_run(tmp_path)
    seal = (run_dir / SEAL).read_bytes()
    run = resume(run_dir)
    assert (run_dir / "provenance" / f"{SEAL}.1").read_bytes() == seal
    assert not rb.open_run(run_dir).is_sealed
    assert codes(rb.open_run(run_dir).verify()) == []
    write_all(run)
    digest = run.finish()
    done = rb.open_run(run_dir)
    assert (done.status, done.root_digest, codes(done.verify())) == ("completed", digest, [])
    assert f"provenance/{SEAL}.1" in (run_dir / SEAL).read_text()


def test_tries_of_a_stage_are_counted(tmp_path: Path) -> None:
    run_dir = failed_run(tmp_path)
    with pytest.raises(ZeroDivisionError), resume(run_dir) as run:
        fail_to_measure(run)
    resume(run_dir)
    assert {f"attempts/measure.1/{TABLE}", f"attempts/measure.2/{TABLE}"} <= files(run_dir)
    assert codes(rb.open_run(run_dir).verify()) == []


def test_a_stage_tried_again_in_one_attempt_sets_its_files_aside(tmp_path: Path) -> None:
    run = project(tmp_path, CONTRACT).start()
    with pytest.raises(ZeroDivisionError):
        fail_to_measure(run)
    with run.stage("measure"):
        run.write("table", [{"x": 2, "y": 5}])
    assert (run.path / f"attempts/measure.1/{TABLE}").read_text() == "x,y\n1,2.5\n"
    assert run.read("table") == [{"x": "2", "y": "5"}]


def test_a_file_set_aside_that_is_lost_is_missing_and_nothing_else(tmp_path: Path) -> None:
    run_dir = failed_run(tmp_path)
    run = resume(run_dir)
    write_all(run)
    (run_dir / f"attempts/measure.1/{TABLE}").unlink()
    run.finish()
    assert codes(rb.open_run(run_dir).verify()) == [("missing", f"attempts/measure.1/{TABLE}")]


# --- what is refused ------------------------------------------------------------------------------


def test_a_completed_run_is_never_resumed(tmp_path: Path) -> None:
    with project(tmp_path).start() as run:
        pass
    before = {path: (run.path / path).read_bytes() for path in files(run.path)}
    with pytest.raises(errors.RunSealed, match="never resumed"):
        resume(run.path, allow_changed=True)
    assert {path: (run.path / path).read_bytes() for path in files(run.path)} == before


def test_a_kill_between_the_end_and_the_manifest_leaves_a_completed_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = project(tmp_path).start()

    def die(_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(run._session), "rewrite_manifest", die)
        with pytest.raises(KeyboardInterrupt):
            run.finish()
    abandon(run)
    assert rb.open_run(run.path).status == "interrupted"
    assert (codes(rb.open_run(run.path).verify()), codes(rb.open_run(run.path).check())) == ([], [])
    with pytest.raises(errors.RunSealed, match="never resumed"):
        resume(run.path)
    assert rb.open_run(run.path).status == "completed"


def test_a_live_writer_keeps_its_run(tmp_path: Path) -> None:
    run = project(tmp_path).start()
    with pytest.raises(errors.RunBusy):
        resume(run.path)
    run.save("x.json", 1)
    run.finish()
    assert codes(rb.open_run(run.path).verify()) == []


def test_a_run_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(errors.RunNotFound, match="no run nothing"):
        project(tmp_path).resume("nothing")
    with pytest.raises(errors.InvalidName):
        project(tmp_path).resume("../nothing")


def test_a_changed_configuration_is_refused_unless_allowed(tmp_path: Path) -> None:
    run_dir = failed_run(tmp_path)
    seal = (run_dir / SEAL).read_bytes()
    with pytest.raises(errors.ResumeRefused, match="the configuration changed"):
        resume(run_dir, {"rate": 0.9})
    assert (run_dir / SEAL).read_bytes() == seal
    run = resume(run_dir, {"rate": 0.9}, allow_changed=True)
    assert run.config == {"rate": 0.9}
    assert (run_dir / "provenance" / "1.config.yaml").read_text() == '"rate": 0.5\n'
    assert codes(rb.open_run(run_dir).verify()) == []
    write_all(run)
    run.finish()
    done = rb.open_run(run_dir)
    assert (done.config, codes(done.verify())) == ({"rate": 0.9}, [])
    assert len({item["config_sha256"] for item in done.manifest["attempts"]}) == 2


def test_the_same_configuration_is_no_change(tmp_path: Path) -> None:
    assert resume(failed_run(tmp_path), {"rate": 0.5}).config == {"rate": 0.5}


def test_a_changed_contract_is_refused(tmp_path: Path) -> None:
    run_dir = failed_run(tmp_path)
    other = rb.Contract("sample", "2", CONTRACT.artifacts, CONTRACT.stages)
    with pytest.raises(errors.ResumeRefused, match="the contract changed"):
        resume(run_dir, contract=other)
    run = resume(run_dir, contract=other, allow_changed=True)
    assert run.contract is not None
    assert run.contract.version == "1"  # the run stays held to its own


def test_changed_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from runbundle.run import create  # noqa: PLC0415
    from runbundle.run.origin.code import GitState  # noqa: PLC0415

    run_dir = failed_run(tmp_path)
    elsewhere = GitState(tmp_path, "0" * 40, is_dirty=False)
    monkeypatch.setattr(create, "code_here", lambda _: elsewhere)
    with pytest.raises(errors.ResumeRefused, match="the code changed"):
        resume(run_dir)
    resume(run_dir, allow_changed=True).finish("failed")
    assert [item["git_hash"] for item in rb.open_run(run_dir).manifest["attempts"]] == [None, "0" * 40]


@pytest.mark.parametrize("line", [0, 3])
def test_a_damaged_log_is_refused(tmp_path: Path, line: int) -> None:
    run_dir = failed_run(tmp_path)
    lines = (run_dir / LOG).read_bytes().splitlines(keepends=True)
    lines[line] = lines[line].replace(b'"', b"'", 1)
    (run_dir / LOG).write_bytes(b"".join(lines))
    with pytest.raises(errors.LogCorrupt, match=f"Line {line + 1}"):
        resume(run_dir)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        (LOG, b""),
        (MANIFEST, b"{"),
        (MANIFEST, b"{}"),
        ("config_resolved.yaml", b"- 1\n"),
        ("config_resolved.yaml", b"\xff"),
        ("contract.json", b"[]"),
        ("contract.json", b'{"schema_version": 7}'),
    ],
)
def test_damaged_files_are_our_errors_and_change_nothing(tmp_path: Path, name: str, data: bytes) -> None:
    run_dir = failed_run(tmp_path)
    (run_dir / name).write_bytes(data)
    before = files(run_dir)
    with pytest.raises(rb.RunbundleError):
        resume(run_dir)
    assert files(run_dir) == before


def test_links_do_not_lead_a_resumed_run_outside(tmp_path: Path) -> None:
    run_dir = failed_run(tmp_path)
    outside = tmp_path / "outside"
    outside.mkdir()
    (run_dir / "attempts").symlink_to(outside)
    with pytest.raises(errors.InvalidName, match="link"):
        resume(run_dir)
    assert list(outside.iterdir()) == []
    assert (run_dir / TABLE).is_file()


def test_an_old_report_is_replaced_only_by_a_new_try(tmp_path: Path) -> None:
    run = project(tmp_path, CONTRACT).start()
    with run.stage("report"):
        run.write("report", "first")
    run.finish("aborted")
    again = resume(run.path)
    with pytest.raises(errors.StageError, match="has committed"):
        again.write("report", "second", replace=True)
    assert (run.path / REPORT).read_text() == "first"
    assert {place.name for place in (run.path / "provenance").iterdir()} == {f"{SEAL}.1", "packages.json"}
