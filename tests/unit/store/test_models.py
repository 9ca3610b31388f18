"""The registry: models come in whole, once, from runs that can be trusted, and are never overwritten."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import runbundle as rb
from runbundle import errors, models
from runbundle.contract.model import ModelSpec
from sample_runs import SEAL, FixedClock, files, trained_run

SKILL = "perception/segmentation"
NAMED = ModelSpec(SKILL, "sam")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def run(store: Path) -> Path:
    return trained_run(store)


def promote(run: Path, **more: Any) -> models.Model:
    return models.promote(run, "best.bin", **{"skill": SKILL, "name": "unet", "clock": FixedClock(), **more})


def paths(store: Path) -> list[str]:
    return [row.path for row in models.list_models(store)]


# --- promotion ------------------------------------------------------------------------------------


def test_a_model_lies_by_skill_name_variant_day_and_commit(store: Path, run: Path) -> None:
    model = promote(run)
    assert model.path == f"models/{SKILL}/unet/trained/base/2026-11-21_nogit"
    assert files(model.folder) == {"model.bin", "manifest.json", "metrics.json", "config_resolved.yaml", SEAL}
    assert model.file.read_bytes() == b"weights"
    assert (model.folder / "metrics.json").read_bytes() == (run / "metrics.json").read_bytes()
    assert (model.folder / "config_resolved.yaml").read_bytes() == (run / "config_resolved.yaml").read_bytes()
    done = subprocess.run(["sha256sum", "-c", "--quiet", SEAL], cwd=model.folder, check=False)
    assert done.returncode == 0
    assert [place.name for place in (store / "models").iterdir()] == ["perception"]


def test_the_manifest_of_a_model_tells_where_it_is_from(run: Path) -> None:
    done = rb.open_run(run)
    model = promote(run, input_spec={"size": [64, 64]}, rule="metrics.val_iou > 0.8")
    told = json.loads((model.folder / "manifest.json").read_bytes())
    assert told == {
        "schema_version": 1,
        "model_name": "unet",
        "skill": SKILL,
        "variant": "base",
        "origin": "trained",
        "format": "file",
        "file": "model.bin",
        "sha256": done.record("best.bin").sha256,
        "bytes": 7,
        "git_hash": None,
        "git_dirty": False,
        "input_spec": {"size": [64, 64]},
        "rule": "metrics.val_iou > 0.8",
        "created_at_utc": "2026-11-21T10:00:00.417+00:00",
        "producer": {"name": "runbundle", "version": rb.__version__},
        "taken_from": None,
        "source": {
            "project_name": "segment",
            "run_id": done.run_id,
            "run_uuid": done.manifest["run_uuid"],
            "root_digest": done.root_digest,
            "path": f"runs/segment/{done.run_id}",
            "artifact_id": "best.bin",
            "variant": None,
            "filename": "artifacts/best.bin",
        },
    }


def test_the_spec_says_what_a_model_is_called_and_the_caller_has_the_last_word(store: Path) -> None:
    spec = rb.ArtifactSpec("best", "exports", "best", ".txt", "text", model=ModelSpec("a/b", "n", "v", {"size": 1}))
    contract = rb.Contract("c", "1", artifacts=(spec,))
    with rb.Project("p", store=store, contract=contract).start() as run:
        run.write("best", "weights")
    model = models.promote(run.path, "best")
    assert model.path.startswith("models/a/b/n/trained/v/")
    assert model.manifest["input_spec"] == {"size": 1}
    other = models.promote(run.path, "best", skill="c", name="m", model_variant="w", input_spec={})
    assert other.path.startswith("models/c/m/trained/w/")
    assert other.manifest["input_spec"] == {}


def test_without_a_spec_the_skill_must_be_told_and_the_name_is_the_projects(run: Path) -> None:
    with pytest.raises(errors.InvalidValue, match=r"Nothing says what a model made of best\.bin is for"):
        models.promote(run, "best.bin")
    assert models.promote(run, "best.bin", skill="s").path == "models/s/segment/trained/base/2026-11-21_nogit"


def test_a_variant_of_an_artifact_is_promoted(store: Path) -> None:
    spec = rb.ArtifactSpec("net", "exports", "net", ".txt", "text", model=ModelSpec("s", "n"))
    with rb.Project("p", store=store, contract=rb.Contract("c", "1", artifacts=(spec,))).start() as run:
        run.write("net", "one", variant="a")
        run.write("net", "two", variant="b")
    first, second = (models.promote(run.path, "net", variant=variant) for variant in ("a", "b"))
    assert (first.file.read_text(), second.file.read_text()) == ("one", "two")
    assert models.promote(run.path, "net", variant="b").path == second.path != first.path


def test_a_run_is_told_by_its_handle_its_view_or_its_folder(store: Path) -> None:
    with rb.start("segment", store=store) as run:
        run.save("best.bin", b"w")
    found = {models.promote(told, "best.bin", skill="s").path for told in (run, rb.open_run(run.path), run.path)}
    assert len(found) == 1


def test_the_same_artifact_again_is_the_model_that_is_there(store: Path, run: Path) -> None:
    first = promote(run)
    before = {place: place.stat().st_mtime_ns for place in first.folder.iterdir()}
    again = promote(run, rule="metrics.val_iou > 0.5")
    assert again == first
    assert {place: place.stat().st_mtime_ns for place in first.folder.iterdir()} == before
    assert paths(store) == [first.path]


def test_another_model_of_that_day_and_commit_gets_a_number(store: Path, run: Path) -> None:
    first = promote(run)
    second, third = promote(trained_run(store, weights=b"other")), promote(trained_run(store))
    assert [model.path.rpartition("/")[2] for model in (first, second, third)] == [
        *("2026-11-21_nogit", "2026-11-21_nogit-2", "2026-11-21_nogit-3"),
    ]
    assert first.file.read_bytes() == b"weights"
    assert promote(run) == first


def test_the_model_stays_when_its_run_is_changed_or_removed(run: Path) -> None:
    model = promote(run)
    (run / "artifacts/best.bin").write_bytes(b"changed")
    assert models.resolve(model.reference, store=model.store).read_bytes() == b"weights"


def test_a_run_that_was_moved_out_of_its_store_needs_to_be_told_where(tmp_path: Path, store: Path, run: Path) -> None:
    moved = run.rename(tmp_path / "moved")
    model = promote(moved, store=store)
    assert model.source is not None
    assert (model.source["path"], model.source["root_digest"]) == (None, rb.open_run(moved).root_digest)


# --- what may not become a model -------------------------------------------------------------------


def unsealed(run: Path) -> None:
    (run / SEAL).unlink()


def changed_weights(run: Path) -> None:
    (run / "artifacts/best.bin").write_bytes(b"WEIGHTS")


def changed_metrics(run: Path) -> None:
    place = run / "metrics.json"
    place.write_bytes(place.read_bytes().replace(b"0.9", b"1.0"))


def changed_manifest(run: Path) -> None:
    place = run / "run_manifest.json"
    place.write_bytes(place.read_bytes().replace(b'"git_dirty": false', b'"git_dirty": true'))


def changed_config(run: Path) -> None:
    (run / "config_resolved.yaml").write_text('"lr": 0.2\n')


def lost_weights(run: Path) -> None:
    (run / "artifacts/best.bin").unlink()


def resealed_otherwise(run: Path) -> None:
    seal = run / SEAL
    lines = seal.read_text().splitlines(keepends=True)
    seal.write_text("".join("0" * 64 + line[64:] if "best.bin" in line else line for line in lines))


@pytest.mark.parametrize(
    ("harm", "error"),
    [
        (unsealed, errors.PromotionRefused),
        (changed_weights, errors.DigestMismatch),
        (changed_metrics, errors.DigestMismatch),
        (changed_manifest, errors.DigestMismatch),
        (changed_config, errors.DigestMismatch),
        (resealed_otherwise, errors.DigestMismatch),
        (lost_weights, errors.UnavailableError),
    ],
)
def test_a_run_that_is_not_as_it_was_sealed_gives_no_model(
    store: Path, run: Path, harm: Callable[[Path], None], error: type[Exception]
) -> None:
    harm(run)
    with pytest.raises(error) as caught:
        promote(run)
    assert isinstance(caught.value, errors.RunbundleError)
    assert caught.value.hint
    assert paths(store) == []
    assert not [name for name in files(store) if name.startswith("models/")]


@pytest.mark.parametrize("status", ["failed", "aborted"])
def test_a_run_that_did_not_complete_gives_no_model(store: Path, status: str) -> None:
    run = rb.start("segment", store=store)
    run.save("best.bin", b"w")
    run.finish(status)
    with pytest.raises(errors.PromotionRefused, match=f"is not complete: .*the run is {status}"):
        promote(run.path)


def test_a_run_that_goes_on_gives_no_model(store: Path) -> None:
    with rb.start("segment", store=store) as run:
        run.save("best.bin", b"w")
        with pytest.raises(errors.PromotionRefused, match="is running and not sealed"):
            promote(run.path)


def test_a_rule_that_does_not_hold_or_cannot_be_told_gives_no_model(store: Path, run: Path) -> None:
    with pytest.raises(errors.PromotionRefused, match="does not hold"):
        promote(run, rule="metrics.val_iou > 0.95")
    with pytest.raises(errors.InvalidValue, match=r"names metrics\.iou"):
        promote(run, rule="metrics.iou > 0.5")
    assert paths(store) == []


def test_an_artifact_that_is_not_there_gives_no_model(run: Path) -> None:
    with pytest.raises(errors.ArtifactNotFound):
        models.promote(run, "worst.bin", skill="s")
    with pytest.raises(errors.RunNotFound):
        models.promote(run.parent / "none", "best.bin", skill="s")


def test_what_is_changed_in_a_store_is_not_given_out_as_the_same_model(run: Path) -> None:
    model = promote(run)
    model.file.write_bytes(b"WEIGHTS")
    with pytest.raises(errors.DigestMismatch, match=r"model\.bin"):
        promote(run)
    (model.folder / "manifest.json").write_text("{}")
    with pytest.raises(errors.DigestMismatch, match=r"manifest\.json"):
        promote(run)


# --- models from outside --------------------------------------------------------------------------


def test_a_model_made_elsewhere_is_taken_in_with_its_source_and_license(tmp_path: Path, store: Path) -> None:
    file = tmp_path / "SAM.Bin"
    file.write_bytes(b"theirs")
    model = models.add(file, NAMED, source="https://example.org", licence="MIT", store=store)
    assert model.path == f"models/{SKILL}/sam/pretrained/base"
    assert files(model.folder) == {"model.bin", "manifest.json", SEAL}
    assert model.manifest["taken_from"] == {
        "source": "https://example.org",
        "license": "MIT",
        "original_name": "SAM.Bin",
    }
    assert (model.source, model.manifest["origin"], model.manifest["git_hash"]) == (None, "pretrained", None)
    assert models.add(file, NAMED, source="https://example.org", licence="MIT", store=store) == model
    file.unlink()
    assert models.resolve(f"local://{SKILL}/sam/pretrained/base", store=store).read_bytes() == b"theirs"


def test_another_file_or_other_notes_under_that_name_are_refused_and_nothing_is_overwritten(
    tmp_path: Path, store: Path
) -> None:
    file = tmp_path / "sam.bin"
    file.write_bytes(b"theirs")
    model = models.add(file, NAMED, source="a", store=store)
    with pytest.raises(errors.ModelExists, match="is at models/"):
        models.add(file, NAMED, source="b", store=store)
    file.write_bytes(b"newer")
    with pytest.raises(FileExistsError):
        models.add(file, NAMED, source="a", store=store)
    assert model.file.read_bytes() == b"theirs"
    assert models.add(file, ModelSpec(SKILL, "sam", "v2"), source="a", store=store).file.read_bytes() == b"newer"
    assert [place.name for place in (store / "models").iterdir()] == ["perception"]


def test_a_pickle_no_file_and_no_source_are_refused(tmp_path: Path, store: Path) -> None:
    file = tmp_path / "x.bin"
    with pytest.raises(errors.InputNotFound):
        models.add(file, NAMED, source="a", store=store)
    file.write_bytes(b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00}\x94\x8c\x01a\x94K\x01s.")
    with pytest.raises(errors.InvalidValue, match="pickle"):
        models.add(file, NAMED, source="a", store=store)
    with pytest.raises(errors.InvalidValue, match="Nothing says where"):
        models.add(file, NAMED, source=" ", store=store)
    (tmp_path / "x.onnx").write_bytes(b"not a model")
    with pytest.raises(errors.RunbundleError, match="ONNX"):
        models.add(tmp_path / "x.onnx", NAMED, source="a", store=store)
    assert not store.exists()


# --- aliases --------------------------------------------------------------------------------------


def test_an_alias_stands_for_a_model_and_moves_on(store: Path, run: Path) -> None:
    first, second = promote(run), promote(trained_run(store, weights=b"better"))
    models.alias(first.reference, "best", store=store)
    models.alias("model://unet@best", "production", store=store)
    models.alias(second.reference, "best", store=store)
    assert models.resolve("model://unet@best", store=store).read_bytes() == b"better"
    assert models.resolve(f"model://{SKILL}/unet@production", store=store).read_bytes() == b"weights"
    assert [row.aliases for row in models.list_models(store)] == [("production",), ("best",)]


def test_an_alias_that_stands_for_the_model_already_is_left_as_it_is(store: Path, run: Path) -> None:
    model = promote(run)
    models.alias(model.reference, "best", store=store, clock=FixedClock())
    place = store / "models" / SKILL / "unet" / "aliases.json"
    before = place.stat().st_ino
    models.alias(model.reference, "best", store=store)
    assert place.stat().st_ino == before


@pytest.mark.parametrize("name", ["", "Best", "a/b", "../x", "a@b", "trained"])
def test_an_alias_has_a_plain_name(run: Path, name: str) -> None:
    model = promote(run)
    with pytest.raises(errors.InvalidName):
        models.alias(model.reference, name, store=model.store)


def test_only_models_have_aliases(run: Path, store: Path) -> None:
    with pytest.raises(errors.InvalidValue, match="is no model yet"):
        models.alias(f"run://segment/{run.name}/best.bin", "best", store=store)


def test_an_alias_does_not_stand_for_what_was_put_in_the_place_of_its_model(store: Path, run: Path) -> None:
    model = promote(run)
    models.alias(model.reference, "best", store=store)
    other = promote(trained_run(store, weights=b"other"))
    model.folder.rename(store / "aside")
    other.folder.rename(model.folder)
    with pytest.raises(errors.DigestMismatch, match="was set to another model"):
        models.resolve("model://unet@best", store=store)


@pytest.mark.parametrize(
    "damage", [b"", b"{}", b'{"schema_version": 1}', b'{"schema_version": 1, "aliases": {"a": 1}}']
)
def test_aliases_that_are_damaged_are_an_error_and_hide_no_model(store: Path, run: Path, damage: bytes) -> None:
    model = promote(run)
    (store / "models" / SKILL / "unet" / "aliases.json").write_bytes(damage)
    with pytest.raises(errors.DecodeError):
        models.resolve("model://unet@best", store=store)
    with pytest.raises(errors.DecodeError):
        models.alias(model.reference, "best", store=store)
    (row,) = models.list_models(store)
    assert (row.model, bool(row.error)) == (model, True)


def test_aliases_and_models_of_a_later_version_are_refused(store: Path, run: Path) -> None:
    model = promote(run)
    (store / "models" / SKILL / "unet" / "aliases.json").write_text('{"schema_version": 2, "aliases": {}}')
    with pytest.raises(errors.UnsupportedVersion):
        models.resolve("model://unet@best", store=store)
    place = model.folder / "manifest.json"
    seal = model.folder / SEAL
    data = place.read_bytes().replace(b'"schema_version": 1', b'"schema_version": 2')
    place.write_bytes(data)
    lines = seal.read_text().splitlines(keepends=True)
    digest = hashlib.sha256(data).hexdigest()
    seal.write_text("".join(digest + line[64:] if "manifest.json" in line else line for line in lines))
    with pytest.raises(errors.UnsupportedVersion):
        models.resolve(model.reference, store=store)


# --- listing --------------------------------------------------------------------------------------


def test_a_store_without_models_has_none_and_no_store_is_an_error(tmp_path: Path) -> None:
    assert models.list_models(tmp_path) == []
    with pytest.raises(errors.ModelNotFound, match="is no store"):
        models.list_models(tmp_path / "tpyo")


def test_a_damaged_model_hides_no_other_and_what_is_aside_is_passed_over(store: Path, run: Path) -> None:
    first, second = promote(run), promote(trained_run(store, weights=b"other"))
    (first.folder / "manifest.json").write_text("{")
    (store / "models" / ".new-x" / "a").mkdir(parents=True)
    (store / "models" / ".new-x" / "a" / "manifest.json").write_text("{}")
    (store / "models" / "notes.txt").write_text("mine")
    (store / "models" / "link").symlink_to(second.folder)
    rows = models.list_models(store)
    assert [(row.path, row.model is None) for row in rows] == [(first.path, True), (second.path, False)]
    assert "manifest.json" in str(rows[0].error)


def test_models_may_lie_on_another_disk_behind_one_link(tmp_path: Path, store: Path, run: Path) -> None:
    (tmp_path / "disk").mkdir()
    (store / "models").symlink_to(tmp_path / "disk")
    model = promote(run)
    assert models.resolve(model.reference, store=store).read_bytes() == b"weights"
    assert paths(store) == [model.path]


def test_where_writing_is_turned_off_no_model_stays(
    store: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNBUNDLE_DISABLED", "1")
    assert not promote(run).folder.is_relative_to(store)
    (tmp_path / "a.bin").write_bytes(b"x")
    models.add(tmp_path / "a.bin", NAMED, source="a", store=store)
    assert not os.path.lexists(store / "models")
