"""Schemas of artifacts, checked at the write against facts about the value.

Three forms, by what the format can tell of a value:

``{"document": <JSON Schema>}``
    for json and yaml; JSON Schema 2020-12, checked by the jsonschema package.
``{"arrays": {name: {"dtype", "shape", "min", "max", "unit"}}}``
    for npz, and with the one name ``image`` for png, mask and jpeg. ``shape`` is a list of lengths; null leaves a
    length open, text stands for a length that must be the same wherever the text stands.
``{"columns": {name: {"dtype", "min", "max", "unit", "nullable", "required"}}}``
    for csv and parquet. ``nullable`` and ``required`` are true unless said.

``unit`` is for readers: it is kept, and not checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from runbundle.base.errors import ContractError, InvalidValue, MissingExtra


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_shape(value: Any) -> bool:
    return isinstance(value, list) and all(type(length) in (int, str, type(None)) for length in value)


_RANGED = {"dtype": _is_text, "min": _is_number, "max": _is_number, "unit": _is_text}
_RULES = {
    "arrays": {**_RANGED, "shape": _is_shape},
    "columns": {**_RANGED, "nullable": _is_flag, "required": _is_flag},
}
_SHOWN = 5


def check_schema(schema: Mapping[str, Any], *, what: str) -> None:
    """Whether a schema is one of the three forms.

    Raises:
        ContractError: it is not.
    """
    if len(schema) != 1 or next(iter(schema)) not in ("document", *_RULES):
        raise ContractError(f"The schema of {what} must have one of the keys document, arrays, columns")
    ((form, rules),) = schema.items()
    if not isinstance(rules, Mapping):
        raise ContractError(f"The schema of {what} must map {form} to an object")
    for name, rule in rules.items() if form in _RULES else ():
        unknown = set(rule) - set(_RULES[form]) if isinstance(rule, Mapping) else {"(no object)"}
        if unknown:
            raise ContractError(f"The schema of {what} has unknown rules for {name!r}: {sorted(unknown)}")
        wrong = sorted(key for key, value in rule.items() if not _RULES[form][key](value))
        if wrong:
            raise ContractError(f"The schema of {what} has rules for {name!r} that are of the wrong type: {wrong}")


def check_facts(schema: Mapping[str, Any], facts: Mapping[str, Any], *, what: str) -> None:
    """Whether a value, by the facts its format told of it, is as the schema says.

    Raises:
        InvalidValue: it is not; the message has the first few faults, each with its place.
        ContractError: the format cannot tell what the schema asks, or the schema is no JSON Schema.
        MissingExtra: a JSON Schema is to be checked and jsonschema is not installed.
    """
    ((form, rules),) = schema.items()
    if form not in facts:
        raise ContractError(
            f"The schema of {what} speaks of {form}, which its format does not have",
            hint="Take the key that tells of what the format holds, or another format",
        )
    if form == "document":
        faults = _document_faults(rules, facts["document"], what)
    elif form == "arrays":
        faults = _array_faults(rules, facts["arrays"])
    else:
        faults = _column_faults(rules, facts["columns"])
    found = list(faults)
    if found:
        more = f" (and {len(found) - _SHOWN} more)" if len(found) > _SHOWN else ""
        raise InvalidValue(f"{what} is not as its schema says: {'; '.join(found[:_SHOWN])}{more}")


def _document_faults(rules: Mapping[str, Any], document: Any, what: str) -> Iterator[str]:
    try:
        from jsonschema import Draft202012Validator, SchemaError  # noqa: PLC0415 - 140 ms that most runs need not pay
        from referencing import Registry  # noqa: PLC0415
        from referencing.exceptions import Unresolvable  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtra(
            "jsonschema is needed to check a JSON Schema", hint='Install it: pip install "runbundle[schema]"'
        ) from error
    try:
        Draft202012Validator.check_schema(rules)
        # an empty registry: what a schema refers to stands in it, and nothing is fetched
        for fault in Draft202012Validator(rules, registry=Registry()).iter_errors(document):
            yield f"{fault.json_path}: {fault.message[:200]}"
    except (SchemaError, Unresolvable) as error:
        raise ContractError(f"The schema of {what} is no JSON Schema: {str(error).splitlines()[0][:200]}") from error


def _array_faults(rules: Mapping[str, Any], arrays: Mapping[str, Any]) -> Iterator[str]:
    lengths: dict[str, int] = {}
    for name, rule in rules.items():
        if name not in arrays:
            yield f"the array {name!r} is missing"
            continue
        fact = arrays[name]
        yield from _value_faults(f"array {name!r}", rule, fact)
        if "shape" in rule and not _fits(rule["shape"], fact["shape"], lengths):
            yield f"array {name!r} has shape {fact['shape']}, not {rule['shape']}"


def _fits(wanted: list[Any], shape: list[int], lengths: dict[str, int]) -> bool:
    if len(wanted) != len(shape):
        return False
    return all(
        length is None or (lengths.setdefault(length, found) == found if isinstance(length, str) else length == found)
        for length, found in zip(wanted, shape, strict=True)
    )


def _column_faults(rules: Mapping[str, Any], columns: Mapping[str, Any]) -> Iterator[str]:
    for name, rule in rules.items():
        if name not in columns:
            if rule.get("required", True):
                yield f"the column {name!r} is missing"
            continue
        yield from _value_faults(f"column {name!r}", rule, columns[name])
        empty = columns[name]["nulls"]
        if not rule.get("nullable", True) and empty:
            yield f"column {name!r} has {empty} empty cell{'s' * (empty != 1)}"


def _value_faults(place: str, rule: Mapping[str, Any], fact: Mapping[str, Any]) -> Iterator[str]:
    if "dtype" in rule and fact["dtype"] != rule["dtype"]:
        yield f"{place} is {fact['dtype']}, not {rule['dtype']}"
    # written so that NaN, which compares false with everything, is out of range
    if "min" in rule and fact["min"] is not None and not fact["min"] >= rule["min"]:
        yield f"{place} goes down to {fact['min']}, below {rule['min']}"
    if "max" in rule and fact["max"] is not None and not fact["max"] <= rule["max"]:
        yield f"{place} goes up to {fact['max']}, above {rule['max']}"
