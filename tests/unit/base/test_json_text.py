import json
import math
import struct
import uuid
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbundle.base.errors import DecodeError, InvalidType, InvalidValue, RunbundleError
from runbundle.base.jsontext import line, parse, pretty, read_number, refuse_non_json, spell_number


class Kind(StrEnum):
    GRID = "grid"


class Level(IntEnum):
    HIGH = 3


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


def cyclic() -> Any:
    value: dict[str, Any] = {"a": [1]}
    value["a"].append({"again": value})
    return value


VALUES = {
    "scalars": [None, True, False, 0, -1, 1.5, "", "text"],
    "big integer": 2**70,
    "negative zero": -0.0,
    "beyond 64 bits": [2**63, -(2**63) - 1, 2**64, 10**400],
    "smallest float": 5e-324,
    "largest float": 1.7976931348623157e308,
    "unicode": {"größe": "日本🌿", "\u2028": "\x85\x7f\x00"},
    "escapes": '\\ud800 "\\" /\t\n',
    "empty": [{}, [], {"a": {}}],
    "deep": nested(50),
}


def bits(value: Any) -> Any:
    """A value in which 0.0 and -0.0, 1 and 1.0 and True, are not the same."""
    if isinstance(value, dict):
        return {key: bits(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [bits(item) for item in value]
    return (type(value), struct.pack("d", value) if isinstance(value, float) else value)


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_values_come_back_exactly(value: Any) -> None:
    assert bits(parse(pretty(value))) == bits(value)
    assert bits(parse(line({"value": value}))) == bits({"value": value})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=100, deadline=None)
@given(JSON)
def test_whatever_json_holds_comes_back_exactly(value: Any) -> None:
    assert bits(parse(pretty(value))) == bits(value)
    assert bits(json.loads(line({"v": value}))["v"]) == bits(value)


def test_the_spelling_of_a_file() -> None:
    value = {"b": [1, 2.0], "a": {"é": None}, "B": ("x", Kind.GRID, Level.HIGH), Kind.GRID: {}}
    assert pretty(value).decode() == (
        '{\n  "B": [\n    "x",\n    "grid",\n    3\n  ],\n  "a": {\n    "é": null\n  },\n'
        '  "b": [\n    1,\n    2.0\n  ],\n  "grid": {}\n}\n'
    )


def test_the_spelling_of_a_line() -> None:
    assert (
        line({"b": [1, 2], "a": "é\n", "😀": 1, "\uffff": 2}).decode() == '{"a":"é\\n","b":[1,2],"\uffff":2,"😀":1}\n'
    )


REFUSED: dict[str, tuple[Any, type[RunbundleError], str]] = {
    "NaN": ({"a": [0, math.nan]}, InvalidValue, "the config at /a/1 is nan"),
    "infinity": (-math.inf, InvalidValue, "the config is -inf"),
    "surrogate": ({"a": "\ud800"}, InvalidValue, "the config at /a holds a lone surrogate"),
    "surrogate in a key": ({"\udfff": 1}, InvalidValue, "the config holds a lone surrogate"),
    "number as key": ({"a": {1: 2}}, InvalidType, "the config at /a has the key 1"),
    "boolean as key": ([{True: 2}], InvalidType, "the config at /0 has the key True"),
    "None as key": ({None: 2}, InvalidType, "the config has the key None"),
    "tuple as key": ({(1, 2): 2}, InvalidType, r"the config has the key \(1, 2\)"),
    "mixed keys": ({"a": 1, 2: 3}, InvalidType, "the config has the key 2"),
    "set": ({"a": {1}}, InvalidType, "the config at /a is of type set"),
    "bytes": ([b""], InvalidType, "the config at /0 is of type bytes"),
    "complex": (1j, InvalidType, "the config is of type complex"),
    "object": ({"a": object()}, InvalidType, "the config at /a is of type object"),
    "proxy": (MappingProxyType({}), InvalidType, "the config is of type mappingproxy"),
    "cyclic": (cyclic(), InvalidValue, "the config at /a/1/again holds itself"),
    "too deep": (nested(100_000), InvalidValue, "the config is nested too deeply"),
    "endless integer": ({"a": 10**5000}, InvalidValue, "the config cannot be written"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("write", [pretty, line])
def test_what_json_would_change_is_refused_with_its_place(
    write: Any, case: tuple[Any, type[RunbundleError], str]
) -> None:
    value, kind, message = case
    with pytest.raises(kind, match=f"^{message}"):
        write(value, what="the config")


def test_a_depth_between_writes_or_is_refused_and_never_breaks() -> None:
    for depth in (200, 300, 400, 600, 900):
        for write in (pretty, line):
            try:
                assert parse(write(nested(depth))) == nested(depth)
            except RunbundleError:
                assert depth > 200


def test_one_object_twice_is_no_cycle() -> None:
    shared = {"a": 1}
    assert parse(pretty([shared, {"b": shared}])) == [shared, {"b": shared}]
    refuse_non_json([shared, shared], "the value")


def test_an_ordered_dict_is_an_object() -> None:
    assert parse(pretty(OrderedDict(b=1, a=2))) == {"a": 2, "b": 1}


MALFORMED = {
    "empty": b"",
    "half": b'{"a": ',
    "two": b"{} {}",
    "NaN": b'{"a": NaN}',
    "Infinity": b"[Infinity]",
    "-Infinity": b"-Infinity",
    "duplicate key": b'{"a": 1, "b": 2, "a": 1}',
    "duplicate key spelt otherwise": b'{"a": 1, "\\u0061": 1}',
    "duplicate key below": b'[{"x": {"a": 1, "a": 2}}]',
    "escaped surrogate": b'{"a": ["\\ud800"]}',
    "escaped surrogate, upper case": b'"\\uDFFF"',
    "escaped surrogate as key": b'{"\\udc00": 1}',
    "surrogate": '"\ud800"',
    "not UTF-8": b'"\xff"',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf{}",
    "control character": b'"a\nb"',
    "single quotes": b"{'a': 1}",
    "trailing comma": b"[1,]",
    "comment": b"// x\n1",
    "leading zero": b"012",
    "NULs": b"\0" * 100,
    "too deep": b"[" * 100_000 + b"]" * 100_000,
    "deep, with a surrogate": b"[" * 900 + b'"\\ud800"' + b"]" * 900,
    "endless integer": b"1" * 5000,
    "float out of range": b'{"a": [1e999]}',
    "float out of range, negative": b"-1E+309",
    "float out of range, without exponent": b"1" * 400 + b".0",
    "duplicate key, long": b'{"' + b"x" * 9999 + b'": 1, "' + b"x" * 9999 + b'": 1}',
    "surrogate below a long key": b'{"' + b"x" * 9999 + b'": "\\ud800"}',
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_what_is_not_strict_json_is_refused(data: bytes | str) -> None:
    with pytest.raises(DecodeError, match=r"^the manifest is not strict JSON: ") as caught:
        parse(data, what="the manifest")
    assert len(str(caught.value)) < 500
    str(caught.value).encode()


def test_the_duplicate_key_is_named() -> None:
    with pytest.raises(DecodeError, match="the key 'b' stands twice"):
        parse(b'{"a": 1, "b": 2, "c": 3, "b": 4}')


def test_pairs_of_surrogate_escapes_are_one_character() -> None:
    assert parse(b'"\\ud83c\\udf3f \\\\ud800"') == "🌿 \\ud800"


@pytest.mark.parametrize(
    ("value", "spelt"),
    [(math.nan, "NaN"), (math.inf, "Infinity"), (-math.inf, "-Infinity"), (1.5, 1.5), (2**2000, 2**2000)],
)
def test_numbers_of_metrics(value: float, spelt: float | str) -> None:
    assert spell_number(value) == spelt
    back = read_number(spelt)
    assert back == value or (math.isnan(back) and math.isnan(value))


@pytest.mark.parametrize("value", ["nan", "text", None, 2])
def test_what_is_no_number_of_metrics_passes_through(value: Any) -> None:
    assert read_number(value) == value


@pytest.mark.parametrize(
    "text", ["1e308", "1E-999", "-0.0", "1.7976931348623157e308", "123456789012345678901234567890.5"]
)
def test_floats_are_the_nearest_to_what_is_spelt(text: str) -> None:
    assert bits(parse(text)) == bits(float(text))


class Colour(Enum):
    RED = 1


@dataclass
class Point:
    x: int = 1


@pytest.mark.parametrize(
    "value",
    [
        {1},
        frozenset(),
        b"",
        bytearray(),
        Decimal("1.5"),
        uuid.UUID(int=1),
        Colour.RED,
        datetime(2026, 11, 21, tzinfo=UTC),
        Point(),
        Fraction(1, 2),
        range(3),
        Path("x"),
        ...,
        int,
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("write", [pretty, line])
def test_what_json_has_no_spelling_for_is_refused(write: Any, value: Any) -> None:
    with pytest.raises(InvalidType, match=f"^the config at /a/0 is of type {type(value).__name__}, which JSON cannot"):
        write({"a": [value]}, what="the config")
