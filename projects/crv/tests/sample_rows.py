"""Rows for the tables of tests."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from crv.io.dataset import Dataset


def edges(ticks: Sequence[int], observer: str = "A") -> pl.DataFrame:
    """Rows of ``identity_edges`` with its required columns only."""
    return pl.DataFrame(
        {
            "tick": list(ticks),
            "observer_agent_id": [observer] * len(ticks),
            "edge_kind": ["self_to_object"] * len(ticks),
            "edge_weight": [float(tick) for tick in ticks],
        },
        schema={"tick": pl.Int64, "observer_agent_id": pl.String, "edge_kind": pl.String, "edge_weight": pl.Float64},
    )


def exchange(ticks: Sequence[int]) -> pl.DataFrame:
    """Rows of ``exchange`` with its required columns only."""
    count = len(ticks)
    return pl.DataFrame(
        {
            "tick": list(ticks),
            "venue_id": ["central"] * count,
            "token_id": ["0"] * count,
            "exchange_event_type": ["trade"] * count,
            "additional_payload": [{"legs": 1}] * count,
        }
    )


def append_some(dataset: Dataset, writer: int) -> int:
    """Append 100 rows of a writer by five appends; returns how many that were."""
    frames = [edges(range(tick, tick + 20), f"w{writer}") for tick in range(0, 100, 20)]
    return sum(int(dataset.append("identity_edges", frame)["rows"]) for frame in frames)
