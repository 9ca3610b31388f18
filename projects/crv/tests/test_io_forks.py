"""Polars in a child that was forked: refused where it would never end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_CHILD = """
import os, signal, sys
import polars as pl
from crv.io import Dataset, IoSettings
from crv.io.artifacts import write_parquet_atomic, write_text_atomic
from crv.io.errors import IoForkedError
from crv.io.rows import with_all_columns, without_bucket
from crv.io.run_manifest import write_run_bundle_manifest
from crv.lab.io_helpers import read_lab, write_audit, write_tidy
from sample_rows import edges

settings, run = IoSettings(root_dir=sys.argv[1]), "20250101-000000"
frame = edges(range(100))
if sys.argv[2] == "at work":
    write_tidy(settings, run, frame)
    Dataset(settings, run).append("identity_edges", frame)
    frame.lazy().group_by("tick").agg(pl.len()).sort("tick").collect()
child = os.fork()
if child:
    os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
signal.alarm(20)
acts = {
    "parquet": lambda: write_parquet_atomic(sys.argv[1] + "/a.parquet", frame),
    "tidy": lambda: write_tidy(settings, run, frame),
    "append": lambda: Dataset(settings, run).append("identity_edges", frame),
    "scan": lambda: Dataset(settings, run).scan("identity_edges"),
    "rows in": lambda: without_bucket(frame, 10),
    "rows out": lambda: with_all_columns(frame.lazy(), "identity_edges", 10),
    "summary": lambda: write_run_bundle_manifest(settings, run),
    "read": lambda: read_lab(settings, run, "tidy", "tidy.parquet"),
}
for name, act in acts.items():
    try:
        act()
        print(name, "done")
    except IoForkedError as error:
        assert "spawn" in str(error)
        print(name, "refused")
write_text_atomic(sys.argv[1] + "/a.txt", "text needs no Polars")
write_audit(settings, run, {"mae": 0.5})
sys.stdout.flush()
os._exit(0)
"""


@pytest.mark.parametrize(("state", "said"), [("at work", "refused"), ("only loaded", "done")])
def test_polars_is_refused_in_a_child_that_was_forked_while_it_was_at_work(
    state: str, said: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _CHILD, str(tmp_path), state],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert [line.rpartition(" ")[2] for line in done.stdout.splitlines()] == [said] * 8
    assert (tmp_path / "a.txt").is_file()
