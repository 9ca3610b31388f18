"""Complete runs: settings, the contract, what a run holds, and what makes it fail."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import runbundle as rb
from crv.core.tables import get_table
from crv.engine.contract import BUCKET_TICKS, CONTRACT, TableId, bundle_settings, columns_of, project
from crv.engine.one_run import Simulated, record, simulate
from crv.engine.report import draw, find_run, told_of
from crv.engine.rows import Rows
from crv.engine.settings import RANGES, Settings, flat, parsed
from crv.engine.simulation import found, ticks
from crv.engine.sweep import Task, grid, sweep
from crv.io.config import IoSettings
from crv.io.dataset import Dataset
from crv.io.run_manifest import write_run_bundle_manifest
from crv.lab.io_helpers import write_audit
from crv_samples import SMALL, Leaky, Minting

GRAMMAR = ("exchange", "messages", "decisions", "oracle_calls", "holdings", "identity_edges")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    return simulate(SMALL, tmp_path_factory.mktemp("lab"))


@pytest.fixture
def run(made: Simulated) -> rb.Run:
    return rb.open_run(made.run_dir)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# -- settings --------------------------------------------------------------------------------------


def test_every_setting_has_a_range_that_holds_its_default() -> None:
    assert flat(Settings()).keys() == RANGES.keys()


def test_settings_are_changed_by_their_names() -> None:
    changed = SMALL.changed({"seed": 9, "mind.trend": 0.25, "network.groups": 3})
    assert (changed.seed, changed.mind.trend, changed.network.groups) == (9, 0.25, 3)
    assert changed.agents == SMALL.agents


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"agents": 3}, "agents is 3"),
        ({"agents": 30.0}, "agents is 30.0, not a whole number"),
        ({"seed": -1}, "seed is -1"),
        ({"mind.noise": float("nan")}, "mind.noise is nan"),
        ({"mind.openness": True}, "mind.openness is True"),
        ({"mind.low_cents": 5000, "mind.high_cents": 5000}, "mind.low_cents is not below"),
        ({"network.neighbours": 5}, "network.neighbours is 5"),
        ({"network.neighbours": 40}, "network.neighbours is 40"),
        ({"tiks": 5}, "There is no setting tiks"),
    ],
)
def test_settings_that_cannot_be_taken_are_named(values: dict[str, Any], said: str) -> None:
    with pytest.raises(rb.errors.InvalidConfig, match=said):
        SMALL.changed(values)


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(rb.errors.InvalidConfig, match=r"agents is 3.*ticks is 0"):
        SMALL.changed({"agents": 3, "ticks": 0})


@pytest.mark.parametrize(
    ("text", "value"), [("agents=20", 20), ("mind.trend=0.5", 0.5), ("seed=-3", -3), ("x=1e3", 1000.0)]
)
def test_a_setting_is_read_from_text(text: str, value: float) -> None:
    assert parsed(text) == (text.partition("=")[0], value)
    assert type(parsed(text)[1]) is type(value)


@pytest.mark.parametrize("text", ["agents", "agents=", "agents=many"])
def test_text_that_sets_nothing_is_refused(text: str) -> None:
    with pytest.raises(rb.errors.InvalidConfig, match="sets nothing"):
        parsed(text)


# -- the simulation --------------------------------------------------------------------------------


@hypothesis_settings(max_examples=12, deadline=None)
@given(
    st.integers(0, 2**32),
    st.integers(10, 40),
    st.floats(0, 2),
    st.floats(0.1, 1),
    st.integers(1, 4),
)
def test_every_simulation_conserves_tokens_and_money_and_keeps_valuations_in_range(
    seed: int, agents: int, trend: float, activity: float, groups: int
) -> None:
    settings = SMALL.changed(
        {"seed": seed, "agents": agents, "mind.trend": trend, "mind.activity": activity, "network.groups": groups}
    )
    totals = None
    for tick in ticks(found(settings)):
        total = tick.holdings.sum(axis=0).tolist()
        totals = totals or total
        assert total == totals
        assert (tick.holdings >= 0).all()
        assert ((tick.values >= settings.mind.low_cents) & (tick.values <= settings.mind.high_cents)).all()
        assert (tick.prices > 0).all()


def test_the_same_seed_gives_the_same_ticks_and_another_seed_others() -> None:
    def last(settings: Settings) -> list[np.ndarray[Any, Any]]:
        *_, tick = ticks(found(settings))
        return [tick.holdings, tick.values, tick.trust, tick.prices]

    first, again, other = last(SMALL), last(SMALL), last(SMALL.changed({"seed": 4}))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first[:3], other[:3], strict=True))


def test_prices_follow_the_oracle_and_groups_differ_about_the_contested_token() -> None:
    society = found(Settings(agents=150, ticks=300))
    *_, last = ticks(society)
    assert abs(last.prices[0] / last.worths[0] - 1) < 0.1
    groups = society.network.groups
    apart = [last.values[groups == 0, token].mean() / last.values[groups == 1, token].mean() for token in range(3)]
    assert abs(apart[0] - 1) < 0.03
    assert apart[2] > 1.1


def test_rows_are_of_the_types_that_the_contract_declares() -> None:
    society = found(SMALL)
    happened = list(ticks(society))
    rows = Rows(society.network)
    frames = rows.of(happened) | {
        "world/holdings": rows.holdings(happened[0]),
        "world/identity_edges": rows.identity_edges(happened[0]),
    }
    assert frames.keys() == set(TableId)
    for name, frame in frames.items():
        rules = columns_of(TableId(name))
        assert set(frame.columns) <= rules.keys()
        for column, dtype in frame.schema.items():
            assert str(dtype.base_type()).lower() == rules[column]["dtype"], (name, column)


def test_each_trade_lies_between_the_decisions_of_both_sides() -> None:
    society = found(SMALL)
    frames = Rows(society.network).of(list(ticks(society)))
    trades = frames["world/exchange"].unnest("additional_payload")
    assert trades.height > 0
    assert (trades["quantity"] * trades["price"] == trades["value_cents"]).all()
    chosen = frames["mind/decisions"].select("tick", "agent_id", pl.col("chosen_action").struct.unnest())
    for agent, action, limit in (
        ("actor", "acquire_token", "bid_cents"),
        ("counterparty", "relinquish_token", "ask_cents"),
    ):
        both = trades.join(chosen, left_on=["tick", f"{agent}_agent_id"], right_on=["tick", "agent_id"])
        assert both.height == trades.height
        assert (both["action_type"] == action).all()
        assert (both["token_id"] == both["token_id_right"]).all()
        assert (both[limit] == both["limit_cents"]).all()


# -- a run -----------------------------------------------------------------------------------------


def test_a_run_is_complete_intact_and_sealed(made: Simulated, run: rb.Run) -> None:
    assert (run.status, run.is_sealed, run.root_digest) == ("completed", True, made.root_digest)
    assert not run.check().findings
    assert not run.verify().findings
    assert run.summary == made.summary
    assert run.config["mind"]["trend"] == SMALL.mind.trend
    assert run.path.parent.name == "runs"


def test_seed_001_layout_lab_artifacts_lie_in_their_folders(run: rb.Run) -> None:
    # Layout (file protocol baseline): lab artifacts in tidy, probes, policy and audit, Parquet, and JSON for audits
    lab = {
        path.relative_to(run.path / "artifacts/lab").as_posix() for path in (run.path / "artifacts/lab").rglob("*.*")
    }
    assert lab == {
        *("tidy/survey.parquet", "policy/policy.parquet"),
        *(f"probes/probe_{tick:06d}.json" for tick in (0, 20, 40)),
        *("audit/oracle_error.json", "audit/oracle_error.parquet", "audit/tables.json"),
        *("audit/conservation.json", "audit/bounds.json"),
    }
    assert (run.path / "artifacts/world/network.json").is_file()
    assert (run.path / "artifacts/mind/minds.npz").is_file()


def test_the_files_of_the_lab_are_the_artifacts_that_the_contract_declares(run: rb.Run) -> None:
    records = [record for record in run.artifacts() if record.filename.startswith("artifacts/lab/")]
    assert {record.artifact_id for record in records} == {
        *("survey", "policy", "probe", "oracle_error", "oracle_error_by_tick", "conservation", "bounds", "tables"),
    }
    assert all(record.stage and record.description for record in records)


def test_a_run_made_again_is_identical_to_the_eye_of_diff(run: rb.Run, tmp_path: Path) -> None:
    """Nothing that a simulation leaves tells of its time or its id."""
    compared = rb.diff(run, simulate(SMALL, tmp_path).run_dir)
    assert compared.verdict == "identical", compared.to_json()


def test_a_run_can_be_summed_up_while_it_is_open(tmp_path: Path) -> None:
    with project(tmp_path).start(SMALL) as open_run:
        with open_run.stage("simulate"):
            record(open_run, found(SMALL), lambda *_: None)
        told = write_run_bundle_manifest(IoSettings(root_dir=str(tmp_path)), open_run.run_id, meta={"note": "small"})
        open_run.finish("failed")
    assert {name: table["rows"] for name, table in told["tables"].items()} == {
        name.partition("/")[2]: table.rows for name, table in rb.open_run(open_run.path).tables.items()
    }
    assert "bundle.manifest.json" in (open_run.path / "SHA256SUMS").read_text()


def test_the_tables_hold_every_tick(run: rb.Run) -> None:
    assert set(run.tables) == set(TableId)
    for table in (TableId.VALUATIONS, TableId.EVENTS, TableId.ORACLE_CALLS):
        assert run.table(table).select(pl.col("tick").unique().sort()).collect()["tick"].to_list() == list(range(41))
    holdings = run.table(TableId.HOLDINGS).collect()
    assert sorted(holdings["tick"].unique()) == list(range(0, 41, 5))
    assert run.table(TableId.VALUATIONS, between=(10, 11)).collect().height == 2 * 30 * 3
    assert all(len(table.parts) == 1 for table in run.tables.values())  # merged before the seal


@pytest.mark.parametrize("name", GRAMMAR)
def test_a_simulated_run_reads_as_a_dataset_with_the_columns_of_the_grammar(made: Simulated, name: str) -> None:
    store = Path(made.run_dir).parents[1]
    dataset = Dataset(IoSettings(root_dir=str(store)), made.run_id)
    rows = dataset.scan(name, where={"tick_min": 0, "tick_max": 30}).collect()
    described = get_table(name)
    assert rows.height > 0
    assert set(described.required) <= set(rows.columns) <= set(described.columns)
    assert rows["tick"].max() <= 30  # type: ignore[operator]  # a tick is a number
    assert IoSettings().tick_bucket_size == BUCKET_TICKS


def test_the_same_seed_gives_the_same_bytes_of_lab_artifacts_and_the_same_content_of_tables(
    made: Simulated, run: rb.Run, tmp_path: Path
) -> None:
    other = replace(SMALL, append_every=7)  # how rows are cut into parts is no part of the content
    again = rb.open_run(simulate(other, tmp_path, is_drawn=False).run_dir)
    assert files_of(again.path / "artifacts/lab") == files_of(run.path / "artifacts/lab")
    assert again.read("tables") == {
        name: {"rows": table.rows, "content_sha256": run.content_sha256(name)} for name, table in run.tables.items()
    }
    assert again.run_id != made.run_id
    assert not again.check().findings


def test_the_error_that_is_told_is_that_of_the_tables(run: rb.Run) -> None:
    oracle = run.table("mind/oracle_calls").collect()
    worth = {row["tick"]: row["value_json"] for row in oracle.iter_rows(named=True)}
    rows = run.table("mind/valuations").filter(pl.col("token_id") == "amber").collect()
    errors = [abs(row["value_cents"] - json.loads(worth[row["tick"]])["amber"]) for row in rows.iter_rows(named=True)]
    assert run.read("oracle_error")["tokens"]["amber"]["mae_cents"] == pytest.approx(np.mean(errors), rel=1e-6)
    assert run.summary["mae_cents"] == run.read("oracle_error")["mae_cents"]


def test_metrics_tell_the_price_at_each_tick(run: rb.Run) -> None:
    steps, prices = run.series("price/cedar")
    events = run.table("world/events").filter(pl.col("token_id") == "cedar").collect().sort("tick")
    assert list(steps) == events["tick"].to_list()
    assert list(prices) == events["price_cents"].to_list()


@pytest.mark.parametrize("exchange", [Leaky(), Minting()])
def test_a_violated_audit_fails_the_run_which_tells_it(exchange: Leaky | Minting, tmp_path: Path) -> None:
    with pytest.raises(rb.errors.ContractUnmet, match="conservation was violated"):
        simulate(SMALL, tmp_path, exchange=exchange)
    [place] = (tmp_path / "runs").iterdir()
    failed = rb.open_run(place)
    assert (failed.status, failed.is_sealed) == ("failed", True)
    assert not failed.verify().findings
    verdict = failed.read("violation", variant="conservation")
    assert not verdict["passed"]
    assert verdict["violations"]
    assert {finding.subject for finding in failed.check().findings} >= {"audit"}
    assert failed.read("bounds")["passed"]
    assert told_of(failed).policy is not None  # what happened can be drawn nevertheless


def test_a_simulation_that_is_interrupted_leaves_whole_ticks_in_a_sealed_run(tmp_path: Path) -> None:
    def stop(what: str, done: int, _of: int) -> None:
        if what == "simulating" and done == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(SMALL, tmp_path, progress=stop)
    [place] = (tmp_path / "runs").iterdir()
    run = rb.open_run(place)
    assert (run.status, run.is_sealed) == ("aborted", True)
    assert not run.verify().findings
    rows = run.table("mind/valuations").group_by("tick").len().collect()
    assert rows["len"].unique().to_list() == [30 * 3]
    assert rows["tick"].max() == 19  # ticks are written ten at a time
    assert told_of(run).policy is None


@pytest.mark.parametrize("bad", [{"passed": False}, {"violations_total": 1}, {"valuations": 0}])
def test_the_contract_refuses_an_audit_that_did_not_pass_or_that_looked_at_nothing(
    bad: dict[str, Any], tmp_path: Path
) -> None:
    good = {"audit": "bounds", "passed": True, "violations": [], "violations_total": 0, "valuations": 5}
    with pytest.raises(rb.errors.InvalidValue, match="bounds"), project(tmp_path).start() as run, run.stage("audit"):
        run.write("bounds", {**good, **bad})
    with pytest.raises(rb.errors.InvalidValue, match="bounds"), project(tmp_path).start() as run, run.stage("audit"):
        write_audit(bundle_settings(run), run.run_id, {**good, **bad}, "bounds.json")
    runs = [rb.open_run(place) for place in (tmp_path / "runs").iterdir()]
    assert [run.status for run in runs] == ["failed", "failed"]


def test_a_society_in_which_nobody_acts_is_a_complete_run_as_well(tmp_path: Path) -> None:
    quiet = SMALL.changed({"mind.activity": 0, "mind.message_rate": 0, "ticks": 3})
    run = rb.open_run(simulate(quiet, tmp_path).run_dir)
    assert run.read("conservation")["trades"] == 0
    assert not {TableId.EXCHANGE, TableId.MESSAGES} & run.tables.keys()
    assert not run.check().findings


# -- reports and sweeps ----------------------------------------------------------------------------


def test_a_report_lies_beside_the_run_and_never_in_it(run: rb.Run, tmp_path: Path) -> None:
    before = files_of(run.path)
    place = draw(run.path)
    assert place == run.path.with_name(f"{run.run_id}.report") / "overview.png"
    assert draw(run.path, tmp_path / "mine.png").read_bytes() == place.read_bytes()
    with pytest.raises(rb.errors.RunSealed):
        draw(run.path, run.path / "artifacts/mine.png")
    assert files_of(run.path) == before


def test_a_run_of_another_project_has_no_report(tmp_path: Path) -> None:
    with rb.start("other", store=tmp_path) as other:
        other.save("a.json", {})
    with pytest.raises(rb.errors.ArtifactNotFound, match="no table world/events"):
        told_of(rb.open_run(other.path))


def test_a_run_is_found_by_its_folder_its_id_and_a_unique_beginning(made: Simulated, tmp_path: Path) -> None:
    place = Path(made.run_dir)
    store = str(place.parents[1])
    for wanted in (made.run_dir, made.run_id, made.run_id[:-3]):
        assert find_run(wanted, store).samefile(place)
    with pytest.raises(rb.errors.RunNotFound):
        find_run("crv_nothing", store)
    with pytest.raises(rb.errors.RunNotFound):
        find_run(made.run_id, str(tmp_path))


def test_a_grid_has_each_combination_once() -> None:
    cells = grid(SMALL, {"agents": [20, 30], "mind.trend": [0, 0.5], "seed": [1, 2, 3]})
    assert len(cells) == len(set(cells)) == 12
    assert [(cell.agents, cell.mind.trend, cell.seed) for cell in cells[:4]] == [
        *((20, 0, 1), (20, 0, 2), (20, 0, 3), (20, 0.5, 1)),
    ]


def test_a_sweep_is_a_run_of_each_and_one_that_fails_hides_no_other(tmp_path: Path) -> None:
    cells = grid(replace(SMALL, ticks=20), {"agents": [20, Leaky.agents], "seed": [1, 2]})
    report = sweep(Task(str(tmp_path), is_drawn=False, exchange=Leaky()), cells, jobs=2)
    assert [done.error is None for done in report.items] == [True, True, False, False]
    assert all(isinstance(done.error, rb.errors.ContractUnmet) for done in report.failed)
    runs = [rb.open_run(place) for place in (tmp_path / "runs").iterdir()]
    assert sorted(run.status for run in runs) == ["completed", "completed", "failed", "failed"]


def test_the_contract_is_read_back_from_the_run_as_it_is_here(run: rb.Run) -> None:
    assert run.contract is not None
    assert run.contract.artifacts == CONTRACT.artifacts
