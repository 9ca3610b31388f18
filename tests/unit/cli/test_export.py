"""``runbundle export``: the rows of a table as a file, whole or not at all."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from command_calls import Captured, call, call_json
from runbundle import errors
from runbundle.base.progress import ProgressLine
from runbundle.io.atomic import Staged
from sample_runs import MANIFEST, project

pl = pytest.importorskip("polars", reason="Polars is not installed")
EVENTS = "world/events"
NAN, INF = float("nan"), float("inf")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    for number in range(3):
        with project(tmp_path / "store").start({"seed": number}, run_id=f"r{number}") as run:
            for start in (0, 10):
                rows = pl.DataFrame({"tick": range(start, start + 10)}).with_columns(value=pl.col("tick") / 4)
                run.append(EVENTS, rows, bucket_by="tick", bucket_size=10)
    return tmp_path / "store"


def strict(text: str) -> Any:
    def refuse(literal: str) -> None:
        raise AssertionError(f"{literal} is no JSON")

    return json.loads(text, parse_constant=refuse)


def read(file: Path) -> list[dict[str, Any]]:
    """The rows of a file, without the code under test."""
    if file.suffix == ".parquet":
        rows: list[dict[str, Any]] = pl.read_parquet(file).to_dicts()
        return rows
    text = file.read_text()
    if file.suffix == ".csv":
        return list(csv.DictReader(text.splitlines()))
    return list(strict(text)) if file.suffix == ".json" else [strict(line) for line in text.splitlines()]


def exported(capsys: Captured, store: Path, file: Path, *more: str) -> dict[str, Any]:
    code, told = call_json(capsys, "export", "--store", store, "--table", EVENTS, "-o", file, *more)
    assert code == 0
    return told


@pytest.mark.parametrize("ending", [".csv", ".json", ".jsonl", ".ndjson", ".parquet"])
def test_all_runs_of_the_store_go_into_a_file_of_the_format_that_its_extension_names(
    capsys: Captured, store: Path, tmp_path: Path, ending: str
) -> None:
    file = tmp_path / f"all{ending}"
    told = exported(capsys, store, file)
    assert told == {
        "file": str(file),
        "table": EVENTS,
        "format": {".ndjson": "jsonl"}.get(ending, ending[1:]),
        "runs": 3,
        "rows": 60,
        "bytes": file.stat().st_size,
    }
    rows = read(file)
    wanted = [(f"r{run}", tick, tick / 4) for run in range(3) for tick in range(20)]
    assert [(row["run_id"], int(row["tick"]), float(row["value"])) for row in rows] == wanted
    assert list(tmp_path.glob(".tmp-*")) == []


def test_runs_are_given_by_name_and_rows_and_runs_chosen_by_sql(capsys: Captured, store: Path, tmp_path: Path) -> None:
    for number, (more, runs, rows) in enumerate(
        (
            (("r1",), 1, 20),
            (("r1", str(store / "runs/demo/r2")), 2, 40),
            (("--where", "tick >= 18"), 3, 6),
            (("--runs", "config.seed > 0", "--where", "run_id = 'r2'"), 1, 20),
            (("--where", "tick > 99"), 3, 0),
        )
    ):
        file = tmp_path / f"{number}.csv"
        told = exported(capsys, store, file, *more)
        assert (told["runs"], told["rows"], len(read(file))) == (runs, rows, rows)
        assert file.read_text().startswith("run_id,tick,value\n")


def test_of_no_rows_there_is_an_empty_array_and_no_line(capsys: Captured, store: Path, tmp_path: Path) -> None:
    for ending, text in ((".json", "[]\n"), (".jsonl", "")):
        exported(capsys, store, tmp_path / f"none{ending}", "--where", "tick > 99")
        assert (tmp_path / f"none{ending}").read_text() == text


def test_for_people_a_line_tells_what_was_written(capsys: Captured, store: Path, tmp_path: Path) -> None:
    code, out, err = call(capsys, "export", "r0", "--store", store, "--table", EVENTS, "-o", tmp_path / "a.csv")
    size = (tmp_path / "a.csv").stat().st_size
    assert (code, err) == (0, "")
    assert out == f"{tmp_path / 'a.csv'}: 20 rows of world/events from 1 run, {size} bytes\n"


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A run whose table has values of many kinds."""
    rows = pl.DataFrame(
        {
            "number": [1.5, NAN, INF, -INF, None],
            "text": ['say "hi"', "a,b", "two\nlines", "", None],
            "nested": [{"x": [1.0, NAN]}, {"x": []}, {"x": [INF]}, {"x": None}, None],
            "list": [[1, 2], [], None, [3], [4]],
            "bytes": [b"\x00\xff", b"", None, b"a", b"b"],
            "at": pl.Series([datetime(2026, 11, 21, 10, tzinfo=UTC)] * 4 + [None], dtype=pl.Datetime("ms", "UTC")),
            "took": [timedelta(minutes=1.5)] * 4 + [None],
            "price": pl.Series(["1.10"] * 5).cast(pl.Decimal(10, 2)),
            "big": pl.Series([2**63 + 1] * 5, dtype=pl.UInt64),
            "kind": pl.Series(["é"] * 5, dtype=pl.Categorical),
        }
    )
    with project(tmp_path / "store").start(run_id="odd") as run:
        run.append(EVENTS, rows)
    return tmp_path / "store"


def test_json_is_strict_and_spells_what_it_has_no_number_for(capsys: Captured, odd: Path, tmp_path: Path) -> None:
    """docs/format.md, I7."""
    for ending in (".json", ".jsonl"):
        exported(capsys, odd, tmp_path / f"a{ending}")
        rows = read(tmp_path / f"a{ending}")
        assert [row["number"] for row in rows] == [1.5, "NaN", "Infinity", "-Infinity", None]
        assert [row["nested"] for row in rows] == [
            {"x": [1.0, "NaN"]},
            {"x": []},
            {"x": ["Infinity"]},
            {"x": None},
            None,
        ]
        assert rows[0] == {
            "run_id": "odd",
            "number": 1.5,
            "text": 'say "hi"',
            "nested": {"x": [1.0, "NaN"]},
            "list": [1, 2],
            "bytes": "AP8=",
            "at": "2026-11-21T10:00:00.000+00:00",
            "took": "PT1M30S",
            "price": "1.10",
            "big": 2**63 + 1,
            "kind": "é",
        }


def test_what_is_nested_stands_in_csv_as_json(capsys: Captured, odd: Path, tmp_path: Path) -> None:
    exported(capsys, odd, tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["text"] for row in rows] == ['say "hi"', "a,b", "two\nlines", "", ""]
    assert [row["nested"] for row in rows] == ['{"x":[1.0,"NaN"]}', '{"x":[]}', '{"x":["Infinity"]}', '{"x":null}', ""]
    assert [row["list"] for row in rows] == ["[1,2]", "[]", "", "[3]", "[4]"]
    assert (rows[0]["bytes"], rows[0]["price"], rows[0]["big"], rows[0]["kind"]) == (
        "AP8=",
        "1.10",
        str(2**63 + 1),
        "é",
    )


def test_a_file_that_is_there_is_kept_without_force(capsys: Captured, store: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("mine")
    arguments = ("export", "--store", store, "--table", EVENTS, "-o", file)
    code, _, err = call(capsys, *arguments)
    assert (code, file.read_text()) == (2, "mine")
    assert "a.csv exists already" in err
    assert "--force" in err
    assert call(capsys, *arguments, "--force")[0] == 0
    assert len(read(file)) == 60


@pytest.mark.parametrize("place", ["a.csv", "artifacts/a.csv", "artifacts/../logs/a.csv"])
def test_nothing_is_written_into_a_run(capsys: Captured, store: Path, place: str) -> None:
    run = store / "runs/demo/r1"
    open_run = project(store).start(run_id="open")
    for folder in (run, open_run.path):
        (folder / "logs").mkdir(exist_ok=True)
        before = sorted(folder.rglob("*"))
        code, _, err = call(capsys, "export", "--store", store, "--table", EVENTS, "-o", folder / place)
        assert code == 2
        assert f"would lie in the run {folder.name}" in err
        assert sorted(folder.rglob("*")) == before
    open_run.finish()
    (store / "link").symlink_to(run)
    assert call(capsys, "export", "--store", store, "--table", EVENTS, "-o", store / "link/a.csv")[0] == 2


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        (("-o", "a.txt"), 2, "no extension that names a format"),
        (("-o", "a"), 2, "no extension that names a format"),
        (("-o", "nowhere/a.csv"), 2, "There is no folder"),
        (("-o", "a.csv", "--where", "nope = 1"), 2, "names nope, which the table does not have"),
        (("-o", "a.csv", "--where", "tick <"), 2, "cannot be understood"),
        (("-o", "a.csv", "--runs", "config.nope = 1"), 2, "names config.nope"),
        (("-o", "a.csv", "r9"), 3, "There is no run 'r9'"),
    ],
)
def test_wrong_usage_is_told_and_leaves_nothing(
    capsys: Captured, store: Path, tmp_path: Path, more: tuple[str, ...], code: int, words: str
) -> None:
    found, _, err = call(capsys, "export", "--store", store, "--table", EVENTS, *more)
    assert found == code
    assert words in err
    assert not (tmp_path / "a.csv").exists()


def test_a_table_that_no_run_has_is_not_found(capsys: Captured, store: Path, tmp_path: Path) -> None:
    code, _, err = call(capsys, "export", "--store", store, "--table", "world/agents", "-o", tmp_path / "a.csv")
    assert code == 3
    assert "They have world/events" in err


def test_damaged_runs_are_named_and_left_out_only_if_that_is_said(
    capsys: Captured, store: Path, tmp_path: Path
) -> None:
    (store / "runs/demo/r1" / MANIFEST).write_text("{")
    part = next(store.glob("runs/demo/r2/**/part-*.parquet"))
    part.write_bytes(part.read_bytes()[:-1])
    arguments = ("export", "--store", store, "--table", EVENTS, "-o", tmp_path / "a.csv")
    code, _, err = call(capsys, *arguments)
    assert (code, (tmp_path / "a.csv").exists()) == (1, False)
    assert "2 of the runs cannot be read: r1, r2" in err
    code, out, err = call(capsys, *arguments, "--allow-damaged")
    assert (code, "20 rows of world/events from 1 run" in out) == (0, True)
    assert "2 of the runs cannot be read: r1, r2" in err


@pytest.mark.parametrize("ending", [".csv", ".json", ".jsonl", ".parquet"])
def test_a_disk_that_refuses_leaves_no_part_of_the_file(
    capsys: Captured, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    def refuse(self: Staged, _: Any) -> int:
        raise errors.UnavailableError("Writing failed: no space left", path=self.place)

    monkeypatch.setattr(Staged, "write", refuse)
    file = tmp_path / f"a{ending}"
    code, _, err = call(capsys, "export", "--store", store, "--table", EVENTS, "-o", file)
    assert code == 4
    assert "no space left" in err
    assert sorted(tmp_path.iterdir()) == [store]


def test_progress_is_told_in_rows_and_bytes(
    capsys: Captured, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[str, list[float]] = {}

    class Line(ProgressLine):
        def __init__(self, total: float, label: str) -> None:
            super().__init__(total, label)
            self.counts = told.setdefault(label, [total])

        def advance(self, amount: float = 1.0) -> None:
            self.counts.append(amount)

    monkeypatch.setattr("runbundle.cli.export.ProgressLine", Line)
    exported(capsys, store, tmp_path / "a.csv")
    size = sum(part.stat().st_size for part in store.rglob("part-*.parquet"))
    assert {label: (total, sum(counts)) for label, (total, *counts) in told.items()} == {
        "checking": (size, size),
        "exporting": (60, 60),
    }
