"""The sentences of seed 002 that say what a run's folder holds, one by one."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

import runbundle as rb
from runbundle.io.formats import yaml
from sample_runs import FixedClock

CONFIG = {"lr": 0.1, "name": "run-${lr}", "model": {"layers": [1, 2]}}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> rb.Run:
    """A finished run in the repository that holds its code, as seed 002 draws it."""
    root = tmp_path / "repo_root"
    root.mkdir()
    (root / "uv.lock").write_text("version = 1\n")
    identity = ("-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false")
    for command in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "first")):
        subprocess.run(["git", *identity, *command], cwd=root, check=True)
    monkeypatch.chdir(root)
    project = rb.Project("vision", clock=FixedClock())
    with project.start(CONFIG) as handle:
        handle.log({"loss": 0.5}, step=0)
        handle.summary["iou"] = 0.9
        handle.logger.info("trained")
    return rb.open_run(handle.path)


def commit_of(run: rb.Run) -> str:
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=run.path, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_seed_002_section_2_runs_lie_by_project_time_and_commit(run: rb.Run, tmp_path: Path) -> None:
    expected = f"runs/vision/2026-11-21_10-00-00_{commit_of(run)[:12]}"
    assert run.path.relative_to(tmp_path / "repo_root").as_posix() == expected


def test_seed_002_section_2_the_structure_is_the_canonical_one(run: rb.Run) -> None:
    there = {place.name for place in run.path.iterdir()}
    assert there >= {"config.yaml", "config_resolved.yaml", "run_manifest.json", "metrics.json", "artifacts", "logs"}


def test_seed_002_section_3_the_composed_configuration_and_the_resolved_one(run: rb.Run) -> None:
    assert yaml.load((run.path / "config.yaml").read_bytes()) == CONFIG
    resolved = (run.path / "config_resolved.yaml").read_bytes()
    assert yaml.load(resolved) == {**CONFIG, "name": "run-0.1"}
    assert b"${" not in resolved


def test_seed_002_section_3_the_manifest_says_what_it_must(run: rb.Run) -> None:
    manifest = json.loads((run.path / "run_manifest.json").read_bytes())
    assert (manifest["schema_version"], manifest["project_name"]) == (1, "vision")
    assert manifest["git_hash"] == commit_of(run)
    assert manifest["package_versions"]["pytest"]


def test_seed_002_section_3_metrics_are_scalars_and_series_in_json(run: rb.Run) -> None:
    metrics = json.loads((run.path / "metrics.json").read_bytes())
    assert metrics["scalars"] == {"iou": 0.9, "loss": 0.5}
    assert metrics["series"]["loss"]["values"] == [0.5]


def test_seed_002_section_7_what_a_run_needs_to_be_done_again_is_in_it(run: rb.Run) -> None:
    manifest = run.manifest
    lock = manifest["lock_file"]
    assert (lock["name"], (run.path / lock["path"]).read_text()) == ("uv.lock", "version = 1\n")
    assert manifest["git_dirty"] is False
    assert "diff" not in manifest["provenance"]


def test_seed_002_section_8_no_absolute_path_is_written_down(run: rb.Run, tmp_path: Path) -> None:
    manifest = json.loads((run.path / "run_manifest.json").read_bytes())
    for attempt in manifest["attempts"]:
        attempt["command"] = []  # provenance: what was typed
    lines = (run.path / "artifacts.jsonl").read_text().splitlines()
    told = [re.sub(r'"command":\[.*?\]', "", line) for line in lines]
    others = [
        place.read_text()
        for place in run.path.rglob("*")
        if place.is_file() and place.name not in ("run_manifest.json", "artifacts.jsonl")
    ]
    assert [text for text in (json.dumps(manifest), *told, *others) if str(tmp_path) in text] == []
