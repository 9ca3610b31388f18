"""Who holds what: whole units of tokens, and money in whole cents."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]


@dataclass(slots=True)
class Ledger:
    """The holdings of all agents, which settling a trade changes in place.

    Attributes:
        units: of each token, int64, shape (agents, tokens).
        cents: money, int64, shape (agents,).
    """

    units: IntArray
    cents: IntArray

    def holdings(self) -> IntArray:
        """Tokens and, in the last column, money: int64, shape (agents, tokens + 1)."""
        return np.column_stack([self.units, self.cents])


def open_ledger(rng: np.random.Generator, agents: int, issue_cents: IntArray) -> Ledger:
    """What agents begin with: a few units of each token, and money of a skewed distribution for about as much again."""
    units = rng.poisson(20, (agents, len(issue_cents)))
    wealth = 20 * issue_cents.sum()
    cents = np.floor(wealth * rng.lognormal(-0.32, 0.8, agents))  # e^(-0.32 + 0.8²/2) = 1: on average, that much
    return Ledger(units.astype(np.int64), cents.astype(np.int64))
