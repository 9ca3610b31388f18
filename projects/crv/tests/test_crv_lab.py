"""The lab: surveys, probes, audits, and what a report shows; on frames and arrays alone."""

from __future__ import annotations

import json
from typing import Any

import cv2
import numpy as np
import polars as pl
import pytest

from crv.engine.rows import Rows
from crv.engine.simulation import found, ticks
from crv.lab import audits, figures
from crv.lab.oracle import oracle_error
from crv.lab.probes import gini, polarisation, probe
from crv.lab.series import told
from crv.lab.survey import CONTEXTS, Respondents, neighbours_mean, policy, survey
from crv.world.tokens import MONEY, TOKEN_IDS
from crv_samples import SMALL, Leaky, Minting

HOLDINGS = pl.DataFrame(
    [
        *[(0, "a", "amber", 5), (0, "b", "amber", 0), (0, "a", MONEY, 0), (0, "b", MONEY, 90)],
        *[(9, "a", "amber", 3), (9, "b", "amber", 2), (9, "a", MONEY, 60), (9, "b", MONEY, 30)],
    ],
    schema=["tick", "agent_id", "token_id", "quantity"],
    orient="row",
)
EXCHANGE = pl.DataFrame(
    {
        "tick": [4],
        "token_id": ["amber"],
        "exchange_event_type": ["trade"],
        "quantity": [2.0],
        "actor_agent_id": ["b"],
        "counterparty_agent_id": ["a"],
        "additional_payload": [{"value_cents": 60}],
    }
)


def conserved(holdings: pl.DataFrame = HOLDINGS, exchange: pl.DataFrame = EXCHANGE) -> dict[str, Any]:
    return audits.conservation(holdings.lazy(), exchange.lazy(), MONEY)


def changed(tick: int, agent_id: str, token_id: str, by: int) -> pl.DataFrame:
    """The holdings with one of them changed."""
    here = (pl.col("tick") == tick) & (pl.col("agent_id") == agent_id) & (pl.col("token_id") == token_id)
    return HOLDINGS.with_columns(quantity=pl.col("quantity") + pl.when(here).then(by).otherwise(0))


def kinds(verdict: dict[str, Any]) -> set[str]:
    return {one["what"] for one in verdict["violations"]}


def simulated(exchange: Leaky | Minting | None = None) -> dict[str, pl.LazyFrame]:
    society = found(SMALL, exchange)
    rows, happened = Rows(society.network), list(ticks(society))
    frames = rows.of(happened) | {"world/holdings": pl.concat([rows.holdings(tick) for tick in happened])}
    return {name: frame.lazy() for name, frame in frames.items()}


def test_holdings_that_trades_explain_are_conserved() -> None:
    verdict = conserved()
    assert (verdict["passed"], verdict["violations_total"], verdict["violations"]) == (True, 0, [])
    assert (verdict["totals"], verdict["ticks"], verdict["trades"]) == ({"amber": 5, MONEY: 90}, 2, 1)


@pytest.mark.parametrize("asset", ["amber", MONEY])
def test_what_comes_from_nowhere_is_found_with_its_tick_agent_and_token(asset: str) -> None:
    verdict = conserved(changed(9, "b", asset, 1))
    assert not verdict["passed"]
    assert kinds(verdict) == {"total", "unexplained"}
    [one] = [one for one in verdict["violations"] if one["what"] == "unexplained"]
    assert (one["tick"], one["agent_id"], one["token_id"], one["is"] - one["should_be"]) == (9, "b", asset, 1)


def test_what_changes_hands_without_a_trade_is_found_though_the_total_is_the_same() -> None:
    moved = changed(9, "b", "amber", 1).with_columns(
        quantity=pl.when((pl.col("tick") == 9) & (pl.col("agent_id") == "a") & (pl.col("token_id") == "amber"))
        .then(2)
        .otherwise("quantity")
    )
    verdict = conserved(moved)
    assert (kinds(verdict), verdict["violations_total"]) == ({"unexplained"}, 2)


def test_a_trade_that_was_never_settled_is_found() -> None:
    verdict = conserved(exchange=pl.concat([EXCHANGE, EXCHANGE]))
    assert (kinds(verdict), verdict["violations_total"]) == ({"unexplained"}, 4)


def test_holding_less_than_nothing_is_found() -> None:
    assert "overdraft" in kinds(conserved(changed(9, "a", "amber", -4)))


def test_holdings_that_are_not_told_any_more_are_found() -> None:
    verdict = conserved(HOLDINGS.filter((pl.col("tick") == 0) | (pl.col("token_id") == MONEY)))
    assert {(one["what"], one["tick"], one["token_id"]) for one in verdict["violations"]} == {
        *(("total", 9, "amber"), ("unexplained", 9, "amber")),
    }


def test_a_token_that_was_not_there_in_the_beginning_is_found() -> None:
    strange = pl.DataFrame([(9, "a", "brass", 1)], schema=HOLDINGS.schema, orient="row")
    verdict = conserved(pl.concat([HOLDINGS, strange]))
    assert {(one["what"], one["token_id"]) for one in verdict["violations"]} == {
        *(("total", "brass"), ("unexplained", "brass")),
    }


def test_a_trade_of_nobody_and_one_after_the_last_look_are_found() -> None:
    strange = EXCHANGE.with_columns(actor_agent_id=pl.lit("c"))
    verdict = conserved(exchange=strange)
    assert {one["agent_id"] for one in verdict["violations"]} == {"b", "c"}
    verdict = conserved(exchange=pl.concat([EXCHANGE, EXCHANGE.with_columns(tick=pl.lit(10, pl.Int64))]))
    assert {(one["tick"], one["agent_id"]) for one in verdict["violations"]} == {(None, "a"), (None, "b")}


def test_where_nothing_was_traded_holdings_stay() -> None:
    nothing = pl.DataFrame(schema={"tick": pl.Int64, "exchange_event_type": pl.String})
    still = HOLDINGS.filter(pl.col("tick") == 0)
    assert conserved(pl.concat([still, still.with_columns(tick=pl.lit(9, pl.Int64))]), nothing)["passed"]
    assert not conserved(exchange=nothing)["passed"]


@pytest.mark.parametrize(("exchange", "assets"), [(Leaky(), {MONEY}), (Minting(), set(TOKEN_IDS))])
def test_the_audit_sees_an_exchange_that_does_not_conserve(exchange: Leaky | Minting, assets: set[str]) -> None:
    tables = simulated(exchange)
    verdict = audits.conservation(tables["world/holdings"], tables["world/exchange"], MONEY)
    assert not verdict["passed"]
    assert {one["token_id"] for one in verdict["violations"]} <= assets
    assert kinds(verdict) == {"total", "unexplained"}
    tables = simulated()
    assert audits.conservation(tables["world/holdings"], tables["world/exchange"], MONEY)["passed"]


@pytest.mark.parametrize(("value", "is_in"), [(1000.0, True), (3000.0, True), (999.99, False), (3000.01, False)])
def test_valuations_are_in_their_range_with_both_ends(value: float, *, is_in: bool) -> None:
    frame = pl.DataFrame({"tick": [5], "agent_id": ["a"], "token_id": ["amber"], "value_cents": [value]})
    verdict = audits.bounds(frame.lazy(), 1000, 3000)
    assert (verdict["passed"], verdict["found_cents"], verdict["valuations"]) == (is_in, [value, value], 1)


def test_a_valuation_that_is_no_number_is_out_of_range() -> None:
    frame = pl.DataFrame({"tick": [5], "agent_id": ["a"], "token_id": ["amber"], "value_cents": [float("nan")]})
    verdict = audits.bounds(frame.lazy(), 1000, 3000)
    assert not verdict["passed"]
    json.dumps(verdict["violations"], allow_nan=False)


def test_the_error_against_the_oracle_is_the_mean_of_distances() -> None:
    valuations = pl.DataFrame(
        [(1, "a", "amber", 90.0), (1, "b", "amber", 130.0), (1, "a", "basalt", 50.0), (1, "b", "basalt", 50.0)],
        schema=["tick", "agent_id", "token_id", "value_cents"],
        orient="row",
    )
    calls = pl.DataFrame({"tick": [1], "value_json": ['{"amber": 100.0, "basalt": 40.0}']})
    document, table = oracle_error(valuations.lazy(), calls.lazy(), ["amber", "basalt"])
    assert document["tokens"]["amber"] == {"mae_cents": 20.0, "mae_relative": 0.2, "n": 2}
    assert document["tokens"]["basalt"] == {"mae_cents": 10.0, "mae_relative": 0.25, "n": 2}
    assert (document["mae_cents"], document["mae_relative"], document["n"]) == (15.0, 0.225, 4)
    assert table.select("mean_cents", "oracle_cents", "mae_cents").rows() == [(110.0, 100.0, 20.0), (50.0, 40.0, 10.0)]


def respondents() -> Respondents:
    names, labels = [f"agent_{n}" for n in range(300)], ["ash"] * 150 + ["birch"] * 150
    values = np.repeat([[1000.0, 2000.0, 3000.0]], 300, axis=0)
    return Respondents(names, labels, TOKEN_IDS, values, own=values * 1.2, others=values * 0.8)


def test_a_survey_asks_each_agent_in_each_context_about_each_token() -> None:
    tidy = survey(np.random.default_rng(1), respondents())
    assert tidy.columns == ["agent_id", "group_label", "context", "token_id", "value_cents"]
    assert tidy.height == 300 * len(CONTEXTS) * len(TOKEN_IDS)
    assert tidy.select("agent_id", "context", "token_id").is_unique().all()
    assert tidy.equals(survey(np.random.default_rng(1), respondents()))
    assert not tidy.equals(survey(np.random.default_rng(2), respondents()))


def test_contexts_move_answers_the_way_they_should() -> None:
    found_policy = policy(survey(np.random.default_rng(1), respondents()))
    amber = found_policy.filter(pl.col("token_id") == "amber")
    means = dict(zip(amber["context"], amber["mean_cents"], strict=True))
    assert means["alone"] == pytest.approx(1000, rel=0.01)
    assert means["as_owner"] > 1050
    assert means["as_buyer"] < 950
    assert means["among_own_group"] == pytest.approx(1080, rel=0.02)
    assert means["among_others"] == pytest.approx(920, rel=0.02)
    assert amber["n"].to_list() == [300] * len(CONTEXTS)


def test_a_policy_is_the_mean_the_deviation_and_the_number_of_answers() -> None:
    tidy = pl.DataFrame(
        {
            "context": ["alone"] * 3,
            "token_id": ["amber"] * 3,
            "value_cents": [1.0, 2.0, 6.0],
            "agent_id": ["a", "b", "c"],
        }
    )
    assert policy(tidy).rows() == [("alone", "amber", 3.0, round(7**0.5, 4), 3)]


def test_who_has_no_neighbours_of_a_kind_is_left_with_its_own_belief() -> None:
    values = np.array([[1.0], [3.0], [5.0]])
    speakers, listeners = np.array([0, 1, 2]), np.array([1, 2, 1])
    mean = neighbours_mean(values, speakers, listeners, np.array([True, True, True]))
    assert mean.ravel().tolist() == [1.0, 3.0, 3.0]
    assert neighbours_mean(values, speakers, listeners, np.array([False] * 3)).tolist() == values.tolist()


def test_gini_and_polarisation_are_0_for_equals_and_near_1_at_their_extremes() -> None:
    assert gini(np.array([4, 4, 4])) == pytest.approx(0)
    assert gini(np.array([0] * 99 + [7])) == pytest.approx(0.99)
    assert gini(np.zeros(3)) == 0
    groups = np.array([0, 0, 1, 1])
    assert polarisation(np.array([1.0, 1.0, 3.0, 3.0]), groups) == pytest.approx(1)
    assert polarisation(np.array([1.0, 3.0, 1.0, 3.0]), groups) == pytest.approx(0)
    assert polarisation(np.ones(4), groups) == 0


def test_a_probe_tells_the_state_of_each_token() -> None:
    values = np.array([[90.0, 50.0], [130.0, 50.0]])
    document = probe(
        7, ["amber", "basalt"], values, np.array([110, 50]), np.array([100.0, 40.0]), np.array([0, 1]), np.array([5, 5])
    )
    assert document["tick"] == 7
    tokens: Any = document["tokens"]
    assert tokens["amber"]["mae_cents"] == 20
    assert (tokens["amber"]["price_cents"], tokens["amber"]["polarisation"]) == (110, 1)
    json.dumps(document, allow_nan=False)


def test_a_report_shows_what_the_tables_hold() -> None:
    tables = simulated()
    shown = told(tables, "a title")
    assert shown.token_ids == TOKEN_IDS
    assert shown.disputed == "cedar"
    assert shown.prices.height == 41 * 3
    assert set(shown.inequality["token_id"]) == {*TOKEN_IDS, MONEY}
    assert shown.inequality["gini"].is_between(0, 1).all()
    assert shown.messages["per_tick"].sum() == tables["world/messages"].collect().height
    holdings = tables["world/holdings"].filter((pl.col("tick") == 40) & (pl.col("token_id") == "amber")).collect()
    last = shown.inequality.filter((pl.col("tick") == 40) & (pl.col("token_id") == "amber"))["gini"][0]
    assert last == pytest.approx(gini(holdings["quantity"].to_numpy()))


def test_a_picture_is_drawn_with_a_survey_and_without() -> None:
    tables = simulated()
    bare = figures.overview(told(tables, "no survey"))
    asked = figures.overview(told(tables, "a survey", policy(survey(np.random.default_rng(1), respondents()))))
    pictures = [figures.pixels(figure) for figure in (bare, asked)]
    assert pictures[0].shape == pictures[1].shape == (792, 1430, 3)
    assert not np.array_equal(pictures[0], pictures[1])
    decoded = cv2.imdecode(np.frombuffer(figures.png(bare), np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    assert np.array_equal(decoded, pictures[0])
