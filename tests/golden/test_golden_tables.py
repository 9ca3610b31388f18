"""Runs with tables, kept to the byte: readable ever after, by the library and from the page alone."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import independent_reader as reader
import runbundle as rb
from golden_damage import listing, rewrite
from golden_tables_maker import MERGED, MERGING
from runbundle.run.repair import repair
from sample_runs import codes

STORE = Path(__file__).parent / "v1_tables"
FROZEN = {
    MERGED: "e238c301e260e02caff20f622899e098ea612a2405903ccbe47c75f6da4ec46a",
    MERGING: "0e0efa477dee156c9eeb6110552203ea2e2506873767c59054d2394df53935ac",
}
CONTENT = "5002314517a0563b85df93fcd654ef628f673074ca01a160f97db4057c27b6cb"
TICKS = [1, 2, 2, 3, 4, 12, 35]
STRAY = ["stray"] * 3


@pytest.mark.parametrize("name", FROZEN)
def test_the_bytes_are_those_once_written(name: str) -> None:
    assert hashlib.sha256(listing(STORE / name).encode()).hexdigest() == FROZEN[name]


@pytest.mark.parametrize("name", FROZEN)
def test_both_readers_count_the_same_rows(name: str) -> None:
    """Those of an append that a crash cut short do not count, merged ones count once."""
    run = rb.open_run(STORE / name)
    assert run.table("world/events").collect()["tick"].to_list() == TICKS
    parts = reader.IndependentRun(STORE / name).journal.parts("world/events")
    assert sorted(pl.concat([pl.read_parquet(run.path / part["filename"]) for part in parts])["tick"]) == TICKS
    assert run.content_sha256("world/events") == CONTENT
    assert run.table("world/events", between=(4, 30)).collect()["tick"].to_list() == [4, 12]


def test_both_readers_find_the_sealed_run_intact_and_the_leftovers_of_the_killed_one(tmp_path: Path) -> None:
    assert codes(rb.open_run(STORE / MERGED).verify()) == reader.verify(STORE / MERGED) == []
    run = Path(shutil.copytree(STORE / MERGING, tmp_path / "run"))
    found = codes(rb.open_run(run).verify())
    assert found == reader.verify(run)
    assert [code for code, _ in found] == STRAY
    repair(run)
    assert codes(rb.open_run(run).verify()) == reader.verify(run) == []
    assert rb.open_run(run).content_sha256("world/events") == CONTENT
    assert len(list((run / "attempts").rglob("*.parquet"))) == len(STRAY)


@pytest.mark.parametrize(
    "change",
    [
        {"rows": "5"},
        {"bucket": 0.0},
        {"append": 3},
        {"bucket_by": 3},
        {"of": None},
        {"merges": [{"writer": ""}]},
        {"merges": 3},
    ],
    ids=str,
)
def test_a_part_that_is_not_told_as_the_page_says_is_damage_to_both(tmp_path: Path, change: dict[str, Any]) -> None:
    run = Path(shutil.copytree(STORE / MERGING, tmp_path / "run"))

    def spoil(record: dict[str, Any]) -> None:
        if "table" in record:
            record["table"] |= change

    rewrite(run, spoil)
    found = [each for each in codes(rb.open_run(run).verify()) if each[0] == "log_damaged"]
    assert found == [each for each in reader.verify(run) if each[0] == "log_damaged"]
    assert found
