"""Where things lie."""

import os

import pytest

from crv.core.grammar import TableName
from crv.core.ids import RunId
from crv.io.config import IoSettings
from crv.io.paths import (
    bucket_dir,
    bucket_id_for_tick,
    format_bucket_dir,
    manifest_path,
    run_root,
    table_dir,
    tables_root,
)

SETTINGS = IoSettings(root_dir="out")
RUN = RunId("20250101-000000")


def test_paths_are_text_below_the_root_as_it_was_given() -> None:
    run = os.path.join("out", "runs", "20250101-000000")  # noqa: PTH118 - paths are text here
    assert run_root(SETTINGS, RUN) == run_root(SETTINGS, str(RUN)) == run
    assert tables_root(SETTINGS, RUN) == f"{run}/tables"
    assert table_dir(SETTINGS, RUN, "identity_edges") == f"{run}/tables/identity_edges"
    assert table_dir(SETTINGS, RUN, TableName.IDENTITY_EDGES) == f"{run}/tables/identity_edges"
    assert manifest_path(SETTINGS, RUN, "holdings") == f"{run}/tables/holdings/manifest.json"
    assert bucket_dir(SETTINGS, RUN, "holdings", 123) == f"{run}/tables/holdings/bucket=000123"
    assert run_root(IoSettings(root_dir="./a/"), RUN) == "./a/runs/20250101-000000"


@pytest.mark.parametrize("run_id", ["", "..", "a/b", "../../etc"])
def test_no_run_id_leads_out_of_the_root(run_id: str) -> None:
    with pytest.raises(ValueError, match="is no run id"):
        bucket_dir(SETTINGS, run_id, "holdings", 0)


@pytest.mark.parametrize("table", ["", "..", "a/b", "Holdings", "holdings/..", "bucket=000001"])
def test_no_name_of_a_table_leads_out_of_the_run(table: str) -> None:
    with pytest.raises(ValueError, match="is no name of a table"):
        manifest_path(SETTINGS, RUN, table)


@pytest.mark.parametrize(
    ("tick", "size", "bucket"), [(0, 100, 0), (99, 100, 0), (100, 100, 1), (199, 100, 1), (7, 1, 7)]
)
def test_a_bucket_holds_as_many_ticks_as_its_size(tick: int, size: int, bucket: int) -> None:
    assert bucket_id_for_tick(tick, size) == bucket


@pytest.mark.parametrize(("tick", "size"), [(-1, 100), (0, 0), (5, -3)])
def test_ticks_and_sizes_below_their_first_are_refused(tick: int, size: int) -> None:
    with pytest.raises(ValueError, match="Ticks count from 0 and buckets hold at least 1"):
        bucket_id_for_tick(tick, size)


@pytest.mark.parametrize(
    ("bucket", "name"), [(0, "bucket=000000"), (123, "bucket=000123"), (1_234_567, "bucket=1234567")]
)
def test_a_bucket_is_a_folder_of_six_digits_or_more(bucket: int, name: str) -> None:
    assert format_bucket_dir(bucket) == name


def test_buckets_count_from_zero() -> None:
    with pytest.raises(ValueError, match="Buckets count from 0, not -1"):
        format_bucket_dir(-1)
