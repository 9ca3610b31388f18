"""How much two values differ: documents, tables, arrays, images, tensors; by the rule of their spec."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from runbundle.contract.comparison import EXACT, Comparison

_SHOWN = 10  # places that are told of one value
_LONGEST = 60  # characters of a value that are shown
_CHUNK = 1 << 20  # elements of arrays that are compared at a time


class Verdict(StrEnum):
    """How two things compare; ``missing`` and ``added`` are seen from the earlier run."""

    IDENTICAL = "identical"
    WITHIN = "within tolerance"
    DIFFERS = "differs"
    MISSING = "missing"
    ADDED = "added"


@dataclass(slots=True)
class Difference:
    """What comparing two values has found.

    Attributes:
        rule: what they are held to.
        verdict: ``identical``, ``within tolerance`` or ``differs``.
        places: where they differ, and how, the first of them; ``more`` is how many there are besides.
        largest: the largest difference of two numbers; None where none differ.
    """

    rule: Comparison = EXACT
    verdict: Verdict = Verdict.IDENTICAL
    places: list[str] = field(default_factory=list)
    more: int = 0
    largest: float | None = None

    def find(self, place: str, told: str, *, is_within: bool = False) -> None:
        """Two parts differ."""
        if not is_within:
            self.verdict = Verdict.DIFFERS
        elif self.verdict is Verdict.IDENTICAL:
            self.verdict = Verdict.WITHIN
        if len(self.places) < _SHOWN:
            self.places.append(f"{place}: {told}" if place else told)
        else:
            self.more += 1

    def enlarge(self, amount: float) -> None:
        """Two numbers differ by an amount."""
        if not math.isnan(amount):
            self.largest = amount if self.largest is None else max(self.largest, amount)


def difference(left: Any, right: Any, rule: Comparison = EXACT) -> Difference:
    """What is different in two values that a format has read: JSON, rows, tables, arrays, images, states."""
    found = Difference(rule)
    compare_parts(found, "", left, right)
    return found


def compare_parts(found: Difference, place: str, left: Any, right: Any) -> None:
    """Compare two parts of values that are too large to be in memory; ``place`` is told, and rules do not name it."""
    _compare(found, place, "", left, right)


def is_close(left: float, right: float, rule: Comparison) -> bool:
    """Whether two numbers are within tolerance; NaN is equal to NaN."""
    if left == right or (left != left and right != right):  # noqa: PLR0124 - NaN
        return True
    if not (math.isfinite(left) and math.isfinite(right)):  # an infinity is no multiple of anything
        return False
    return abs(left - right) <= rule.atol + rule.rtol * abs(left)


def _compare(found: Difference, place: str, name: str, left: Any, right: Any) -> None:
    """Compare two parts; ``place`` is told, ``name`` is without positions in lists, as rules name it."""
    left, right = _plain(left), _plain(right)
    if _is_number(left) and _is_number(right):
        _compare_numbers(found, place, left, right)
    elif type(left) is not type(right):
        found.find(place, f"{_shown(left)}, then {_shown(right)}")
    elif isinstance(left, Mapping):
        _compare_mappings(found, place, name, left, right)
    elif isinstance(left, list):
        _compare_lists(found, place, name, left, right)
    elif hasattr(left, "dtype"):
        _compare_arrays(found, place, left, right)
    elif left != right:
        found.find(place, f"{_shown(left)}, then {_shown(right)}")


def _plain(value: Any) -> Any:
    """Tensors as arrays, tables as their columns, tuples as lists; all else as it is."""
    if hasattr(value, "detach"):  # a tensor; NumPy has no bfloat16
        value = value.detach()
        return (value.float() if str(value.dtype) == "torch.bfloat16" else value).resolve_conj().numpy()
    if hasattr(value, "get_columns"):
        return {column.name: _column(column) for column in value.get_columns()}
    if isinstance(value, dict):
        return value if type(value) is dict else dict(value)
    return list(value) if isinstance(value, tuple) else value


def _column(column: Any) -> Any:
    is_plain = column.dtype.is_numeric() and not column.dtype.is_decimal() and not column.null_count()
    return column.to_numpy() if is_plain else {"dtype": str(column.dtype), "cells": column.to_list()}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _compare_numbers(found: Difference, place: str, left: float, right: float) -> None:
    if left == right or (left != left and right != right):  # noqa: PLR0124 - NaN
        return
    try:
        is_within = is_close(left, right, found.rule)
        found.enlarge(float(abs(left - right)))
    except OverflowError:  # an integer beyond what floats hold
        is_within = False
    found.find(place, f"{_shown(left)}, then {_shown(right)}", is_within=is_within)


def _compare_mappings(found: Difference, place: str, name: str, left: Any, right: Any) -> None:
    for key in sorted({**left, **right}, key=str):
        below, named = (f"{before}.{key}" if before else str(key) for before in (place, name))
        if found.rule.ignores(named):
            continue
        if key not in right:
            found.find(below, f"{_shown(left[key])}, then nothing")
        elif key not in left:
            found.find(below, f"nothing, then {_shown(right[key])}")
        else:
            _compare(found, below, named, left[key], right[key])


def _compare_lists(found: Difference, place: str, name: str, left: list[Any], right: list[Any]) -> None:
    if len(left) != len(right):
        found.find(place, f"{len(left)} items, then {len(right)}")
    for number, (one, other) in enumerate(zip(left, right, strict=False)):
        _compare(found, f"{place}[{number}]", name, one, other)


def _compare_arrays(found: Difference, place: str, left: Any, right: Any) -> None:
    if (left.shape, left.dtype) != (right.shape, right.dtype):
        kinds = [f"{array.dtype} of shape {tuple(array.shape)}" for array in (left, right)]
        found.find(place, ", then ".join(kinds))
        return
    unlike, beyond, first, largest = 0, 0, None, 0.0
    flat_left, flat_right = left.reshape(-1), right.reshape(-1)
    for start in range(0, left.size, _CHUNK):
        part = _compare_chunk(flat_left[start : start + _CHUNK], flat_right[start : start + _CHUNK], found.rule)
        if part.unlike and first is None:
            first = start + part.first
        unlike, beyond = unlike + part.unlike, beyond + part.beyond
        largest = max(largest, part.largest)
    if first is None:
        return
    import numpy as np  # noqa: PLC0415 - it is loaded: the values are of it

    where = ", ".join(map(str, np.unravel_index(first, left.shape))) if left.shape else ""
    told = f"{_shown(flat_left[first].item())}, then {_shown(flat_right[first].item())}"
    size = f", the largest by {largest:.6g}" if largest else ""
    found.enlarge(largest)
    found.find(
        f"{place}[{where}]" if where else place,
        f"{told}; {unlike} of {left.size} values differ{size}",
        is_within=beyond <= found.rule.max_share * left.size,
    )


@dataclass(frozen=True, slots=True)
class _Chunk:
    """How many values of two arrays are unlike, and how many beyond the tolerance; the first, and the largest."""

    unlike: int
    beyond: int
    first: int = 0
    largest: float = 0.0


def _compare_chunk(left: Any, right: Any, rule: Comparison) -> _Chunk:
    import numpy as np  # noqa: PLC0415 - it is loaded: the values are of it

    unlike = left != right
    if left.dtype.kind in "fc":
        unlike &= ~(np.isnan(left) & np.isnan(right))
    count = int(np.count_nonzero(unlike))
    if not count:
        return _Chunk(0, 0)
    first = int(np.argmax(unlike))
    if left.dtype.kind not in "biufc":  # text, times, records
        return _Chunk(count, count, first)
    one, other = left[unlike], right[unlike]
    with np.errstate(invalid="ignore", over="ignore"):
        if left.dtype.kind in "iu":  # exactly: beyond 2**53 floats would take neighbours for one
            apart = np.maximum(one, other).astype(np.uint64) - np.minimum(one, other).astype(np.uint64)
            one = one.astype(np.float64)
        else:
            wide = np.complex128 if left.dtype.kind == "c" else np.float64
            one = one.astype(wide)
            apart = np.abs(one - other.astype(wide))
        beyond = ~((apart <= rule.atol + rule.rtol * np.abs(one)) & np.isfinite(apart))
    finite = apart[~np.isnan(apart)]
    return _Chunk(count, int(np.count_nonzero(beyond)), first, float(finite.max()) if finite.size else 0.0)


def _shown(value: Any) -> str:
    if isinstance(value, Mapping | list):
        return f"{type(value).__name__} of {len(value)}"
    if hasattr(value, "dtype"):
        return f"an array of shape {tuple(value.shape)}"
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
