"""The sentences of seed 002 about checkpoints that become models, one by one."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

import runbundle as rb
from runbundle import models
from sample_runs import FixedClock

SKILL = "perception/segmentation"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> rb.Run:
    """A finished training in the repository that holds its code, as seed 002 draws it."""
    root = tmp_path / "repo_root"
    root.mkdir()
    (root / "train.py").write_text("pass\n")
    identity = ("-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false")
    for command in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "first")):
        subprocess.run(["git", *identity, *command], cwd=root, check=True)
    monkeypatch.chdir(root)
    with rb.Project("vision", clock=FixedClock()).start({"lr": 0.1}) as handle:
        for name in ("best", "last"):
            handle.save(f"checkpoints/{name}.safetensors", empty_tensors(name))
        handle.summary["val_iou"] = 0.9
    return rb.open_run(handle.path)


def empty_tensors(name: str) -> bytes:
    """A file of safetensors without a tensor, as that format has it: the length of its header, and the header."""
    header = json.dumps({"__metadata__": {"name": name}}).encode()
    return len(header).to_bytes(8, "little") + header


def test_seed_002_section_6_checkpoints_live_under_artifacts_checkpoints(run: rb.Run) -> None:
    folder = run.path / "artifacts" / "checkpoints"
    assert sorted(place.name for place in folder.iterdir()) == ["best.safetensors", "last.safetensors"]


def test_seed_002_section_6_a_project_may_promote_a_model_to_models_at_the_top_of_the_repository(
    run: rb.Run, tmp_path: Path
) -> None:
    model = models.promote(run, "checkpoints/best.safetensors", skill=SKILL, rule="metrics.val_iou > 0.8")
    root = tmp_path / "repo_root"
    commit = run.manifest["git_hash"][:12]
    assert model.folder == root / "models" / SKILL / "vision" / "trained" / "base" / f"2026-11-21_{commit}"
    checkpoint = run.path / "artifacts" / "checkpoints" / "best.safetensors"
    assert model.file.read_bytes() == checkpoint.read_bytes()
    assert model.manifest["git_hash"] == run.manifest["git_hash"]


def test_seed_002_section_6_a_promotion_is_no_change_of_the_code(run: rb.Run) -> None:
    models.promote(run, "checkpoints/best.safetensors", skill=SKILL)
    from runbundle.run.origin.code import forget_code  # noqa: PLC0415 - as another process would look

    forget_code()
    with rb.start("vision") as again:
        pass
    assert rb.open_run(again.path).manifest["git_dirty"] is False


def test_seed_002_section_7_the_model_version_that_a_run_used_can_be_loaded_again(run: rb.Run) -> None:
    first = models.promote(run, "checkpoints/best.safetensors", skill=SKILL)
    models.alias(first.reference, "best")
    with rb.start("measure") as handle:
        handle.use_model("model://vision@best")
    second = models.promote(run, "checkpoints/last.safetensors", skill=SKILL)
    models.alias(second.reference, "best")
    (told,) = rb.open_run(handle.path).manifest["models"]
    again = models.resolve(f"local://{told['path'].removeprefix('models/')}")
    assert (again, told["sha256"]) == (first.file, first.sha256)


def test_seed_002_section_8_a_model_is_traceable_and_holds_no_absolute_path(run: rb.Run, tmp_path: Path) -> None:
    model = models.promote(run, "checkpoints/best.safetensors", skill=SKILL)
    assert model.source is not None
    assert model.source["root_digest"] == run.root_digest
    assert (tmp_path / "repo_root" / model.source["path"]).samefile(run.path)
    texts = [place.read_bytes() for place in model.folder.iterdir()]
    assert [text for text in texts if str(tmp_path).encode() in text] == []
