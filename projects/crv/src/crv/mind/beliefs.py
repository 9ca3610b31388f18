"""What agents hold tokens to be worth, and how that changes by what they see and hear.

A belief is the logarithm of a value in cents, so that what moves it is relative: 0.01 is about one percent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

_REPULSION = 0.35  # of what a trusted speaker moves, is moved away by one who is distrusted as much
_TRUST_RATE = 0.03


@dataclass(frozen=True, slots=True)
class MindSettings:
    """How agents value, talk and trade.

    Attributes:
        low_cents, high_cents: the range that valuations stay in.
        informed: share of agents who look closely at what tokens are worth.
        insight: how much of the distance to what they see they go, a tick. rumour: how much of it all others go.
        price_pull: how much of the distance to the last price everybody goes, a tick.
        affinity: how far groups differ in what they see in a contested token, relative.
        chartists: share of agents who take a rise for the beginning of a rise. trend: how much of it they add.
        noise: standard deviation of what changes for no reason, a tick, relative.
        message_rate: chance of an agent to speak, a tick.
        openness: how much of the distance to what a fully trusted speaker says a listener goes.
        tolerance: the distance at which a listener neither agrees nor disagrees, relative.
        activity: chance of an agent to look for a trade, a tick.
        margin: what a trade must promise to be worth it, relative.
        order_units: the most units of an order.
    """

    low_cents: int = 1_000
    high_cents: int = 100_000
    informed: float = 0.1
    insight: float = 0.06
    rumour: float = 0.006
    price_pull: float = 0.03
    affinity: float = 0.35
    chartists: float = 0.3
    trend: float = 0.5
    noise: float = 0.012
    message_rate: float = 0.06
    openness: float = 0.25
    tolerance: float = 0.25
    activity: float = 0.25
    margin: float = 0.01
    order_units: int = 5


@dataclass(slots=True)
class Minds:
    """The state of all agents' minds, which the functions of this module change in place.

    Attributes:
        beliefs: natural logarithm of values in cents, float64, shape (agents, tokens).
        tastes: how much more an agent sees in a token than the oracle knows, relative; as beliefs.
        trust: of the listener in the speaker of each tie, -1 to 1, float64, shape (ties,).
        insights: how much of the distance to what it sees each agent goes, float64, shape (agents,).
        trends: how much of a rise each agent adds, float64, shape (agents,).
    """

    beliefs: FloatArray
    tastes: FloatArray
    trust: FloatArray
    insights: FloatArray
    trends: FloatArray

    def values(self, settings: MindSettings) -> FloatArray:
        """What agents hold tokens to be worth: cents, float64, shape (agents, tokens)."""
        return np.clip(np.exp(self.beliefs), settings.low_cents, settings.high_cents)


@dataclass(frozen=True, slots=True)
class Ties:
    """Who hears whom, int64, shape (ties,) each; and whether both are of one group."""

    speakers: IntArray
    listeners: IntArray
    is_within: BoolArray


def open_minds(
    rng: np.random.Generator,
    groups: IntArray,
    ties: Ties,
    issue_cents: IntArray,
    is_contested: BoolArray,
    settings: MindSettings,
) -> Minds:
    """The minds that a simulation begins with: of one opinion, but for their tastes."""
    agents, tokens = len(groups), len(issue_cents)
    leaning = np.where(groups % 2 == 0, 1.0, -1.0)[:, None] * is_contested * settings.affinity
    tastes = leaning + 0.08 * rng.standard_normal((agents, tokens))
    trust = np.where(ties.is_within, 0.7, 0.3) + 0.1 * rng.standard_normal(len(ties.speakers))
    is_chartist = rng.random(agents) < settings.chartists
    return Minds(
        beliefs=np.log(issue_cents) + 0.3 * tastes + 0.03 * rng.standard_normal((agents, tokens)),
        tastes=tastes,
        trust=np.clip(trust, -1, 1),
        insights=np.where(rng.random(agents) < settings.informed, settings.insight, settings.rumour),
        trends=np.where(is_chartist, settings.trend * rng.random(agents) * 2, 0.0),
    )


def observe(
    rng: np.random.Generator,
    minds: Minds,
    worths: FloatArray,
    prices: IntArray,
    last_prices: IntArray,
    settings: MindSettings,
) -> None:
    """What a tick shows everybody: prices and their change; and what tokens are worth, each with the eyes of its own.

    Args:
        rng: where chance comes from.
        minds: whose beliefs change.
        worths: of the tokens now, cents, shape (tokens,).
        prices: of the last tick, cents, shape (tokens,).
        last_prices: of the tick before, as prices.
        settings: how minds work.
    """
    beliefs, level = minds.beliefs, np.log(prices)
    change = settings.noise * rng.standard_normal(beliefs.shape)
    change += minds.insights[:, None] * (np.log(worths) + minds.tastes - beliefs)
    change += settings.price_pull * (level - beliefs)
    change += minds.trends[:, None] * (level - np.log(last_prices))
    _move(minds, change, settings)


def learn(minds: Minds, agents: IntArray, tokens: IntArray, prices: IntArray, settings: MindSettings) -> None:
    """Who traded a token goes part of the way to its price; int64, shape (trades,) each, prices in cents."""
    change = np.zeros_like(minds.beliefs)
    change[agents, tokens] = 0.1 * (np.log(prices) - minds.beliefs[agents, tokens])
    _move(minds, change, settings)


@dataclass(frozen=True, slots=True)
class Said:
    """What was said in a tick; shape (messages,) each.

    Attributes:
        speakers: who; each speaks once at most. tokens: of what.
        values: what it is worth to the speaker, cents. prices: what it last sold for, cents.
    """

    speakers: IntArray
    tokens: IntArray
    values: FloatArray
    prices: IntArray

    @staticmethod
    def nothing() -> Said:
        """Silence."""
        none = np.zeros(0, np.int64)
        return Said(none, none, np.zeros(0), none)


def speak(rng: np.random.Generator, minds: Minds, prices: IntArray, settings: MindSettings) -> Said:
    """Some agents say what a token is worth; rather of one that they hold to be priced wrongly."""
    agents, tokens = minds.beliefs.shape
    speakers = np.flatnonzero(rng.random(agents) < settings.message_rate)
    surprise = np.abs(minds.beliefs[speakers] - np.log(prices))
    chosen = np.argmax(surprise + 0.1 * rng.gumbel(size=(len(speakers), tokens)), axis=1)
    return Said(speakers, chosen, minds.values(settings)[speakers, chosen], prices[chosen])


def listen(minds: Minds, ties: Ties, said: Said, settings: MindSettings) -> None:
    """Neighbours go towards what they hear of a speaker whom they trust, and away from one whom they distrust.

    A listener who agrees trusts the speaker more afterwards, and one who disagrees less; one of another group has it
    harder to be believed.
    """
    agents = len(minds.beliefs)
    message_of = np.full(agents, -1)
    message_of[said.speakers] = np.arange(len(said.speakers))
    heard = np.flatnonzero(message_of[ties.speakers] >= 0)
    if not len(heard):
        return
    message = message_of[ties.speakers[heard]]
    place = (ties.listeners[heard], said.tokens[message])
    distance = np.log(said.values[message]) - minds.beliefs[place]
    trust = minds.trust[heard]
    pull = settings.openness * np.where(trust > 0, trust, _REPULSION * trust) * distance
    change, count = np.zeros_like(minds.beliefs), np.zeros_like(minds.beliefs)
    np.add.at(change, place, pull)
    np.add.at(count, place, 1.0)
    _move(minds, change / np.maximum(count, 1), settings)
    agreement = np.clip(1 - np.abs(distance) / settings.tolerance - 0.3 * ~ties.is_within[heard], -1, 1)
    minds.trust[heard] += _TRUST_RATE * (agreement - trust)


def _move(minds: Minds, change: FloatArray, settings: MindSettings) -> None:
    low, high = np.log([settings.low_cents, settings.high_cents])
    minds.beliefs = np.clip(minds.beliefs + change, low, high)
