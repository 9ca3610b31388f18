"""The exchange: a call auction of each token at each tick, one price for all who trade."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crv.world.ledger import Ledger

IntArray = NDArray[np.int64]

VENUE_ID = "call_auction"


@dataclass(frozen=True, slots=True)
class Orders:
    """What agents want to buy and sell in a tick; int64, shape (orders,) each. An agent gives one order at most.

    Attributes:
        agents: who. tokens: what, as columns of the ledger.
        sides: 1 to buy, -1 to sell.
        quantities: units, 1 or more. limits: the most to pay for a unit, or the least to take, cents.
    """

    agents: IntArray
    tokens: IntArray
    sides: IntArray
    quantities: IntArray
    limits: IntArray

    def chosen(self, which: IntArray) -> Orders:
        """Some of the orders, in the given order."""
        return Orders(
            self.agents[which], self.tokens[which], self.sides[which], self.quantities[which], self.limits[which]
        )


@dataclass(frozen=True, slots=True)
class Trades:
    """What was traded in a tick; int64, shape (trades,) each.

    Attributes:
        tokens, buyers, sellers: what, and who.
        quantities: units. prices: cents a unit.
        bids, asks: the limits of the two orders, cents.
    """

    tokens: IntArray
    buyers: IntArray
    sellers: IntArray
    quantities: IntArray
    prices: IntArray
    bids: IntArray
    asks: IntArray

    def __len__(self) -> int:
        """How many trades."""
        return len(self.tokens)

    @staticmethod
    def none() -> Trades:
        """No trades."""
        return Trades(*(np.zeros(0, np.int64) for _ in Trades.__slots__))

    @staticmethod
    def joined(parts: list[Trades]) -> Trades:
        """Trades of several tokens as one."""
        names = Trades.__slots__
        return Trades(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


class Exchange:
    """Matches orders and settles trades. Nobody pays more than the limit of a bid, or gets less than that of an ask."""

    def clear(self, rng: np.random.Generator, orders: Orders, tokens: int) -> Trades:
        """Match the orders of a tick; equal limits take turns by chance."""
        orders = orders.chosen(rng.permutation(len(orders.agents)))
        return Trades.joined([_match(orders, token) for token in range(tokens)])

    def settle(self, ledger: Ledger, trades: Trades) -> None:
        """Hand over tokens and money: what one gives, the other gets."""
        paid = trades.quantities * trades.prices
        np.add.at(ledger.units, (trades.buyers, trades.tokens), trades.quantities)
        np.subtract.at(ledger.units, (trades.sellers, trades.tokens), trades.quantities)
        np.add.at(ledger.cents, trades.sellers, paid)
        np.subtract.at(ledger.cents, trades.buyers, paid)


def _match(orders: Orders, token: int) -> Trades:
    """The trades of one token: the highest bids with the lowest asks, as long as they meet.

    Unit for unit, both sides are in a row; where one order ends, or its counterpart does, a trade ends.
    """
    bids = _sorted(orders, token, side=1)
    asks = _sorted(orders, token, side=-1)
    if not len(bids.agents) or not len(asks.agents):
        return Trades.none()
    bid_ends, ask_ends = bids.quantities.cumsum(), asks.quantities.cumsum()
    ends = np.unique(np.concatenate([bid_ends, ask_ends]))
    ends = ends[ends <= min(bid_ends[-1], ask_ends[-1])]
    bid, ask = np.searchsorted(bid_ends, ends), np.searchsorted(ask_ends, ends)
    count = np.count_nonzero(bids.limits[bid] >= asks.limits[ask])
    if not count:
        return Trades.none()
    bid, ask = bid[:count], ask[:count]
    price = (bids.limits[bid[-1]] + asks.limits[ask[-1]]) // 2
    return Trades(
        tokens=np.full(count, token, np.int64),
        buyers=bids.agents[bid],
        sellers=asks.agents[ask],
        quantities=np.diff(ends[:count], prepend=0),
        prices=np.full(count, price, np.int64),
        bids=bids.limits[bid],
        asks=asks.limits[ask],
    )


def _sorted(orders: Orders, token: int, side: int) -> Orders:
    """One side's orders of a token, the most eager first."""
    found = orders.chosen(np.flatnonzero((orders.tokens == token) & (orders.sides == side)))
    return found.chosen(np.argsort(-side * found.limits, kind="stable"))
