"""Rosters: one document that lists all artifacts of a spec, a variant each, with their facts.

A spec that has one (a frame of a series, a tile of a map) is written once a variant, and its facts stand in each record
at once. The roster is a projection of the records in force, as the manifest is one of the log.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from runbundle.base.errors import ContractError, InvalidValue
from runbundle.base.ids import check_identifier, check_token, plain
from runbundle.contract.record import ArtifactRecord

SCHEMA_VERSION = 1
_OWN_HEADINGS = ("schema_version", "contract_version")
_OWN_NAMES = ("contract_version", "file")


def _is_number(value: Any) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer that no float is near to: no reader could take it for a number
        return False


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_time(value: Any) -> bool:
    if not isinstance(value, str):
        return _is_number(value)
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _is_row(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 3 and all(map(_is_number, value))


def _is_matrix(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 3 and all(map(_is_row, value))


_RULES: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "number": ("a finite number", _is_number),
    "text": ("text that says something", _is_text),
    "time": ("a finite number or an ISO-8601 time", _is_time),
    "matrix_3x3": ("three rows of three finite numbers", _is_matrix),
}


@dataclass(frozen=True, slots=True)
class RosterSpec:
    """What a roster is called, and which facts each of its entries must tell.

    The document is ``{"schema_version", "contract_version", <entries>: [{<key>, "file", "contract_version", ...}]}``.

    Attributes:
        artifact_id: its id; a contract that declares the members' spec declares it as well.
        suffix: its part of the file name; it lies beside its members, as ``.json``.
        entries: what the document calls the list.
        key: what an entry calls its variant.
        contract_version: the version of what the entries promise; told in the document and in each entry.
        facts: name to rule: ``number``, ``text``, ``time`` or ``matrix_3x3``. Names parted by ``|`` are alternatives,
            of which an entry has exactly one, with their rules likewise: ``{"pose|pose_ref": "matrix_3x3|text"}``.

    Raises:
        ContractError, InvalidName: a name that cannot be taken, or a rule that there is not.
    """

    artifact_id: str
    suffix: str
    entries: str = "entries"
    key: str = "variant"
    contract_version: str = "1"
    facts: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for name in ("artifact_id", "suffix", "entries", "key", "contract_version"):
            object.__setattr__(self, name, plain(getattr(self, name)))
        check_identifier(self.artifact_id, what="artifact_id")
        check_token(self.suffix, what=f"the suffix of {self.artifact_id}")
        if not _is_text(self.contract_version):
            raise ContractError(f"The contract_version of {self.artifact_id} must be text, not empty")
        object.__setattr__(self, "facts", dict(self.facts))
        alternatives = [name.split("|") for name in self.facts]
        for name, rule in self.facts.items():
            rules = rule.split("|") if isinstance(rule, str) else [repr(rule)]
            if len(rules) != name.count("|") + 1 or not set(rules) <= _RULES.keys():
                raise ContractError(f"{name!r} in {self.artifact_id} has the rule {rule!r}, not of {sorted(_RULES)}")
        names = [self.key, *_OWN_NAMES, *(name for group in alternatives for name in group)]
        for name in (self.entries, *names):
            check_identifier(name, what=f"a name in {self.artifact_id}")
        if len(set(names)) < len(names) or self.entries in _OWN_HEADINGS:
            raise ContractError(f"A name in {self.artifact_id} is used twice", hint=f"{_OWN_NAMES} are the library's")

    def check_facts(self, facts: Mapping[str, Any]) -> None:
        """Whether the meta of a member tells what it must.

        Raises:
            InvalidValue: it lacks a fact or tells one wrongly; all faults are named.
        """
        faults = [f"{name!r} is the library's" for name in (self.key, *_OWN_NAMES) if name in facts]
        for names, rules in self.facts.items():
            faults += _faults(dict(zip(names.split("|"), rules.split("|"), strict=True)), facts)
        if faults:
            raise InvalidValue(
                f"The facts for {self.artifact_id} are not as they must be: {'; '.join(faults)}",
                hint="They are told by meta=, or by the arguments of the call",
            )


def _faults(rules: Mapping[str, str], facts: Mapping[str, Any]) -> list[str]:
    given = [name for name in rules if name in facts]
    if len(given) != 1:
        return [f"{' or '.join(rules)} is missing" if not given else f"{' and '.join(given)} exclude each other"]
    told, is_so = _RULES[rules[given[0]]]
    value = facts[given[0]]
    return [] if is_so(value) else [f"{given[0]} is {str(value)[:80]!r}, not {told}"]


def entry_of(record: ArtifactRecord) -> dict[str, Any]:
    """What a roster says of one of its members (docs/format.md, section 3.4)."""
    roster = record.roster or {}
    return {
        **record.meta,
        str(roster["key"]): record.variant,
        "file": record.filename.rpartition("/")[2],
        "contract_version": roster["contract_version"],
    }


def roster_document(roster: Mapping[str, Any], members: Iterable[ArtifactRecord]) -> dict[str, Any]:
    """The document that lists these records in force: numbers first, by their value, then texts."""
    return {
        "schema_version": SCHEMA_VERSION,
        "contract_version": roster["contract_version"],
        roster["entries"]: [entry_of(record) for record in sorted(members, key=_place)],
    }


def _place(record: ArtifactRecord) -> tuple[bool, int, str]:
    variant = record.variant or ""
    is_number = variant.isascii() and variant.isdigit()
    return not is_number, len(variant.lstrip("0")) if is_number else 0, variant
