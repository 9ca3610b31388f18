"""Probes: a small document about the state of things, every so many ticks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def probe(
    tick: int,
    token_ids: Sequence[str],
    values: FloatArray,
    prices: IntArray,
    worths: FloatArray,
    groups: IntArray,
    wealth: IntArray,
) -> dict[str, object]:
    """What a probe finds.

    Args:
        tick: when.
        token_ids: of the tokens.
        values: what agents hold tokens to be worth, cents, shape (agents, tokens).
        prices: by the exchange, cents, shape (tokens,).
        worths: by the oracle, as prices.
        groups: of the agents, shape (agents,).
        wealth: what an agent has, at these prices, cents, shape (agents,).
    """
    tokens = {
        token_id: {
            "price_cents": int(prices[column]),
            "oracle_cents": _rounded(worths[column]),
            "mean_cents": _rounded(values[:, column].mean()),
            "sd_cents": _rounded(values[:, column].std(ddof=1)),
            "mae_cents": _rounded(np.abs(values[:, column] - worths[column]).mean()),
            "polarisation": _rounded(polarisation(values[:, column], groups)),
        }
        for column, token_id in enumerate(token_ids)
    }
    return {"tick": tick, "tokens": tokens, "wealth_gini": _rounded(gini(wealth))}


def polarisation(values: FloatArray, groups: IntArray) -> float:
    """The share of the variance of values that lies between groups: 0 if they agree, 1 if nothing else divides."""
    total = ((values - values.mean()) ** 2).sum()
    if not total:
        return 0.0
    between = sum(
        np.count_nonzero(groups == group) * (values[groups == group].mean() - values.mean()) ** 2
        for group in np.unique(groups)
    )
    return float(between / total)


def gini(amounts: IntArray | FloatArray) -> float:
    """The Gini coefficient of amounts that are not negative: 0 if all have the same, near 1 if one has all."""
    ordered = np.sort(amounts).astype(np.float64)
    total = ordered.sum()
    if not total:
        return 0.0
    ranks = np.arange(1, len(ordered) + 1)
    return float((2 * ranks - len(ordered) - 1) @ ordered / (len(ordered) * total))


def _rounded(value: float) -> float:
    return round(float(value), 6)
