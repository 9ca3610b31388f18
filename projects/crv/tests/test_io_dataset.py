"""Tables of a bundle: what is appended, what is read, and what is refused."""

import json
import os
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import polars as pl
import pytest

import runbundle as rb
from crv.core.grammar import TableName
from crv.core.ids import RunId
from crv.core.tables import get_table, list_tables
from crv.io import Dataset, IoSettings
from crv.io.errors import IoError, IoManifestError, IoSchemaError, IoWriteError
from crv.io.manifest import load_manifest
from crv.io.paths import bucket_dir, bucket_id_for_tick, manifest_path, table_dir
from crv.io.tables import column_rules
from sample_rows import edges, exchange

RUN = RunId("20250101-000000")
EDGES = TableName.IDENTITY_EDGES


@pytest.fixture
def settings(tmp_path: Path) -> IoSettings:
    return IoSettings(root_dir=str(tmp_path))


@pytest.fixture
def dataset(settings: IoSettings) -> Dataset:
    return Dataset(settings, RUN)


def parts(dataset: Dataset, table: str = EDGES) -> list[Path]:
    return sorted(Path(table_dir(dataset.settings, RUN, table)).glob("bucket=*/*"))


# --- append ---------------------------------------------------------------------------------------


def test_an_append_tells_what_it_wrote_and_writes_a_part_a_bucket(dataset: Dataset, settings: IoSettings) -> None:
    told = dataset.append(EDGES, edges(range(150)))
    assert {name: told[name] for name in ("table", "run_id", "rows", "buckets")} == {
        "table": "identity_edges",
        "run_id": "20250101-000000",
        "rows": 150,
        "buckets": [0, 1],
    }
    first, second = told["parts"]
    assert list(first) == ["bucket_id", "path", "rows", "bytes", "tick_min", "tick_max"]
    assert (first["bucket_id"], first["rows"], first["tick_min"], first["tick_max"]) == (0, 100, 0, 99)
    assert (second["bucket_id"], second["rows"], second["tick_min"], second["tick_max"]) == (1, 50, 100, 149)
    for part in (first, second):
        path = Path(part["path"])
        assert str(path.parent) == bucket_dir(settings, RUN, EDGES, part["bucket_id"])
        assert path.name.startswith("part-")
        assert (path.suffix, path.stat().st_size) == (".parquet", part["bytes"])
    assert parts(dataset) == [Path(first["path"]), Path(second["path"])]


def test_a_run_id_may_be_plain_text_and_must_be_one(settings: IoSettings) -> None:
    assert Dataset(settings, "20250101-000000").run_id == RUN
    with pytest.raises(ValueError, match="is no run id"):
        Dataset(settings, "../etc")


def test_a_dataset_is_pickled_as_its_settings_and_its_run(dataset: Dataset) -> None:
    dataset.append(EDGES, edges([1]))
    again = pickle.loads(pickle.dumps(dataset))  # noqa: S301 - our own bytes
    again.append(EDGES, edges([2]))
    assert dataset.read(EDGES)["tick"].to_list() == [1, 2]


def test_numbers_are_cast_where_that_loses_nothing(dataset: Dataset) -> None:
    rows = edges([0, 1]).with_columns(pl.col("edge_weight").cast(pl.Int64), pl.col("tick").cast(pl.UInt8))
    dataset.append(EDGES, rows)
    assert dataset.read(EDGES).select("tick", "edge_weight").schema == {"tick": pl.Int64, "edge_weight": pl.Float64}


def test_a_part_says_its_schema_version_and_its_run(dataset: Dataset) -> None:
    (part,) = dataset.append(EDGES, edges([0]))["parts"]
    metadata = pl.read_parquet_metadata(part["path"])
    assert (metadata["schema_version"], metadata["run_id"]) == ("0.1@2025-09-20", RUN)


@pytest.mark.parametrize("compression", ["zstd", "lz4", "snappy"])
def test_every_compression_is_read_back(tmp_path: Path, compression: Any) -> None:
    dataset = Dataset(IoSettings(root_dir=str(tmp_path), compression=compression, row_group_size=2), RUN)
    dataset.append(EDGES, edges(range(5)))
    assert dataset.read(EDGES)["tick"].to_list() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("bucket", [pl.Series([0, 0, 1]), pl.Series([0, 0, 1], dtype=pl.UInt8)])
def test_a_bucket_that_is_right_is_taken_and_stands_in_the_folders_only(dataset: Dataset, bucket: pl.Series) -> None:
    dataset.append(EDGES, edges([0, 99, 100]).with_columns(bucket=bucket))
    assert "bucket" not in pl.read_parquet_schema(parts(dataset)[0])
    assert dataset.read(EDGES)["bucket"].to_list() == [0, 0, 1]


@pytest.mark.parametrize("bucket", [[0, 0, 0], [0, None, 1], [0.0, 0.0, 1.0], ["0", "0", "1"]])
def test_a_bucket_that_is_wrong_is_refused(dataset: Dataset, bucket: list[object]) -> None:
    with pytest.raises(IoSchemaError, match=r"The column 'bucket' is not tick // 100"):
        dataset.append(EDGES, edges([0, 99, 100]).with_columns(bucket=pl.Series(bucket)))
    assert parts(dataset) == []


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (edges([0]).drop("edge_weight"), "'edge_weight' is missing"),
        (edges([0]).drop("tick"), "'tick' is missing"),
        (edges([0]).drop("tick").with_columns(bucket=0), "'tick' is missing"),
        (edges([0]).with_columns(foo=1), "no column 'foo'"),
        (edges([0]).with_columns(edge_kind=pl.lit(None, pl.String)), "'edge_kind' has 1 empty"),
        (edges([0]).with_columns(tick=pl.lit(None, pl.Int64)), "'tick' has 1 empty"),
        (edges([0]).with_columns(edge_weight=pl.lit("heavy")), "'edge_weight' is string"),
        (edges([0]).with_columns(edge_weight=pl.lit("0.5")), "'edge_weight' is string"),
        (edges([0]).with_columns(edge_kind=7), "'edge_kind' is int"),
        (edges([0]).with_columns(edge_sign=0.5), "'edge_sign' is float64 and does not fit int64"),
        (edges([0]).with_columns(edge_sign=pl.lit(2**63, pl.UInt64)), "'edge_sign' is uint64 and does not fit int64"),
        (edges([0]).with_columns(tick=0.5), "'tick' is float64 and does not fit int64"),
        (edges([0]).with_columns(tick=pl.lit("0")), "'tick' is string"),
        (edges([-1, 0]), "'tick' goes down to -1"),
        (edges([3, 2]), "'tick' falls"),
        (edges([]), "no rows"),
        (edges([0]).with_columns(edge_kind=pl.Series([object()], dtype=pl.Object)), "'edge_kind' holds Python objects"),
        (edges([0]).with_columns(**{f"c{number}": 0 for number in range(10_000)}), "no column 'c0'"),
        (edges([0]).to_dicts(), "not list"),
        (None, "not NoneType"),
    ],
)
def test_rows_that_cannot_be_are_refused_by_the_name_of_their_column(dataset: Dataset, rows: Any, said: str) -> None:
    dataset.append(EDGES, edges([0, 1]))
    with pytest.raises(IoSchemaError, match=said) as caught:
        dataset.append(EDGES, rows)
    assert isinstance(caught.value, IoError)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value.__cause__, rb.RunbundleError)
    assert [word for word in ("run 20250101-000000", "identity_edges") if word not in str(caught.value)] == []
    assert dataset.read(EDGES)["tick"].to_list() == [0, 1]
    dataset.append(EDGES, edges([2]))
    assert dataset.read(EDGES)["tick"].to_list() == [0, 1, 2]


def test_a_table_that_the_grammar_does_not_have_is_refused(dataset: Dataset) -> None:
    with pytest.raises(IoSchemaError, match="No table is named 'trades'"):
        dataset.append("trades", edges([0]))


def test_without_strictness_other_columns_are_kept(tmp_path: Path) -> None:
    dataset = Dataset(IoSettings(root_dir=str(tmp_path), strict_schema=False), RUN)
    dataset.append(EDGES, edges([0, 1]).with_columns(extra=pl.Series([123, 456])))
    dataset.append(EDGES, edges([2]))
    rows = dataset.read(EDGES)
    assert rows.columns == [*get_table(EDGES).columns, "extra"]
    assert rows["extra"].to_list() == [123, 456, None]
    with pytest.raises(IoSchemaError, match="'edge_weight' is missing"):
        dataset.append(EDGES, edges([3]).drop("edge_weight"))


def test_a_table_keeps_the_buckets_that_it_was_begun_with(dataset: Dataset, tmp_path: Path) -> None:
    dataset.append(EDGES, edges([0, 99]))
    other = Dataset(IoSettings(root_dir=str(tmp_path), tick_bucket_size=50), RUN)
    with pytest.raises(IoSchemaError, match="bucket_size 100, not 50"):
        other.append(EDGES, edges([100]))
    with pytest.raises(IoManifestError, match="cut by another tick_bucket_size than 50"):
        other.scan(EDGES)
    assert dataset.read(EDGES).height == 2


def test_every_table_takes_its_columns_and_gives_all_of_them(dataset: Dataset) -> None:
    values = {"i64": [1], "f64": [0.5], "str": ["a"], "struct": [{"a": 1}], "list[struct]": [[{"a": 1}]]}
    for described in list_tables():
        whole = pl.DataFrame({name: values[dtype] for name, dtype in described.columns.items() if name != "bucket"})
        dataset.append(described.name, whole)
        dataset.append(described.name, whole.select(name for name in described.required if name != "bucket"))
        rows = dataset.read(described.name)
        assert rows.columns == list(described.columns)
        assert rows.drop("bucket")[0].equals(whole)
        assert set(rows[1].null_count().row(0, named=True)) == set(described.columns)
        assert [name for name in rows.columns if rows[name].null_count()] == described.nullable


def test_columns_that_were_never_given_are_null_and_of_their_type(dataset: Dataset) -> None:
    dataset.append(TableName.EXCHANGE, exchange([0]))
    rows = dataset.read(TableName.EXCHANGE)
    assert rows.columns == list(get_table("exchange").columns)
    assert rows.select("side", "price").schema == {"side": pl.String, "price": pl.Float64}
    assert rows["price"].to_list() == [None]


def test_a_column_of_nothing_but_nulls_is_of_the_type_of_the_table(dataset: Dataset) -> None:
    rows = {"tick": [0], "agent_id": ["0"], "token_id": ["0"], "quantity": [1]}
    empty = {name: [None] for name in ("avg_unit_cost", "cost_value", "mark_price", "mark_value", "realized_pnl")}
    dataset.append(TableName.HOLDINGS_VALUATION, pl.DataFrame({**rows, **empty, "price_source": ["last_trade"]}))
    dataset.append(TableName.HOLDINGS_VALUATION, pl.DataFrame({**rows, "mark_price": [2.5]}))
    assert dataset.read(TableName.HOLDINGS_VALUATION)["mark_price"].to_list() == [None, 2.5]


@pytest.mark.parametrize("payload", [{"note": "x"}, {"legs": 1, "note": "x"}, {"legs": "1"}, {"legs": 1.5}], ids=str)
def test_structs_are_of_one_type_whoever_appends(settings: IoSettings, payload: dict[str, object]) -> None:
    first, second = Dataset(settings, RUN), Dataset(settings, RUN)
    first.append(TableName.EXCHANGE, exchange([0]))
    for dataset in (first, second):
        with pytest.raises(IoSchemaError, match="'additional_payload' is struct"):
            dataset.append(TableName.EXCHANGE, exchange([1]).with_columns(additional_payload=pl.lit(payload)))
    second.append(TableName.EXCHANGE, exchange([1]))
    assert first.read(TableName.EXCHANGE)["additional_payload"].to_list() == [{"legs": 1}, {"legs": 1}]


def test_an_empty_list_says_no_type_and_one_of_numbers_is_none_of_structs(dataset: Dataset) -> None:
    def seen(tick: int, pairs: Sequence[object]) -> pl.DataFrame:
        rows = {"tick": [tick], "observer_agent_id": ["A"], "context_hash": ["c"], "exchange_snapshot": [{"a": 1}]}
        return pl.DataFrame({**rows, "salient_agent_pairs": [pairs]})

    given: list[list[object]] = [[], [1]]
    for pairs in given:
        with pytest.raises(IoSchemaError, match="'salient_agent_pairs' is"):
            dataset.append(TableName.SCENARIOS_SEEN, seen(0, pairs))
    dataset.append(TableName.SCENARIOS_SEEN, seen(0, [{"agent": "B"}]))
    dataset.append(TableName.SCENARIOS_SEEN, seen(1, []))
    found = dataset.read(TableName.SCENARIOS_SEEN)["salient_agent_pairs"].to_list()
    assert found == [[{"agent": "B"}], []]


def test_rules_of_a_table_name_no_bucket() -> None:
    assert column_rules(get_table("holdings")) == {
        "tick": {"dtype": "int64", "nullable": False},
        "agent_id": {"dtype": "string", "nullable": False},
        "token_id": {"dtype": "string", "nullable": False},
        "quantity": {"dtype": "int64", "nullable": False},
    }
    assert column_rules(get_table("exchange"))["side"] == {"dtype": "string", "required": False}


# --- scan and read --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "ticks"),
    [
        (None, range(200)),
        ({}, range(200)),
        ({"tick_min": 50, "tick_max": 120}, range(50, 121)),
        ({"tick_min": 150}, range(150, 200)),
        ({"tick_max": 3}, range(4)),
        ({"tick_min": None, "tick_max": 0}, range(1)),
        ({"tick_min": 500}, range(0)),
        ({"tick_min": 9, "tick_max": 2}, range(0)),
    ],
)
def test_a_range_of_ticks_is_read_with_both_its_ends(
    dataset: Dataset, where: dict[str, int | None] | None, ticks: range
) -> None:
    dataset.append(EDGES, edges(range(100)))
    dataset.append(EDGES, edges(range(100, 200)))
    assert dataset.scan(EDGES, where=where).collect()["tick"].to_list() == list(ticks)


def test_parts_out_of_range_are_not_opened(dataset: Dataset) -> None:
    dataset.append(EDGES, edges(range(300)))
    first, _, last = parts(dataset)
    first.write_bytes(b"x" * first.stat().st_size)
    last.unlink()
    assert dataset.read(EDGES, where={"tick_min": 100, "tick_max": 199}).height == 100


@hypothesis.settings(max_examples=25, deadline=None)
@hypothesis.given(
    ticks=st.lists(st.lists(st.integers(0, 60), min_size=1, max_size=8).map(sorted), min_size=1, max_size=4),
    size=st.integers(1, 40),
    ends=st.tuples(st.none() | st.integers(0, 60), st.none() | st.integers(0, 60)),
)
def test_whatever_the_buckets_a_range_has_the_rows_that_were_appended_to_it(
    tmp_path_factory: pytest.TempPathFactory, ticks: list[list[int]], size: int, ends: tuple[int | None, int | None]
) -> None:
    dataset = Dataset(IoSettings(root_dir=str(tmp_path_factory.mktemp("bundle")), tick_bucket_size=size), RUN)
    for each in ticks:
        dataset.append(EDGES, edges(each))
    low, high = (end if end is not None else other for end, other in zip(ends, (0, 60), strict=True))
    rows = dataset.read(EDGES, where={"tick_min": ends[0], "tick_max": ends[1]})
    assert sorted(rows["tick"]) == sorted(tick for each in ticks for tick in each if low <= tick <= high)
    assert rows["bucket"].to_list() == [bucket_id_for_tick(tick, size) for tick in rows["tick"]]
    found = dataset.manifest(EDGES)
    assert found is not None
    assert [at.bucket_id for at in found.partitions.values()] == sorted(
        {tick // size for each in ticks for tick in each}
    )


@pytest.mark.parametrize(
    "where",
    [
        {"tick": 3},
        {"tick": None},
        {"tick_min": 3, "foo": None},
        {"tick_min": "3"},
        {"tick_max": 1.5},
        {"tick_min": True},
    ],
)
def test_a_range_of_anything_else_is_refused(dataset: Dataset, where: Any) -> None:
    with pytest.raises(IoSchemaError, match="Give tick_min and tick_max"):
        dataset.scan(EDGES, where=where)


def test_a_limit_is_the_most_rows(dataset: Dataset) -> None:
    dataset.append(EDGES, edges(range(10)))
    assert [dataset.read(EDGES, limit=limit).height for limit in (None, 0, 3, 100, 2**80)] == [10, 0, 3, 10, 10]
    with pytest.raises(IoSchemaError, match="where is a mapping"):
        dataset.scan(EDGES, where="tick_min")  # type: ignore[arg-type]
    for limit in (-1, 2.0, True):
        with pytest.raises(IoSchemaError, match="A limit is a whole number"):
            dataset.read(EDGES, limit=limit)  # type: ignore[arg-type]


def test_a_table_that_nothing_was_appended_to_is_named(dataset: Dataset) -> None:
    for table in (EDGES, "unheard_of"):
        with pytest.raises(IoManifestError, match=f"The table {table} has no rows"):
            dataset.scan(table)
        assert dataset.manifest(table) is None
        with pytest.raises(IoManifestError, match="has no parts"):
            dataset.rebuild_manifest(table)
    with pytest.raises(ValueError, match="is no name of a table"):
        dataset.read("../../secrets")
    assert not Path(table_dir(dataset.settings, RUN, EDGES)).exists()


@pytest.mark.parametrize("harm", ["cut", "replaced", "gone"])
def test_a_part_that_is_not_what_was_written_is_named(dataset: Dataset, harm: str) -> None:
    dataset.append(EDGES, edges(range(5)))
    dataset.append(EDGES, edges(range(100, 105)))
    (part, _) = parts(dataset)
    data = part.read_bytes()
    if harm == "gone":
        part.unlink()
    else:
        part.write_bytes(data[:-7] if harm == "cut" else data.replace(b"self_to", b"SELF_to"))
    with pytest.raises(IoManifestError, match=part.name):
        dataset.read(EDGES)
    part.write_bytes(data)
    assert dataset.read(EDGES).height == 10


# --- manifest -------------------------------------------------------------------------------------


def test_the_manifest_tells_rows_bytes_and_ticks_by_bucket(dataset: Dataset, settings: IoSettings) -> None:
    dataset.append(EDGES, edges(range(150)))
    dataset.append(EDGES, edges([149, 150]))
    found = dataset.manifest(EDGES)
    assert found == load_manifest(settings, RUN, "identity_edges")
    assert found is not None
    assert list(found.partitions) == ["000000", "000001"]
    second = found.partitions["000001"]
    assert (second.bucket_id, second.row_count, second.tick_min, second.tick_max) == (1, 52, 100, 150)
    assert second.byte_size == sum(path.stat().st_size for path in parts(dataset) if path.parent.name.endswith("1"))
    assert [(part.rows, part.tick_min, part.tick_max) for part in second.parts] == [(50, 100, 149), (2, 149, 150)]
    written = json.loads(Path(manifest_path(settings, RUN, EDGES)).read_text())
    assert written["partitions"]["000001"]["parts"][1]["path"] == second.parts[1].path
    assert written["table"] == "identity_edges"


def test_a_lost_manifest_stops_reading_until_it_is_rebuilt(dataset: Dataset, settings: IoSettings) -> None:
    dataset.append(EDGES, edges(range(20)))
    place = Path(manifest_path(settings, RUN, EDGES))
    before = place.read_bytes()
    place.unlink()
    with pytest.raises(IoManifestError, match=r"has lost its manifest\.json.*rebuild_manifest\('identity_edges'\)"):
        dataset.scan(EDGES)
    assert dataset.manifest(EDGES) is None
    assert set(dataset.rebuild_manifest(EDGES).partitions) == {"000000"}
    assert place.read_bytes() == before
    assert dataset.read(EDGES).height == 20


def test_the_manifest_is_rebuilt_from_the_parts_alone(dataset: Dataset, settings: IoSettings) -> None:
    dataset.append(EDGES, edges(range(150)))
    before = dataset.manifest(EDGES)
    for path in Path(table_dir(settings, RUN, EDGES)).glob("manifest.json*"):
        path.unlink()
    assert Dataset(settings, RUN).rebuild_manifest(EDGES) == before


@pytest.mark.parametrize("text", ["", "{", '{"partitions": {}}'])
def test_a_stale_or_damaged_manifest_misleads_nobody(dataset: Dataset, settings: IoSettings, text: str) -> None:
    dataset.append(EDGES, edges(range(20)))
    Path(manifest_path(settings, RUN, EDGES)).write_text(text)
    assert dataset.read(EDGES).height == 20
    found = Dataset(settings, RUN).manifest(EDGES)
    assert found is not None
    assert found.partitions["000000"].row_count == 20


def told_in(dataset: Dataset) -> int:
    written = json.loads(Path(manifest_path(dataset.settings, RUN, EDGES)).read_text())
    return sum(bucket["row_count"] for bucket in written["partitions"].values())


def test_the_file_lacks_an_eighth_at_most_and_is_written_ever_more_rarely(dataset: Dataset) -> None:
    told = []
    for tick in range(100):
        dataset.append(EDGES, edges([tick]))
        told.append(told_in(dataset))
        assert told[-1] * 9 >= (tick + 1) * 8
    assert told[:16] == list(range(1, 17))
    assert len(set(told)) < 40


@pytest.mark.parametrize("every", [1, 7])
@pytest.mark.parametrize("look", ["manifest", "scan", "read"])
def test_looking_at_a_table_brings_the_file_up_to_date(look: str, every: int, tmp_path: Path) -> None:
    dataset = Dataset(IoSettings(root_dir=str(tmp_path), write_manifest_every_n=every), RUN)
    for tick in range(19):  # of which the last is not told of
        dataset.append(EDGES, edges([tick]))
    assert told_in(dataset) < 19
    getattr(dataset, look)(EDGES)
    assert told_in(dataset) == 19
    assert dataset.read(EDGES).height == 19


def test_looking_makes_no_lost_file_and_does_without_one_that_cannot_be_written(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    for tick in range(19):
        dataset.append(EDGES, edges([tick]))

    def fail(source: str, target: str) -> None:
        raise OSError(28, "No space left on device", source, None, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        assert dataset.read(EDGES).height == 19
    Path(manifest_path(dataset.settings, RUN, EDGES)).unlink()
    assert dataset.manifest(EDGES) is None
    with pytest.raises(IoManifestError, match="has lost"):
        dataset.scan(EDGES)


def test_a_manifest_that_cannot_be_written_says_that_the_rows_are_there(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset.append(EDGES, edges([0]))

    def fail(source: str, target: str) -> None:
        raise OSError(28, "No space left on device", source, None, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.raises(IoManifestError, match=r"The 1 rows are in the table .* Do not append them again"):
            dataset.append(EDGES, edges([1]))
    assert dataset.read(EDGES)["tick"].to_list() == [0, 1]


def test_a_failed_sync_appends_nothing(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset.append(EDGES, edges([0]))

    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(IoWriteError, match="Input/output error"):
            dataset.append(EDGES, edges([1]))
    assert Dataset(dataset.settings, RUN).read(EDGES)["tick"].to_list() == [0]
