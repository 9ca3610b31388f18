"""Finding runs in a store: all of them, whatever lies beside them or is wrong with one."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

import runbundle as rb
from runbundle import errors
from runbundle.store.listing import find_run, list_runs, run_folders
from sample_runs import MANIFEST, MOMENT, SEAL, FixedClock, abandon, project


def start(store: Path, name: str, hour: int, run_id: str | None = None) -> rb.RunIO:
    clock = replace(FixedClock(), moment=MOMENT + timedelta(hours=hour))
    return rb.Project(name, store=store, clock=clock).start(run_id=run_id)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Two projects, a flat run, runs that ended in each way, and things that are no runs."""
    place = tmp_path / "store"
    start(place, "a", 1, "done").finish()
    start(place, "a", 3, "broken").finish("failed")
    abandon(start(place, "b", 2, "killed"))
    flat = rb.Contract("flat", "1", layout=rb.Layout(name="flat", run_folder="runs/{run_id}"))
    rb.Project("lab", store=place, contract=flat, clock=FixedClock()).start(run_id="flat").finish()
    (place / "runs" / "a" / ".new-x").mkdir()
    shutil.copy(place / "runs" / "a" / "done" / MANIFEST, place / "runs" / "a" / ".new-x")
    (place / "runs" / "a" / "notes").mkdir()
    (place / "runs" / "a" / "file").touch()
    (place / "runs" / "a" / "link").symlink_to(place / "runs" / "a" / "done")
    return place


def test_all_runs_newest_first(store: Path) -> None:
    rows = [(row.run_id, row.project_name, row.status, row.is_sealed) for row in list_runs(store)]
    assert rows == [
        ("broken", "a", "failed", True),
        ("killed", "b", "interrupted", False),
        ("done", "a", "completed", True),
        ("flat", "lab", "completed", True),
    ]


def test_a_row_as_json(store: Path) -> None:
    (row,) = [row.to_json() for row in list_runs(store) if row.run_id == "done"]
    assert row == {
        "run_id": "done",
        "project_name": "a",
        "status": "completed",
        "created_at_utc": "2026-11-21T11:00:00.417+00:00",
        "is_sealed": True,
        "path": str(store / "runs" / "a" / "done"),
        "error": None,
    }


@pytest.mark.parametrize("manifest", [b"", b"{}", b"\xff", b'{"requires": 1}'])
def test_a_damaged_run_hides_no_other(store: Path, manifest: bytes) -> None:
    (store / "runs" / "a" / "done" / MANIFEST).write_bytes(manifest)
    rows = {row.run_id: row for row in list_runs(store)}
    assert len(rows) == 4
    assert (rows["done"].status, rows["done"].is_sealed) == ("damaged", True)
    assert rows["done"].error
    assert rows["flat"].error is None


def test_a_run_of_a_newer_version_is_unknown_and_not_damaged(store: Path) -> None:
    path = store / "runs" / "a" / "done" / MANIFEST
    path.write_bytes(path.read_bytes().replace(b'"schema_version": 1', b'"schema_version": 7'))
    row = {row.run_id: row for row in list_runs(store)}["done"]
    assert (row.status, row.error) == ("unknown", "The run has schema_version 7 and requires []; this version reads 1")


def test_a_manifest_with_fields_of_wrong_types_is_damaged(store: Path) -> None:
    path = store / "runs" / "b" / "killed" / MANIFEST
    path.write_bytes(path.read_bytes().replace(b'"attempts": [', b'"attempts": [5,'))
    assert {row.run_id: row.status for row in list_runs(store)}["killed"] == "damaged"


def test_what_is_no_store_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(errors.RunNotFound, match="no store"):
        list(run_folders(tmp_path))
    (tmp_path / "runs").mkdir()
    assert list_runs(tmp_path) == []


# --- one run --------------------------------------------------------------------------------------


def test_a_run_is_found_by_path_id_and_beginning(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = store / "runs" / "a" / "done"
    elsewhere = Path(shutil.copytree(place, store.parent / "moved"))
    assert find_run(str(place), store) == place
    assert find_run("done", store) == find_run("d", store) == place
    assert find_run(str(elsewhere), store) == elsewhere
    assert find_run("moved", store) == elsewhere  # a run of that name in the current folder
    monkeypatch.chdir(place)
    assert find_run(".", store) == place
    monkeypatch.setenv("HOME", str(store))
    assert find_run("~/runs/a/done", store) == place


def test_an_id_that_begins_another_is_itself(store: Path) -> None:
    start(store, "a", 5, "done-again").finish()
    assert find_run("done", store).name == "done"
    with pytest.raises(errors.RunNotFound, match="2 runs begin with 'don'"):
        find_run("don", store)


def test_one_id_in_two_projects_is_not_unique(store: Path) -> None:
    start(store, "b", 5, "done").finish()
    with pytest.raises(errors.RunNotFound, match="2 runs begin with"):
        find_run("done", store)


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        ("nothing", errors.RunNotFound),
        ("a/nothing", errors.RunNotFound),
        ("notes", errors.RunNotFound),
        (".new-x", errors.RunNotFound),
        ("", errors.InvalidName),
        ("a\0b", errors.InvalidName),
        ("x" * 300, errors.UnavailableError),
        ("~nobody-here", errors.RunNotFound),
    ],
)
def test_what_is_not_found_is_our_error(store: Path, wanted: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        find_run(wanted, store)


def test_a_folder_of_the_current_folder_does_not_hide_an_id(store: Path, tmp_path: Path) -> None:
    (tmp_path / "done").mkdir()
    assert find_run("done", store) == store / "runs" / "a" / "done"


def test_a_seal_that_is_anything_is_a_seal_in_a_listing(store: Path) -> None:
    (store / "runs" / "a" / "done" / SEAL).unlink()
    assert not project(store).start().path.joinpath(SEAL).exists()
    assert {row.run_id: row.is_sealed for row in list_runs(store)}["done"] is False
