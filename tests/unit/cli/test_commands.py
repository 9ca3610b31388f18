"""The command line: each command for people and as JSON, its exit codes, and where its words go."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import runbundle as rb
from command_calls import Captured, call, call_json
from runbundle import cli, errors
from runbundle.cli import exits
from sample_runs import CONTRACT, FACT, LOG, MANIFEST, abandon, finished_run, project

COMPLETE = "complete, by its log (verify reads the files)"


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return finished_run(tmp_path)


@pytest.fixture
def store(run_dir: Path) -> str:
    return str(run_dir.parents[2])


def shell(folder: Path, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "runbundle.cli", *arguments]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
    return subprocess.run(command, cwd=folder, check=False, timeout=60, **options)


def tamper(run_dir: Path) -> None:
    (run_dir / FACT).write_text("{}")


# --- ls -------------------------------------------------------------------------------------------


def test_ls_for_people(capsys: Captured, run_dir: Path, store: str) -> None:
    code, out, err = call(capsys, "ls", "--store", store)
    header, row = out.splitlines()
    assert (code, err) == (0, "")
    assert header.split() == ["RUN", "PROJECT", "STATUS", "SEALED", "CREATED", "(UTC)"]
    assert row.split()[:4] == [run_dir.name, "demo", "completed", "yes"]


def test_ls_as_json(capsys: Captured, run_dir: Path, store: str) -> None:
    code, told = call_json(capsys, "ls", "--store", store)
    assert (code, told["store"]) == (0, store)
    (row,) = told["runs"]
    assert (row["run_id"], row["status"], row["path"]) == (run_dir.name, "completed", str(run_dir))


def test_ls_takes_the_store_from_the_environment(
    capsys: Captured, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call(capsys, "ls")[0] == 3
    monkeypatch.setenv("HOME", str(run_dir.parents[3]))
    monkeypatch.setenv("RUNBUNDLE_STORE", "~/store")
    assert run_dir.name in call(capsys, "ls")[1]
    monkeypatch.chdir(run_dir.parents[2])
    monkeypatch.delenv("RUNBUNDLE_STORE")
    assert run_dir.name in call(capsys, "ls")[1]


def test_ls_shows_a_damaged_run_beside_the_others(capsys: Captured, run_dir: Path, store: str) -> None:
    project(Path(store)).start(run_id="other").finish()
    (run_dir / MANIFEST).write_text("{")
    code, out, _ = call(capsys, "ls", "--store", store)
    assert code == 0
    assert [line.split()[:3] for line in out.splitlines()[1:]] == [
        ["other", "demo", "completed"],
        [run_dir.name, "-", "damaged"],
    ]


# --- show -----------------------------------------------------------------------------------------


def test_show_for_people(capsys: Captured, run_dir: Path) -> None:
    code, out, err = call(capsys, "show", run_dir)
    assert (code, err) == (0, "")
    manifest = rb.open_run(run_dir).manifest
    assert f"finished     {manifest['finished_at_utc']}\n" in out
    for words in (
        "completed, sealed",
        "no git",
        "input/source.bin",
        "sample 1",
        "prepare",
        "committed",
        "loss",
        "0.25",
        FACT,
    ):
        assert words in out


def test_show_tells_which_metrics_are_the_last_value_of_a_series(capsys: Captured, tmp_path: Path) -> None:
    with rb.Project("p", store=tmp_path).start() as run:
        for step in range(3):
            run.log({"trades": step, "loss": step / 2}, step=step)
        run.log({"once": 5}, step=0)
        run.summary.update({"loss": 0.25, "accuracy": 0.97})
    _, out, _ = call(capsys, "show", run.path)
    lines = [line.split(maxsplit=1) for line in out.partition("metrics\n")[2].splitlines() if line]
    assert dict(lines) == {"trades": "2 (the last of 3)", "loss": "0.25", "once": "5", "accuracy": "0.97"}


def test_show_as_json(capsys: Captured, run_dir: Path, store: str) -> None:
    code, told = call_json(capsys, "show", run_dir.name[:12], "--store", store)
    assert (code, told["status"], told["path"]) == (0, "completed", str(run_dir))
    assert told["root_digest"] == rb.open_run(run_dir).root_digest
    assert told["manifest"] == json.loads((run_dir / MANIFEST).read_bytes())
    assert told["summary"] == {"loss": 0.25}
    assert told["stages"] == {"measure": "committed", "prepare": "committed", "report": "committed"}
    assert [record["artifact_id"] for record in told["artifacts"]] == ["fact", "table", "report"]


def test_show_a_run_of_nothing(capsys: Captured, tmp_path: Path) -> None:
    run = project(tmp_path).start()
    code, out, _ = call(capsys, "show", abandon(run))
    assert code == 0
    assert "interrupted, not sealed" in out
    assert "artifacts" not in out


def test_show_tells_an_error_that_has_no_message_by_its_type(capsys: Captured, tmp_path: Path) -> None:
    run = project(tmp_path).start()
    run.finish("aborted", KeyboardInterrupt())
    assert "error        KeyboardInterrupt (logs/traceback.1.txt)\n" in call(capsys, "show", run.path)[1]


def test_show_as_json_is_strict_also_with_numbers_that_are_none(capsys: Captured, tmp_path: Path) -> None:
    """I7: non-finite numbers are spelt as text."""
    with project(tmp_path).start() as run:
        run.log({"loss": float("nan")})
        run.summary["best"] = float("-inf")
    _, out, _ = call(capsys, "show", run.path, "--json")

    def refuse(literal: str) -> None:
        raise AssertionError(f"{literal} is no JSON")

    assert json.loads(out, parse_constant=refuse)["summary"] == {"loss": "NaN", "best": "-Infinity"}


def test_show_lists_tables_and_not_their_parts(capsys: Captured, tmp_path: Path) -> None:
    pl = pytest.importorskip("polars", reason="Polars is not installed")
    with project(tmp_path).start() as run:
        run.save("note.txt", "hello")
        run.append("notes", pl.DataFrame({"text": ["a"]}))
        for tick in (3, 40):
            run.append("world/events", pl.DataFrame({"tick": [tick, tick + 1]}), bucket_by="tick", bucket_size=10)
    code, out, _ = call(capsys, "show", run.path)
    assert code == 0
    assert "part-" not in out
    rows = [line.split() for line in out.partition("tables (2)\n")[2].splitlines()[:3]]
    assert rows[0] == ["TABLE", "ROWS", "PARTS", "BYTES", "RANGE"]
    assert [row[:3] + row[4:] for row in rows[1:]] == [
        ["notes", "1", "1", "-"],
        ["world/events", "4", "2", "tick", "3", "to", "41"],
    ]
    _, told = call_json(capsys, "show", run.path)
    assert [record["artifact_id"] for record in told["artifacts"]] == ["note.txt"]
    events = told["tables"][1]
    assert [events[name] for name in ("name", "rows", "parts", "bucket_by", "bucket_size", "low", "high")] == [
        "world/events", 4, 2, "tick", 10, 3, 41,
    ]  # fmt: skip


# --- check and verify -----------------------------------------------------------------------------


@pytest.mark.parametrize(("command", "word"), [("check", COMPLETE), ("verify", "intact")])
def test_a_good_run_is_good(capsys: Captured, run_dir: Path, command: str, word: str) -> None:
    assert call(capsys, command, run_dir) == (0, f"{run_dir.name}: {word}\n", "")
    code, told = call_json(capsys, command, run_dir)
    (row,) = told["runs"]
    assert (code, row) == (
        0,
        {"path": str(run_dir), "is_good": True, "findings": [], "warnings": [], "notes": [], "error": None},
    )


def test_check_tells_what_is_owed(capsys: Captured, tmp_path: Path) -> None:
    run = project(tmp_path, CONTRACT).start()
    run.finish("failed")
    code, out, err = call(capsys, "check", run.path)
    assert (code, err) == (1, "")
    assert out.splitlines()[0] == f"{run.run_id}: 4 findings"
    assert "  stage_missing: prepare: the stage did not end" in out
    code, told = call_json(capsys, "check", run.path)
    assert (code, told["runs"][0]["is_good"]) == (1, False)
    assert {finding["subject"] for finding in told["runs"][0]["findings"]} >= {"prepare", "measure", "report"}


def test_verify_names_the_file(capsys: Captured, run_dir: Path) -> None:
    tamper(run_dir)
    code, out, err = call(capsys, "verify", run_dir)
    assert (code, err) == (1, "")
    assert out.splitlines()[0] == f"{run_dir.name}: 1 finding"
    assert FACT in out
    code, told = call_json(capsys, "verify", run_dir)
    assert (code, told["runs"][0]["findings"][0]["code"]) == (1, "truncated")


def test_verify_says_what_it_was_held_against(capsys: Captured, tmp_path: Path) -> None:
    run = project(tmp_path).start()
    assert "note: the run is not sealed" in call(capsys, "verify", run.path)[1]


def test_verify_by_a_root_digest_kept_elsewhere(capsys: Captured, run_dir: Path) -> None:
    digest = rb.open_run(run_dir).root_digest
    assert digest is not None
    assert call(capsys, "verify", run_dir, "--root-digest", digest)[0] == 0
    code, out, _ = call(capsys, "verify", run_dir, "--root-digest", "0" * 64)
    assert (code, "root_digest_differs: SHA256SUMS" in out) == (1, True)
    assert call(capsys, "verify", run_dir, run_dir, "--root-digest", digest)[0] == 2


@pytest.mark.parametrize("command", ["check", "verify"])
def test_of_several_runs_one_that_is_bad_hides_no_other(
    capsys: Captured, run_dir: Path, tmp_path: Path, command: str
) -> None:
    (tmp_path / "more").mkdir()
    other = finished_run(tmp_path / "more")
    manifest = other / "run_manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b'"schema_version": 1', b'"schema_version": 9'))
    code, out, err = call(capsys, command, other, run_dir)
    assert (code, out) == (4, f"{run_dir.name}: {COMPLETE if command == 'check' else 'intact'}\n")
    assert err.startswith("runbundle: ")
    _, told = call_json(capsys, command, other, run_dir)
    assert [(row["is_good"], row["error"] is None) for row in told["runs"]] == [(True, True), (False, False)]


# --- exit codes and errors ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], 2),
        (["unknown"], 2),
        (["show"], 2),
        (["show", "a", "b"], 2),
        (["ls", "--unknown"], 2),
        (["show", ""], 2),
        (["show", "a\0b"], 2),
        (["verify", "--root-digest"], 2),
        (["show", "nothing"], 3),
        (["check", "nothing"], 3),
        (["verify", "/nothing/at/all"], 3),
        (["ls", "--store", "nothing"], 3),
        (["ls", "--store", "~nobody-here/x"], 3),
        (["show", "x" * 300], 4),
        (["ls", "--store", "x" * 300], 4),
        (["--help"], 0),
        (["--version"], 0),
        (["verify", "--help"], 0),
    ],
)
def test_exit_codes(capsys: Captured, tmp_path: Path, arguments: list[str], code: int) -> None:
    (tmp_path / "runs").mkdir()
    found, out, err = call(capsys, *arguments)
    assert found == code
    assert (out == "") is (code != 0)  # what is no data goes to stderr
    assert "Traceback" not in err


def test_a_file_as_the_store_is_not_found(capsys: Captured, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert call(capsys, "ls", "--store", tmp_path / "file")[0] == 3


def test_a_damaged_manifest_is_a_no(capsys: Captured, run_dir: Path) -> None:
    (run_dir / MANIFEST).write_text("{")
    code, out, err = call(capsys, "show", run_dir)
    assert (code, out) == (1, "")
    assert "cannot be read" in err


def test_a_later_version_is_a_failure_of_the_environment(capsys: Captured, run_dir: Path) -> None:
    path = run_dir / MANIFEST
    path.write_text(path.read_text().replace('"requires": []', '"requires": ["chunks"]'))
    assert call(capsys, "show", run_dir)[0] == 4


def test_an_error_is_one_line_of_what_and_one_of_what_to_do(capsys: Captured, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    _, out, err = call(capsys, "show", "nothing")
    what, to_do = err.splitlines()
    assert (out, what) == ("", "runbundle: There is no run 'nothing'")
    assert to_do.startswith("  It is no folder")


def test_debug_shows_what_was_met_in_a_run(run_dir: Path) -> None:
    (run_dir / LOG).write_bytes(b"{}\n")
    with pytest.raises(errors.LogCorrupt):
        cli.main(["check", str(run_dir), "--debug"])


@pytest.mark.parametrize("arguments", [["--debug", "show", "nothing"], ["show", "nothing", "--debug"]])
def test_debug_shows_the_traceback(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "runs").mkdir()
    done = shell(tmp_path, *arguments)
    assert done.returncode not in (0, 2)
    assert done.stderr.startswith("Traceback")
    assert "RunNotFound" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("arguments", [["--help"], ["ls", "--help"], ["show", "-h"], ["check", "-h"], ["verify", "-h"]])
def test_help_lists_the_exit_codes(capsys: Captured, arguments: list[str]) -> None:
    _, out, _ = call(capsys, *arguments)
    for code in ("0 good", "1 checked", "2 wrong usage", "3 not found", "4 the environment", "130 interrupted"):
        assert code in out


def test_every_branch_of_the_errors_has_its_code(capsys: Captured) -> None:
    wanted = {
        errors.RunNotFound: 3,
        errors.ArtifactNotFound: 3,
        errors.InvalidName: 2,
        errors.ContractError: 2,
        errors.RunExists: 2,
        errors.ContractUnmet: 1,
        errors.DigestMismatch: 1,
        errors.RunBusy: 1,
        errors.RunSealed: 1,
        errors.MissingExtra: 4,
        errors.UnsupportedVersion: 4,
        errors.UnavailableError: 4,
    }
    assert {kind: exits.report_error(kind("x"), prog="p") for kind in wanted} == wanted
    assert capsys.readouterr().err == "p: x\n" * len(wanted)


def test_ctrl_c_is_130(capsys: Captured) -> None:
    def interrupt() -> int:
        raise KeyboardInterrupt

    assert exits.run_command(interrupt, prog="runbundle") == 130
    assert capsys.readouterr().err == "runbundle: interrupted\n"


# --- where the words go ---------------------------------------------------------------------------


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path, store: str) -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        done = shell(tmp_path, "ls", "--store", store, stdout=write)
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_an_output_that_is_full_is_a_failure_of_the_environment(tmp_path: Path, store: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = shell(tmp_path, "ls", "--store", store, stdout=full)
    assert done.returncode == 4
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_the_terminal_cannot_show_is_spelt_out(tmp_path: Path) -> None:
    with project(tmp_path).start(run_id="é") as run:
        run.save("表.json", 1)
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii"}
    text = shell(tmp_path, "show", "é", env=ascii_only)
    assert (text.returncode, text.stderr) == (0, "")
    assert "\\u8868.json" in text.stdout
    told = shell(tmp_path, "show", "é", "--json", env=ascii_only)
    assert json.loads(told.stdout)["artifacts"][0]["artifact_id"] == "表.json"


def test_nothing_that_a_run_says_reaches_the_terminal_as_it_is(capsys: Captured, tmp_path: Path) -> None:
    """A run may come from anywhere: it must not clear the screen, nor forge a line."""
    run = project(tmp_path, CONTRACT).start()
    run.skip("prepare", "\x1b[2J\nreport: complete")
    run.summary["note"] = "\x1b[2J\u202egnp"
    (run.path / "artifacts" / "\x1b[2J").touch()
    for command in ("show", "check", "verify"):
        _, out, err = call(capsys, command, abandon(run))
        assert "\x1b" not in out + err
        assert "\nreport" not in out
        assert "\u202e" not in out


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_progress_goes_to_a_terminal_on_stderr_and_is_gone_before_the_words(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch, run_dir: Path
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    code, out, _ = call(capsys, "verify", run_dir)
    assert (code, out) == (0, f"{run_dir.name}: intact\n")
    assert "verifying" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K")


def test_commands_need_nothing_but_the_folder(capsys: Captured, run_dir: Path, tmp_path: Path) -> None:
    moved = shutil.move(run_dir, tmp_path / "alone")
    for command in ("show", "check", "verify"):
        assert call(capsys, command, "alone")[0] == 0
    assert Path(moved).is_dir()
