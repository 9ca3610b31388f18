"""A log cut at any byte: what was said before the cut is read, the torn rest is skipped, and the run goes on."""

import json
import os
import shutil
from pathlib import Path

import pytest

import independent_reader
import runbundle as rb
from faults.aftermath import CAN_REPAIR, assert_clean, emptied, findings, folder, mend, no_real_syncs
from faults.facts import Facts, told_by_library, told_by_reader
from faults.seeds import share
from faults.workloads import RUN, Scene, Workload, complete, let_go
from runbundle import errors
from sample_runs import own_folder

__all__ = ["folder", "no_real_syncs", "own_folder"]
SEEDS = 4
SAMPLE = 8  # bytes of each seed, in CI
LOG, POINTS = "artifacts.jsonl", "metrics.jsonl"


def unfinished(scene: Scene) -> None:
    run = scene.start()
    scene.save(run, "a.bin", b"a" * 10)
    scene.log(run, 0, loss=0.5)
    scene.save(run, "b.bin", b"b" * 10)
    scene.log(run, 1, loss=0.25)
    scene.summarize(run, "best", 0.25)


@pytest.fixture
def scene(folder: Path) -> Scene:
    """A run that was killed."""
    scene = Workload(unfinished).scene(emptied(folder))
    unfinished(scene)
    let_go(scene.store)
    shutil.copytree(scene.run_dir, folder / "kept")
    return scene


def cut(scene: Scene, folder: Path, name: str, size: int) -> list[dict[str, object]]:
    """Bring the run back as it was, with a log cut to so many bytes; returns the records that are left whole."""
    shutil.rmtree(scene.run_dir)
    shutil.copytree(folder / "kept", scene.run_dir)
    os.truncate(scene.run_dir / name, size)
    return [json.loads(line) for line in (scene.run_dir / name).read_bytes().split(b"\n")[:-1] if b"{" in line]


def of_kind(facts: Facts, *kinds: str) -> Facts:
    return {key: value for key, value in facts.items() if key[0] in kinds}


@pytest.mark.parametrize("seed", range(SEEDS), ids=lambda seed: f"seed{seed}")
def test_the_log_cut_at_any_byte_says_what_it_said_before(scene: Scene, folder: Path, seed: int) -> None:
    whole = (scene.run_dir / LOG).read_bytes()
    for size in share(range(len(whole)), seed, SEEDS, sample=SAMPLE):
        records = cut(scene, folder, LOG, size)
        if len(records) < 2:  # no run without its header and first attempt (I11)
            with pytest.raises((errors.LogCorrupt, errors.ManifestCorrupt)):
                scene.project.resume(RUN)
            continue
        said = {("artifact", record["artifact_id"], None) for record in records if record["record"] == "artifact"}
        for tell in (told_by_library, told_by_reader):
            assert of_kind(tell(scene.run_dir), "artifact").keys() == said, size
        lost = {"a.bin", "b.bin"} - {str(artifact_id) for _, artifact_id, _ in said}
        strays = [("stray", f"artifacts/{name}") for name in sorted(lost)]
        assert findings(scene.run_dir) == strays, size
        if CAN_REPAIR:
            mend(scene.run_dir)
            assert_clean(scene.run_dir, f"{LOG} cut to {size}, after repair")
        complete(scene.project.resume(RUN))
        assert_clean(scene.run_dir, f"{LOG} cut to {size}, after another attempt")
        held = {place.read_bytes() for place in scene.run_dir.rglob("*.bin")}
        assert held >= {b"a" * 10, b"b" * 10}, size


@pytest.mark.parametrize("seed", range(SEEDS), ids=lambda seed: f"seed{seed}")
def test_the_points_cut_at_any_byte_are_those_before(scene: Scene, folder: Path, seed: int) -> None:
    whole = (scene.run_dir / POINTS).read_bytes()
    before = of_kind(scene.facts, "point", "summary")
    for size in share(range(len(whole)), seed, SEEDS, sample=SAMPLE):
        lines = whole[:size].count(b"\n") - 1  # the first is the header
        cut(scene, folder, POINTS, size)
        for tell in (told_by_library, told_by_reader):
            assert of_kind(tell(scene.run_dir), "point", "summary") == dict(list(before.items())[: max(lines, 0)]), size
        assert_clean(scene.run_dir, f"{POINTS} cut to {size}")
        complete(scene.project.resume(RUN))
        assert_clean(scene.run_dir, f"{POINTS} cut to {size}, after another attempt")


@pytest.mark.parametrize("name", [LOG, POINTS])
@pytest.mark.parametrize("seed", range(SEEDS), ids=lambda seed: f"seed{seed}")
def test_a_sealed_log_cut_at_any_byte_is_found(scene: Scene, folder: Path, name: str, seed: int) -> None:
    complete(scene.project.resume(RUN))
    shutil.rmtree(folder / "kept")
    shutil.copytree(scene.run_dir, folder / "kept")
    for size in share(range((scene.run_dir / name).stat().st_size), seed, SEEDS, sample=SAMPLE):
        cut(scene, folder, name, size)
        assert name in {finding.subject for finding in rb.open_run(scene.run_dir).verify()}, size
        assert name in {subject for _, subject in independent_reader.verify(scene.run_dir)}, size
