"""The world: network, oracle, ledger and exchange."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crv.world.exchange import Exchange, Orders, Trades
from crv.world.ledger import Ledger, open_ledger
from crv.world.network import NetworkSettings, small_world
from crv.world.tokens import TOKENS, worths


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def orders(*rows: tuple[int, int, int, int, int]) -> Orders:
    """Agent, token, side, quantity, limit."""
    return Orders(*np.array(rows, np.int64).T)


@st.composite
def markets(draw: st.DrawFn) -> tuple[Ledger, Orders]:
    """A ledger of ten agents, and orders that they can honour."""
    ledger = open_ledger(rng(draw(st.integers(0, 1000))), 10, np.array([100, 200]))
    rows = []
    for agent in draw(st.permutations(range(10))):
        token, side = draw(st.integers(0, 1)), draw(st.sampled_from([-1, 1]))
        limit = draw(st.integers(1, 300))
        most = ledger.units[agent, token] if side < 0 else ledger.cents[agent] // limit
        if most > 0:
            rows.append((agent, token, side, draw(st.integers(1, min(8, int(most)))), limit))
    return ledger, orders(*rows)


def test_each_agent_has_ties_in_both_directions_and_none_twice_or_to_itself() -> None:
    network = small_world(rng(), 60, NetworkSettings(groups=3, neighbours=6, rewire=0.2))
    ties = set(zip(network.speakers.tolist(), network.listeners.tolist(), strict=True))
    assert len(ties) == len(network.speakers)
    assert {(b, a) for a, b in ties} == ties
    assert all(a != b for a, b in ties)
    assert set(network.listeners) == set(range(60))
    assert np.bincount(network.groups).tolist() == [20, 20, 20]


def test_rewiring_ties_groups_together() -> None:
    across = []
    for rewire in (0.0, 0.5):
        network = small_world(rng(), 200, NetworkSettings(rewire=rewire))
        across.append((network.groups[network.speakers] != network.groups[network.listeners]).mean())
    assert across[0] < 0.05
    assert across[1] > 0.2


def test_the_network_is_told_once_for_each_tie() -> None:
    network = small_world(rng(), 20, NetworkSettings())
    told = network.document()
    assert len(told["ties"]) * 2 == len(network.speakers)  # type: ignore[arg-type]  # a list
    assert told["agents"][0] == {"agent_id": "agent_0000", "group": "ash"}  # type: ignore[index]  # a list


def test_worths_begin_at_the_issue_and_jump_at_the_shocks() -> None:
    found = worths(rng(), 1000)
    assert found.shape == (1001, len(TOKENS))
    assert found[0].tolist() == [token.issue_cents for token in TOKENS]
    steps = np.abs(np.diff(np.log(found), axis=0))
    assert np.flatnonzero(steps[:, 1] > 0.1).tolist() == [349, 699]
    assert (steps[:, [0, 2]] < 0.1).all()


def test_the_highest_bid_trades_with_the_lowest_ask_at_a_price_between_their_limits() -> None:
    trades = Exchange().clear(
        rng(), orders((0, 0, 1, 3, 110), (1, 0, 1, 3, 90), (2, 0, -1, 4, 95), (3, 0, -1, 4, 120)), 1
    )
    assert (trades.buyers.tolist(), trades.sellers.tolist(), trades.quantities.tolist()) == ([0], [2], [3])
    assert trades.prices.tolist() == [(110 + 95) // 2]


def test_an_order_is_filled_by_several() -> None:
    trades = Exchange().clear(rng(), orders((0, 0, 1, 5, 100), (1, 0, -1, 2, 80), (2, 0, -1, 2, 90)), 1)
    assert trades.quantities.tolist() == [2, 2]
    assert trades.sellers.tolist() == [1, 2]
    assert set(trades.prices) == {95}


@pytest.mark.parametrize(
    "given_orders", [[(0, 0, 1, 5, 100)], [(0, 0, -1, 5, 100)], [(0, 0, 1, 1, 90), (1, 0, -1, 1, 91)]]
)
def test_where_no_bid_meets_an_ask_nothing_is_traded(given_orders: list[tuple[int, int, int, int, int]]) -> None:
    assert len(Exchange().clear(rng(), orders(*given_orders), 3)) == 0


@settings(max_examples=60, deadline=None)
@given(markets(), st.integers(0, 100))
def test_settling_conserves_tokens_and_money_and_takes_no_more_than_there_is(
    market: tuple[Ledger, Orders], seed: int
) -> None:
    ledger, placed = market
    before = ledger.holdings()
    trades = Exchange().clear(rng(seed), placed, 2)
    Exchange().settle(ledger, trades)
    after = ledger.holdings()
    assert (after.sum(axis=0) == before.sum(axis=0)).all()
    assert (after >= 0).all()


@settings(max_examples=60, deadline=None)
@given(markets(), st.integers(0, 100))
def test_nobody_trades_beyond_an_order(market: tuple[Ledger, Orders], seed: int) -> None:
    placed = market[1]
    trades = Exchange().clear(rng(seed), placed, 2)
    assert (trades.prices <= trades.bids).all()
    assert (trades.prices >= trades.asks).all()
    assert (trades.quantities > 0).all()
    for sides, traders in ((1, trades.buyers), (-1, trades.sellers)):
        traded = np.bincount(traders, trades.quantities, 10)
        asked = np.zeros(10)
        which = placed.sides == sides
        asked[placed.agents[which]] = placed.quantities[which]
        assert (traded <= asked).all()


@settings(max_examples=40, deadline=None)
@given(markets(), st.integers(0, 100))
def test_as_many_units_are_traded_as_bids_and_asks_that_meet_allow(market: tuple[Ledger, Orders], seed: int) -> None:
    placed = market[1]
    trades = Exchange().clear(rng(seed), placed, 2)
    for token in range(2):
        bids = _units(placed, token, 1)
        asks = _units(placed, token, -1)
        possible = sum(bid >= ask for bid, ask in zip(sorted(bids, reverse=True), sorted(asks), strict=False))
        assert trades.quantities[trades.tokens == token].sum() == possible


def _units(placed: Orders, token: int, side: int) -> list[int]:
    """The limit of each unit, one by one: slow, and plainly right."""
    rows = zip(placed.tokens, placed.sides, placed.quantities, placed.limits, strict=True)
    return [int(limit) for t, s, quantity, limit in rows if (t, s) == (token, side) for _ in range(quantity)]


def test_no_trades_change_nothing() -> None:
    ledger = open_ledger(rng(), 5, np.array([100]))
    before = ledger.holdings()
    Exchange().settle(ledger, Trades.none())
    assert (ledger.holdings() == before).all()
