"""Audits: what must hold of a simulation, found out from its tables alone."""

from __future__ import annotations

from typing import Any

import polars as pl

_SHOWN = 10
_KEY = ["agent_id", "token_id"]


def conservation(holdings: pl.LazyFrame, exchange: pl.LazyFrame, money: str) -> dict[str, Any]:
    """Whether nothing came from nowhere, went nowhere, or was spent twice.

    Three things are looked at, at every tick of which the holdings were written: the total of each token and of money
    is that of the first; nobody holds less than nothing; and what each agent holds is what it held before, and what it
    traded since.

    Args:
        holdings: the table world/holdings.
        exchange: the table world/exchange; where nothing was traded, its columns ``tick`` and ``exchange_event_type``
            are enough.
        money: the token_id that money has in the holdings.

    Returns:
        ``audit``, ``passed``, ``totals`` (of each token), ``ticks`` and ``trades`` (how many were looked at),
        ``violations`` (the first of them) and ``violations_total``.
    """
    held = holdings.select("tick", *_KEY, "quantity").collect().sort("tick", *_KEY)
    trades = exchange.filter(pl.col("exchange_event_type") == "trade").collect()
    totals = held.group_by("tick", "token_id").agg(pl.col("quantity").sum()).sort("tick", "token_id")
    first = totals.filter(pl.col("tick") == held["tick"].min()).select("token_id", was="quantity")
    found = pl.concat(
        [
            _created(totals, first),
            held.filter(pl.col("quantity") < 0).select(
                pl.lit("overdraft").alias("what"), "tick", *_KEY, is_="quantity", should_be=pl.lit(0, pl.Int64)
            ),
            _unexplained(held, _flows(trades, money)),
        ]
    )
    return {
        **_verdict("conservation", found.sort("tick", "what", *_KEY)),
        "totals": dict(zip(first["token_id"], first["was"], strict=True)),
        "ticks": held["tick"].n_unique(),
        "trades": trades.height,
    }


def _created(totals: pl.DataFrame, first: pl.DataFrame) -> pl.DataFrame:
    """Totals that are not what they were; none at all is nothing."""
    owed = totals.select("tick").unique().join(first, how="cross")
    return (
        totals.join(owed, on=["tick", "token_id"], how="full", coalesce=True)
        .with_columns(pl.col("quantity", "was").fill_null(0))
        .filter(pl.col("quantity") != pl.col("was"))
        .select(
            pl.lit("total").alias("what"),
            "tick",
            pl.lit("").alias("agent_id"),
            "token_id",
            is_="quantity",
            should_be="was",
        )
    )


def _flows(trades: pl.DataFrame, money: str) -> pl.DataFrame:
    """What each trade gives: the token to the buyer, money to the seller; and what it takes from the other of them."""
    if not trades.height:  # whose frame then need not have all columns
        return pl.DataFrame(schema={"tick": pl.Int64, "agent_id": pl.String, "token_id": pl.String, "flow": pl.Int64})
    quantity = pl.col("quantity").cast(pl.Int64)
    paid = pl.col("additional_payload").struct.field("value_cents")
    buyer, seller, token = pl.col("actor_agent_id"), pl.col("counterparty_agent_id"), pl.col("token_id")
    legs = (
        (buyer, token, quantity),
        (seller, token, -quantity),
        (seller, pl.lit(money), paid),
        (buyer, pl.lit(money), -paid),
    )
    return pl.concat([trades.select("tick", agent_id=who, token_id=what, flow=much) for who, what, much in legs])


def _unexplained(held: pl.DataFrame, flows: pl.DataFrame) -> pl.DataFrame:
    """Holdings that are not those before them and what was traded between; also those that nobody looked at."""
    looks = held.select("tick", look="tick").unique().sort("tick")
    between = (
        flows.sort("tick")
        .join_asof(looks, on="tick", strategy="forward")
        .group_by("look", *_KEY)
        .agg(pl.col("flow").sum())
    )
    due = pl.col("before") + pl.col("flow")
    return (
        held.join(between, left_on=["tick", *_KEY], right_on=["look", *_KEY], how="full", coalesce=True)
        .sort(*_KEY, "tick", nulls_last=True)
        .with_columns(before=pl.col("quantity").shift(1).over(_KEY).fill_null(0), flow=pl.col("flow").fill_null(0))
        .filter(pl.col("tick").ne_missing(pl.lit(looks["tick"].min())) & pl.col("quantity").ne_missing(due))
        .select(pl.lit("unexplained").alias("what"), "tick", *_KEY, is_="quantity", should_be=due)
    )


def bounds(valuations: pl.LazyFrame, low_cents: float, high_cents: float) -> dict[str, Any]:
    """Whether all valuations are numbers in the range that was promised, both ends in.

    Returns:
        As ``conservation``, with ``range_cents``, ``found_cents`` (the least and the greatest) and ``valuations``.
    """
    value = pl.col("value_cents")
    summary = valuations.select(low=value.min(), high=value.max(), rows=pl.len()).collect().row(0, named=True)
    found = (
        valuations.filter(value.is_nan() | ~value.is_between(low_cents, high_cents))
        .select(pl.lit("out_of_range").alias("what"), "tick", *_KEY, is_="value_cents")
        .collect()
        .sort("tick", *_KEY)
        .with_columns(pl.col("is_").fill_nan(None))
    )
    return {
        **_verdict("bounds", found),
        "range_cents": [low_cents, high_cents],
        "found_cents": [summary["low"], summary["high"]],
        "valuations": summary["rows"],
    }


def _verdict(audit: str, found: pl.DataFrame) -> dict[str, Any]:
    shown = found.head(_SHOWN).rename({"is_": "is"}).to_dicts()
    return {"audit": audit, "passed": not found.height, "violations": shown, "violations_total": found.height}
