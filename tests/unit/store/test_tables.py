"""The same table of many runs, read as one by Polars and by DuckDB."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import runbundle as rb
from runbundle import errors
from sample_runs import MANIFEST, abandon, run_child

pl = pytest.importorskip("polars", reason="Polars is not installed")
EVENTS = "world/events"


def frame(start: int = 0, ticks: int = 10, **more: Any) -> Any:
    """Two rows a tick."""
    values = [tick for tick in range(start, start + ticks) for _ in range(2)]
    return pl.DataFrame({"tick": values, "value": [float(value) for value in values]}).with_columns(**more)


def made(store: Path, run_id: str, *frames: Any, config: Any = None, project: str = "sim") -> rb.Run:
    with rb.Project(project, store=store).start(config, run_id=run_id) as run:
        for each in frames:
            run.append(EVENTS, each, bucket_by="tick", bucket_size=10)
    return rb.open_run(run.path)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    place = tmp_path / "store"
    for number in range(3):
        made(place, f"r{number}", frame(0), frame(10), config={"seed": number})
    return place


def damage(run: Path) -> None:
    """Other bytes in a part, of the same length."""
    part = next(run.rglob("part-*.parquet"))
    data = bytearray(part.read_bytes())
    data[8] ^= 1
    part.write_bytes(data)


def test_the_rows_of_all_runs_are_one_frame_that_tells_whose_each_is(store: Path) -> None:
    found = rb.tables(store, EVENTS)
    assert isinstance(found, pl.LazyFrame)
    rows = found.collect()
    assert rows.columns == ["run_id", "tick", "value"]
    assert rows.group_by("run_id").len().sort("run_id").rows() == [("r0", 40), ("r1", 40), ("r2", 40)]
    alone = rb.open_run(store / "runs/sim/r1").table(EVENTS).collect()
    assert rows.filter(pl.col("run_id") == "r1").drop("run_id").equals(alone)


def test_runs_lie_in_the_store_itself_or_in_its_projects_and_their_layouts_may_differ(tmp_path: Path) -> None:
    flat = rb.Layout(run_folder="runs/{run_id}", folders={"world": "w"})
    spec = rb.ArtifactSpec(
        "events",
        "world",
        "events",
        ".parquet",
        "parquet",
        required=rb.Required.OPTIONAL,
        table=rb.TableSpec("tick", 10),
    )
    contract = rb.Contract("lab", "1", artifacts=(spec,), layout=flat)
    with rb.Project("lab", store=tmp_path, contract=contract).start(run_id="a lab+") as run:
        run.append("events", frame())
    made(tmp_path, "r1", frame())
    assert rb.tables(tmp_path, EVENTS).collect()["run_id"].unique().sort().to_list() == ["a lab+", "r1"]


@pytest.mark.parametrize(
    ("where", "runs", "rows"),
    [
        ("tick < 3", "config.seed >= 1", 12),
        ("run_id = 'r2' and value between 2 and 4.5", None, 6),
        ("run_id in ('r0', 'r1') or tick = 19", None, 82),
        ("run_id = 'nobody'", None, 0),
        (None, "run_id = 'r2' and status = 'completed'", 40),
    ],
)
def test_rows_and_runs_are_chosen_by_sql(store: Path, where: str | None, runs: str | None, rows: int) -> None:
    found = rb.tables(store, EVENTS, where=where, runs=runs).collect()
    assert found.height == rows
    assert found.columns == ["run_id", "tick", "value"]


def test_a_range_and_a_filter_leave_files_closed(store: Path) -> None:
    whole = rb.tables(store, EVENTS)
    for part in store.rglob("bucket=000000/part-*.parquet"):
        part.write_bytes(b"no Parquet")
    assert whole.filter(pl.col("tick") == 12).collect().height == 6
    assert whole.sql("select * from self where tick between 10 and 12").collect().height == 18
    for part in store.rglob("bucket=000000/part-*.parquet"):
        part.unlink()
    assert rb.tables(store, EVENTS, between=(10, 12)).collect().height == 18
    with pytest.raises(errors.CorruptError, match="3 of the runs cannot be read: r0, r1, r2"):
        rb.tables(store, EVENTS)


def test_filters_of_any_column_of_any_type_leave_the_rows_that_they_should(tmp_path: Path) -> None:
    """Polars is told of the ranges of one column only, and asks for those of all that a filter names."""
    more = pl.DataFrame(
        {
            "one": [{"a": 1.0}, None],
            "many": [[1, 2], []],
            "kind": pl.Series(["x", "y"], dtype=pl.Categorical),
            "name": ["x", None],
            "price": pl.Series([1, 2]).cast(pl.Decimal(10, 2)),
            "flag": [True, None],
            "at": pl.Series([1, 2]).cast(pl.Datetime("us")),
        }
    )
    made(tmp_path, "r0", *(frame(start, 1).hstack(more) for start in (0, 10, 20)))
    whole = rb.tables(tmp_path, EVENTS)
    rows = whole.collect()
    for chosen in (
        pl.col("tick") < 10,
        pl.col("value").is_between(5, 25),
        pl.col("one").struct.field("a") > 0,
        pl.col("one").is_null(),
        pl.col("many").list.len() > 1,
        (pl.col("tick") >= 10) & (pl.col("kind") == "y"),
        pl.col("name").is_not_null() | (pl.col("tick") == 20),
        pl.col("price") > 1,
        pl.col("flag"),
        pl.col("at").is_not_null(),
    ):
        assert whole.filter(chosen).collect().equals(rows.filter(chosen)), chosen


def test_of_runs_that_are_left_out_no_part_is_looked_at(store: Path) -> None:
    for part in [*store.rglob("r0/**/part-*.parquet"), *store.rglob("r2/**/part-*.parquet")]:
        part.unlink()
    (store / "runs/sim/r2/artifacts.jsonl").write_bytes(b"damaged\n")
    choices: tuple[dict[str, Any], ...] = (
        {"where": "run_id = 'r1' and tick < 5"},
        {"runs": "run_id = 'r1'", "where": "tick < 5"},
    )
    for choice in choices:
        assert rb.tables(store, EVENTS, **choice).collect().height == 10


def test_damaged_runs_are_all_named_or_left_out_with_a_warning(store: Path) -> None:
    damage(store / "runs/sim/r0")
    (store / "runs/sim/r2" / MANIFEST).write_text("{")
    with pytest.raises(errors.CorruptError, match=r"2 of the runs cannot be read: r2, r0.*allow_damaged") as caught:
        rb.tables(store, EVENTS)
    assert "r1" not in str(caught.value)
    with pytest.warns(RuntimeWarning, match="2 of the runs cannot be read: r2, r0"):
        rows = rb.tables(store, EVENTS, allow_damaged=True).collect()
    assert rows["run_id"].unique().to_list() == ["r1"]


def test_one_damaged_run_is_told_without_a_count(store: Path) -> None:
    damage(store / "runs/sim/r0")
    with pytest.raises(errors.CorruptError, match=r"^The run r0 cannot be read: The part .*--allow-damaged"):
        rb.tables(store, EVENTS)


@pytest.mark.parametrize("where", ["tick < 'a'", "tick = 'a'", "tick in ('a')", "upper(tick) = 'A'"])
def test_a_rule_that_compares_text_with_numbers_is_refused_before_anything_is_read(store: Path, where: str) -> None:
    with pytest.raises(errors.InvalidValue, match=r"The rule .* cannot be understood"):
        rb.tables(store, EVENTS, where=where)


def test_where_no_run_is_left_it_is_told_why(store: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(errors.ArtifactNotFound, match=r"the rule 'config.seed < 0' holds for none of 3"):
        rb.tables(store, EVENTS, runs="config.seed < 0")
    with pytest.raises(errors.ArtifactNotFound, match=r"The run r1 has no table 'agents'\. It has world/events"):
        rb.tables(store, "agents", runs="run_id = 'r1'")
    empty = tmp_path_factory.mktemp("empty")
    (empty / "runs").mkdir()
    with pytest.raises(errors.ArtifactNotFound, match="the store has none"):
        rb.tables(empty, EVENTS)
    with pytest.raises(errors.RunNotFound, match="Give the folder that holds runs/"):
        rb.tables(empty / "runs", EVENTS)


def test_without_a_check_only_the_lengths_are_held_against_the_logs(store: Path) -> None:
    damage(store / "runs/sim/r0")
    assert rb.tables(store, EVENTS, check=False).select(pl.len()).collect().item() == 120


def test_runs_without_the_table_are_left_out(store: Path) -> None:
    with rb.Project("sim", store=store).start(run_id="empty"):
        pass
    assert rb.tables(store, EVENTS).select(pl.col("run_id").n_unique()).collect().item() == 3
    with pytest.raises(errors.ArtifactNotFound, match=r"None of 4 runs has .* 'world/agents'\. They have world/ev"):
        rb.tables(store, "world/agents")
    with pytest.raises(errors.ArtifactNotFound, match="no run to read"):
        rb.tables(store, EVENTS, runs="config.seed = 9")


def test_columns_that_some_runs_lack_are_null_there_and_the_wider_number_is_taken(store: Path) -> None:
    made(store, "r3", frame(0, mood=pl.lit("calm"), value=pl.col("tick").cast(pl.Float32), size=pl.lit(1, pl.Int32)))
    made(store, "r4", frame(0, size=pl.lit(1 << 40)))
    rows = rb.tables(store, EVENTS).collect()
    assert dict(rows.schema) == {
        "run_id": pl.String, "tick": pl.Int64, "value": pl.Float64, "mood": pl.String, "size": pl.Int64,
    }  # fmt: skip
    assert rows.filter(pl.col("mood").is_not_null())["run_id"].unique().to_list() == ["r3"]
    assert rows["size"].drop_nulls().unique().sort().to_list() == [1, 1 << 40]


def test_types_that_do_not_go_together_name_the_run_and_the_column(store: Path) -> None:
    made(store, "r3", frame(0, value=pl.lit("much")))
    with pytest.raises(errors.InvalidValue, match=r"The column 'value' is String, and Float64 in an earlier.*run r3"):
        rb.tables(store, EVENTS)
    assert rb.tables(store, EVENTS, runs="run_id <> 'r3'").collect().height == 120


def test_a_table_with_a_column_run_id_is_refused(store: Path) -> None:
    made(store, "r3", frame(0, run_id=pl.lit("mine")))
    with pytest.raises(errors.InvalidValue, match=r"a column 'run_id'.*run r3"):
        rb.tables(store, EVENTS)


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        ({"where": "tick <"}, "cannot be understood"),
        ({"where": ""}, "cannot be understood"),
        ({"where": "mood = 'calm'"}, "names mood, which the table does not have. It has run_id, tick, value"),
        ({"where": "tick + 1"}, "does not come out as true or false"),
        ({"where": "run_id > 5"}, "cannot be understood"),
        ({"runs": "config.sede = 1"}, "names config.sede"),
        ({"runs": "seed"}, "names seed"),
        ({"between": (1,)}, "a pair of whole numbers"),
        ({"between": ("a", 2)}, "a pair of whole numbers"),
    ],
)
def test_a_rule_that_is_none_is_refused_and_says_why(store: Path, choice: Any, told: str) -> None:
    with pytest.raises(errors.InvalidValue, match=told):
        rb.tables(store, EVENTS, **choice)


def test_what_is_no_text_is_refused(store: Path) -> None:
    given: tuple[Any, ...] = ({"name": 3}, {"name": EVENTS, "where": 3}, {"name": EVENTS, "connection": 3})
    for wanted in given:
        with pytest.raises(errors.InvalidType):
            rb.tables(store, **wanted)


def test_tables_without_buckets_have_no_ranges(tmp_path: Path) -> None:
    with rb.Project("sim", store=tmp_path).start(run_id="r0") as run:
        run.append("notes", pl.DataFrame({"text": ["a", "b"]}))
    assert rb.tables(tmp_path, "notes", where="text = 'b'").collect().rows() == [("r0", "b")]
    with pytest.raises(errors.InvalidValue, match=r"no buckets.*run r0"):
        rb.tables(tmp_path, "notes", between=(0, 1))


def test_a_range_is_of_one_column(store: Path) -> None:
    with rb.Project("sim", store=store).start(run_id="r3") as run:
        run.append(EVENTS, pl.DataFrame({"day": [1, 2]}), bucket_by="day")
    with pytest.raises(errors.InvalidValue, match="buckets by day, tick"):
        rb.tables(store, EVENTS, between=(0, 1))
    assert rb.tables(store, EVENTS, where="day = 2").collect().height == 1


def test_a_run_that_is_still_written_is_read_as_well(store: Path) -> None:
    run = rb.Project("sim", store=store).start(run_id="live")
    run.append(EVENTS, frame(), bucket_by="tick", bucket_size=10)
    assert rb.tables(store, EVENTS, where="run_id = 'live'").collect().height == 20
    abandon(run)
    assert rb.tables(store, EVENTS, runs="status = 'interrupted'").collect().height == 20


def test_a_store_may_be_moved(store: Path, tmp_path: Path) -> None:
    other = tmp_path / "else where" / "(moved)"
    other.parent.mkdir()
    shutil.move(store, other)
    assert rb.tables(other, EVENTS, where="run_id = 'r1'").collect()["run_id"].to_list() == ["r1"] * 40


def test_without_such_a_store_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(errors.RunNotFound, match="no store"):
        rb.tables(tmp_path / "nowhere", EVENTS)


def test_polars_sql_takes_it(store: Path) -> None:
    found = rb.tables(store, EVENTS).sql("select run_id, max(tick) as last from self group by run_id order by run_id")
    assert found.collect().rows() == [("r0", 19), ("r1", 19), ("r2", 19)]


class TestDuckDB:
    @pytest.fixture
    def connection(self) -> Any:
        duckdb = pytest.importorskip("duckdb", reason="DuckDB is not installed")
        with duckdb.connect() as connection:
            yield connection

    def test_it_reads_the_files_itself_and_both_say_the_same(self, store: Path, connection: Any) -> None:
        made(store, "r3", frame(0, mood=pl.lit("calm"), value=pl.col("tick").cast(pl.Float32)))
        events = rb.tables(store, EVENTS, connection=connection)
        text = "select run_id, count(*) n, sum(value) total, max(mood) mood from {} group by run_id order by run_id"
        found = events.query("events", text.format("events")).fetchall()
        assert found == rb.tables(store, EVENTS).sql(text.format("self")).collect().rows()
        assert events.columns == ["run_id", "tick", "value", "mood"]

    def test_runs_ranges_and_rows_are_chosen(self, store: Path, connection: Any) -> None:
        found = rb.tables(
            store, EVENTS, runs="config.seed > 0", between=(5, 12), where="value <> 7", connection=connection
        )
        assert found.aggregate("run_id, count(*)").order("run_id").fetchall() == [("r1", 14), ("r2", 14)]
        assert rb.tables(store, EVENTS, between=(99, None), connection=connection).fetchall() == []

    def test_of_runs_that_a_query_leaves_out_no_file_is_opened(self, store: Path, connection: Any) -> None:
        events = rb.tables(store, EVENTS, connection=connection)
        for part in store.rglob("r1/**/part-*.parquet"):  # of the first file DuckDB always asks the columns
            part.write_bytes(b"no Parquet")
        assert events.filter("run_id = 'r2'").aggregate("count(*)").fetchall() == [(40,)]

    def test_a_rule_that_is_none_is_refused(self, store: Path, connection: Any) -> None:
        for where in ("mood = 1", "tick <"):
            with pytest.raises(
                errors.InvalidValue, match=r"cannot be understood: [^!]*\. It is a WHERE in DuckDB's SQL"
            ):
                rb.tables(store, EVENTS, where=where, connection=connection)
        with pytest.raises(errors.InvalidValue, match="over run_id, tick, value"):
            rb.tables(store, EVENTS, where="mood = 1", connection=connection)


def test_without_duckdb_only_its_relations_are_missing(store: Path) -> None:
    done = run_child(
        f"""
import sys
sys.modules["duckdb"] = None
import runbundle as rb
print(rb.tables({str(store)!r}, "world/events").collect().height)
try:
    rb.tables({str(store)!r}, "world/events", connection=1)
except rb.errors.MissingExtra as error:
    print(error.hint)
""",
        store,
    )
    assert done.stdout.splitlines() == ["120", 'Install it: pip install "runbundle[duckdb]"'], done.stderr


def test_two_runs_of_one_id_are_told_and_one_project_can_be_chosen(tmp_path: Path) -> None:
    for project in ("one", "other"):
        with rb.Project(project, store=tmp_path).start(run_id="same") as run:
            run.append("rows", pl.DataFrame({"x": [1, 2]}))
    with pytest.raises(errors.InvalidValue, match="Two runs have the id same: one of the project"):
        rb.tables(tmp_path, "rows")
    assert rb.tables(tmp_path, "rows", runs="project_name = 'one'").collect().height == 2


def test_what_duckdb_cannot_tell_apart_is_refused(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    with rb.start("one", store=tmp_path) as run:
        run.append("rows", pl.DataFrame({"Path": ["x"], "y": [1]}))
        run.append("twins", pl.DataFrame({"tick": [1], "Tick": [3]}))
    with duckdb.connect() as connection:
        assert rb.tables(tmp_path, "rows", connection=connection).fetchall()[0][1:] == ("x", 1)
        with pytest.raises(errors.InvalidValue, match="'tick' and 'Tick' are one to DuckDB"):
            rb.tables(tmp_path, "twins", connection=connection)
        store = tmp_path / "a*b"
        with rb.start("one", store=store) as run:
            run.append("rows", pl.DataFrame({"y": [1]}))
        with pytest.raises(errors.InvalidValue, match="would be a pattern to DuckDB"):
            rb.tables(store, "rows", connection=connection)
