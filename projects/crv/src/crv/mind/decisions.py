"""What agents do: buy, sell or hold, by what they believe and what they have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crv.mind.beliefs import Minds, MindSettings

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

BUY, HOLD, SELL = 1, 0, -1
_CURIOSITY = 0.05  # how often a token is looked at that promises less than another


@dataclass(frozen=True, slots=True)
class Decisions:
    """What the agents that looked for a trade decided; shape (decisions,) unless said.

    Attributes:
        agents: who. tokens: the token each looked at.
        sides: BUY, HOLD or SELL.
        quantities: units, 0 for HOLD. limits: cents; for HOLD what would have been asked.
        gains: what a unit of each token promised, relative to its price, float64, shape (decisions, tokens).
        values: what they hold the tokens to be worth, cents, as gains.
    """

    agents: IntArray
    tokens: IntArray
    sides: IntArray
    quantities: IntArray
    limits: IntArray
    gains: FloatArray
    values: FloatArray


def decide(
    rng: np.random.Generator, minds: Minds, prices: IntArray, units: IntArray, cents: IntArray, settings: MindSettings
) -> Decisions:
    """Some agents look for a trade, of one token each, which never takes more than they have.

    Args:
        rng: where chance comes from.
        minds: what they believe.
        prices: the last ones, cents, shape (tokens,).
        units: of each token that they hold, shape (agents, tokens).
        cents: money that they hold, shape (agents,).
        settings: how minds work.
    """
    agents = np.flatnonzero(rng.random(len(cents)) < settings.activity)
    rows = np.arange(len(agents))
    values = minds.values(settings)[agents]
    gains = values / prices - 1
    tokens = np.argmax(np.abs(gains) + _CURIOSITY * rng.gumbel(size=gains.shape), axis=1)
    value, gain = values[rows, tokens], gains[rows, tokens]
    limits = np.where(gain > 0, np.floor(value * (1 - settings.margin)), np.ceil(value * (1 + settings.margin)))
    limits = np.maximum(limits, 1).astype(np.int64)
    affordable = np.where(gain > 0, cents[agents] // limits, units[agents, tokens])
    quantities = np.minimum(rng.integers(1, settings.order_units + 1, len(agents)), affordable)
    is_acting = (np.abs(gain) > settings.margin) & (quantities > 0)
    sides = np.where(is_acting, np.where(gain > 0, BUY, SELL), HOLD)
    return Decisions(agents, tokens, sides, np.where(is_acting, quantities, 0), limits, gains, values)
