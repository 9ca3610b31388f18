from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_module

import runbundle as rb
from segment.contract import CONTRACT, ArtifactId, project
from segment.settings import Settings, settings_of


def composed(*overrides: str, name: str = "config") -> Any:
    with initialize_config_module("segment.conf", version_base=None):
        return compose(name, overrides=list(overrides))


def test_what_is_shipped_is_a_training_and_its_interpolations_resolve() -> None:
    found = settings_of(composed())
    assert isinstance(found, Settings)
    assert found.name == f"unet-w{found.net.width}-d{found.net.depth}"
    assert found.train.warmup_steps == found.train.batch
    assert found.frames.file.endswith(f"n{found.frames.count}_s{found.frames.seed}.npz")


def test_the_sweep_is_a_training_as_well() -> None:
    assert settings_of(composed(name="sweep")).train.epochs < settings_of(composed()).train.epochs


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("train.epochs=many", "many"),
        ("+train.momentum=0.9", "momentum"),
        ("net.width=null", "None"),
        ("~net.width", "width"),
        ("train.epochs=0", "no epochs"),
        ("train.peak_lr=2", "learning rate"),
        ("frames.width=190", "190 x"),
        ("frames.held_out=0", "held out"),
        ("frames.held_out=1", "no frames to train on"),
        ("seed=-1", "below zero"),
        ("threads=0", "no threads"),
        ("name='${net.colour}'", "colour"),
    ],
)
def test_an_entry_that_is_wrong_is_named(override: str, said: str) -> None:
    with pytest.raises(rb.errors.InvalidConfig, match=said):
        settings_of(composed(override))


def test_seed_002_section_5_formats_are_those_allowed_and_checkpoints_lie_apart() -> None:
    assert CONTRACT.formats is not None
    assert not CONTRACT.formats & {"parquet", "csv", "html"}
    torch = [spec for spec in CONTRACT.artifacts if spec.format == "checkpoint"]
    assert {CONTRACT.layout.folder_of(spec.kind) for spec in torch} == {"artifacts/checkpoints"}
    paths = {CONTRACT.path_of(spec, variant=None, input_stem=None) for spec in torch}
    assert paths == {"artifacts/checkpoints/best.pt", "artifacts/checkpoints/last.pt"}


def test_seed_002_section_4_predictions_lie_where_they_must() -> None:
    frame = CONTRACT.spec(ArtifactId.FRAME)
    assert CONTRACT.path_of(frame, variant="0000", input_stem=None) == "artifacts/predictions/frame_0000.npz"
    assert (
        CONTRACT.path_of(CONTRACT.spec("frame_metadata"), variant=None, input_stem=None)
        == "artifacts/predictions/metadata.json"
    )


def test_the_project_makes_runs_of_its_name(tmp_path: Path) -> None:
    with pytest.raises(rb.errors.ContractUnmet), project(str(tmp_path)).start({}) as run:
        pass
    manifest = rb.open_run(run.path).manifest
    assert (manifest["project_name"], manifest["contract"]["name"]) == ("segment", "segment")
    assert "segment_version" in manifest
