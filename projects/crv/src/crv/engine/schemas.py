"""What the documents and tables of a run must be: JSON Schemas, and rules of columns."""

from __future__ import annotations

from typing import Any

from crv.world.tokens import TOKEN_IDS

TEXT, WHOLE = {"dtype": "string", "nullable": False}, {"dtype": "int64", "nullable": False}
CENTS = {"dtype": "float64", "nullable": False, "min": 0, "unit": "cents"}
OWN_COLUMNS: dict[str, dict[str, dict[str, Any]]] = {
    "world/events": {
        "tick": WHOLE,
        "event_type": TEXT,
        "token_id": TEXT,
        "price_cents": {**WHOLE, "min": 1, "unit": "cents"},
        "volume": {**WHOLE, "min": 0, "unit": "units"},
        "trades": {**WHOLE, "min": 0},
    },
    "mind/valuations": {
        "tick": WHOLE,
        "agent_id": TEXT,
        "group_label": TEXT,
        "token_id": TEXT,
        "value_cents": {"dtype": "float64", "nullable": False, "unit": "cents"},
    },
}


def audit(**more: Any) -> dict[str, Any]:
    """The schema of an audit's document: one that was violated cannot be written as it, and so the stage lacks it."""
    properties = {"audit": {"type": "string"}, "passed": {"const": True}, "violations_total": {"const": 0}, **more}
    return {"document": {"type": "object", "required": list(properties), "properties": properties}}


VIOLATION = {
    "type": "object",
    "required": ["audit", "passed", "violations", "violations_total"],
    "properties": {
        "passed": {"const": False},
        "violations": {"type": "array"},
        "violations_total": {"type": "integer", "minimum": 1},
    },
}
_NUMBER = {"type": "number", "minimum": 0}
PROBE = {
    "type": "object",
    "required": ["tick", "tokens", "wealth_gini"],
    "properties": {
        "tick": {"type": "integer", "minimum": 0},
        "tokens": {"type": "object", "required": list(TOKEN_IDS)},
        "wealth_gini": _NUMBER,
    },
}
_ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["mae_cents", "mae_relative", "n"],
    "properties": {"mae_cents": _NUMBER, "mae_relative": _NUMBER},
}
ORACLE_ERROR = {**_ERROR, "properties": {**_ERROR["properties"], "tokens": {"additionalProperties": _ERROR}}}
DIGESTS = {
    "type": "object",
    "minProperties": 1,
    "additionalProperties": {
        "type": "object",
        "required": ["rows", "content_sha256"],
        "properties": {"rows": {"type": "integer"}, "content_sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"}},
    },
}
