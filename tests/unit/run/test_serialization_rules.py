"""Seed 002, section 5: npz, json and yaml; no pickles; what torch serialised, under checkpoints alone."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import runbundle as rb
from runbundle import errors
from sample_runs import codes, project

CONTRACT = rb.Contract(
    "strict",
    "1",
    artifacts=(rb.predictions(required=rb.Required.OPTIONAL),),
    formats=frozenset({"npz", "json", "yaml", "checkpoint"}),
    allow_extras=True,
)


def test_seed_002_section_5_the_allowed_formats_are_taken(tmp_path: Path) -> None:
    with project(tmp_path, CONTRACT).start() as run:
        run.save("a.npz", {"a": np.zeros(3)})
        run.save("b.json", {"b": 1})
        run.save("c.yaml", {"c": [1]})
        run.write_frame("frame", 0, {"a": np.zeros(3)}, timestamp=0, intrinsics="camera")
    assert codes(rb.open_run(run.path).check()) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("a.txt", "x"), ("a.csv", [{"a": 1}]), ("a.bin", b"x"), ("a.npz", b"PK"), ("a.safetensors", {"a": np.zeros(1)})],
)
def test_seed_002_section_5_other_formats_are_refused(tmp_path: Path, name: str, value: Any) -> None:
    with project(tmp_path, CONTRACT).start() as run, pytest.raises(errors.ContractError, match="does not allow"):
        run.save(name, value)


def torch_like(value: Any) -> bytes:
    """The layout of what torch writes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(value, 2))
        archive.writestr("archive/version", "3")
    return stream.getvalue()


@pytest.mark.parametrize("name", ["model.bin", "model.pth", "checkpoints/model.bin", "model.json", "model.npz"])
@pytest.mark.parametrize("data", [pickle.dumps({"a": 1}), torch_like({"a": 1})], ids=["pickle", "torch"])
def test_seed_002_section_5_pickles_are_found_by_content_under_any_extension(
    tmp_path: Path, name: str, data: bytes
) -> None:
    with project(tmp_path).start() as run, pytest.raises(errors.InvalidValue, match="pickle"):
        run.save(name, data)
    assert list(rb.open_run(run.path).artifacts()) == []


@pytest.mark.parametrize("name", ["model.pt", "weights/model.pt", "my-checkpoints/model.pt", "checkpoints.pt"])
@pytest.mark.parametrize("value", [{"a": 1}, torch_like({"a": 1})], ids=["state", "file"])
def test_seed_002_section_5_a_torch_file_lies_under_checkpoints_or_is_refused(
    tmp_path: Path, name: str, value: Any
) -> None:
    with project(tmp_path).start() as run, pytest.raises(errors.ContractError, match="lies under checkpoints/"):
        run.save(name, value)
    with project(tmp_path).start() as run, pytest.raises(errors.ContractError, match="lies under checkpoints/"):
        run.background.save(name, value)


def test_seed_002_section_5_a_contract_keeps_torch_files_under_checkpoints_too() -> None:
    spec = rb.ArtifactSpec("w", "weights", "w", ".pt", "checkpoint")
    with pytest.raises(errors.ContractError, match="lie under checkpoints"):
        rb.Contract("c", "1", artifacts=(spec,))
    layout = rb.Layout(folders={"weights": "train/checkpoints"})
    assert rb.Contract("c", "1", artifacts=(spec,), layout=layout).spec("w") == spec
