"""What a simulation must leave behind: the project, its contract and where things lie."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Any

import runbundle as rb
from crv import __version__
from crv.core.tables import get_table
from crv.core.versioning import SCHEMA_V
from crv.engine import schemas
from crv.io.config import IoSettings
from crv.io.tables import column_rules
from crv.world.tokens import TOKEN_IDS

BUCKET_TICKS = 100


class StageName(StrEnum):
    """The steps of a simulation, in order."""

    SIMULATE = "simulate"
    SURVEY = "survey"
    AUDIT = "audit"
    FIGURES = "figures"


class TableId(StrEnum):
    """The tables, as their names are everywhere."""

    EVENTS = "world/events"
    HOLDINGS = "world/holdings"
    EXCHANGE = "world/exchange"
    MESSAGES = "world/messages"
    IDENTITY_EDGES = "world/identity_edges"
    VALUATIONS = "mind/valuations"
    DECISIONS = "mind/decisions"
    ORACLE_CALLS = "mind/oracle_calls"


class ArtifactId(StrEnum):
    """What else a run may hold."""

    NETWORK = "network"
    MINDS = "minds"
    PROBE = "probe"
    SURVEY = "survey"
    POLICY = "policy"
    ORACLE_ERROR = "oracle_error"
    ORACLE_ERROR_BY_TICK = "oracle_error_by_tick"
    CONSERVATION = "conservation"
    BOUNDS = "bounds"
    VIOLATION = "violation"
    TABLES = "tables"
    OVERVIEW = "overview"


LAYOUT = rb.Layout(
    name="lab",
    run_folder="runs/{run_id}",
    run_id="crv_%Y%m%d_%H%M%S_{random8}",
    folders={
        "world": "tables",
        "mind": "tables",
        "world_files": "artifacts/world",
        "mind_files": "artifacts/mind",
        **{kind: f"artifacts/lab/{kind}" for kind in ("tidy", "policy", "probes", "audit")},
        "figures": "artifacts/figures",
    },
    extras_folder="artifacts",
    precreate=("artifacts", "logs"),
)

_DESCRIPTIONS = {
    TableId.EVENTS: "What the exchange cleared: of each tick and token the price, the units and the number of trades",
    TableId.HOLDINGS: "What each agent holds: units of tokens, and cents of money; every few ticks",
    TableId.EXCHANGE: "Every trade",
    TableId.MESSAGES: "Every message: who told its neighbours what a token is worth",
    TableId.IDENTITY_EDGES: "How far agents trust those they hear; at the beginning and with each probe",
    TableId.VALUATIONS: "What each agent holds each token to be worth, after each tick",
    TableId.DECISIONS: "What agents that looked for a trade chose, and out of what",
    TableId.ORACLE_CALLS: "What the oracle said that tokens are worth, at each tick",
}


def columns_of(table: TableId) -> dict[str, dict[str, Any]]:
    """The rules of a table's columns: those of the grammar where it has the table."""
    if table in schemas.OWN_COLUMNS:
        return dict(schemas.OWN_COLUMNS[table])
    return column_rules(get_table(table.partition("/")[2]))


_MAY_BE_EMPTY = (TableId.EXCHANGE, TableId.MESSAGES, TableId.DECISIONS)


def _table(table: TableId) -> rb.ArtifactSpec:
    kind, _, suffix = table.partition("/")
    return rb.ArtifactSpec(
        *(suffix, kind, suffix, ".parquet", "parquet", StageName.SIMULATE),
        required=rb.Required.OPTIONAL if table in _MAY_BE_EMPTY else rb.Required.ALWAYS,
        description=_DESCRIPTIONS[table],
        schema={"columns": columns_of(table)},
        table=rb.TableSpec(bucket_by="tick", bucket_size=BUCKET_TICKS, is_strict=True, schema_version=str(SCHEMA_V)),
    )


_OPTIONAL, _IF_PASSED = rb.Required.OPTIONAL, rb.Required.IF_PASSED
_Id, _Stage, _Spec = ArtifactId, StageName, rb.ArtifactSpec

_FILES = (
    _Spec(
        *(_Id.NETWORK, "world_files", "network", ".json", "json", _Stage.SIMULATE),
        description="The agents, their groups, and who is tied to whom",
    ),
    _Spec(
        *(_Id.MINDS, "mind_files", "minds", ".npz", "npz", _Stage.SIMULATE),
        description="What the minds began with: tastes, insight, and how they follow a trend",
        schema={
            "arrays": {
                "tastes": {"dtype": "float64", "shape": ["agents", len(TOKEN_IDS)]},
                "insights": {"dtype": "float64", "shape": ["agents"], "min": 0},
                "trends": {"dtype": "float64", "shape": ["agents"], "min": 0},
            }
        },
    ),
    _Spec(
        *(_Id.PROBE, "probes", "probe", ".json", "json", _Stage.SIMULATE),
        description="The state of things, every so many ticks",
        schema={"document": schemas.PROBE},
    ),
    _Spec(
        *(_Id.SURVEY, "tidy", "survey", ".parquet", "parquet", _Stage.SURVEY),
        is_deliverable=True,
        description="What each agent answered in each context",
        schema={
            "columns": {
                **dict.fromkeys(("agent_id", "group_label", "context", "token_id"), schemas.TEXT),
                "value_cents": schemas.CENTS,
            }
        },
    ),
    _Spec(
        *(_Id.POLICY, "policy", "policy", ".parquet", "parquet", _Stage.SURVEY),
        is_deliverable=True,
        description="What a token is worth in a context: mean, standard deviation, and how many answered",
        schema={
            "columns": {
                **dict.fromkeys(("context", "token_id"), schemas.TEXT),
                **dict.fromkeys(("mean_cents", "sd_cents"), schemas.CENTS),
                "n": {**schemas.WHOLE, "min": 1},
            }
        },
    ),
    _Spec(
        *(_Id.ORACLE_ERROR, "audit", "oracle_error", ".json", "json", _Stage.AUDIT),
        is_deliverable=True,
        description="How far minds are from the oracle: mean absolute error, overall and of each token",
        schema={"document": schemas.ORACLE_ERROR},
    ),
    _Spec(
        *(_Id.ORACLE_ERROR_BY_TICK, "audit", "oracle_error", ".parquet", "parquet", _Stage.AUDIT),
        description="The same at each tick",
        schema={
            "columns": {
                "tick": schemas.WHOLE,
                "token_id": schemas.TEXT,
                **dict.fromkeys(("mean_cents", "oracle_cents", "mae_cents"), schemas.CENTS),
                "n": {**schemas.WHOLE, "min": 1},
            }
        },
    ),
    _Spec(
        *(_Id.CONSERVATION, "audit", "conservation", ".json", "json", _Stage.AUDIT),
        is_deliverable=True,
        description="Tokens and money are conserved, and every change of holdings is a trade",
        schema=schemas.audit(ticks={"type": "integer", "minimum": 2}, trades={"type": "integer", "minimum": 0}),
    ),
    _Spec(
        *(_Id.BOUNDS, "audit", "bounds", ".json", "json", _Stage.AUDIT),
        is_deliverable=True,
        description="All valuations are in their range",
        schema=schemas.audit(valuations={"type": "integer", "minimum": 1}),
    ),
    _Spec(
        *(_Id.VIOLATION, "audit", "violation", ".json", "json", _Stage.AUDIT, _OPTIONAL),
        description="What an audit found that must not be; variant: the audit",
        schema={"document": schemas.VIOLATION},
    ),
    _Spec(
        *(_Id.TABLES, "audit", "tables", ".json", "json", _Stage.AUDIT),
        description="Of each table its rows and the hash of its content, however that is cut into parts",
        schema={"document": schemas.DIGESTS},
    ),
    _Spec(
        *(_Id.OVERVIEW, "figures", "overview", ".png", "png", _Stage.FIGURES, _IF_PASSED),
        is_deliverable=True,
        description="What happened, in six panels",
    ),
)

CONTRACT = rb.Contract(
    name="crv",
    version="1",
    layout=LAYOUT,
    artifacts=(*map(_table, TableId), *_FILES),
    stages=(
        rb.StageSpec(_Stage.SIMULATE),
        rb.StageSpec(_Stage.SURVEY, needs=(_Stage.SIMULATE,)),
        rb.StageSpec(_Stage.AUDIT, needs=(_Stage.SIMULATE,)),
        rb.StageSpec(_Stage.FIGURES, needs=(_Stage.SIMULATE,)),
    ),
    allow_extras=True,
)


def project(store: str | Path | None = None) -> rb.Project:
    """The simulation lab as a project of a store."""
    return rb.Project("crv", store=store, contract=CONTRACT, facts={"crv_version": __version__})


def bundle_settings(run: rb.RunIO) -> IoSettings:
    """The settings by which ``crv.io`` finds an open run of this project, and reads its tables as they were cut."""
    return IoSettings(root_dir=str(run.path.parents[1]), tick_bucket_size=BUCKET_TICKS)
