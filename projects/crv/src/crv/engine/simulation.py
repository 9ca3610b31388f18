"""A simulation, tick by tick: what happens in the world shows in the minds, and what they decide happens in the world.

Nothing is written here; what each tick gives is handed on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crv.engine.settings import Settings
from crv.mind.beliefs import Minds, Said, Ties, learn, listen, observe, open_minds, speak
from crv.mind.decisions import HOLD, Decisions, decide
from crv.world.exchange import Exchange, Orders, Trades
from crv.world.ledger import Ledger, open_ledger
from crv.world.network import Network, small_world
from crv.world.tokens import TOKENS, worths

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(slots=True)
class Society:
    """All that changes in a simulation, and what it changes by.

    Attributes:
        settings: what was asked for. exchange: where tokens are traded.
        network: who is tied to whom. ties: the same, as minds see it.
        worths: what the oracle knows, cents, float64, shape (ticks + 1, tokens).
        ledger: who holds what. minds: who believes what.
        prices, last_prices: cents, int64, shape (tokens,).
        rng: all chance from here on. survey_rng: that of the survey.
    """

    settings: Settings
    exchange: Exchange
    network: Network
    ties: Ties
    worths: FloatArray
    ledger: Ledger
    minds: Minds
    prices: IntArray
    last_prices: IntArray
    rng: np.random.Generator
    survey_rng: np.random.Generator

    def values(self) -> FloatArray:
        """What agents hold tokens to be worth: cents, float64, shape (agents, tokens)."""
        return self.minds.values(self.settings.mind)


@dataclass(frozen=True, slots=True)
class Tick:
    """What one tick gave; arrays are no longer changed.

    Attributes:
        number: of the tick; 0 is the beginning, where nothing was said or done.
        worths, prices: of the tokens after it, cents, shape (tokens,).
        values: what agents hold tokens to be worth after it, cents, shape (agents, tokens).
        trust: of each tie. holdings: tokens and money, shape (agents, tokens + 1).
        said, decisions, trades: what happened in it; decisions are None in the beginning.
    """

    number: int
    worths: FloatArray
    prices: IntArray
    values: FloatArray
    trust: FloatArray
    holdings: IntArray
    said: Said
    decisions: Decisions | None
    trades: Trades


def found(settings: Settings, exchange: Exchange | None = None) -> Society:
    """The society that a simulation begins with; another exchange can be put in its place."""
    seeds = np.random.SeedSequence(settings.seed).spawn(4)
    network_rng, oracle_rng, rng, survey_rng = map(np.random.default_rng, seeds)
    network = small_world(network_rng, settings.agents, settings.network)
    is_within = network.groups[network.speakers] == network.groups[network.listeners]
    ties = Ties(network.speakers, network.listeners, is_within)
    issue_cents = np.array([token.issue_cents for token in TOKENS])
    is_contested = np.array([token.is_contested for token in TOKENS])
    return Society(
        settings=settings,
        exchange=exchange or Exchange(),
        network=network,
        ties=ties,
        worths=worths(oracle_rng, settings.ticks),
        ledger=open_ledger(rng, settings.agents, issue_cents),
        minds=open_minds(rng, network.groups, ties, issue_cents, is_contested, settings.mind),
        prices=issue_cents,
        last_prices=issue_cents,
        rng=rng,
        survey_rng=survey_rng,
    )


def ticks(society: Society) -> Iterator[Tick]:
    """The beginning, and then each tick as it happens."""
    yield _seen(society, 0, Said.nothing(), None, Trades.none())
    for number in range(1, society.settings.ticks + 1):
        yield _step(society, number)


def _step(society: Society, number: int) -> Tick:
    rng, minds, settings = society.rng, society.minds, society.settings.mind
    observe(rng, minds, society.worths[number], society.prices, society.last_prices, settings)
    said = speak(rng, minds, society.prices, settings)
    listen(minds, society.ties, said, settings)
    ledger = society.ledger
    decisions = decide(rng, minds, society.prices, ledger.units, ledger.cents, settings)
    trades = society.exchange.clear(rng, _orders(decisions), len(TOKENS))
    society.exchange.settle(ledger, trades)
    society.last_prices, society.prices = society.prices, _priced(society.prices, trades)
    for traders in (trades.buyers, trades.sellers):
        learn(minds, traders, trades.tokens, trades.prices, settings)
    return _seen(society, number, said, decisions, trades)


def _orders(decisions: Decisions) -> Orders:
    acting = np.flatnonzero(decisions.sides != HOLD)
    return Orders(decisions.agents, decisions.tokens, decisions.sides, decisions.quantities, decisions.limits).chosen(
        acting
    )


def _priced(prices: IntArray, trades: Trades) -> IntArray:
    """The prices after a tick: a token that was not traded keeps the one it had."""
    after = prices.copy()
    after[trades.tokens] = trades.prices
    return after


def _seen(society: Society, number: int, said: Said, decisions: Decisions | None, trades: Trades) -> Tick:
    return Tick(
        number=number,
        worths=society.worths[number],
        prices=society.prices,
        values=society.values(),
        trust=society.minds.trust.copy(),
        holdings=society.ledger.holdings(),
        said=said,
        decisions=decisions,
        trades=trades,
    )
