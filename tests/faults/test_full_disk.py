"""A disk that is really full: writing fails by our own error, and goes on when there is room again."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import runbundle as rb
from faults.aftermath import assert_clean
from runbundle import errors
from sample_runs import own_folder

__all__ = ["own_folder"]
PAGE = 4096


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no small disk can be mounted here: that needs root")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(place: Path, *, leave: int = 0) -> Path:
    """Take all the room there is, but for some bytes."""
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as stream:
        try:
            while True:
                stream.write(bytes(PAGE))
        except OSError:
            pass
        stream.truncate(max(0, stream.tell() - leave))
    return ballast


@pytest.mark.parametrize("durability", ["process", "power"])
@pytest.mark.parametrize("leave", [0, PAGE, 2 * PAGE, 3 * PAGE, 5 * PAGE, 8 * PAGE], ids=lambda size: f"{size} left")
def test_a_full_disk_harms_nothing_and_the_handle_goes_on(small_disk: Path, durability: str, leave: int) -> None:
    run = rb.Project("demo", store=small_disk, durability=durability).start(run_id="r")
    run.save("before.bin", b"before")
    run.log({"x": 0.5}, step=0)
    ballast = fill(small_disk, leave=leave)
    for name, replace in (("big.bin", False), ("before.bin", True)):
        with pytest.raises(errors.UnavailableError, match="No space left") as caught:
            run.save(name, bytes(10 * PAGE), replace=replace)
        assert (caught.value.run, caught.value.artifact, bool(caught.value.path)) == ("r", name, True)
    logged = 1
    with pytest.raises(errors.UnavailableError, match="No space left") as caught:  # noqa: PT012 - until it is full
        while logged < 10_000:
            run.log({"x": float(logged)}, step=logged)
            logged += 1
    assert (caught.value.run, bool(caught.value.path)) == ("r", True)
    live = rb.open_run(run.path)
    assert (live.read("before.bin"), len(live.series("x").steps)) == (b"before", logged)
    assert live.verify().is_good
    ballast.unlink()
    run.save("big.bin", bytes(10 * PAGE))
    run.log({"x": 1.0}, step=logged)
    run.finish()
    assert_clean(run.path, "after there was room again")
    assert len(rb.open_run(run.path).series("x").steps) == logged + 1


def test_a_run_that_has_no_room_to_begin_leaves_nothing(small_disk: Path) -> None:
    project = rb.Project("demo", store=small_disk)
    ballast = fill(small_disk, leave=2 * PAGE)
    with pytest.raises(errors.UnavailableError, match="No space left"):
        project.start(run_id="r")
    assert list((small_disk / "runs").glob("*/r")) == []
    ballast.unlink()
    with project.start(run_id="r") as run:
        run.save("x.json", 1)
    assert_clean(run.path, "after there was room again")
