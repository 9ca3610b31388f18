"""The chain that led to a run, and where it stops."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import runbundle as rb
from runbundle import models
from runbundle.contract.model import ModelSpec
from runbundle.store.lineage import CHANGED, GONE, LOOP, UNREADABLE, Origin, lineage
from sample_runs import MANIFEST, SEAL, trained_run


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def trained(store: Path) -> Path:
    return trained_run(store)


@pytest.fixture
def measured(tmp_path: Path, store: Path, trained: Path) -> Path:
    """A run that used a model of a run that used a model of a third, and one made elsewhere."""
    first = models.promote(trained, "best.bin", skill="s", name="first")
    photo, theirs = tmp_path / "photo.bin", tmp_path / "theirs.bin"
    photo.write_bytes(b"seen")
    theirs.write_bytes(b"theirs")
    other = models.add(theirs, ModelSpec("s", "theirs"), source="a paper", licence="MIT", store=store)
    with rb.start("tune", store=store) as tune:
        tune.use_model(first.reference)
        tune.save("tuned.bin", b"tuned")
    second = models.promote(tune.path, "tuned.bin", skill="s", name="second")
    with rb.start("measure", store=store) as run:
        run.ingest(photo)
        run.use_model(second.reference)
        run.use_model(other.reference)
    return run.path


def seen(origin: Origin) -> list[tuple[str, str]]:
    return [(fault.code, fault.message) for fault in origin.faults]


def test_the_chain_goes_back_to_the_first_training_with_code_and_inputs(measured: Path, trained: Path) -> None:
    found = lineage(rb.open_run(measured))
    theirs, second = sorted(found.models, key=lambda used: "second" in used.record["reference"])
    assert seen(found) == []
    assert [item["filename"] for item in found.manifest["inputs"]] == ["input/photo.bin"]
    assert (theirs.taken_from, theirs.run) == (
        {"source": "a paper", "license": "MIT", "original_name": "theirs.bin"},
        None,
    )
    assert second.run is not None
    assert second.run.manifest["project_name"] == "tune"
    assert second.run.models[0].run is not None
    first = second.run.models[0].run
    assert (first.manifest["run_id"], first.root_digest) == (trained.name, rb.open_run(trained).root_digest)
    told = found.to_json()
    assert [model["run"] and model["run"]["project_name"] for model in told["models"]].count("tune") == 1
    assert {"git_hash", "git_dirty", "inputs", "run_uuid"} <= told.keys()


def test_a_source_run_that_is_gone_is_told(measured: Path, trained: Path) -> None:
    shutil.rmtree(trained)
    assert seen(lineage(rb.open_run(measured))) == [(GONE, f"the run {trained.name} is no longer in the store")]


def test_a_source_run_that_was_moved_within_the_store_is_found(measured: Path, trained: Path) -> None:
    trained.rename(trained.with_name("renamed"))
    assert seen(lineage(rb.open_run(measured))) == []


def test_another_run_of_the_name_is_not_taken_for_it(store: Path, measured: Path, trained: Path) -> None:
    shutil.rmtree(trained)
    other = trained_run(store)
    assert other == trained
    assert seen(lineage(rb.open_run(measured)))[0][0] == GONE


def test_a_source_run_that_was_sealed_anew_is_told(measured: Path, trained: Path) -> None:
    (trained / SEAL).write_bytes((trained / SEAL).read_bytes() + b"0" * 64 + b"  x\n")
    assert seen(lineage(rb.open_run(measured)))[0][0] == CHANGED


def test_a_source_run_that_cannot_be_read_is_told(measured: Path, trained: Path) -> None:
    (trained / MANIFEST).write_text("{")
    assert seen(lineage(rb.open_run(measured)))[0][0] == UNREADABLE


def test_a_model_that_is_gone_or_changed_ends_the_chain(store: Path, measured: Path) -> None:
    model = next(row.model for row in models.list_models(store) if row.model and row.model.name == "second")
    model.file.write_bytes(b"TUNED")
    found = lineage(rb.open_run(measured))
    assert [code for code, _ in seen(found)] == [CHANGED]
    assert all(used.run is None for used in found.models)
    shutil.rmtree(model.folder)
    assert [code for code, _ in seen(lineage(rb.open_run(measured)))] == [GONE]


def test_another_model_in_the_place_of_the_one_that_was_used_is_told(tmp_path: Path, store: Path) -> None:
    files = [tmp_path / name for name in ("a.bin", "b.bin")]
    for file in files:
        file.write_bytes(file.name.encode())
    with rb.start("measure", store=store) as run:
        run.use_model(models.add(files[0], ModelSpec("s", "n"), source="x", store=store).reference)
    shutil.rmtree(store / "models/s/n")
    models.add(files[1], ModelSpec("s", "n"), source="x", store=store)
    ((code, message),) = seen(lineage(rb.open_run(run.path)))
    assert (code, "is another model than the run used" in message) == (CHANGED, True)


def test_a_run_that_used_its_own_artifact_is_a_loop(store: Path) -> None:
    with rb.Project("p", store=store).start(run_id="r") as run:
        run.save("net.bin", b"w")
        run.use_model("run://p/r/net.bin")
    ((code, message),) = seen(lineage(rb.open_run(run.path)))
    assert (code, message) == (LOOP, "the run r is one that the chain came through")


def test_a_run_taken_out_of_its_store_is_followed_in_the_store_that_is_named(
    tmp_path: Path, store: Path, measured: Path
) -> None:
    moved = measured.rename(tmp_path / "taken")
    assert {code for code, _ in seen(lineage(rb.open_run(moved)))} == {GONE}
    assert seen(lineage(rb.open_run(moved), store)) == []
