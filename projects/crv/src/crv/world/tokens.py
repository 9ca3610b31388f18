"""The tokens that agents hold, and what an oracle knows them to be worth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

MONEY = "money"


@dataclass(frozen=True, slots=True)
class Token:
    """What one token is.

    Attributes:
        token_id: its name in tables.
        issue_cents: what it is worth at the beginning, and what it sells for.
        swing: standard deviation of a tick's change of its worth, relative.
        shocks: at which share of the simulation its worth jumps, and to what share of it.
        is_contested: whether groups differ in what they see in it.
    """

    token_id: str
    issue_cents: int
    swing: float
    shocks: tuple[tuple[float, float], ...] = ()
    is_contested: bool = False


TOKENS = (
    Token("amber", 10_000, swing=0.003),
    Token("basalt", 8_000, swing=0.003, shocks=((0.35, 1.5), (0.7, 0.75))),
    Token("cedar", 12_000, swing=0.002, is_contested=True),
)
TOKEN_IDS = tuple(token.token_id for token in TOKENS)
_REVERSION = 0.01  # of the distance to what a token was issued at, a tick: its worth wanders, and stays of its size


def worths(rng: np.random.Generator, ticks: int) -> FloatArray:
    """What the tokens are worth at each tick, cents: float64, shape (ticks + 1, tokens); the first row is the issue."""
    swings = np.array([token.swing for token in TOKENS])
    steps = rng.standard_normal((ticks, len(TOKENS))) * swings
    wander = np.zeros((ticks + 1, len(TOKENS)))
    for tick in range(ticks):
        wander[tick + 1] = (1 - _REVERSION) * wander[tick] + steps[tick]
    return np.array([token.issue_cents for token in TOKENS]) * np.exp(wander) * _shocks(ticks)


def _shocks(ticks: int) -> FloatArray:
    """The factor by which shocks have changed each token's worth by each tick."""
    factors = np.ones((ticks + 1, len(TOKENS)))
    for column, token in enumerate(TOKENS):
        for share, factor in token.shocks:
            factors[round(share * ticks) :, column] *= factor
    return factors
