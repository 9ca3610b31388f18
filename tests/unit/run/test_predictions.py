"""Seed 002, section 4: predictions are a file a frame, and one document that tells of each."""

from __future__ import annotations

import json
import os
import pickle
import signal
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import independent_reader
import runbundle as rb
from runbundle import errors
from runbundle.contract.roster import roster_document
from runbundle.io.formats import get_format
from sample_runs import abandon, codes, project, run_child

FRAME = rb.predictions(stage="predict")
CONTRACT = rb.Contract("vision", "3", artifacts=(FRAME,), stages=(rb.StageSpec("predict"),), allow_extras=True)
FREE = rb.predictions()
K = np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]])
METADATA = "artifacts/predictions/metadata.json"


def arrays(number: int = 0) -> dict[str, Any]:
    return {"mask": np.full((2, 3), number % 256, np.uint8)}


def write(run: rb.RunIO, frame_id: int | str, spec: rb.ArtifactSpec | str = FREE, **more: Any) -> rb.ArtifactRecord:
    told = {"timestamp": 0.5, "intrinsics": K, **more}
    return run.write_frame(spec, frame_id, arrays(), **told)


def metadata(run: rb.RunIO) -> Any:
    return json.loads((run.path / METADATA).read_text())


def ids(run: rb.RunIO) -> list[str]:
    return [entry["frame_id"] for entry in metadata(run)["frames"]]


def checked(run_dir: Path) -> list[tuple[str, str]]:
    """What keeps a run from being complete, as the library and the independent reader say alike."""
    found = codes(rb.open_run(run_dir).check())
    assert found == independent_reader.check(run_dir)
    return found


def test_seed_002_section_4_frames_lie_beside_the_metadata_that_tells_of_each(tmp_path: Path) -> None:
    with project(tmp_path, CONTRACT).start() as run, run.stage("predict"):
        run.write_frame("frame", 7, arrays(), timestamp=datetime(2026, 11, 21, tzinfo=UTC), intrinsics=K)
        run.write_frame(FRAME, "left-1", arrays(), timestamp=1.5, intrinsics="cameras/left.json", meta={"split": "a"})
    assert sorted(path.name for path in (run.path / "artifacts/predictions").iterdir()) == [
        "frame_0007.npz",
        "frame_left-1.npz",
        "metadata.json",
    ]
    shapes = {"mask": {"shape": [2, 3], "dtype": "uint8"}}
    assert metadata(run) == {
        "schema_version": 1,
        "contract_version": "1",
        "frames": [
            {
                "frame_id": "0007",
                "file": "frame_0007.npz",
                "timestamp": "2026-11-21T00:00:00+00:00",
                "intrinsics": K.tolist(),
                "contract_version": "1",
                "arrays": shapes,
            },
            {
                "frame_id": "left-1",
                "file": "frame_left-1.npz",
                "timestamp": 1.5,
                "intrinsics_ref": "cameras/left.json",
                "contract_version": "1",
                "split": "a",
                "arrays": shapes,
            },
        ],
    }
    done = rb.open_run(run.path)
    assert (checked(run.path), done.verify().findings) == ([], ())
    np.testing.assert_array_equal(done.read("frame", "0007")["mask"], arrays()["mask"])
    assert done.read("frame_metadata") == metadata(run)
    assert done.contract == CONTRACT


def test_a_run_without_a_contract_has_them_as_well(tmp_path: Path) -> None:
    with project(tmp_path).start() as run:
        write(run, 3)
        write(run, 20_000)
        write(run, 10)
    assert ids(run) == ["0003", "0010", "20000"]
    assert checked(run.path) == []


def test_what_is_told_of_a_frame_stands_in_its_record_at_once(tmp_path: Path) -> None:
    """Seed 002, section 4, and a kill: the record alone tells all of it."""
    child = f"""
import os, signal
import numpy as np, runbundle as rb
run = rb.Project("demo", store={str(tmp_path)!r}).start(run_id="r")
run.write_frame(rb.predictions(), 1, {{"a": np.zeros(2)}}, timestamp=2, intrinsics=np.eye(3))
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert run_child(child, tmp_path).returncode == -signal.SIGKILL
    run_dir = tmp_path / "runs/demo/r"
    record = rb.open_run(run_dir).record("frame", "0001")
    assert (record.meta["timestamp"], record.meta["intrinsics"]) == (2, np.eye(3).tolist())
    assert not (run_dir / METADATA).exists()
    assert checked(run_dir) == [("artifact_missing", "frame_metadata"), ("run_not_finished", "r")]
    project(tmp_path).resume("r").finish()
    assert checked(run_dir) == []
    assert json.loads((run_dir / METADATA).read_text())["frames"][0]["frame_id"] == "0001"


def test_metadata_follows_at_flush_at_the_end_of_a_stage_and_at_finish(tmp_path: Path) -> None:
    run = project(tmp_path).start()
    write(run, 0)
    assert not (run.path / METADATA).exists()
    run.flush()
    assert ids(run) == ["0000"]
    with run.stage("more"):
        write(run, 1)
        assert ids(run) == ["0000"]
    assert ids(run) == ["0000", "0001"]
    write(run, 2)
    run.finish()
    assert ids(run) == ["0000", "0001", "0002"]
    assert checked(run.path) == []


def test_a_flush_with_nothing_new_writes_no_metadata_anew(tmp_path: Path) -> None:
    with project(tmp_path).start() as run:
        write(run, 0)
        run.flush()
        before = (run.path / METADATA).stat().st_ino
        run.save("other.txt", "x")
        run.flush()
        run.flush()
        assert (run.path / METADATA).stat().st_ino == before


def test_a_frame_is_replaced_with_what_is_told_of_it(tmp_path: Path) -> None:
    with project(tmp_path).start() as run:
        write(run, 0)
        run.flush()
        with pytest.raises(errors.ArtifactExists):
            write(run, 0)
        write(run, "0", timestamp=9, replace=True)
    assert [(entry["frame_id"], entry["timestamp"]) for entry in metadata(run)["frames"]] == [("0000", 9)]
    assert checked(run.path) == []


def test_each_frame_costs_the_same_while_another_process_reads(tmp_path: Path) -> None:
    """Bytes and calls for a frame do not grow with their number: the log grows by one line, and nothing is read."""
    with project(tmp_path).start() as run:
        log, grown = run.path / "artifacts.jsonl", []
        reader = rb.open_run(run.path)
        for number in range(300):
            before = log.stat().st_size
            write(run, number)
            grown.append(log.stat().st_size - before)
            if number % 100 == 50:
                run.flush()
                reader.refresh()
                assert len([r for r in reader.artifacts() if r.variant]) == number + 1
                assert len(reader.read("frame_metadata")["frames"]) == number + 1
                assert [finding.code for finding in reader.check()] == ["run_not_finished"]
        assert max(grown) - min(grown) <= 12  # digits of numbers
    assert len(ids(run)) == 300


def test_a_frame_with_an_object_array_or_none_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    with project(tmp_path).start() as run:
        for bad in ({"a": np.array([object()])}, {}, [1]):
            with pytest.raises(errors.InvalidType):
                run.write_frame(FREE, 0, bad, timestamp=0, intrinsics=K)  # type: ignore[arg-type] # on purpose
        for told in (
            {"timestamp": float("nan")},
            {"timestamp": "soon"},
            {"intrinsics": K[:2]},
            {"intrinsics": K * np.nan},
        ):
            with pytest.raises(errors.InvalidValue, match=r"frame_metadata|JSON holds finite numbers"):
                write(run, 0, **told)
        with pytest.raises(errors.InvalidName):
            write(run, "UP/../x")
        with pytest.raises(errors.InvalidValue, match="variant"):
            run.write(FREE, arrays(), meta={"timestamp": 0, "intrinsics_ref": "a"})
        with pytest.raises(errors.InvalidValue, match="timestamp is missing"):
            run.write(FREE, arrays(), variant="0000")
    assert list(rb.open_run(run.path).artifacts()) == []


def test_loading_a_frame_never_unpickles(tmp_path: Path) -> None:
    """A frame whose bytes were changed into a pickle, with the log to match, is still not run."""
    with project(tmp_path).start() as run:
        record = write(run, 0)
    place = run.path / record.filename
    with zipfile.ZipFile(place, "w") as archive:
        header = b"\x93NUMPY\x01\x00\x36\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,)}\n"
        archive.writestr("mask.npy", header + pickle.dumps([os.getcwd]))
    with pytest.raises(errors.DigestMismatch):
        rb.open_run(run.path).read("frame", "0000")
    with pytest.raises(errors.DecodeError):
        get_format("npz").decode(place.read_bytes(), {})


def forge(run_dir: Path, change: Any) -> None:
    """Write a run's metadata anew by the library, as a program does that gets it wrong."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("runbundle.run.rosters.roster_document", lambda *args: change(roster_document(*args)))
        with project(run_dir.parents[2]).resume(run_dir.name) as run:
            run._session.rosters_at = (-1, -1)


def failed(tmp_path: Path) -> Path:
    run = project(tmp_path).start(run_id="r")
    for number in range(3):
        write(run, number)
    run.finish("failed")
    return run.path


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda told: {**told, "frames": told["frames"][:2]}, [("entry_missing", "frame[0002]")]),
        (
            lambda told: {**told, "frames": [*told["frames"], {**told["frames"][0], "frame_id": "0009"}]},
            [("entry_stray", "frame[0009]")],
        ),
        (
            lambda told: {**told, "frames": [{**told["frames"][0], "timestamp": 7}, *told["frames"][1:]]},
            [("entry_missing", "frame[0000]")],
        ),
        (lambda told: {**told, "frames": [*told["frames"], told["frames"][0]]}, [("entry_stray", "frame_metadata")]),
        (lambda told: {**told, "frames": 1}, [("artifact_missing", "frame_metadata")]),
        (lambda told: {**told, "frames": [{}]}, [("artifact_missing", "frame_metadata")]),
    ],
    ids=["frame without metadata", "metadata without frame", "other facts", "twice", "no list", "no id"],
)
def test_seed_002_section_4_a_frame_without_metadata_or_metadata_without_a_frame_fails_check(
    tmp_path: Path, change: Any, found: list[tuple[str, str]]
) -> None:
    run_dir = failed(tmp_path)
    forge(run_dir, change)
    assert checked(run_dir) == found


def test_a_frame_that_was_written_past_its_roster_fails_check(tmp_path: Path) -> None:
    """Another writer of the format, which knows nothing of rosters."""
    run = project(tmp_path, CONTRACT).start(run_id="r")
    with run.stage("predict"):
        write(run, 0, FRAME)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("runbundle.run.artifacts.membership", lambda *_: {})
            write(run, 1, FRAME)
    run.finish("failed")
    assert ("entry_missing", "frame[0001]") in checked(run.path)


def test_a_stage_that_is_tried_again_tells_of_its_own_frames_only(tmp_path: Path) -> None:
    run = project(tmp_path, CONTRACT).start()

    def fail() -> None:
        with run.stage("predict"):
            write(run, 0, FRAME)
            run.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with run.stage("predict"):
        write(run, 1, FRAME)
    run.finish()
    assert ids(run) == ["0001"]
    assert (run.path / "attempts/predict.1" / METADATA).is_file()
    assert (checked(run.path), rb.open_run(run.path).verify().findings) == ([], ())


def test_a_stage_that_owes_frames_and_wrote_none_fails(tmp_path: Path) -> None:
    run = project(tmp_path, CONTRACT).start()
    with pytest.raises(errors.ContractUnmet, match="frame, frame_metadata"), run.stage("predict"):
        pass
    run.finish("failed")


def test_nobody_but_the_library_writes_the_metadata(tmp_path: Path) -> None:
    with project(tmp_path, CONTRACT).start() as run, run.stage("predict"):
        with pytest.raises(errors.ContractError, match="is a roster"):
            run.write("frame_metadata", {})
        write(run, 0, FRAME)
    with project(tmp_path).start() as free:
        write(free, 0)
        assert FREE.roster_spec is not None
        with pytest.raises(errors.ContractError, match="is a roster"):
            free.write(FREE.roster_spec, {})
    assert (checked(run.path), checked(free.path)) == ([], [])


def test_frames_are_refused_where_something_else_has_the_place_of_their_metadata(tmp_path: Path) -> None:
    with project(tmp_path).start() as run:
        run.save("predictions/Metadata.json", {"mine": True})
        with pytest.raises(errors.ArtifactExists, match="Something else was written"):
            write(run, 0)
        other = rb.predictions("other")
        with pytest.raises(errors.ArtifactExists, match="Something else"):
            write(run, 0, other)


@pytest.mark.parametrize("name", ["metadata.json", "METADATA.json", "metadata.json/x.json"])
def test_the_place_of_the_metadata_is_kept_for_it_before_it_is_there(tmp_path: Path, name: str) -> None:
    with project(tmp_path).start() as run:
        write(run, 0)
        with pytest.raises(errors.ArtifactExists, match="the place of frame_metadata"):
            run.save(f"predictions/{name}", {"mine": True})
    assert checked(run.path) == []


@pytest.mark.parametrize("timestamp", [10**400, float("inf"), True])
def test_a_time_that_no_reader_takes_for_a_number_is_refused(tmp_path: Path, timestamp: Any) -> None:
    with project(tmp_path).start() as run, pytest.raises(errors.InvalidInputError):
        run.write_frame(FREE, 0, {"mask": [1]}, timestamp=timestamp, intrinsics="left")


@pytest.mark.parametrize("meta", [[1], "text", 3])
def test_the_meta_of_a_frame_is_a_mapping(tmp_path: Path, meta: Any) -> None:
    with project(tmp_path).start() as run, pytest.raises(errors.InvalidType, match="meta is a mapping"):
        run.write_frame(FREE, 0, {"mask": [1]}, timestamp=0, intrinsics="left", meta=meta)


def test_a_run_whose_metadata_cannot_be_written_is_failed_and_says_so(tmp_path: Path) -> None:
    run = project(tmp_path).start()
    write(run, 0)
    (run.path / METADATA).write_text("of somebody else")
    with pytest.raises(errors.ArtifactExists, match=r"metadata.json is there already"):
        run.finish()
    assert rb.open_run(run.path).status == "failed"


def test_frames_of_processes_that_joined_are_told_of_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    child = """
import numpy as np, runbundle as rb
with rb.join() as run:
    run.write_frame(rb.predictions(), 1, {"a": np.zeros(2)}, timestamp=2, intrinsics="camera")
"""
    with project(tmp_path).start() as run:
        monkeypatch.setenv("RUNBUNDLE_RUN_DIR", str(run.path))
        done = run_child(child, tmp_path)
        assert done.returncode == 0, done.stderr
        write(run, 0)
        run.flush()
        assert ids(run) == ["0000", "0001"]
        done = run_child(child.replace("(), 1,", "(), 2,"), tmp_path)
        assert done.returncode == 0, done.stderr
    assert ids(run) == ["0000", "0001", "0002"]
    assert checked(run.path) == []


def test_a_run_that_was_killed_between_frame_and_metadata_is_repaired_and_resumed(tmp_path: Path) -> None:
    run = project(tmp_path).start(run_id="r")
    write(run, 0)
    run.flush()
    write(run, 1)
    abandon(run)
    again = project(tmp_path).resume("r")
    again.flush()
    assert ids(again) == ["0000", "0001"]
    again.finish()
    assert checked(again.path) == []
