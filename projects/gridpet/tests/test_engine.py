"""From a photo to a run: the catalog, the stages, and what is left behind."""

from __future__ import annotations

import dataclasses
import subprocess
from pathlib import Path
from typing import Any

import pytest

import runbundle as rb
from gridpet.demo import encode_jpeg, render
from gridpet.engine.artifacts import (
    ARTIFACTS,
    CONTRACT,
    OPTIONAL_BY_STAGE,
    REQUIRED_BY_STAGE,
    ArtifactId,
    Kind,
    StageName,
)
from gridpet.engine.config import MeasureConfig
from gridpet.engine.measure_photo import PIPELINE, PhotoResult, measure_photo, project
from gridpet.engine.stages import preprocess

STAGES = Path(preprocess.__file__).parent


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> PhotoResult:
    folder = tmp_path_factory.mktemp("measured")
    scene = render(3, family="plain_square", size_px=(1200, 900))
    photo = folder / "leaf.jpg"
    photo.write_bytes(encode_jpeg(scene))
    return measure_photo(photo, MeasureConfig(pitch_mm=scene.truth["hint"]["pitch_mm"]), folder / "store")


def test_the_catalog_has_an_artifact_for_each_id_and_a_stage_for_each_artifact() -> None:
    assert set(ARTIFACTS) == set(ArtifactId)
    assert set(REQUIRED_BY_STAGE) == set(OPTIONAL_BY_STAGE) == set(StageName)
    by_stage = [i for table in (REQUIRED_BY_STAGE, OPTIONAL_BY_STAGE) for ids in table.values() for i in ids]
    assert sorted([*by_stage, ArtifactId.INPUT_PHOTO]) == sorted(ArtifactId)


def test_no_stage_names_a_file_or_touches_a_path() -> None:
    suffixes = [spec.suffix for spec in ARTIFACTS.values() if "_" in spec.suffix]
    for module in STAGES.glob("*.py"):
        code = module.read_text()
        assert "Path" not in code, module
        assert "open(" not in code, module
        assert [s for s in (".png", ".json", ".csv", ".npz", ".html") if f'{s}"' in code] == [], module
        assert [s for s in suffixes if f'"__{s}' in code] == [], module


def test_a_measured_photo_leaves_a_complete_and_intact_run(measured: PhotoResult) -> None:
    run = rb.open_run(measured.run_dir)
    assert run.status == "completed"
    assert run.root_digest == measured.root_digest
    assert run.check().findings == ()
    assert run.verify().findings == ()
    assert {record.artifact_id for record in run.artifacts()} >= set(map(str, REQUIRED_BY_STAGE[StageName.QC]))
    done = subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=run.path, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, b"")


def test_the_run_lies_and_is_named_as_its_layout_says(measured: PhotoResult) -> None:
    run_dir = Path(measured.run_dir)
    assert run_dir.parent.relative_to(run_dir.parents[2]) == Path("runs/gridpet")
    assert run_dir.name.startswith("run_")
    assert {folder.name for folder in run_dir.iterdir() if folder.is_dir()} == {*Kind, "provenance"}
    names = {path.name for path in run_dir.rglob("leaf__*")}
    assert {"leaf__mask.png", "leaf__measurement.json", "leaf__measurement.csv", "leaf__qc.json"} <= names


def test_the_manifest_says_which_program_and_photo_it_was(measured: PhotoResult) -> None:
    manifest = rb.open_run(measured.run_dir).manifest
    assert manifest["gridpet_version"] == "0.1.0"
    assert manifest["input_copied_path"] == "input/leaf.jpg"
    assert manifest["input_original_path"] == measured.photo
    assert manifest["config_snapshot"]["grid"] == "auto"


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "empty"),
        (b"not a photo at all, but long enough to look at", "photo"),
        (encode_jpeg(render(3, family="plain_square", size_px=(640, 480)))[:9000], "early"),
        (encode_jpeg(render(1, family="imp_noise", size_px=(640, 480))), "grid"),
    ],
    ids=["empty", "text", "truncated", "noise"],
)
def test_what_cannot_be_measured_declines(tmp_path: Path, data: bytes, told: str) -> None:
    photo = tmp_path / "bad.jpg"
    photo.write_bytes(data)
    result = measure_photo(photo, MeasureConfig(pitch_mm=5), tmp_path / "store")
    assert (result.qc["status"], result.measurement) == ("fail", None)
    assert any(told in reason for reason in result.qc["reasons"])
    run = rb.open_run(result.run_dir)
    assert (run.status, run.is_sealed, run.check().findings) == ("completed", True, ())
    assert run.state.outcomes["measurement"] is rb.Outcome.SKIPPED
    assert run.state.outcomes["qc"] is rb.Outcome.COMMITTED
    assert not list(run.path.rglob("*measure*.json"))


def test_a_missing_photo_leaves_no_run(tmp_path: Path) -> None:
    with pytest.raises(rb.errors.InputNotFound):
        measure_photo(tmp_path / "none.jpg", MeasureConfig(pitch_mm=5), tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_a_run_stopped_between_stages_is_resumed_and_ends_the_same(tmp_path: Path, measured: PhotoResult) -> None:
    first = rb.open_run(measured.run_dir)
    config = MeasureConfig(**first.config)
    (photo,) = (first.path / "input").iterdir()
    stopped = project(tmp_path / "store").start(config)
    stopped.ingest(photo)

    class PowerGone(Exception):
        pass

    def stop(*_: Any) -> None:
        raise PowerGone

    stages = dict(PIPELINE._stages)
    broken: rb.Pipeline[MeasureConfig] = rb.Pipeline([_Stage(name, stages[name].run) for name in stages])
    broken._stages["segmentation"] = _Stage("segmentation", stop)
    with pytest.raises(PowerGone), stopped:
        broken.run(stopped, config)
    assert rb.open_run(stopped.path).status == "failed"

    with project(tmp_path / "store").resume(stopped.run_id) as resumed:
        assert not resumed.needs("geom")
        PIPELINE.run(resumed, config)
    assert resumed.read(ArtifactId.MEASUREMENT) == measured.measurement
    assert rb.open_run(resumed.path).check().findings == ()


@dataclasses.dataclass
class _Stage:
    name: str
    run: Any


@pytest.mark.parametrize(
    "settings",
    [
        {"pitch_mm": -1},
        {"pitch_mm": float("nan")},
        {"pitch_mm": True},
        {"pitch_mm": "5"},
        {"grid": "hexagon"},
        {"grid": "square"},
        {"object_height_mm": -3},
        {"unknown": 1},
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(rb.errors.InvalidConfig):
        MeasureConfig.from_mapping(settings)


def test_every_schema_of_the_contract_is_a_schema() -> None:
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - only here

    for spec in CONTRACT.artifacts:
        if spec.schema and "document" in spec.schema:
            Draft202012Validator.check_schema(spec.schema["document"])
