"""What the rows of each table are. A ``?`` marks what may be left out or null; ``bucket`` and ``tick`` are in each."""

from __future__ import annotations

from crv.core.grammar import BUCKET, TICK, TableDescriptor, TableName
from crv.core.versioning import SCHEMA_V

__all__ = [
    "DECISIONS_DESC",
    "EXCHANGE_DESC",
    "HOLDINGS_DESC",
    "HOLDINGS_VALUATION_DESC",
    "IDENTITY_EDGES_DESC",
    "MESSAGES_DESC",
    "ORACLE_CALLS_DESC",
    "SCENARIOS_SEEN_DESC",
    "TableDescriptor",
    "get_table",
    "list_tables",
]


def _described(name: TableName, columns: str) -> TableDescriptor:
    marked = {BUCKET: "i64", TICK: "i64"} | dict(column.split(":") for column in columns.split())
    return TableDescriptor(
        name=name,
        columns={column: dtype.rstrip("?") for column, dtype in marked.items()},
        partitioning=[BUCKET],
        required=[column for column, dtype in marked.items() if not dtype.endswith("?")],
        nullable=[column for column, dtype in marked.items() if dtype.endswith("?")],
        version=SCHEMA_V,
    )


EXCHANGE_DESC = _described(
    TableName.EXCHANGE,
    """
    venue_id:str token_id:str exchange_event_type:str side:str? quantity:f64? price:f64?
    actor_agent_id:str? counterparty_agent_id:str? baseline_value:f64? additional_payload:struct
    """,
)
IDENTITY_EDGES_DESC = _described(
    TableName.IDENTITY_EDGES,
    """
    observer_agent_id:str edge_kind:str subject_id:str? object_id:str? related_agent_id:str? token_id:str?
    edge_weight:f64 edge_sign:i64?
    """,
)
SCENARIOS_SEEN_DESC = _described(
    TableName.SCENARIOS_SEEN,
    """
    observer_agent_id:str token_id:str? owner_status:str? peer_alignment_label:str? group_label:str?
    visibility_scope:str? channel_name:str? salient_agent_pairs:list[struct] exchange_snapshot:struct
    recent_affect_index:f64? salient_other_agent_id:str? context_hash:str
    """,
)
MESSAGES_DESC = _described(
    TableName.MESSAGES,
    """
    sender_agent_id:str channel_name:str visibility_scope:str audience:struct speech_act:str topic_label:str
    stance_label:str? claims:struct style:struct
    """,
)
DECISIONS_DESC = _described(
    TableName.DECISIONS,
    "agent_id:str chosen_action:struct action_candidates:list[struct] token_value_estimates:struct",
)
ORACLE_CALLS_DESC = _described(  # cache_hit is 0 or 1
    TableName.ORACLE_CALLS,
    """
    agent_id:str engine:str signature_id:str persona_id:str persona_hash:str representation_hash:str
    context_hash:str value_json:str latency_ms:i64 cache_hit:i64 n_tool_calls:i64 tool_seq:struct
    """,
)
HOLDINGS_DESC = _described(TableName.HOLDINGS, "agent_id:str token_id:str quantity:i64")
HOLDINGS_VALUATION_DESC = _described(
    TableName.HOLDINGS_VALUATION,
    """
    agent_id:str token_id:str quantity:i64 avg_unit_cost:f64? cost_value:f64? mark_price:f64? mark_value:f64?
    realized_pnl:f64? unrealized_pnl:f64? price_source:str? accounting_method:str?
    """,
)

_TABLES = {
    described.name: described
    for described in (
        EXCHANGE_DESC,
        IDENTITY_EDGES_DESC,
        SCENARIOS_SEEN_DESC,
        MESSAGES_DESC,
        DECISIONS_DESC,
        ORACLE_CALLS_DESC,
        HOLDINGS_DESC,
        HOLDINGS_VALUATION_DESC,
    )
}


def get_table(name: TableName | str) -> TableDescriptor:
    """The description of a table, by its name.

    Raises:
        KeyError: there is no table of that name.
    """
    try:
        return _TABLES[TableName(name)]
    except ValueError:
        raise KeyError(f"no table is named {name!r}; there are {', '.join(_TABLES)}") from None


def list_tables() -> list[TableDescriptor]:
    """The descriptions of all tables."""
    return list(_TABLES.values())
