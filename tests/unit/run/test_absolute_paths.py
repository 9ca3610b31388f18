"""Seed 002, section 8: no hardcoded absolute paths. ``check`` warns of those that a run holds, and does not fail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import runbundle as rb
from runbundle import cli
from sample_runs import codes, project


def warned(run_dir: Path) -> list[tuple[str, str]]:
    report = rb.open_run(run_dir).check()
    assert report.is_good
    return [(warning.code, warning.subject) for warning in report.warnings]


@pytest.mark.parametrize(
    "text",
    ["/data", "/data/x.npz", "C:\\data\\x", "D:/data", "\\\\server\\share\\x", "~/data", "~me/data", "file:///data/x"],
)
def test_an_absolute_path_in_the_configuration_or_in_json_is_warned_of(tmp_path: Path, text: str) -> None:
    with project(tmp_path).start({"data": {"roots": ["x", text]}}) as run:
        run.save("a.json", {"n": [1, {"path": text}]})
        run.save("b.json", text)
        run.save("c.txt", text)
    subjects = ["config_resolved.yaml", "artifacts/a.json", "artifacts/b.json"]
    assert warned(run.path) == [("absolute_path", subject) for subject in subjects]
    messages = [warning.message for warning in rb.open_run(run.path).check().warnings]
    assert messages[0].startswith(f"data.roots.1 is {text!r}: it leads nowhere")
    assert messages[1].startswith("n.1.path is ")


@pytest.mark.parametrize(
    "value", ["", "/", "a/b", "./a", "../a", "//", "/ 2", "m/s", "12/05/2026", "https://host/x", "C:", "a: /b", 7, None]
)
def test_other_values_are_not(tmp_path: Path, value: Any) -> None:
    with project(tmp_path).start({"value": value}) as run:
        run.save("a.json", {"value": value, "/key/of/json": 1})
    assert warned(run.path) == []


def test_many_paths_in_one_file_are_one_warning(tmp_path: Path) -> None:
    with project(tmp_path).start() as run:
        run.save("a.json", [f"/data/{number}" for number in range(50)])
    (warning,) = rb.open_run(run.path).check().warnings
    assert warning.message.startswith("0 is '/data/0', 1 is '/data/1', 2 is '/data/2' (and 47 more)")


def test_what_was_not_looked_into_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with project(tmp_path).start() as run:
        for name in ("a", "b", "c"):
            run.save(f"{name}.json", "/data")
    monkeypatch.setattr("runbundle.run.portable._MOST_FILES", 2)
    (run.path / "artifacts/b.json").unlink()
    report = rb.open_run(run.path).check()
    assert [warning.subject for warning in report.warnings] == ["artifacts/a.json"]
    assert any(note.startswith("1 JSON artifacts were not looked into") for note in report.notes)
    assert any(note.startswith("artifacts/b.json was not looked into") for note in report.notes)


def test_a_warning_is_printed_and_the_exit_code_stays_zero(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with project(tmp_path).start({"root": "/data"}) as run:
        pass
    assert cli.main(["check", str(run.path)]) == 0
    assert "  warning: absolute_path: config_resolved.yaml: root is '/data'" in capsys.readouterr().out
    assert codes(rb.open_run(run.path).check()) == []
