"""Tables that are in no run, against what may lie in their folder and what others do at the same time."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import runbundle as rb
from runbundle import errors
from runbundle.io.table import folder, manifest, parts

SPEC = rb.TableSpec("tick", bucket_size=10)


def frame(*ticks: int, agent: Any = "a") -> pl.DataFrame:
    return pl.DataFrame({"tick": ticks, "agent": [agent] * len(ticks)})


def table(tmp_path: Path) -> rb.Table:
    return rb.Table(tmp_path / "events", SPEC)


def ticks(tmp_path: Path) -> list[int]:
    return table(tmp_path).scan().collect()["tick"].to_list()


@pytest.fixture
def grown(tmp_path: Path) -> rb.Table:
    events = table(tmp_path)
    for number in range(4):
        events.append(frame(number, number + 10))
    return events


def test_a_manifest_damaged_anywhere_costs_no_row(grown: rb.Table, tmp_path: Path) -> None:
    place = grown.folder / "manifest.jsonl"
    whole, rows, digest = place.read_bytes(), ticks(tmp_path), grown.content_sha256()

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, len(whole) - 1), st.integers(0, 60), st.binary(max_size=3))
    def read(at: int, length: int, instead: bytes) -> None:
        place.write_bytes(whole[:at] + instead + whole[at + length :])
        again = table(tmp_path)
        assert again.scan().collect()["tick"].to_list() == rows
        assert again.scan((3, 11)).collect().height == 3
        assert again.content_sha256() == digest

    read()


@pytest.mark.parametrize(
    "change",
    [
        lambda part: part.update(of=3),
        lambda part: part.update(append="other"),
        lambda part: part.update(rows=None),
        lambda part: part.update(columns=[]),
        lambda part: part.update(low="x"),
        lambda part: part.update(bucket=None),
        lambda part: part.update(path="../events/x.parquet"),
        lambda part: part.pop("sha256"),
    ],
)
def test_a_line_that_cannot_be_is_passed_over(
    grown: rb.Table, tmp_path: Path, change: Callable[[dict[str, Any]], Any]
) -> None:
    rows = ticks(tmp_path)
    place = grown.folder / "manifest.jsonl"
    lines = place.read_bytes().splitlines()
    told = json.loads(lines[1])
    change(told["parts"][0])
    del told["crc32"]
    lines[1] = manifest._sealed(told).rstrip()
    place.write_bytes(b"\n".join([*lines, b""]))
    assert ticks(tmp_path) == rows


def test_a_manifest_of_a_later_version_is_refused(grown: rb.Table, tmp_path: Path) -> None:
    place = grown.folder / "manifest.jsonl"
    place.write_bytes(manifest._sealed({"format": manifest.FORMAT, "format_version": 2}))
    for call in (lambda: ticks(tmp_path), lambda: grown.append(frame(1))):
        with pytest.raises(errors.UnsupportedVersion, match="version 2"):
            call()


@pytest.mark.parametrize("manifest_is", ["there", "lost"])
def test_a_table_has_the_buckets_it_was_begun_with_whoever_reads_it(
    grown: rb.Table, tmp_path: Path, manifest_is: str
) -> None:
    digest, rows = grown.content_sha256(), ticks(tmp_path)
    if manifest_is == "lost":
        (grown.folder / "manifest.jsonl").unlink()
    for spec in (None, rb.TableSpec("agent"), rb.TableSpec("tick", bucket_size=1000), rb.TableSpec("nothing")):
        other = rb.Table(grown.folder, spec)
        assert other.scan().filter(pl.col("agent") == "a").collect()["tick"].to_list() == rows
        assert other.scan((2, 10)).collect()["tick"].to_list() == [2, 3, 10]
        assert other.content_sha256() == digest
        with pytest.raises(errors.ContractError, match="keeps the buckets"):
            other.append(frame(1))


def test_who_begins_a_table_at_the_same_time_with_other_buckets_or_types_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = parts.cut
    others = {
        "one": (frame(5, agent=1), SPEC, "'agent' is string, and int64 in rows of another writer"),
        "two": (frame(5), rb.TableSpec("tick", bucket_size=7), "bucket_size 7, not 10"),
        "three": (frame(5).with_columns(more=1), SPEC, "'more' is not there, and int32 in rows"),
    }
    for name, (given_first, spec, told) in others.items():

        def meanwhile(*given: Any, name: str = name, first: Any = given_first, spec: Any = spec) -> Any:
            monkeypatch.setattr(folder, "cut", cut)
            rb.Table(tmp_path / name, spec).append(first)
            return cut(*given)

        monkeypatch.setattr(folder, "cut", meanwhile)
        events = rb.Table(tmp_path / name, SPEC)
        with pytest.raises((errors.InvalidValue, errors.ContractError), match=told):
            events.append(frame(1))
        assert rb.Table(tmp_path / name, spec).scan().collect()["tick"].to_list() == [5]
        assert len(list((tmp_path / name).rglob("*.parquet"))) == 1


def test_a_failure_at_any_step_of_the_first_append_leaves_a_table_that_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = ["fsync", "link", "open", "ftruncate", "lseek", "write"]
    for step in steps:
        real, failed = getattr(os, step), 0
        for count in range(40):
            left = [count]

            def fail(*given: Any, left: list[int] = left, real: Any = real, **more: Any) -> Any:
                left[0] -= 1
                if left[0] == -1:
                    raise OSError(5, "Input/output error")
                return real(*given, **more)

            place = tmp_path / f"{step}{count}"
            events = rb.Table(place / "events", SPEC)
            with monkeypatch.context() as patch:
                patch.setattr(os, step, fail)
                try:
                    events.append(frame(1, 11))
                    rows = [1, 11]
                except errors.UnavailableError:
                    failed += 1
                    rows = []
            assert [part.low for part in table(place).parts()] == rows, (step, count)
            events.append(frame(2, 12))
            assert ticks(place) == sorted([*rows, 2, 12]), (step, count)
            if left[0] >= 0:
                break
        assert failed or step == "open", step


def test_an_append_that_ctrl_c_ended_when_it_was_said_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events = table(tmp_path)
    add_line = manifest.add_line

    def interrupted(*given: Any) -> None:
        add_line(*given)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(manifest, "add_line", interrupted)
        with pytest.raises(KeyboardInterrupt):
            events.append(frame(1, 11))
    events.append(frame(2))
    assert ticks(tmp_path) == [1, 2, 11]


def test_a_first_frame_that_could_not_be_written_sets_no_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with rb.start("free", store=tmp_path / "store") as run:
        appends: list[Callable[[pl.DataFrame], Any]] = [table(tmp_path).append, lambda given: run.append("t", given)]
        for append in appends:
            with monkeypatch.context() as patch:
                patch.setattr(os, "link", full)
                with pytest.raises(errors.UnavailableError):
                    append(frame(1, agent=1))
            append(frame(1))


def test_parts_that_lie_in_anothers_place_are_named(grown: rb.Table, tmp_path: Path) -> None:
    (grown.folder / "manifest.jsonl").unlink()
    first, second = grown.parts()[0].path, grown.parts()[-1].path
    whole = (grown.folder / first).read_bytes()
    shutil.copy(grown.folder / second, grown.folder / first)
    with pytest.raises(errors.CorruptError, match="of another bucket"):
        grown.parts()
    (grown.folder / first).write_bytes(whole)
    foreign = grown.folder / first.replace(first[-12:], "00000000.parquet"[-12:])
    pl.DataFrame({"x": [1]}).write_parquet(foreign)
    with pytest.raises(errors.CorruptError, match="it is no part of a table"):
        table(tmp_path).parts()


def test_what_is_no_file_is_neither_a_part_nor_waited_for(grown: rb.Table, tmp_path: Path) -> None:
    rows = ticks(tmp_path)
    names = [f"bucket=000000/part-{number:08x}-0000-7000-8000-000000000000.parquet" for number in range(2)]
    (grown.folder / names[0]).mkdir()
    os.mkfifo(grown.folder / names[1])
    assert ticks(tmp_path) == rows
    place = grown.folder / "manifest.jsonl"
    place.unlink()
    outside = tmp_path / "outside"
    outside.write_bytes(b"precious")
    makes: list[Callable[[], None]] = [lambda: os.mkfifo(place), lambda: place.symlink_to(outside), place.mkdir]
    for make in makes:
        make()
        for call in (lambda: ticks(tmp_path), lambda: grown.append(frame(1))):
            with pytest.raises(errors.UnavailableError):
                call()
        place.rmdir() if place.is_dir() else place.unlink()
    assert outside.read_bytes() == b"precious"
    assert ticks(tmp_path) == rows


def test_a_link_to_a_table_of_a_sealed_run_leads_into_that_run(tmp_path: Path) -> None:
    with rb.start("free", store=tmp_path / "store") as run:
        run.append("events", frame(1))
    link = tmp_path / "link"
    link.symlink_to(run.path / "artifacts" / "events")
    assert rb.Table(link).scan().collect()["tick"].to_list() == [1]
    with pytest.raises(errors.RunSealed):
        rb.Table(link).append(frame(2))


def test_a_path_that_is_too_long_is_an_error_of_ours(tmp_path: Path) -> None:
    calls: list[Callable[[Path], Any]] = [
        lambda place: rb.Table(place).parts(),
        lambda place: rb.write_file(place, b"x"),
    ]
    for call in calls:
        with pytest.raises(errors.UnavailableError, match="too long"):
            call(tmp_path / ("x/" * 3000) / "y")
