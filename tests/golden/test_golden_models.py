"""A store of models of version 1, kept to the byte: readable ever after, by the library and from the page alone."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

import independent_reader as reader
import runbundle as rb
from runbundle import errors, models
from runbundle.store.lineage import lineage
from sample_runs import codes, own_folder

__all__ = ["own_folder"]
STORE = Path(__file__).parent / "v1_models"
FROZEN = "46d8a42c320ac118bbcd7fe61f8cc445a88d8a234db430d53ddc9dd0c3478c53"  # of all files, with their paths
UNET = "models/perception/segmentation/unet/trained/small/2026-11-28_0123456789ab"
SAM = "models/perception/segmentation/sam/pretrained/base"
LAST = "models/other/train/trained/base/2026-11-28_0123456789ab"
TRAIN, MEASURE = (
    STORE / f"runs/{name}_0123456789ab" for name in ("train/2026-11-28_10-00-00", "measure/2026-11-28_10-01-13")
)
REFERENCES = {
    "model://unet@best": b"weights \x00\xff",
    "model://perception/segmentation/unet@production": b"weights \x00\xff",
    "local://perception/segmentation/sam/pretrained/base": b"theirs",
}


def test_the_store_is_kept_to_the_byte() -> None:
    whole = hashlib.sha256()
    for place in sorted(path for path in STORE.rglob("*") if path.is_file()):
        path = place.relative_to(STORE).as_posix()
        whole.update(f"{path} {hashlib.sha256(place.read_bytes()).hexdigest()}\n".encode())
    assert whole.hexdigest() == FROZEN


def test_both_readers_list_the_same_models() -> None:
    rows = models.list_models(STORE)
    assert [(row.path, row.aliases, row.error) for row in rows] == [
        (LAST, (), None),
        (SAM, (), None),
        (UNET, ("best", "production"), None),
    ]
    assert {row.path: row.model and dict(row.model.manifest) for row in rows} == reader.models_of(STORE)


@pytest.mark.parametrize("reference", REFERENCES)
def test_both_readers_find_the_same_bytes(reference: str) -> None:
    found = models.resolve(reference, store=STORE)
    assert found == reader.resolve(STORE, reference)
    assert found.read_bytes() == REFERENCES[reference]


def test_the_manifest_of_a_model_says_what_it_said() -> None:
    told = reader.models_of(STORE)[UNET]
    assert (told["skill"], told["model_name"], told["variant"]) == ("perception/segmentation", "unet", "small")
    assert told["input_spec"] == {"channels": "BGR", "size": [64, 64], "µm": 0.25}
    assert told["source"]["path"] == TRAIN.relative_to(STORE).as_posix()
    assert told["source"]["root_digest"] == hashlib.sha256((TRAIN / "SHA256SUMS").read_bytes()).hexdigest()
    assert (STORE / UNET / "metrics.json").read_bytes() == (TRAIN / "metrics.json").read_bytes()


def test_runs_that_used_models_are_intact_to_both_readers_and_lead_back_to_the_training() -> None:
    for run in (TRAIN, MEASURE):
        assert codes(rb.open_run(run).verify()) == reader.verify(run) == []
        assert codes(rb.open_run(run).check()) == reader.check(run) == []
    done = rb.open_run(MEASURE)
    assert list(done.models) == done.manifest["models"] == reader.IndependentRun(MEASURE).manifest["models"]
    origin = lineage(done, STORE)
    assert list(origin.faults) == []
    assert sorted(str(used.run and used.run.manifest["run_id"]) for used in origin.models) == [
        *(TRAIN.name, TRAIN.name, "None"),
    ]


def test_the_contract_of_a_run_tells_where_its_model_belongs() -> None:
    (spec,) = [spec for spec in json.loads((TRAIN / "contract.json").read_bytes())["artifacts"] if "model" in spec]
    contract = rb.open_run(TRAIN).contract
    assert contract is not None
    model = contract.spec("best").model
    assert model is not None
    assert spec["model"] == {"skill": model.skill, "name": model.name, "variant": model.variant, "input": model.input}


def test_both_readers_refuse_a_changed_model(tmp_path: Path) -> None:
    store = Path(shutil.copytree(STORE, tmp_path / "store"))
    for name in ("model.bin", "manifest.json", "metrics.json", "SHA256SUMS"):
        place = store / UNET / name
        whole = place.read_bytes()
        place.write_bytes(whole.replace(b"e", b"f", 1))
        with pytest.raises(reader.Damaged):
            reader.resolve(store, "model://unet@best")
        with pytest.raises(errors.CorruptError):
            models.resolve("model://unet@best", store=store)
        place.write_bytes(whole)
