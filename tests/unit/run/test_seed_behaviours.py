"""What seed 000 (io.py) does, kept under our names. Each test cites the sentence it holds."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import runbundle as rb
from runbundle import errors
from sample_runs import CONTRACT, LOG, MANIFEST, SEED_CONTRACT, SEED_FOLDERS, codes, project

ISO_MS_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A picture of 4 by 2 pixels, blue, that EXIF says to turn by 90 degrees."""
    path = tmp_path / "leaf.png"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (4, 2), (0, 0, 255)).save(path, exif=exif)
    return path


@pytest.fixture
def run(tmp_path: Path) -> rb.RunIO:
    """An open run in the seed's layout."""
    return project(tmp_path / "store", SEED_CONTRACT).start({"pitch_mm": 5})


def manifest_of(run: rb.RunIO) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run.path / MANIFEST).read_bytes())
    return found


def records_of(run: rb.RunIO, kind: str) -> list[dict[str, Any]]:
    lines = (run.path / LOG).read_text(encoding="utf-8").splitlines()
    return [record for record in map(json.loads, lines) if record["record"] == kind]


# --- "create: eagerly creates all subdirectories for the run and writes an initial manifest" ------


def test_all_eight_folders_and_the_manifest_are_there_at_creation(run: rb.RunIO) -> None:
    assert {place.name for place in run.path.iterdir() if place.is_dir()} == {*SEED_FOLDERS, "provenance"}
    manifest = manifest_of(run)
    assert manifest["run_id"] == run.run_id == run.path.name
    assert manifest["config_snapshot"] == {"pitch_mm": 5}
    assert ISO_MS_UTC.fullmatch(manifest["created_at_utc"])
    assert [manifest[f"input_{name}"] for name in ("original_path", "copied_path", "sha256")] == [None] * 3


def test_the_run_id_of_the_seed(run: rb.RunIO) -> None:
    assert re.fullmatch(r"run_\d{8}_\d{6}_\d{3}_[A-Za-z0-9]{8}", run.run_id)


def test_facts_of_the_project_stand_in_the_manifest(tmp_path: Path) -> None:
    """`gridpet_version: Version string for the producing build (informational).`"""
    run = rb.Project("seed", store=tmp_path, facts={"gridpet_version": "0.0.0+dev"}).start()
    assert manifest_of(run)["gridpet_version"] == "0.0.0+dev"


def test_the_manifest_holds_our_fields_beside_those_of_the_seed(run: rb.RunIO) -> None:
    manifest = manifest_of(run)
    assert (manifest["schema_version"], manifest["status"], manifest["project_name"]) == (1, "running", "demo")
    assert manifest["producer"]["name"] == "runbundle"
    assert manifest["contract"]["name"] == "seed"
    assert manifest["git_hash"] is None
    assert re.fullmatch(r"[0-9a-f-]{14}7[0-9a-f-]{21}", manifest["run_uuid"])
    assert "numpy" in manifest["package_versions"]


# --- "out_root is created if it does not exist"; a ValueError if it is not a directory ---------------


def test_a_missing_store_is_made(tmp_path: Path) -> None:
    assert project(tmp_path / "a" / "b").start().path.is_relative_to(tmp_path / "a" / "b" / "runs")


def test_the_home_folder_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`out_root.expanduser()`"""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert rb.start("demo", store="~/here").path.is_relative_to(tmp_path / "here")


def test_a_file_in_the_place_of_the_store_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text("kept")
    with pytest.raises(ValueError, match="is a file") as caught:
        project(place).start()
    assert isinstance(caught.value, rb.RunbundleError)
    assert place.read_text() == "kept"


def test_a_store_that_cannot_be_made_is_an_os_error(tmp_path: Path) -> None:
    """`OSError: If directories or manifest cannot be created/written.`"""
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="Not a directory") as caught:
        project(tmp_path / "file" / "below").start()
    assert isinstance(caught.value, errors.UnavailableError)


# --- "ingest_input: Copy the source image into `input_dir` and update the run manifest" -----------


def test_ingest_copies_under_the_own_name_hashes_and_updates_the_manifest(run: rb.RunIO, photo: Path) -> None:
    copied = run.ingest(photo)
    assert copied == run.path / "input" / "leaf.png"
    assert copied.read_bytes() == photo.read_bytes()
    manifest = manifest_of(run)
    assert manifest["input_original_path"] == str(photo)
    assert manifest["input_copied_path"] == "input/leaf.png"
    assert manifest["input_sha256"] == hashlib.sha256(photo.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("source", "builtin", "ours"),
    [
        ("leaf.png", ValueError, errors.InvalidValue),  # "ValueError: If `src_path` is not absolute"
        ("/nowhere/leaf.png", FileNotFoundError, errors.InputNotFound),  # "If `src_path` does not exist"
        ("/tmp", FileNotFoundError, errors.InputNotFound),  # noqa: S108 - "or is not a file"
    ],
)
def test_ingest_takes_an_absolute_path_of_a_file(
    run: rb.RunIO, photo: Path, source: str, builtin: type[Exception], ours: type[Exception]
) -> None:
    assert photo.exists()
    with pytest.raises(builtin) as caught:
        run.ingest(source)
    assert isinstance(caught.value, ours)
    assert list((run.path / "input").iterdir()) == []


def test_fail_refuses_what_is_there(run: rb.RunIO, photo: Path) -> None:
    """`FAIL: Reject if the destination already exists.` `ValueError: ... if a collision occurs`"""
    run.ingest(photo)
    with pytest.raises(ValueError, match="is there already") as caught:
        run.ingest(photo, collision_policy="fail")
    assert isinstance(caught.value, errors.InputExists)


def test_overwrite_replaces_and_the_manifest_follows(run: rb.RunIO, photo: Path) -> None:
    """`OVERWRITE: Remove the destination and replace it with the new file.`"""
    run.ingest(photo)
    photo.write_bytes(b"another picture")
    assert run.ingest(photo, collision_policy=rb.CollisionPolicy.OVERWRITE).read_bytes() == b"another picture"
    assert manifest_of(run)["input_sha256"] == hashlib.sha256(b"another picture").hexdigest()
    (intent,) = records_of(run, "intent")
    first, second = records_of(run, "input")
    assert intent["replaces"] == second["replaces"] == {"writer": "", "seq": first["seq"]}
    assert intent["sha256"] == second["sha256"]
    run.finish()
    assert codes(rb.open_run(run.path).verify()) == []


def test_overwrite_keeps_the_old_file_until_the_new_one_is_whole(
    run: rb.RunIO, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = run.ingest(photo).read_bytes()
    photo.write_bytes(b"another picture")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", fail)
    with pytest.raises(OSError, match="No space left"):
        run.ingest(photo, collision_policy="overwrite")
    monkeypatch.undo()
    assert (run.path / "input" / "leaf.png").read_bytes() == before
    assert codes(rb.open_run(run.path).verify()) == []


def test_resume_goes_on_with_the_same_bytes_only(run: rb.RunIO, photo: Path) -> None:
    """`RESUME: ... if identical, treat as already ingested and proceed, if different, raise an error.`"""
    first = run.ingest(photo)
    said = (run.path / LOG).read_bytes()
    assert run.ingest(photo, collision_policy="resume") == first
    assert (run.path / LOG).read_bytes() == said
    photo.write_bytes(b"another picture")
    with pytest.raises(ValueError, match="holds something else"):
        run.ingest(photo, collision_policy="resume")


def test_a_collision_policy_that_is_none_is_refused(run: rb.RunIO, photo: Path) -> None:
    with pytest.raises(errors.InvalidValue, match="fail, overwrite, resume"):
        run.ingest(photo, collision_policy="append")


# --- "read_image_bgr: Two modes are supported" ----------------------------------------------------


def test_an_absolute_path_is_ingested_then_read(run: rb.RunIO, photo: Path) -> None:
    """`applying EXIF orientation, returning BGR uint8`"""
    image = run.read_input_bgr(photo)
    assert (image.shape, image.dtype) == ((4, 2, 3), np.uint8)
    assert image[0, 0].tolist() == [255, 0, 0]
    assert manifest_of(run)["input_copied_path"] == "input/leaf.png"


def test_a_file_name_is_read_in_place_without_copy_or_hash(run: rb.RunIO, photo: Path) -> None:
    """`This mode does not copy data and does not compute hashes.`"""
    (run.path / "input" / "there.png").write_bytes(photo.read_bytes())
    assert run.read_input_bgr("there.png").shape == (4, 2, 3)
    manifest = manifest_of(run)
    assert manifest["input_copied_path"] == "input/there.png"
    assert (manifest["input_sha256"], manifest["input_original_path"]) == (None, None)
    run.write("measurement", {})
    assert (run.path / "measurement" / "there__measurement.json").is_file()
    run.finish()
    assert codes(rb.open_run(run.path).verify()) == []


def test_a_file_read_in_place_is_hashed_when_it_is_ingested_again(run: rb.RunIO, photo: Path) -> None:
    """`RESUME: ... treat as already ingested`: and then its origin and hash are known."""
    (run.path / "input" / "leaf.png").write_bytes(photo.read_bytes())
    run.read_input("leaf.png")
    run.ingest(photo, collision_policy="resume")
    manifest = manifest_of(run)
    assert manifest["input_original_path"] == str(photo)
    assert manifest["input_sha256"] == hashlib.sha256(photo.read_bytes()).hexdigest()
    assert len(records_of(run, "intent")) == len(manifest["inputs"]) == 1
    assert codes(rb.open_run(run.path).verify()) == []


@pytest.mark.parametrize(
    ("name", "builtin"),
    [
        ("folder/leaf.png", ValueError),  # "ValueError: If a non-absolute path includes directories."
        ("../leaf.png", ValueError),
        ("absent.png", FileNotFoundError),  # "If the resolved input file does not exist/is not a file."
    ],
)
def test_a_relative_path_with_folders_and_an_absent_file_are_refused(
    run: rb.RunIO, name: str, builtin: type[Exception]
) -> None:
    with pytest.raises(builtin) as caught:
        run.read_input_bgr(name)
    assert isinstance(caught.value, rb.RunbundleError)


def test_what_is_no_picture_is_an_os_error(run: rb.RunIO, tmp_path: Path) -> None:
    """`OSError: If ingestion or image decoding fails.`"""
    (tmp_path / "leaf.jpg").write_bytes(b"no picture")
    with pytest.raises(OSError, match="not readable"):
        run.read_input_bgr(tmp_path / "leaf.jpg")


def test_the_primary_input_can_be_read_again(run: rb.RunIO, photo: Path) -> None:
    with pytest.raises(errors.InputNotFound):
        run.read_input()
    run.ingest(photo)
    assert run.read_input() == photo.read_bytes()
    (run.path / "input" / "leaf.png").write_bytes(b"changed behind our back")
    with pytest.raises(errors.DigestMismatch) as caught:
        run.read_input()
    assert (caught.value.artifact, caught.value.run) == ("photo", run.run_id)


# --- second inputs: decided here, the seed says nothing -------------------------------------------


def test_a_second_input_is_kept_beside_the_primary_and_changes_no_name(
    run: rb.RunIO, photo: Path, tmp_path: Path
) -> None:
    second = tmp_path / "stone.png"
    second.write_bytes(photo.read_bytes())
    run.ingest(photo)
    run.ingest(second)
    assert run.write("measurement", {}).filename == "measurement/leaf__measurement.json"
    manifest = manifest_of(run)
    assert [item["filename"] for item in manifest["inputs"]] == ["input/leaf.png", "input/stone.png"]
    assert manifest["input_copied_path"] == "input/leaf.png"
    with pytest.raises(errors.ConflictError, match=r"input/leaf\.png"):
        run.read_input("stone.png")


def test_two_inputs_of_one_stem_never_make_two_artifacts_meet(run: rb.RunIO, photo: Path, tmp_path: Path) -> None:
    twin = tmp_path / "leaf.raw"
    twin.write_bytes(b"raw")
    run.ingest(photo)
    run.ingest(twin)
    run.write("measurement", {"of": "leaf.png"})
    with pytest.raises(errors.ArtifactExists):
        run.write("measurement", {"of": "leaf.raw"})
    run.finish()
    assert codes(rb.open_run(run.path).verify()) == []


def test_inputs_that_differ_in_case_only_are_refused(run: rb.RunIO, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "up").mkdir()
    twin = photo.rename(tmp_path / "up" / "LEAF.png")
    (tmp_path / "leaf.png").write_bytes(b"x")
    run.ingest(tmp_path / "leaf.png")
    with pytest.raises(errors.InputExists, match="one name"):
        run.ingest(twin)


# --- "artifact_filename: <input_stem>__<suffix><ext>" ---------------------------------------------


def test_artifacts_are_named_after_the_input(run: rb.RunIO, photo: Path) -> None:
    run.ingest(photo)
    assert run.write("measurement", {}).filename == "measurement/leaf__measurement.json"
    assert run.write("tile", {}, variant="0007").filename == "grid/leaf__tile__0007.json"


def test_no_name_before_an_input_is_set(run: rb.RunIO) -> None:
    """`ValueError: If primary input is not set yet`"""
    with pytest.raises(ValueError, match="No input is set"):
        run.write("measurement", {})


@pytest.mark.parametrize("suffix", ["", " overlay", "overlay ", "a/b"])
def test_a_suffix_is_not_blank_and_is_trimmed(suffix: str) -> None:
    """`suffix must be non-blank and trimmed`"""
    with pytest.raises(ValueError, match="suffix"):
        rb.ArtifactSpec("x", "grid", suffix, ".png", "png")


def test_an_extension_begins_with_its_dot() -> None:
    """`ext must start with '.'`"""
    with pytest.raises(ValueError, match="dot"):
        rb.ArtifactSpec("x", "grid", "x", "png", "png")


# --- "_log_artifact: JSON Lines with stable keys" -------------------------------------------------


def test_the_record_of_an_image(run: rb.RunIO, photo: Path) -> None:
    run.ingest(photo)
    image = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    run.write_png("overlay", image=image, meta={"pitch_mm": 5})
    (record,) = records_of(run, "artifact")
    data = (run.path / "grid" / "leaf__overlay.png").read_bytes()
    assert ISO_MS_UTC.fullmatch(record.pop("ts_utc"))
    assert record == record | {
        "artifact_id": "overlay",
        "variant": None,
        "stage": None,
        "kind": "grid",
        "filename": "grid/leaf__overlay.png",
        "content_type": "image/png",
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "description": "What was found",
        "meta": {"shape": [2, 3, 3], "dtype": "uint8", "pitch_mm": 5},
    }
    assert (run.read("overlay") == image).all()


def test_the_record_of_a_mask(run: rb.RunIO, photo: Path) -> None:
    """`meta = {"true_value": true_value, "is_mask": True}`"""
    run.ingest(photo)
    record = run.write_mask_png("mask", mask=np.eye(3, dtype=bool), true_value=7)
    assert record.meta == {"shape": [3, 3], "dtype": "uint8", "is_mask": True, "true_value": 7}
    assert (run.read("mask") == np.eye(3) * 7).all()


def test_json_is_indented_sorted_and_ends_with_a_newline(run: rb.RunIO, photo: Path) -> None:
    """`json.dumps(data, ensure_ascii=False, indent=2, sort_keys=True)` + newline"""
    run.ingest(photo)
    record = run.write_json("measurement", data={"b": 1, "a": "é"})
    assert (run.path / record.filename).read_text(encoding="utf-8") == '{\n  "a": "é",\n  "b": 1\n}\n'


@pytest.mark.parametrize(
    ("artifact_id", "value", "builtin"),
    [
        ("measurement", {"a": {1, 2}}, TypeError),  # "TypeError: If `data` is not JSON-serializable."
        ("measurement", {"a": float("nan")}, ValueError),
        ("overlay", np.zeros((2, 2), np.float32), ValueError),  # "ValueError: ... not uint8"
        ("overlay", np.zeros((2, 2, 4), np.uint8), ValueError),  # "or has an invalid dimensionality"
        ("mask", np.full((2, 2), 9), ValueError),  # "not binary-like"
        ("mask", np.zeros((0, 2), bool), ValueError),  # "Mask is empty"
    ],
)
def test_values_are_refused_as_the_seed_refuses_them(
    run: rb.RunIO, photo: Path, artifact_id: str, value: object, builtin: type[Exception]
) -> None:
    run.ingest(photo)
    with pytest.raises(builtin) as caught:
        run.write(artifact_id, value)
    assert isinstance(caught.value, rb.RunbundleError)
    assert (caught.value.run, caught.value.artifact) == (run.run_id, artifact_id)
    assert records_of(run, "artifact") == []


def test_a_true_value_out_of_range_is_refused(run: rb.RunIO, photo: Path) -> None:
    """`true_value must be in [1,255]`"""
    run.ingest(photo)
    with pytest.raises(ValueError, match="1 to 255"):
        run.write_mask_png("mask", mask=np.eye(2, dtype=bool), true_value=256)


def test_the_typed_forms_refuse_a_spec_of_another_format(run: rb.RunIO, photo: Path) -> None:
    run.ingest(photo)
    with pytest.raises(errors.ContractError, match="mask"):
        run.write_png("mask", image=np.zeros((2, 2), np.uint8))


# --- unique by (artifact_id, variant): ours, in the place of the seed's unique descriptions -------


def test_a_pair_is_unique_and_a_description_may_repeat(run: rb.RunIO, photo: Path) -> None:
    run.ingest(photo)
    for variant in (None, "a", "b"):
        run.write("tile", {"variant": variant}, variant=variant, description="A tile")
    with pytest.raises(errors.ArtifactExists, match=r"tile\[a\]"):
        run.write("tile", {}, variant="a", description="Another description")
    assert run.read("tile", "a") == {"variant": "a"}
    assert {record["description"] for record in records_of(run, "artifact")} == {"A tile"}


def test_an_input_is_never_written_as_an_artifact(tmp_path: Path) -> None:
    run = project(tmp_path / "store", CONTRACT).start()
    with pytest.raises(errors.ContractError, match="ingest"):
        run.write("source", b"x")
