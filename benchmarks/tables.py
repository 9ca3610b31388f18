"""What tables that grow cost, to append to and to read, beside plain Parquet files and other ways to keep a table.

    uv run python benchmarks/tables.py [--row NAME ...] [--turns N] [--scale X] [--folder DIR] [--json]

Rows: ``append`` (frames of 1,000 rows), ``flat`` (the 10,000th append against the first), ``range`` and ``all`` (1,000
parts read), ``compact``. Each turn does the work once on each side, in this process, in an order that changes. A figure
is the median over the turns, with the least and the greatest; a ratio is to the plain side of the same turn. Without
``--folder`` it runs on a tmpfs: the files of none of these sides are synced. A side that is not installed is left out:
``uv run --with deltalake python benchmarks/tables.py`` has it. ``query_runs.py`` reads many runs.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import runbundle as rb

FRAME_ROWS = 1_000
TABLE = "world/events"
PLAIN = "plain Polars"
SHM = Path("/dev/shm")  # noqa: S108 - a tmpfs, which is what is wanted
HAS_DELTA = importlib.util.find_spec("deltalake") is not None
COLUMNS = {
    "tick": {"dtype": "int64", "nullable": False},
    "agent": {"dtype": "int64", "nullable": False},
    "kind": {"dtype": "string", "nullable": False},
    "value": {"dtype": "float64", "nullable": False, "min": 0.0, "max": 1.0},
    "price": {"dtype": "float64"},
}
SPEC = rb.ArtifactSpec(
    "events",
    "world",
    "events",
    ".parquet",
    "parquet",
    required=rb.Required.OPTIONAL,
    schema={"columns": COLUMNS},
    table=rb.TableSpec(bucket_by="tick", bucket_size=100),
)
CONTRACT = rb.Contract("bench", "1", artifacts=(SPEC,))


def frames(count: int) -> list[pl.DataFrame]:
    """Frames of a simulation: each is one tick of 1,000 agents."""
    rng = np.random.default_rng(7)
    kinds = np.array(["buy", "sell", "hold", "message"])
    return [
        pl.DataFrame(
            {
                "tick": np.full(FRAME_ROWS, tick),
                "agent": np.arange(FRAME_ROWS),
                "kind": kinds[rng.integers(0, 4, FRAME_ROWS)],
                "value": rng.random(FRAME_ROWS),
                "price": rng.normal(100, 5, FRAME_ROWS),
            }
        )
        for tick in range(count)
    ]


@dataclass
class Turns:
    """The seconds of each side, turn by turn."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    base: str = PLAIN

    @contextmanager
    def time(self, side: str) -> Iterator[None]:
        """Time a block."""
        begin = time.perf_counter()
        yield
        self.seconds.setdefault(side, []).append(time.perf_counter() - begin)

    def ratios(self, side: str) -> list[float]:
        """The seconds of a side over those of the base, turn by turn."""
        return [own / base for own, base in zip(self.seconds[side], self.seconds[self.base], strict=False)]


def by_turns(sides: Mapping[str, Callable[[], object]], turns: int) -> Turns:
    """Each side once a turn; another begins each time. The first turn is not counted."""
    names = list(sides)
    found = Turns()
    for number in range(turns + 1):
        for name in (*names[number % len(names) :], *names[: number % len(names)]):
            with found.time(name):
                sides[name]()
    return Turns({name: seconds[1:] for name, seconds in found.seconds.items()})


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """A folder that is gone afterwards."""
    place = Path(tempfile.mkdtemp(prefix="tables-", dir=folder))
    try:
        yield place
    finally:
        shutil.rmtree(place)


def started(folder: Path, run_id: str) -> rb.RunIO:
    """A run with one declared table."""
    return rb.Project("bench", store=folder, contract=CONTRACT).start(run_id=run_id)


def append(folder: Path, turns: int, scale: float) -> Turns:
    """Frames of 1,000 rows appended, or each written as a file of its own. Starting a run and its seal are apart.

    The first two sides take turns at every frame: what else the machine does falls on both, and neither finds the
    threads of Polars still warm from its own last frame, as none would that computes something between two frames.
    """
    given = frames(max(20, int(300 * scale)))
    found = Turns()
    for _ in range(turns + 1):
        with scratch(folder) as place:
            run = started(place, "r")
            spent = dict.fromkeys((PLAIN, "runbundle"), 0.0)
            for number, frame in enumerate(given):
                begin = time.perf_counter()
                frame.write_parquet(place / f"{number}.parquet")
                middle = time.perf_counter()
                run.append(SPEC, frame)
                spent[PLAIN] += middle - begin
                spent["runbundle"] += time.perf_counter() - middle
            run.finish()
        for name, seconds in spent.items():
            found.seconds.setdefault(name, []).append(seconds)
        for name, side in (*([("deltalake", _delta)] if HAS_DELTA else []), ("one growing file", _growing)):
            with scratch(folder) as place, found.time(name):
                side(place, given)
    return Turns({name: seconds[1:] for name, seconds in found.seconds.items()})


def _delta(place: Path, given: Sequence[pl.DataFrame]) -> None:
    deltalake: Any = importlib.import_module("deltalake")
    for frame in given:
        deltalake.write_deltalake(str(place / "delta"), frame, mode="append")


def _growing(place: Path, given: Sequence[pl.DataFrame]) -> None:
    file = place / "table.parquet"
    for frame in given:
        (pl.concat([pl.read_parquet(file), frame]) if file.exists() else frame).write_parquet(file)


def flat(folder: Path, turns: int, scale: float) -> Turns:
    """An append to one table: the median of the last 100 of 10,000, and of the first 100."""
    found = Turns(base="the first 100")
    given = frames(100)
    for _ in range(turns):
        with scratch(folder) as place:
            run = started(place, "r")
            times = []
            for number in range(max(200, int(10_000 * scale))):
                frame = given[number % 100].with_columns(pl.lit(number, pl.Int64).alias("tick"))
                begin = time.perf_counter()
                run.append(SPEC, frame)
                times.append(time.perf_counter() - begin)
            run.finish()
            found.seconds.setdefault("the first 100", []).append(statistics.median(times[:100]))
            found.seconds.setdefault("the last 100", []).append(statistics.median(times[-100:]))
    return found


def filled(place: Path, parts: int) -> rb.Run:
    """A finished run whose table has so many parts."""
    with started(place, "r") as run:
        for frame in frames(parts):
            run.append(SPEC, frame)
    return rb.open_run(run.path)


def wanted_range(parts: int) -> tuple[int, int]:
    """A hundredth of the ticks, in the middle."""
    return parts // 2, parts // 2 + max(1, parts // 100) - 1


def range_of_ticks(folder: Path, turns: int, scale: float) -> Turns:
    """A hundredth of the ticks out of 1,000 parts."""
    parts = max(50, int(1_000 * scale))
    low, high = wanted_range(parts)
    chosen = pl.col("tick").is_between(low, high)
    with scratch(folder) as place:
        run = filled(place, parts)
        table = run.path / run.tables[TABLE].folder
        sides: dict[str, Callable[[], object]] = {
            PLAIN: lambda: pl.scan_parquet(table / "**/*.parquet").filter(chosen).collect(),
            "between": lambda: run.table(TABLE, between=(low, high)).collect(),
            "between, run opened anew": lambda: rb.open_run(run.path).table(TABLE, between=(low, high)).collect(),
            "a filter, lengths checked": lambda: run.table(TABLE, check=False).filter(chosen).collect(),
            "a filter, all bytes checked": lambda: run.table(TABLE).filter(chosen).collect(),
        }
        return by_turns(sides, turns)


def all_rows(folder: Path, turns: int, scale: float) -> Turns:
    """All rows of 1,000 parts, summed up by a column."""

    def summed(frame: pl.LazyFrame) -> pl.DataFrame:
        return frame.group_by("agent").agg(pl.col("value").mean()).collect()

    with scratch(folder) as place:
        run = filled(place, max(50, int(1_000 * scale)))
        table = run.path / run.tables[TABLE].folder
        sides: dict[str, Callable[[], object]] = {
            PLAIN: lambda: summed(pl.scan_parquet(table / "**/*.parquet")),
            "lengths checked": lambda: summed(run.table(TABLE, check=False)),
            "all bytes checked": lambda: summed(run.table(TABLE)),
        }
        return by_turns(sides, turns)


def compact(folder: Path, turns: int, scale: float) -> Turns:
    """1,000 parts merged, one a bucket; the plain side reads all files, sorts and writes one. Then a range is read."""
    parts = max(50, int(1_000 * scale))
    low, high = wanted_range(parts)
    chosen = pl.col("tick").is_between(low, high)
    found = Turns()
    for _ in range(turns + 1):
        with scratch(folder) as place:
            run = started(place, "r")
            for frame in frames(parts):
                run.append(SPEC, frame)
            table = run.path / rb.open_run(run.path).tables[TABLE].folder
            with found.time(PLAIN):
                pl.read_parquet(table / "**/*.parquet").sort("tick").write_parquet(place / "one.parquet")
            with found.time("compact"):
                run.compact()
            run.finish()
            done = rb.open_run(run.path)
            assert done.tables[TABLE].rows == parts * FRAME_ROWS  # its log is read  # noqa: S101
            with found.time("between, of the merged parts"):
                done.table(TABLE, between=(low, high)).collect()
            with found.time("plain Polars, of the one file"):
                pl.scan_parquet(place / "one.parquet").filter(chosen).collect()
    return Turns({name: seconds[1:] for name, seconds in found.seconds.items()})


ROWS: Mapping[str, Callable[[Path, int, float], Turns]] = {
    "append": append,
    "flat": flat,
    "range": range_of_ticks,
    "all": all_rows,
    "compact": compact,
}
MUSTS = {("append", "runbundle"): 1.5, ("flat", "the last 100"): 1.5} | {
    ("range", side): 1.2 for side in ("between", "a filter, lengths checked")
}


def show(row: str, found: Turns) -> None:
    """The figures of a row."""
    title = (ROWS[row].__doc__ or "").partition(".")[0]
    print(f"\n{row}: {title}")
    print(f"  {'side':<30} {'ms':>10} {'ratio':>7} {'least':>7} {'greatest':>8}")
    for side, seconds in found.seconds.items():
        ratios = found.ratios(side)
        ratio, must = statistics.median(ratios), MUSTS.get((row, side))
        verdict = "" if must is None else f"  {'must' if ratio <= must else 'MISSED'} (at most {must})"
        print(
            f"  {side:<30} {1000 * statistics.median(seconds):>10.2f} {ratio:>7.2f} {min(ratios):>7.2f} "
            f"{max(ratios):>8.2f}{verdict}"
        )


def main() -> None:
    """Time the rows; print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--row", action="append", choices=ROWS, help="of these only")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--scale", type=float, default=1.0, help="so much of the work; figures count at 1 only")
    parser.add_argument("--folder", type=Path, default=SHM if SHM.is_dir() else Path())
    parser.add_argument("--json", action="store_true", help="print the seconds of all turns")
    options = parser.parse_args()
    found = {}
    for row in options.row or ROWS:
        turns = min(options.turns, 3) if row == "flat" else options.turns
        found[row] = ROWS[row](options.folder, turns, options.scale)
        if not options.json:
            show(row, found[row])
    if options.json:
        print(json.dumps({row: turns.seconds for row, turns in found.items()}, indent=2))


if __name__ == "__main__":
    main()
