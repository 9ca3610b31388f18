"""A contract as JSON (``contract.json`` in each run) and as YAML; both come back equal."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from runbundle.base.errors import (
    ContractError,
    DecodeError,
    InvalidType,
    RunbundleError,
    UnsupportedVersion,
)
from runbundle.contract.comparison import Comparison
from runbundle.contract.contract import Contract
from runbundle.contract.layout import Layout
from runbundle.contract.model import ModelSpec
from runbundle.contract.roster import RosterSpec
from runbundle.contract.spec import ArtifactSpec, StageSpec
from runbundle.contract.table import TableSpec

SCHEMA_VERSION = 1
# what a spec may have besides: readers that do not know it are not shown what is not there
_PARTS: Mapping[str, type[Any]] = {"roster": RosterSpec, "model": ModelSpec, "compare": Comparison, "table": TableSpec}

_T = TypeVar("_T")


def to_mapping(contract: Contract) -> dict[str, Any]:
    """The contract as a JSON object (docs/format.md, section 5)."""
    layout = dataclasses.asdict(contract.layout)
    return {
        "schema_version": SCHEMA_VERSION,
        "name": contract.name,
        "version": contract.version,
        "allow_extras": contract.allow_extras,
        "formats": None if contract.formats is None else sorted(contract.formats),
        "layout": {**layout, "precreate": list(layout["precreate"])},
        "stages": [{"stage": s.stage, "needs": list(s.needs), "always": s.always} for s in contract.stages],
        "artifacts": [_spec_mapping(spec) for spec in contract.artifacts],
    }


def _spec_mapping(spec: ArtifactSpec) -> dict[str, Any]:
    mapping = {**dataclasses.asdict(spec), "required": spec.required.value}
    if spec.compare is not None:
        mapping["compare"] |= {"by": str(spec.compare.by), "ignore": list(spec.compare.ignore)}
    return {name: value for name, value in mapping.items() if name not in _PARTS or value is not None}


def from_mapping(mapping: Mapping[str, Any]) -> Contract:
    """The contract of a JSON object.

    Raises:
        ContractError: all that is wrong with it, gathered; unknown fields are ignored.
        UnsupportedVersion: it was written by a later version.
    """
    return _make(mapping, is_strict=False)


def _make(mapping: Mapping[str, Any], *, is_strict: bool) -> Contract:
    if not isinstance(mapping, Mapping):
        raise ContractError("A contract is a mapping")
    version = mapping.get("schema_version", SCHEMA_VERSION)
    if version != SCHEMA_VERSION:
        raise UnsupportedVersion(
            f"The contract has schema_version {version!r}; this version reads {SCHEMA_VERSION}",
            hint="Use a newer runbundle",
        )
    faults = list(_unknown_fields(mapping)) if is_strict else []
    parts = {"layout": {}, "stages": [], "artifacts": [], **{key: v for key, v in mapping.items() if v is not None}}
    layout = _build(Layout, parts["layout"], "layout", faults)
    stages = _build_all(StageSpec, parts["stages"], "stages", faults)
    artifacts = _build_all(ArtifactSpec, parts["artifacts"], "artifacts", faults)
    formats = mapping.get("formats")
    fields = {key: mapping[key] for key in ("name", "version", "allow_extras") if key in mapping}
    _check_types(Contract, fields, "contract", faults)
    if formats is not None and not _is_list_of(formats, str):
        faults.append("formats: must be a list of text")
    contract = None
    if not faults:
        built = {"stages": stages, "artifacts": artifacts, "layout": layout, "formats": formats}
        contract = _construct(Contract, {**fields, **built}, "contract", faults)
    if contract is None:
        raise ContractError(f"The contract cannot be used: {'; '.join(faults)}")
    return contract


def from_yaml(text: str) -> Contract:
    """The contract that a YAML document declares: the fields of ``contract.json``; most may be left out.

    Raises:
        ContractError: it is not YAML, or not a contract, or has a field that contracts have not.
        UnsupportedVersion: as ``from_mapping``.
    """
    if not isinstance(text, str):
        raise InvalidType(f"A contract in YAML is text, not {type(text).__name__}")
    from runbundle.base.yamltext import read_other  # noqa: PLC0415 - a contract in Python does not need it

    try:
        mapping = read_other(text)
    except DecodeError as error:
        raise ContractError(f"The contract is not YAML: {error.what}", hint=error.hint) from error
    return _make(mapping, is_strict=True)


def _unknown_fields(mapping: Mapping[str, Any]) -> Iterator[str]:
    """What a person misspelt; in a ``contract.json`` it would be a field of a later version."""
    rest = {key: value for key, value in mapping.items() if key != "schema_version"}
    places: list[tuple[str, Any, type[Any]]] = [("contract", rest, Contract), ("layout", mapping.get("layout"), Layout)]
    lists: dict[str, type[Any]] = {"stages": StageSpec, "artifacts": ArtifactSpec}
    for name, kind in lists.items():
        items = mapping.get(name)
        places += [(f"{name}[{n}]", item, kind) for n, item in enumerate(items if isinstance(items, list) else [])]
    places += [
        (f"{place}.{part}", item[part], kind)
        for place, item, _ in places
        for part, kind in _PARTS.items()
        if isinstance(item, Mapping) and part in item and place.startswith("artifacts")
    ]
    for place, item, kind in places:
        known = {field.name for field in dataclasses.fields(kind)}
        for key in item if isinstance(item, Mapping) else ():
            if key not in known:
                yield f"{place}: there is no field {key!r}"


def _build_all(kind: type[_T], items: Any, place: str, faults: list[str]) -> list[_T]:
    if not isinstance(items, list):
        faults.append(f"{place}: must be a list")
        return []
    built = (_build(kind, item, f"{place}[{index}]", faults) for index, item in enumerate(items))
    return [item for item in built if item is not None]


def _build(kind: type[_T], item: Any, place: str, faults: list[str]) -> _T | None:
    if not isinstance(item, Mapping):
        faults.append(f"{place}: must be a mapping")
        return None
    known = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]  # dataclasses, all of them
    fields = {key: value for key, value in item.items() if key in known}
    before = len(faults)
    for part, part_kind in _PARTS.items():
        if isinstance(fields.get(part), Mapping):
            fields[part] = _build(part_kind, fields[part], f"{place}.{part}", faults)
    _check_types(kind, fields, place, faults)
    return _construct(kind, fields, place, faults) if len(faults) == before else None


def _construct(kind: Callable[..., _T], fields: Mapping[str, Any], place: str, faults: list[str]) -> _T | None:
    try:
        return kind(**fields)
    except RunbundleError as error:
        faults.append(f"{place}: {error}")
    except (TypeError, ValueError) as error:  # a field missing, or no member of an enum
        faults.append(f"{place}: {error}")
    return None


def _check_types(kind: type[Any], fields: Mapping[str, Any], place: str, faults: list[str]) -> None:
    """Whether each value has the type that its annotation names; YAML gives numbers where text was meant."""
    annotations = {field.name: str(field.type) for field in dataclasses.fields(kind)}
    for name, value in fields.items():
        annotation = annotations[name]
        fits = (
            (value is None and "None" in annotation)
            or (annotation.startswith(("str", "Required", "By")) and isinstance(value, str))
            or (annotation.startswith("float") and isinstance(value, int | float) and not isinstance(value, bool))
            or (name in _PARTS and isinstance(value, _PARTS[name]))
            or (annotation == "int" and type(value) is int)
            or (annotation.startswith("bool") and isinstance(value, bool))
            or (annotation.startswith("Mapping") and isinstance(value, Mapping))
            or (annotation.startswith("tuple") and _is_list_of(value, str))
        )
        if not fits:
            faults.append(f"{place}.{name}: {ascii(value)[:80]} is not of the type {annotation}")


def _is_list_of(value: Any, kind: type) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(item, kind) for item in value)
