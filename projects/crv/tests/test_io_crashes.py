"""Killed writes and writers side by side: nothing half, nothing lost, nothing twice."""

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import child_writes
import runbundle as rb
from child_writes import NEW, OLD, RUN, WRITERS
from crv.io.artifacts import write_text_atomic
from crv.io.config import IoSettings
from crv.io.dataset import Dataset
from crv.io.manifest import TableManifest, manifest_of
from crv.io.paths import manifest_path, tables_root
from sample_rows import edges


def play(what: str, folder: Path) -> str:
    program = [sys.executable, child_writes.__file__, what, str(folder)]
    return subprocess.run(program, capture_output=True, text=True, check=True).stdout


def kills(what: str, folder: Path) -> list[tuple[Path, bool]]:
    """The folder of each kill, and whether its write had returned."""
    numbers = range(int(play(what, folder)) + 1)
    return [(folder / str(number), (folder / f"{number}.acknowledged").read_bytes() == b"yes") for number in numbers]


def on_disk(dataset: Dataset, table: str) -> object:
    return json.loads(Path(manifest_path(dataset.settings, dataset.run_id, table)).read_text())


def as_json(manifest: TableManifest | None) -> object:
    assert manifest is not None
    return json.loads(manifest.to_json())


# Seed 001, crv.io.artifacts, Notes: "Atomicity: tmp write -> fsync -> os.replace (same FS)".
def test_a_text_killed_at_any_call_is_the_old_or_the_new_and_the_new_once_it_returned(tmp_path: Path) -> None:
    found = kills("text", tmp_path)
    texts = [(folder / "note.txt").read_text() for folder, _ in found]
    assert set(texts) == {OLD, NEW}
    assert texts == sorted(texts, key=[OLD, NEW].index)  # from some call on it is the new one
    assert [text for text, (_, acknowledged) in zip(texts, found, strict=True) if acknowledged] == [NEW]
    for folder, _ in found:
        assert [path.name for path in folder.iterdir() if not path.name.startswith(".tmp-")] == ["note.txt"]
        write_text_atomic(f"{folder}/note.txt", OLD)
        assert (folder / "note.txt").read_text() == OLD


def test_an_append_killed_at_any_call_is_there_once_and_whole_or_not_at_all(tmp_path: Path) -> None:
    found = kills("append", tmp_path)
    seen = []
    for folder, acknowledged in found:
        dataset = Dataset(IoSettings(root_dir=str(folder), tick_bucket_size=10), RUN)
        ticks = dataset.read("identity_edges")["tick"].to_list()
        assert ticks in ([0, 1], [0, 1, 5, 15])
        assert ticks == [0, 1, 5, 15] or not acknowledged
        manifest = dataset.manifest("identity_edges")
        assert manifest is not None
        assert sum(bucket.row_count for bucket in manifest.partitions.values()) == len(ticks)
        dataset.append("identity_edges", edges([20]))
        assert dataset.read("identity_edges")["tick"].to_list() == [*ticks, 20]
        assert on_disk(dataset, "identity_edges") == as_json(dataset.manifest("identity_edges"))
        seen.append(len(ticks))
    assert set(seen) == {2, 4}
    assert seen == sorted(seen)


def test_eight_processes_append_and_every_row_is_there_once(tmp_path: Path) -> None:
    play("together", tmp_path)
    dataset = Dataset(IoSettings(root_dir=str(tmp_path), tick_bucket_size=30), RUN)
    rows = dataset.read("identity_edges").select("observer_agent_id", "tick").sort(pl.all())
    assert rows.rows() == [(f"w{writer}", tick) for writer in range(WRITERS) for tick in range(100)]
    assert on_disk(dataset, "identity_edges") == as_json(dataset.manifest("identity_edges"))


def is_locked(folder: str) -> bool:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def test_from_reading_the_parts_to_writing_the_manifest_of_them_nobody_else_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = Dataset(IoSettings(root_dir=str(tmp_path)), RUN)
    folder = tables_root(dataset.settings, RUN)
    seen: list[tuple[str, bool]] = []

    def read(name: str, table: rb.Table) -> TableManifest:
        seen.append(("read", is_locked(folder)))
        return manifest_of(name, table)

    def write(path: str, data: bytes) -> None:
        seen.append(("write", is_locked(folder)))
        write_file(path, data)

    write_file = rb.write_file
    monkeypatch.setattr("crv.io.dataset.manifest_of", read)
    monkeypatch.setattr(rb, "write_file", write)
    dataset.append("identity_edges", edges([0]))
    dataset.rebuild_manifest("identity_edges")
    assert seen == [("read", True), ("write", True)] * 2
    assert not is_locked(folder)


def test_eight_processes_write_one_path_and_it_is_always_one_of_their_texts(tmp_path: Path) -> None:
    play("one-path", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]


@pytest.mark.parametrize("every", [1, 3])
def test_the_manifest_beside_the_parts_is_written_at_the_first_and_each_nth_append(tmp_path: Path, every: int) -> None:
    dataset = Dataset(IoSettings(root_dir=str(tmp_path), write_manifest_every_n=every), RUN)
    fresh = []
    for tick in range(5):
        dataset.append("identity_edges", edges([tick]))
        fresh.append(on_disk(dataset, "identity_edges") == as_json(dataset.manifest("identity_edges")))
        assert dataset.read("identity_edges").height == tick + 1
    assert fresh == [tick % every == 0 for tick in range(5)]
