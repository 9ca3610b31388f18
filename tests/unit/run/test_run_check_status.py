"""``check``: what keeps a run from being complete; and what a reader says of a run that never said its end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import independent_reader
import runbundle as rb
from runbundle import errors
from runbundle.run.origin import provenance
from sample_runs import CONTRACT, LOG, MANIFEST, ROWS, SPEC, abandon, codes, finished_run, project, run_child, write_all

Findings = list[tuple[str, str]]


def prepare(run: rb.RunIO) -> None:
    with run.stage("prepare"):
        run.write("fact", {})


def decline_measure(run: rb.RunIO) -> None:
    prepare(run)
    with run.stage("measure") as stage:
        stage.decline("too dark")


def fail_measure(run: rb.RunIO) -> None:
    prepare(run)
    with pytest.raises(ZeroDivisionError), run.stage("measure"):
        raise ZeroDivisionError


def report_only(run: rb.RunIO) -> None:
    run.skip("prepare")
    run.skip("measure")
    with run.stage("report"):
        run.write("report", "")


@pytest.mark.parametrize(
    ("work", "expected"),
    [
        (lambda _: None, [("stage_missing", stage) for stage in ("measure", "prepare", "report")]),
        (prepare, [("stage_missing", "measure"), ("stage_missing", "report")]),
        (decline_measure, [("stage_missing", "report")]),
        (fail_measure, [("stage_failed", "measure"), ("stage_missing", "report")]),
        (report_only, []),
        (write_all, []),
    ],
)
def test_what_a_run_owes_its_contract(tmp_path: Path, work: Callable[[rb.RunIO], object], expected: Findings) -> None:
    run = project(tmp_path, CONTRACT).start()
    work(run)
    run.finish("failed")
    found = codes(rb.open_run(run.path).check())
    assert found == sorted([*expected, ("run_not_finished", run.run_id)])
    assert [code for code, _ in independent_reader.check(run.path)] == [code for code, _ in found]


def test_an_input_that_the_contract_asks_for_is_missed(tmp_path: Path) -> None:
    contract = rb.Contract("x", "1", (SPEC("source", "input", "", "", "file"),))
    run = project(tmp_path, contract).start()
    assert ("input_missing", "source") in codes(rb.open_run(run.path).check())
    (tmp_path / "source.bin").touch()
    run.ingest(tmp_path / "source.bin")
    run.finish()
    assert codes(rb.open_run(run.path).check()) == []


def test_a_run_without_a_contract_is_complete_when_it_completed(tmp_path: Path) -> None:
    run = project(tmp_path).start()
    assert codes(rb.open_run(run.path).check()) == [("run_not_finished", run.run_id)]
    run.finish()
    report = rb.open_run(run.path).check()
    assert (codes(report), report.notes) == ([], ("the run has no contract: only its status was checked",))


def test_artifacts_that_the_stored_contract_does_not_know_are_told(tmp_path: Path) -> None:
    """The contract in the folder is the one that counts; a reader needs no other."""
    contract = rb.Contract("free", "1", (SPEC("a", "k", "a", ".json", "json"),), allow_extras=True)
    with project(tmp_path, contract).start() as run:
        run.write("a", 1)
        run.save("x.txt", "")
    stored = json.loads((run.path / "contract.json").read_bytes())
    stored |= {"allow_extras": False, "formats": ["json"]}
    (run.path / "contract.json").write_text(json.dumps(stored))
    assert codes(rb.open_run(run.path).check()) == [("artifact_undeclared", "x.txt"), ("format_not_allowed", "x.txt")]
    assert codes(rb.open_run(run.path).verify()) == [("changed", "contract.json")]


def test_a_run_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    run_dir = finished_run(tmp_path)
    (run_dir / LOG).write_bytes(b"{}\n")
    with pytest.raises(errors.LogCorrupt, match="Line 1"):
        rb.open_run(run_dir).check()
    (run_dir / MANIFEST).write_bytes(b"{}")
    with pytest.raises(errors.ManifestCorrupt):
        rb.open_run(run_dir)


# --- status ---------------------------------------------------------------------------------------


def test_a_run_is_running_while_its_writer_lives_and_interrupted_after(tmp_path: Path) -> None:
    run = project(tmp_path).start()
    assert rb.open_run(run.path).status == "running"
    assert rb.open_run(abandon(run)).status == "interrupted"


def test_the_writer_of_another_process_is_seen(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
import runbundle as rb
from sample_runs import project

run = project(Path("store")).start(run_id="r")
child = __import__("subprocess").run(
    [sys.executable, "-c", "import runbundle as rb; print(rb.open_run('store/runs/demo/r').status)"],
    capture_output=True, text=True, check=True,
)
print(child.stdout.strip(), flush=True)
__import__("os")._exit(0)
"""
    done = run_child(code, tmp_path)
    assert (done.stdout, done.stderr) == ("running\n", "")
    assert rb.open_run(tmp_path / "store" / "runs" / "demo" / "r").status == "interrupted"


@pytest.mark.parametrize(
    "elsewhere",
    [{"name": "elsewhere", "boot_id": "x", "pid": 1}, {"boot_id": "another boot"}, {"boot_id": None}],
)
def test_from_elsewhere_nobody_can_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, elsewhere: dict[str, Any]
) -> None:
    run = project(tmp_path).start()
    here = provenance.host()
    monkeypatch.setattr(provenance, "host", lambda: here | elsewhere)
    assert rb.open_run(run.path).status == "unknown"
    run.finish()
    assert rb.open_run(run.path).status == "completed"


def test_a_killed_writer_that_resumed_is_the_one_that_is_asked_about(tmp_path: Path) -> None:
    run = project(tmp_path, CONTRACT).start()
    abandon(run)
    again = project(tmp_path).resume(run.run_id)
    assert rb.open_run(run.path).status == "running"
    with again.stage("prepare"):
        again.write("fact", ROWS)
    assert rb.open_run(abandon(again)).status == "interrupted"
