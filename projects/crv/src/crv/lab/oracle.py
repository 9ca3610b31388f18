"""Minds held against the oracle, from the tables alone."""

from __future__ import annotations

from typing import Any

import polars as pl


def oracle_error(
    valuations: pl.LazyFrame, oracle_calls: pl.LazyFrame, token_ids: list[str]
) -> tuple[dict[str, Any], pl.DataFrame]:
    """How far the minds are from the oracle: the mean absolute error of valuations.

    Args:
        valuations: the table mind/valuations.
        oracle_calls: the table mind/oracle_calls.
        token_ids: what the oracle was asked about.

    Returns:
        The document: ``mae_cents`` and ``mae_relative`` (to the oracle's value) over all, and of each token, with the
        number of valuations. And the table behind it: one row for each tick and token, with ``mean_cents``,
        ``oracle_cents``, ``mae_cents``.
    """
    oracle = asked(oracle_calls, token_ids)
    error = (pl.col("value_cents") - pl.col("oracle_cents")).abs()
    joined = (
        valuations.select("tick", "agent_id", "token_id", "value_cents")
        .collect()
        .join(oracle, on=["tick", "token_id"])
        .sort("tick", "token_id", "agent_id")
    )
    table = joined.group_by("tick", "token_id", maintain_order=True).agg(
        mean_cents=pl.col("value_cents").mean().round(4),
        oracle_cents=pl.col("oracle_cents").first().round(4),
        mae_cents=error.mean().round(4),
        n=pl.len().cast(pl.Int64),
    )
    parts = {token_id: _told(table.filter(pl.col("token_id") == token_id)) for token_id in token_ids}
    return {"measure": "mean absolute error of valuations, cents", **_told(table), "tokens": parts}, table


def _told(table: pl.DataFrame) -> dict[str, Any]:
    """The mean over ticks, each of which counts as much as another."""
    relative = (table["mae_cents"] / table["oracle_cents"]).mean()
    mean = table["mae_cents"].mean()
    return {"mae_cents": _rounded(mean), "mae_relative": _rounded(relative), "n": int(table["n"].sum())}


def _rounded(value: Any) -> float | None:
    return None if value is None else round(float(value), 6)


def asked(oracle_calls: pl.LazyFrame, token_ids: list[str]) -> pl.DataFrame:
    """What the oracle said: the columns ``tick``, ``token_id``, ``oracle_cents``, sorted."""
    answer = pl.Struct({token_id: pl.Float64() for token_id in token_ids})
    return (
        oracle_calls.select("tick", pl.col("value_json").str.json_decode(answer))
        .collect()
        .unnest("value_json")
        .unpivot(token_ids, index="tick", variable_name="token_id", value_name="oracle_cents")
        .sort("tick", "token_id")
    )
