"""Writes a simulation into its run as it goes: rows of tables, some ticks at once, and probes."""

from __future__ import annotations

import polars as pl

import runbundle as rb
from crv.engine.contract import ArtifactId, TableId
from crv.engine.rows import Rows
from crv.engine.simulation import Society, Tick
from crv.lab.probes import probe
from crv.world.tokens import TOKEN_IDS


class Recorder:
    """Takes ticks, and appends what they gave to the tables of a run, ``append_every`` ticks at once.

    What was appended is kept, whatever happens to the process; ticks that were taken and not appended are lost with it.
    """

    def __init__(self, run: rb.RunIO, society: Society) -> None:
        self._run = run
        self._society = society
        self._rows = Rows(society.network)
        self._ticks: list[Tick] = []
        self._slow: dict[TableId, list[pl.DataFrame]] = {TableId.HOLDINGS: [], TableId.IDENTITY_EDGES: []}

    def begin(self) -> None:
        """Write what does not change: the network, and what the minds began with."""
        minds = self._society.minds
        self._run.write(ArtifactId.NETWORK, self._society.network.document())
        self._run.write(ArtifactId.MINDS, {"tastes": minds.tastes, "insights": minds.insights, "trends": minds.trends})

    def take(self, tick: Tick) -> None:
        """One more tick."""
        settings = self._society.settings
        is_last = tick.number == settings.ticks
        self._ticks.append(tick)
        if tick.number % settings.holdings_every == 0 or is_last:
            self._slow[TableId.HOLDINGS].append(self._rows.holdings(tick))
        if tick.number % settings.probe_every == 0 or is_last:
            self._slow[TableId.IDENTITY_EDGES].append(self._rows.identity_edges(tick))
            self._probe(tick)
        if len(self._ticks) == settings.append_every or is_last:
            self._append()

    def _append(self) -> None:
        for name, frame in self._rows.of(self._ticks).items():
            self._run.append(name, frame)
        for name, frames in self._slow.items():
            if frames:
                self._run.append(name, pl.concat(frames))
                frames.clear()
        self._ticks.clear()

    def _probe(self, tick: Tick) -> None:
        wealth = tick.holdings[:, :-1] @ tick.prices + tick.holdings[:, -1]
        found = probe(
            tick.number, TOKEN_IDS, tick.values, tick.prices, tick.worths, self._society.network.groups, wealth
        )
        # by its id: a bare path does not say that a part of the name is a variant
        self._run.write(ArtifactId.PROBE, found, variant=f"{tick.number:06d}")
