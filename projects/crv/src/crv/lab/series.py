"""What a report shows of a simulation, from its tables: small frames, sorted by tick."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from crv.lab.oracle import oracle_error

_WINDOWS = 40  # of messages: enough to see a change, few enough to count something in each


@dataclass(frozen=True, slots=True)
class Told:
    """What a report shows.

    Attributes:
        title: what simulation it is of.
        token_ids: the tokens, in their order. disputed: the one that groups differ about most.
        prices: ``tick, token_id, price_cents``.
        error: ``tick, token_id, mean_cents, oracle_cents, mae_cents``.
        spread: of the disputed token, ``tick, group_label, mean_cents, sd_cents``.
        inequality: ``tick, token_id, gini``; money is one of the tokens.
        messages: ``tick`` (where a window begins), ``stance_label, per_tick``.
        policy: what the survey gave, ``context, token_id, mean_cents, sd_cents, n``; None where there was none.
    """

    title: str
    token_ids: tuple[str, ...]
    disputed: str
    prices: pl.DataFrame
    error: pl.DataFrame
    spread: pl.DataFrame
    inequality: pl.DataFrame
    messages: pl.DataFrame
    policy: pl.DataFrame | None


def told(tables: Mapping[str, pl.LazyFrame], title: str, policy: pl.DataFrame | None = None) -> Told:
    """What is to be shown of the tables of a run, by their names (``world/events`` ...)."""
    prices = tables["world/events"].select("tick", "token_id", "price_cents").collect().sort("tick", "token_id")
    token_ids = tuple(prices["token_id"].unique().sort())
    spread = _spread(tables["mind/valuations"])
    disputed = _disputed(spread)
    _, error = oracle_error(tables["mind/valuations"], tables["mind/oracle_calls"], list(token_ids))
    return Told(
        title=title,
        token_ids=token_ids,
        disputed=disputed,
        prices=prices,
        error=error,
        spread=spread.filter(pl.col("token_id") == disputed).drop("token_id"),
        inequality=_inequality(tables["world/holdings"]),
        messages=_messages(tables["world/messages"], ticks=prices["tick"].n_unique()),
        policy=policy,
    )


def _spread(valuations: pl.LazyFrame) -> pl.DataFrame:
    value = pl.col("value_cents")
    return (
        valuations.group_by("tick", "token_id", "group_label")
        .agg(mean_cents=value.mean(), sd_cents=value.std())
        .collect()
        .sort("tick", "token_id", "group_label")
    )


def _disputed(spread: pl.DataFrame) -> str:
    """The token of which the means of groups lie farthest apart, over all ticks and relative to the mean."""
    mean = pl.col("mean_cents")
    apart = (
        spread.group_by("tick", "token_id")
        .agg(apart=(mean.max() - mean.min()) / mean.mean())
        .group_by("token_id")
        .agg(pl.col("apart").mean())
    )
    return str(apart.sort("apart", "token_id")["token_id"][-1])


def _inequality(holdings: pl.LazyFrame) -> pl.DataFrame:
    """The Gini coefficient of each token, and of money, over the agents."""
    amount, rank = pl.col("quantity").sort(), pl.int_range(1, pl.len() + 1)
    gini = ((2 * rank - pl.len() - 1) * amount).sum() / (pl.len() * amount.sum())
    return holdings.group_by("tick", "token_id").agg(gini=gini).collect().sort("tick", "token_id")


def _messages(messages: pl.LazyFrame, ticks: int) -> pl.DataFrame:
    window = max(1, ticks // _WINDOWS)
    return (
        messages.group_by(tick=pl.col("tick") // window * window, stance_label="stance_label")
        .agg(per_tick=pl.len() / window)
        .collect()
        .sort("tick", "stance_label")
    )
