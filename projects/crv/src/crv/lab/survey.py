"""A survey: each agent is asked what each token is worth, in several contexts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

CONTEXTS = ("alone", "as_owner", "as_buyer", "among_own_group", "among_others")
_ENDOWMENT = 0.08  # what one gives away is worth so much more, and what one would have to pay for so much less
_CARELESSNESS = 0.02  # standard deviation of the same answer given twice, relative


@dataclass(frozen=True, slots=True)
class Respondents:
    """Who is asked.

    Attributes:
        agent_ids, group_labels: of each agent.
        token_ids: what is asked about.
        values: what each holds each token to be worth, cents, float64, shape (agents, tokens).
        own, others: what neighbours of the own group, and of other groups, hold them to be worth, on average; as
            values, and the agent's own where it has no such neighbours.
    """

    agent_ids: Sequence[str]
    group_labels: Sequence[str]
    token_ids: Sequence[str]
    values: FloatArray
    own: FloatArray
    others: FloatArray


def survey(rng: np.random.Generator, asked: Respondents) -> pl.DataFrame:
    """The answers, tidy: one row for each agent, context and token, in this order.

    Returns:
        The columns ``agent_id``, ``group_label``, ``context``, ``token_id``, ``value_cents``.
    """
    agents, tokens = asked.values.shape
    conformity = rng.beta(2, 3, (agents, 1))  # how far an answer goes to what those present believe: 0.4 on average
    endowment = _ENDOWMENT * rng.lognormal(0, 0.4, (agents, 1))
    answers = np.stack(
        [
            asked.values,
            asked.values * (1 + endowment),
            asked.values * (1 - endowment),
            asked.values + conformity * (asked.own - asked.values),
            asked.values + conformity * (asked.others - asked.values),
        ],
        axis=1,
    )
    answers = answers * np.exp(_CARELESSNESS * rng.standard_normal(answers.shape))
    each = len(CONTEXTS) * tokens
    return pl.DataFrame(
        {
            "agent_id": np.repeat(np.array(asked.agent_ids), each),
            "group_label": np.repeat(np.array(asked.group_labels), each),
            "context": np.tile(np.repeat(np.array(CONTEXTS), tokens), agents),
            "token_id": np.tile(np.array(asked.token_ids), agents * len(CONTEXTS)),
            "value_cents": answers.ravel().round(2),
        }
    )


def policy(tidy: pl.DataFrame) -> pl.DataFrame:
    """What a token is worth in a context: mean and standard deviation (n - 1) of the answers, and their number.

    Args:
        tidy: what ``survey`` gave.

    Returns:
        The columns ``context``, ``token_id``, ``mean_cents``, ``sd_cents``, ``n``; the contexts in their order.
    """
    value = pl.col("value_cents")
    return tidy.group_by("context", "token_id", maintain_order=True).agg(
        mean_cents=value.mean().round(4), sd_cents=value.std().round(4), n=pl.len().cast(pl.Int64)
    )


def neighbours_mean(
    values: FloatArray, speakers: NDArray[np.int64], listeners: NDArray[np.int64], which: BoolArray
) -> FloatArray:
    """The mean of what an agent's neighbours believe, of those ties that are chosen; its own belief where it has none.

    Args:
        values: float64, shape (agents, tokens).
        speakers: who is heard on each tie, shape (ties,).
        listeners: who hears, as speakers.
        which: the ties that count, shape (ties,).
    """
    total, count = np.zeros_like(values), np.zeros(len(values))
    np.add.at(total, listeners[which], values[speakers[which]])
    np.add.at(count, listeners[which], 1.0)
    return np.where(count[:, None] > 0, total / np.maximum(count, 1)[:, None], values)
