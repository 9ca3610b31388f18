"""The minds: what moves beliefs, and what is decided by them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crv.mind.beliefs import Minds, MindSettings, Said, Ties, learn, listen, observe, open_minds, speak
from crv.mind.decisions import BUY, HOLD, SELL, decide

CALM = MindSettings(noise=0, insight=0, rumour=0, price_pull=0)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def minds(*values: float, trust: tuple[float, ...] = ()) -> Minds:
    """One token; each agent holds it to be worth one of the values."""
    beliefs = np.log(np.array(values))[:, None]
    zeros = np.zeros(len(values))
    return Minds(beliefs, np.zeros_like(beliefs), np.array(trust), zeros, zeros)


def said(speaker: int, value: float) -> Said:
    return Said(np.array([speaker]), np.array([0]), np.array([value]), np.array([100]))


def ties(*pairs: tuple[int, int], is_within: bool = True) -> Ties:
    ends = np.array(pairs)
    return Ties(ends[:, 0], ends[:, 1], np.full(len(pairs), is_within))


def test_a_listener_goes_towards_a_speaker_who_is_trusted_and_away_from_one_who_is_not() -> None:
    state = minds(2000, 1500, 1500, 1500, trust=(0.8, -0.8))
    listen(state, ties((0, 1), (0, 2)), said(0, 2000), MindSettings())
    found = state.values(MindSettings())[:, 0]
    assert found[1] > 1500 > found[2]
    assert found[[0, 3]].tolist() == pytest.approx([2000, 1500])


def test_who_agrees_is_trusted_more_and_who_disagrees_less() -> None:
    state = minds(1500, 1500, 3000, trust=(0.5, 0.5))
    listen(state, ties((0, 1), (0, 2)), said(0, 1500), MindSettings())
    assert state.trust[0] > 0.5 > state.trust[1]


def test_another_group_has_it_harder_to_be_trusted() -> None:
    found = []
    for is_within in (True, False):
        state = minds(1500, 1500, trust=(0.5,))
        listen(state, ties((0, 1), is_within=is_within), said(0, 1500), MindSettings())
        found.append(state.trust[0])
    assert found[0] > found[1]


def test_silence_changes_nothing() -> None:
    state = minds(1500, 2000, trust=(0.5,))
    listen(state, ties((0, 1)), Said.nothing(), MindSettings())
    learn(state, np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64), MindSettings())
    assert state.values(MindSettings())[:, 0].tolist() == pytest.approx([1500, 2000])


def test_beliefs_follow_insight_prices_and_trends() -> None:
    price, before = np.array([2000]), np.array([1800])
    state = minds(1500, 1500)
    state.insights = np.array([0.0, 0.5])
    observe(rng(), state, np.array([3000.0]), price, price, CALM)
    assert state.values(CALM)[:, 0].tolist() == pytest.approx([1500, np.sqrt(1500 * 3000)])
    state = minds(1500, 1500)
    state.trends = np.array([0.0, 1.0])
    observe(rng(), state, np.array([1500.0]), price, before, CALM)
    assert state.values(CALM)[:, 0].tolist() == pytest.approx([1500, 1500 * 2000 / 1800])
    state = minds(1500)
    observe(rng(), state, np.array([1500.0]), price, price, MindSettings(noise=0, rumour=0, price_pull=1))
    assert state.values(CALM)[0, 0] == pytest.approx(2000)


def test_who_traded_goes_towards_the_price() -> None:
    state = minds(1500, 1500)
    learn(state, np.array([1]), np.array([0]), np.array([3000]), CALM)
    found = state.values(CALM)[:, 0]
    assert found[0] == pytest.approx(1500)
    assert 1500 < found[1] < 3000


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 0.5), st.floats(0, 5))
def test_valuations_stay_in_their_range_whatever_happens(seed: int, noise: float, trend: float) -> None:
    wild = MindSettings(low_cents=1000, high_cents=3000, noise=noise, trend=trend)
    chance = rng(seed)
    pairs = ties((0, 1), (1, 0), (2, 1))
    state = open_minds(chance, np.array([0, 0, 1]), pairs, np.array([2000, 1500]), np.array([True, False]), wild)
    prices = np.array([2000, 1500])
    for _ in range(20):
        after = chance.integers(1, 100_000, 2)
        observe(chance, state, chance.uniform(1, 1e6, 2), after, prices, wild)
        listen(state, pairs, speak(chance, state, prices, wild), wild)
        learn(state, np.array([0]), np.array([1]), after[1:], wild)
        prices = after
        values = state.values(wild)
        assert ((values >= 1000) & (values <= 3000)).all()
        assert (np.abs(state.trust) <= 1).all()


def test_groups_begin_to_differ_about_a_contested_token_alone() -> None:
    groups = np.arange(400) // 200
    state = open_minds(rng(), groups, ties((0, 1)), np.array([2000, 2000]), np.array([False, True]), MindSettings())
    apart = state.tastes[groups == 0].mean(axis=0) - state.tastes[groups == 1].mean(axis=0)
    assert abs(apart[0]) < 0.05
    assert apart[1] == pytest.approx(2 * MindSettings().affinity, abs=0.05)


def test_decisions_follow_beliefs_and_take_no_more_than_there_is() -> None:
    eager = MindSettings(activity=1, order_units=5)
    units, cents = np.array([[10], [10], [0], [10], [3]]), np.array([100_000, 100_000, 100_000, 500, 100_000])
    state = minds(2000, 1200, 1200, 2000, 1501)
    for seed in range(20):
        made = decide(rng(seed), state, np.array([1500]), units, cents, eager)
        assert made.sides.tolist() == [BUY, SELL, HOLD, HOLD, HOLD]  # has nothing to sell; no money; sees no gain
        assert made.quantities[2:].tolist() == [0, 0, 0]
        assert 1 <= made.quantities[0] <= 5
        assert (1500 < made.limits[0] < 2000, 1200 < made.limits[1] < 1500) == (True, True)


def test_who_speaks_says_what_it_believes() -> None:
    state = minds(2000, 1200)
    heard = speak(rng(), state, np.array([1500]), MindSettings(message_rate=1))
    assert (heard.speakers.tolist(), heard.values.tolist(), heard.prices.tolist()) == (
        [0, 1],
        pytest.approx([2000, 1200]),
        [1500, 1500],
    )
