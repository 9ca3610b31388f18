"""One simulation, one run: complete, audited from its own tables, drawn and sealed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import runbundle as rb
from crv.engine.contract import ArtifactId, StageName, TableId, bundle_settings, project
from crv.engine.recorder import Recorder
from crv.engine.report import told_of
from crv.engine.settings import Settings
from crv.engine.simulation import Society, found, ticks
from crv.engine.tables import tables_of
from crv.lab import audits, figures
from crv.lab.io_helpers import write_audit, write_policy, write_tidy
from crv.lab.oracle import oracle_error
from crv.lab.survey import Respondents, neighbours_mean, policy, survey
from crv.world.exchange import Exchange
from crv.world.tokens import MONEY, TOKEN_IDS

Progress = Callable[[str, int, int], None]
_TOLD_EVERY = 10


@dataclass(frozen=True, slots=True)
class Simulated:
    """What came of a simulation.

    Attributes:
        run_dir: the run's folder. run_id: its id. root_digest: the SHA-256 of its seal.
        settings: what was asked for.
        summary: the run's final scalars, by name.
    """

    run_dir: str
    run_id: str
    root_digest: str
    settings: Settings
    summary: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The result as a JSON object."""
        return dataclasses.asdict(self)


def simulate(
    settings: Settings,
    store: str | Path | None = None,
    *,
    is_drawn: bool = True,
    exchange: Exchange | None = None,
    progress: Progress = lambda *_: None,
) -> Simulated:
    """Simulate into a run of its own, held to the contract.

    Args:
        settings: what is asked for.
        store: where the run lies; as ``rb.Project``.
        is_drawn: whether the picture is made.
        exchange: another exchange than the simulation's own.
        progress: told what is being done, how much of it is, and of how much.

    Raises:
        ContractUnmet: an audit found what must not be, and is named; the run is there, sealed as failed, and tells it.
        InvalidValue, UnavailableError: the store is a file, or cannot be written.
    """
    with project(store).start(settings) as run:
        society = found(settings, exchange)
        with run.stage(StageName.SIMULATE):
            record(run, society, progress)
        with run.stage(StageName.SURVEY):
            ask(run, society)
        with run.stage(StageName.AUDIT):
            audit(run, settings, progress)
        if is_drawn:
            with run.stage(StageName.FIGURES):
                progress("drawing", 0, 1)
                figure = figures.overview(told_of(rb.open_run(run.path)))
                run.write(ArtifactId.OVERVIEW, figures.pixels(figure))
        else:
            run.skip(StageName.FIGURES, "it was not asked for")
    done = rb.open_run(run.path)
    return Simulated(str(run.path), run.run_id, str(run.root_digest), settings, dict(done.summary))


def record(run: rb.RunIO, society: Society, progress: Progress) -> None:
    """Go through all ticks, and leave tables, probes and metrics of them."""
    recorder, total = Recorder(run, society), society.settings.ticks
    recorder.begin()
    for tick in ticks(society):
        recorder.take(tick)
        prices = {f"price/{token_id}": int(price) for token_id, price in zip(TOKEN_IDS, tick.prices, strict=True)}
        run.log({**prices, "trades": len(tick.trades), "messages": len(tick.said.speakers)}, step=tick.number)
        if tick.number % _TOLD_EVERY == 0:
            progress("simulating", tick.number, total)
    progress("merging parts", 0, 1)
    run.compact()


def ask(run: rb.RunIO, society: Society) -> None:
    """Survey the agents as the simulation left them."""
    network, ties, values = society.network, society.ties, society.values()
    own, others = (
        neighbours_mean(values, ties.speakers, ties.listeners, which) for which in (ties.is_within, ~ties.is_within)
    )
    respondents = Respondents(network.agent_ids, network.group_labels, TOKEN_IDS, values, own, others)
    tidy = survey(society.survey_rng, respondents)
    settings = bundle_settings(run)
    write_tidy(settings, run.run_id, tidy, f"{ArtifactId.SURVEY}.parquet")
    write_policy(settings, run.run_id, policy(tidy), f"{ArtifactId.POLICY}.parquet")


def audit(run: rb.RunIO, settings: Settings, progress: Progress) -> None:
    """Hold the tables, as they were written, against what must be true of them, and the minds against the oracle.

    Raises:
        ContractUnmet: something is not as it must be; all audits were made, and what they found is written.
    """
    progress("auditing", 0, 1)
    done = rb.open_run(run.path)
    tables = tables_of(done)
    content = {
        name: {"rows": table.rows, "content_sha256": done.content_sha256(name)}
        for name, table in sorted(done.tables.items())
    }
    place = bundle_settings(run), run.run_id
    write_audit(*place, content, f"{ArtifactId.TABLES}.json")
    document, by_tick = oracle_error(tables[TableId.VALUATIONS], tables[TableId.ORACLE_CALLS], list(TOKEN_IDS))
    write_audit(*place, document, f"{ArtifactId.ORACLE_ERROR}.json")
    write_audit(*place, by_tick, f"{ArtifactId.ORACLE_ERROR}.parquet")
    _tell(run, document, int(by_tick["tick"].n_unique()))
    verdicts = {
        ArtifactId.CONSERVATION: audits.conservation(tables[TableId.HOLDINGS], tables[TableId.EXCHANGE], MONEY),
        ArtifactId.BOUNDS: audits.bounds(tables[TableId.VALUATIONS], settings.mind.low_cents, settings.mind.high_cents),
    }
    for artifact_id, verdict in verdicts.items():
        if verdict["passed"]:
            write_audit(*place, verdict, f"{artifact_id}.json")
        else:  # by its id: a bare path does not say that a part of the name is a variant
            run.write(ArtifactId.VIOLATION, verdict, variant=artifact_id)
    _refuse([verdict for verdict in verdicts.values() if not verdict["passed"]], run)


def _refuse(violated: list[dict[str, Any]], run: rb.RunIO) -> None:
    if violated:
        said = "; ".join(f"the audit {one['audit']} was violated {one['violations_total']} times" for one in violated)
        raise rb.errors.ContractUnmet(
            f"{said[0].upper()}{said[1:]}",
            hint=f"Each is told in {run.path}/artifacts/lab/audit/violation_*.json",
            run=run.run_id,
            artifact=str(violated[0]["audit"]),
        )


def _tell(run: rb.RunIO, error: dict[str, Any], ticks_seen: int) -> None:
    run.summary["ticks"] = ticks_seen - 1
    run.summary["mae_cents"] = error["mae_cents"]
    run.summary["mae_relative"] = error["mae_relative"]
    for token_id in TOKEN_IDS:
        run.summary[f"mae_relative_{token_id}"] = error["tokens"][token_id]["mae_relative"]
