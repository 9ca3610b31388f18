"""What a query over many runs costs: its time, and how far memory rises, at one size of the runs and at ten times it.

    uv run python benchmarks/query_runs.py [--runs 100] [--rows 1000000] [--turns 3] [--folder DIR] [--json]

Makes two stores, of runs with a tenth of the rows and with all of them, in ten buckets each; then asks both, each time
in a process of its own: a group-by over all rows, by Polars (``collect(engine="streaming")``) and by DuckDB; the same
of one run; and opening the table alone. Memory is the most that the process had (``VmHWM``) over what it had before the
query, when imports and opening were done: so that of the interpreter and of the libraries is not in it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from work import Watch

import runbundle as rb

TABLE = "world/events"
BUCKETS = 10
GROUPS = 1_000
QUESTIONS = {
    "polars, by agent": "select agent, avg(value) as mean, count(*) as n from self group by agent",
    "polars, by run": "select run_id, avg(value) as mean, count(*) as n from self group by run_id",
    "polars, one run": "select agent, avg(value) as mean from self group by agent",
    "duckdb, by agent": "select agent, avg(value) as mean, count(*) as n from events group by agent",
    "duckdb, by run": "select run_id, avg(value) as mean, count(*) as n from events group by run_id",
    "duckdb, one run": "select agent, avg(value) as mean from events where run_id = '{run}' group by agent",
}


def fill(store: Path, runs: int, rows: int) -> None:
    """Runs with a table of so many rows."""
    count = rows // BUCKETS
    for number in range(runs):
        rng = np.random.default_rng(number)
        with rb.Project("sim", store=store).start({"seed": number}, run_id=f"run_{number:04}") as run:
            for bucket in range(BUCKETS):
                ticks = np.sort(rng.integers(bucket * 100, bucket * 100 + 100, count))
                frame = pl.DataFrame(
                    {"tick": ticks, "agent": rng.integers(0, GROUPS, count), "value": rng.random(count)}
                )
                run.append(TABLE, frame, bucket_by="tick")


def ask(store: Path, question: str) -> dict[str, float]:
    """One question, asked by this process."""
    some = "run_0003"
    text = QUESTIONS[question].format(run=some)
    where = f"run_id = '{some}'" if question == "polars, one run" else None
    began = time.perf_counter()
    if question.startswith("polars"):
        frame = rb.tables(store, TABLE, check=False, where=where)
        opened = time.perf_counter() - began
        frame.head(1).collect(engine="streaming")
        with Watch() as watch:
            found = frame.sql(text).collect(engine="streaming").height
    else:
        import duckdb  # noqa: PLC0415 - where it is asked

        connection = duckdb.connect()
        began = time.perf_counter()
        events = rb.tables(store, TABLE, check=False, connection=connection)
        opened = time.perf_counter() - began
        events.limit(1).fetchall()
        with Watch() as watch:
            found = len(events.query("events", text).fetchall())
    return {**watch.figures, "opened_s": opened, "groups": found}


def asked(store: Path, question: str) -> dict[str, float]:
    """The same, by a process of its own."""
    command = [sys.executable, __file__, "--ask", question, "--store", str(store)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def medians(turns: list[dict[str, float]]) -> Mapping[str, float]:
    """Of each figure, over the turns."""
    return {name: statistics.median(turn[name] for turn in turns) for name in turns[0]}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Both stores made, and asked by turns."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="query-", dir=options.folder) as folder:
        stores = {rows: Path(folder, str(rows)) for rows in (options.rows // 10, options.rows)}
        for rows, store in stores.items():
            began = time.perf_counter()
            fill(store, options.runs, rows)
            print(f"{options.runs} runs x {rows:,} rows made in {time.perf_counter() - began:.0f} s", file=sys.stderr)
        for question in QUESTIONS:
            turns: dict[int, list[dict[str, float]]] = {rows: [] for rows in stores}
            for _ in range(options.turns):
                for rows, store in stores.items():
                    turns[rows].append(asked(store, question))
            found[question] = {rows: medians(figures) for rows, figures in turns.items()}
        began = time.perf_counter()
        rb.tables(stores[options.rows], TABLE)
        found["checked_s"] = time.perf_counter() - began
    return found


def main() -> None:
    """Make, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of a run; the smaller store has a tenth")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument(
        "--folder", type=Path, default=None, help="where the stores lie (default: the temporary folder)"
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--ask", choices=QUESTIONS, help=argparse.SUPPRESS)
    parser.add_argument("--store", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ask:
        print(json.dumps(ask(options.store, options.ask)))
        return
    found = measure(options)
    if options.json:
        print(json.dumps(found, indent=2))
        return
    print(f"{'question':<20} {'rows a run':>11} {'seconds':>8} {'opened s':>9} {'memory, MiB':>12} {'groups':>7}")
    for question in QUESTIONS:
        for rows, figures in found[question].items():
            print(
                f"{question:<20} {rows:>11,} {figures['seconds']:>8.2f} {figures['opened_s']:>9.3f} "
                f"{figures['peak_mib']:>12.0f} {figures['groups']:>7.0f}"
            )
    print(f"the larger store opened with all its bytes checked: {found['checked_s']:.1f} s")


if __name__ == "__main__":
    main()
