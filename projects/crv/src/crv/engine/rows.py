"""What ticks gave, as rows of the tables; a frame of several ticks at once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from crv.engine.simulation import IntArray, Tick
from crv.world.exchange import VENUE_ID
from crv.world.network import Network
from crv.world.tokens import MONEY, TOKEN_IDS

_ACTIONS = pl.Series(["relinquish_token", "hold", "acquire_token"])  # SELL, HOLD, BUY: the side, plus 1
_STANCES = pl.Series(["bearish", "neutral", "bullish"])
_NEUTRAL = 0.01  # relative to the price
_PERSONA = {"persona_id": "oracle", "engine": "closed_form", "signature_id": "worth_of_tokens"}


class Rows:
    """Makes frames of ticks; it knows the names of agents and tokens."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._agents = pl.Series(network.agent_ids)
        self._groups = pl.Series(network.group_labels)
        self._assets = pl.Series([*TOKEN_IDS, MONEY])

    def of(self, ticks: Sequence[Tick]) -> dict[str, pl.DataFrame]:
        """The rows of each table that grows at every tick, by its name; tables without any are left out."""
        frames = {
            "world/events": self.events(ticks),
            "world/exchange": self.exchange(ticks),
            "world/messages": self.messages(ticks),
            "mind/valuations": self.valuations(ticks),
            "mind/decisions": self.decisions(ticks),
            "mind/oracle_calls": self.oracle_calls(ticks),
        }
        return {name: frame for name, frame in frames.items() if frame.height}

    def events(self, ticks: Sequence[Tick]) -> pl.DataFrame:
        """What the exchange cleared: of each tick and token its price, the units traded, and by how many trades."""
        tokens = len(TOKEN_IDS)
        volumes = np.array([np.bincount(t.trades.tokens, t.trades.quantities, tokens) for t in ticks], np.int64)
        trades = np.array([np.bincount(t.trades.tokens, minlength=tokens) for t in ticks], np.int64)
        return pl.DataFrame(
            {
                "tick": np.repeat([t.number for t in ticks], tokens),
                "event_type": ["opening" if t.number == 0 else "clearing" for t in ticks for _ in range(tokens)],
                "token_id": list(TOKEN_IDS) * len(ticks),
                "price_cents": np.concatenate([t.prices for t in ticks]),
                "volume": volumes.ravel(),
                "trades": trades.ravel(),
            }
        )

    def exchange(self, ticks: Sequence[Tick]) -> pl.DataFrame:
        """Every trade; the buyer is the actor."""
        trades = [t.trades for t in ticks]
        token, price = _joined([t.tokens for t in trades]), _joined([t.prices for t in trades])
        quantity = _joined([t.quantities for t in trades])
        worth = np.concatenate([t.worths[t.trades.tokens] for t in ticks])
        payload = pl.DataFrame(
            {
                "value_cents": quantity * price,
                "bid_cents": _joined([t.bids for t in trades]),
                "ask_cents": _joined([t.asks for t in trades]),
            }
        )
        return pl.DataFrame(
            {
                "tick": _ticks(ticks, [len(t) for t in trades]),
                "venue_id": _constant(VENUE_ID, len(token)),
                "token_id": self._assets.gather(token),
                "exchange_event_type": _constant("trade", len(token)),
                "side": _constant("buy", len(token)),
                "quantity": quantity.astype(np.float64),
                "price": price.astype(np.float64),
                "actor_agent_id": self._agents.gather(_joined([t.buyers for t in trades])),
                "counterparty_agent_id": self._agents.gather(_joined([t.sellers for t in trades])),
                "baseline_value": worth,
                "additional_payload": payload.to_struct(),
            }
        )

    def messages(self, ticks: Sequence[Tick]) -> pl.DataFrame:
        """Every message: who told its neighbours what a token is worth."""
        said = [t.said for t in ticks]
        speakers, tokens = _joined([one.speakers for one in said]), _joined([one.tokens for one in said])
        values = np.concatenate([one.values for one in said])
        reach = np.bincount(self._network.speakers, minlength=self._network.agents)[speakers]
        names, topics = self._agents.gather(speakers), self._assets.gather(tokens)
        gain = values / _joined([one.prices for one in said]) - 1
        stance = np.where(np.abs(gain) <= _NEUTRAL, 0, np.sign(gain)).astype(np.int64)
        return pl.DataFrame(
            {
                "tick": _ticks(ticks, [len(one.speakers) for one in said]),
                "sender_agent_id": names,
                "channel_name": "room:" + names,
                "visibility_scope": _constant("room", len(names)),
                "audience": pl.DataFrame({"room": names, "listeners": reach}).to_struct(),
                "speech_act": _constant("assert", len(names)),
                "topic_label": topics,
                "stance_label": _STANCES.gather(stance + 1),
                "claims": pl.DataFrame({"token_id": topics, "value_cents": values}).to_struct(),
                "style": pl.DataFrame({"group_label": self._groups.gather(speakers)}).to_struct(),
            }
        )

    def valuations(self, ticks: Sequence[Tick]) -> pl.DataFrame:
        """What each agent holds each token to be worth after each tick."""
        agents, tokens = ticks[0].values.shape
        return pl.DataFrame(
            {
                "tick": np.repeat([t.number for t in ticks], agents * tokens),
                "agent_id": self._agents.gather(np.tile(np.repeat(np.arange(agents), tokens), len(ticks))),
                "group_label": self._groups.gather(np.tile(np.repeat(np.arange(agents), tokens), len(ticks))),
                "token_id": self._assets.gather(np.tile(np.arange(tokens), agents * len(ticks))),
                "value_cents": np.concatenate([t.values.ravel() for t in ticks]),
            }
        )

    def decisions(self, ticks: Sequence[Tick]) -> pl.DataFrame:
        """What each agent that looked for a trade chose, out of what, and why."""
        made = [(t.number, t.decisions) for t in ticks if t.decisions is not None]
        decisions = [one for _, one in made]
        if not decisions:
            return pl.DataFrame()
        tokens = _joined([one.tokens for one in decisions])
        sides = _joined([one.sides for one in decisions])
        gains = np.concatenate([one.gains for one in decisions])
        chosen = {
            "action_type": _ACTIONS.gather(sides + 1),
            "token_id": self._assets.gather(tokens),
            "quantity": _joined([one.quantities for one in decisions]),
            "limit_cents": _joined([one.limits for one in decisions]),
        }
        values = np.concatenate([one.values for one in decisions])
        return pl.DataFrame(
            {
                "tick": np.repeat([number for number, _ in made], [len(one.agents) for one in decisions]),
                "agent_id": self._agents.gather(_joined([one.agents for one in decisions])),
                "chosen_action": pl.DataFrame(chosen).to_struct(),
                "action_candidates": _candidates(gains),
                "token_value_estimates": pl.DataFrame(values, schema=list(TOKEN_IDS)).to_struct(),
            }
        )

    def oracle_calls(self, ticks: Sequence[Tick]) -> pl.DataFrame:
        """What the oracle said, asked once a tick by the lab; it answers at once, so the latency is 0."""
        numbers = [t.number for t in ticks]
        return pl.DataFrame(
            {
                "tick": numbers,
                "agent_id": _constant("lab", len(ticks)),
                "engine": _constant(_PERSONA["engine"], len(ticks)),
                "signature_id": _constant(_PERSONA["signature_id"], len(ticks)),
                "persona_id": _constant(_PERSONA["persona_id"], len(ticks)),
                "persona_hash": _constant(_digest(_PERSONA), len(ticks)),
                "representation_hash": _constant(_digest(list(TOKEN_IDS)), len(ticks)),
                "context_hash": [_digest({"tick": number}) for number in numbers],
                "value_json": [json.dumps(dict(zip(TOKEN_IDS, t.worths.tolist(), strict=True))) for t in ticks],
                "latency_ms": [0] * len(ticks),
                "cache_hit": [0] * len(ticks),
                "n_tool_calls": [0] * len(ticks),
                "tool_seq": pl.DataFrame({"first": pl.Series([None] * len(ticks), dtype=pl.String)}).to_struct(),
            }
        )

    def holdings(self, tick: Tick) -> pl.DataFrame:
        """What everybody holds after a tick: units of tokens, and cents of ``money``."""
        agents, assets = tick.holdings.shape
        return pl.DataFrame(
            {
                "tick": np.full(agents * assets, tick.number),
                "agent_id": self._agents.gather(np.repeat(np.arange(agents), assets)),
                "token_id": self._assets.gather(np.tile(np.arange(assets), agents)),
                "quantity": tick.holdings.ravel(),
            }
        )

    def identity_edges(self, tick: Tick) -> pl.DataFrame:
        """How far each agent trusts each neighbour after a tick; a sign of -1 is distrust."""
        ties = len(self._network.speakers)
        return pl.DataFrame(
            {
                "tick": np.full(ties, tick.number),
                "observer_agent_id": self._agents.gather(self._network.listeners),
                "edge_kind": _constant("self_to_agent", ties),
                "related_agent_id": self._agents.gather(self._network.speakers),
                "edge_weight": np.abs(tick.trust),
                "edge_sign": np.sign(tick.trust).astype(np.int64),
            }
        )


def _candidates(gains: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> pl.Series:
    """For each decision the three tokens, each with what could be done and what it promised."""
    rows, tokens = gains.shape
    flat = pl.DataFrame(
        {
            "action_type": _ACTIONS.gather((np.sign(gains).astype(np.int64) + 1).ravel()),
            "token_id": pl.Series(TOKEN_IDS).gather(np.tile(np.arange(tokens), rows)),
            "gain": gains.ravel(),
        }
    )
    return flat.to_struct().reshape((rows, tokens)).arr.to_list()


def _digest(value: Mapping[str, object] | Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _joined(parts: Sequence[IntArray]) -> IntArray:
    return np.concatenate(parts)


def _constant(text: str, count: int) -> pl.Series:
    return pl.repeat(text, count, dtype=pl.String, eager=True)


def _ticks(ticks: Sequence[Tick], counts: Sequence[int]) -> IntArray:
    return np.repeat(np.array([t.number for t in ticks], np.int64), counts)
