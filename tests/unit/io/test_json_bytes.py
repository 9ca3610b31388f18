"""The quick way to JSON against the slow one: the same bytes, the same refusals."""

import enum
import json
import math
import re
import uuid
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbundle.base import jsontext
from runbundle.base.errors import InvalidInputError, InvalidType, InvalidValue
from runbundle.io import jsonbytes

TEXT = st.text()
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(2**66), max_value=2**66)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
DOCUMENTS = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=20
)
ANYTHING = st.recursive(
    SCALARS
    | st.floats()
    | st.binary(max_size=3)
    | st.just("\ud800")
    | st.just(np.float64(0.5))
    | st.just(uuid.UUID(int=1))
    | st.just(1j),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(TEXT | st.integers() | st.none(), inner, max_size=4)
    ),
    max_leaves=10,
)
_NUMBER = re.compile(rb"-?\d+(?:\.\d+(?:e[+-]?\d+)?|e[+-]?\d+)")


def plainly(data: bytes) -> bytes:
    """A float has several spellings, 1e-05 and 0.00001: the number is the same."""
    return _NUMBER.sub(lambda found: repr(float(found[0])).encode(), data)


@given(DOCUMENTS)
def test_a_file_is_spelt_as_the_slow_way_spells_it_and_reads_back(value: Any) -> None:
    data = jsonbytes.pretty(value)
    assert plainly(data) == plainly(jsontext.pretty(value))
    back = jsontext.parse(data)
    assert repr(back) == repr(json.loads(jsontext.pretty(value)))
    assert jsontext.parse(jsontext.pretty(value)) == back


@given(st.dictionaries(TEXT, DOCUMENTS, max_size=4))
def test_a_line_is_spelt_as_the_slow_way_spells_it_and_reads_back(value: dict[str, Any]) -> None:
    data = jsonbytes.line(value)
    assert data.count(b"\n") == 1
    assert repr(jsontext.parse(data)) == repr(jsontext.parse(jsontext.line(value)))
    assert plainly(data) == plainly(jsontext.line(value))


@given(ANYTHING)
def test_what_the_slow_way_refuses_the_quick_way_refuses_in_the_same_words(value: Any) -> None:
    try:
        slow: Any = jsontext.parse(jsontext.pretty(value))
    except InvalidInputError as error:
        slow = (type(error), str(error))
    try:
        quick: Any = jsontext.parse(jsonbytes.pretty(value))
    except InvalidInputError as error:
        quick = (type(error), str(error))
    assert repr(quick) == repr(slow)


class Colour(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Plain(enum.Enum):
    A = "a"


class Whole(int):
    pass


class Real(float):
    pass


class Word(str):
    __slots__ = ()


@dataclass
class Pair:
    one: int = 1


@pytest.mark.parametrize(
    "value",
    [
        Level.LOW,
        Colour.RED,
        Whole(3),
        Real(0.5),
        Word("w"),
        OrderedDict(b=1, a=2),
        {Colour.RED: 1},
        {Word("w"): 1},
        2**64,
        -(2**63) - 1,
        10**400,
        -0.0,
        1e16,
        5e-324,
        (1, (2,)),
        '\x00\x1f\x7f\u2028\ufeff\U0001f600"\\/',
        "null",
        {"null": None},
        [[[[]]], {}],
    ],
    ids=lambda value: f"{type(value).__name__}-{str(value)[:12]!a}",
)
def test_what_is_not_of_the_plain_types_is_spelt_the_slow_way(value: Any) -> None:
    assert plainly(jsonbytes.pretty(value)) == plainly(jsontext.pretty(value))
    assert plainly(jsonbytes.line({"x": value})) == plainly(jsontext.line({"x": value}))


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (math.nan, InvalidValue),
        (-math.inf, InvalidValue),
        (Real("nan"), InvalidValue),
        ("\udc00", InvalidValue),
        (uuid.UUID(int=1), InvalidType),
        (datetime(2026, 1, 1, tzinfo=UTC), InvalidType),
        (Pair(), InvalidType),
        (Plain.A, InvalidType),
        (np.float64("nan"), InvalidValue),
        (np.int64(1), InvalidType),
        (np.zeros(2), InvalidType),
        (b"x", InvalidType),
        (bytearray(b"x"), InvalidType),
        ({1}, InvalidType),
        (1j, InvalidType),
        (..., InvalidType),
        (StopIteration, InvalidType),
        ({1: 2}, InvalidType),
        ({None: 2}, InvalidType),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else type(value).__name__,
)
def test_what_json_cannot_hold_is_refused_and_its_place_named(value: Any, kind: type[Exception]) -> None:
    """orjson would turn most of these into something else, and marshal takes some."""
    for nested in ({"a": [0, value]}, {"a": (None, value), "text": "null"}):
        for spell in (jsonbytes.pretty, jsonbytes.line):
            with pytest.raises(kind, match="the config at /a/1"):
                spell(nested, what="the config")


def test_a_value_that_holds_itself_or_is_too_deep_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    for value in (loop, deep):
        with pytest.raises(InvalidValue, match=r"holds itself|nested too deeply"):
            jsonbytes.pretty(value)
    del deep
    while value:
        value = value.pop()  # else taking it apart would be too deep as well


@pytest.mark.parametrize("depth", [100, 300])
def test_what_orjson_finds_too_deep_goes_the_slow_way(depth: int) -> None:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    assert jsonbytes.pretty(value) == jsontext.pretty(value)


def test_a_checked_line_is_a_line() -> None:
    value = {"b": 1, "a": [0.5, None, "größe"]}
    assert jsonbytes.checked_line(value) == jsonbytes.line(value) == jsontext.line(value)
