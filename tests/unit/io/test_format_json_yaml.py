import io
import json
import math
import warnings
from enum import IntEnum, StrEnum
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from runbundle.base.errors import DecodeError, InvalidType, InvalidValue, RunbundleError
from runbundle.io.formats import get_format, yaml
from stand_ins import round_trip, written

both = pytest.mark.parametrize("name", ["json", "yaml"])


class Mode(StrEnum):
    FAST = "no"


class Level(IntEnum):
    HIGH = 3


def read_as(version: tuple[int, int], data: bytes) -> Any:
    reader = YAML(typ="safe", pure=True)
    reader.version = version
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return reader.load(io.BytesIO(data))


def same(one: Any, other: Any) -> bool:
    """Equal, with 1, 1.0 and True apart, and 0.0 and -0.0."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    is_signed = isinstance(one, float) and isinstance(other, float) and math.copysign(1, one) == math.copysign(1, other)
    return type(one) is type(other) and one == other and (not isinstance(one, float) or is_signed)


DIALECT_TRAPS = [
    *("no", "No", "NO", "on", "off", "yes", "y", "n", "true", "True", "false", "null", "Null", "NULL", "~", ""),
    *("012", "0o17", "0x1F", "0b1", "1_000", "1:30", "190:20:30", "1e-3", "1e3", "1.", ".5", "+1", "-", "--", "---"),
    *(".inf", "-.inf", ".nan", "NaN", "2001-01-01", "2001-12-14t21:59:43.10-05:00", "=", "<<", "...", "[]", "{}"),
    *(
        "a: b",
        "a #b",
        "# c",
        "&a",
        "*a",
        "!t",
        "!!int 1",
        "%YAML 1.1",
        "@x",
        "`x`",
        "? x",
        "- x",
        "| x",
        "> x",
        "'",
        '"',
    ),
    *(" lead", "trail ", "two\nlines", "two\r\nlines", "tab\there", "\n", "\\", "\\n", "a\\\nb", "\t", "end\\"),
    *("größe", "日本語", "🌿", "e\u0301", "\u200b", "\ufeff", "\ufeffx", "\xa0", "\x85", "a\x85b", "\u2028", "\u2029"),
    *("\0", "\x1b", "\x7f", "\x80", "\x9f", "\ufffe", "\uffff", "\ud7ff", "\ue000", "\U0001fffe", "\U0010ffff"),
]


@pytest.mark.parametrize("version", [(1, 1), (1, 2)])
@pytest.mark.parametrize("text", DIALECT_TRAPS, ids=ascii)
def test_text_is_text_to_every_yaml_reader(text: str, version: tuple[int, int]) -> None:
    value = {"value": text, "list": [text, [text]], text: {"below": text, text: 1}}
    assert read_as(version, written("yaml", value)) == value


@pytest.mark.parametrize("version", [(1, 1), (1, 2)])
@pytest.mark.parametrize(
    "number",
    [0, -1, 7, 8, 10**16, 2**70, 0.0, -0.0, 1.0, 0.1, 1e-3, 1e-5, 1.5e-7, 1e16, 1e22, -1e-9, 5e-324, 1.7e308, 1e100],
)
def test_numbers_are_numbers_to_every_yaml_reader(number: float, version: tuple[int, int]) -> None:
    assert same(read_as(version, written("yaml", {"number": number, "list": [number]}))["list"], [number])
    assert same(read_as(version, written("yaml", number)), number)


STRUCTURES: dict[str, Any] = {
    "empty object": {},
    "empty list": [],
    "empty in empty": {"a": {}, "b": [], "c": [[], {}, [[]]]},
    "list in list": [[1, [2, 3]], [[4]]],
    "objects in list": [{"a": 1, "b": {"c": [1]}}, {"d": None}],
    "scalar": "text",
    "none": None,
    "flags": [True, False, None],
    "deep": {"a": [{"b": [{"c": [{"d": [[["e"]]]}]}]}]},
    "keys": {"a b": 1, "": 2, "no": 3, "1": 4, "a.b": 5, "-": 6, "k" * 1000: 7},
}


@pytest.mark.parametrize("version", [(1, 1), (1, 2)])
@pytest.mark.parametrize("value", STRUCTURES.values(), ids=STRUCTURES)
def test_structures_are_the_same_to_every_yaml_reader(value: Any, version: tuple[int, int]) -> None:
    assert same(read_as(version, written("yaml", value)), value)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
    | st.sampled_from(DIALECT_TRAPS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@both
@settings(max_examples=80, deadline=None)
@given(value=JSON)
@example(value={"a": "\x80\ufffe"})
def test_whatever_json_holds_comes_back_exactly(name: str, value: Any) -> None:
    assert same(round_trip(name, value), value)


@settings(max_examples=40, deadline=None)
@given(value=JSON)
def test_yaml_1_1_and_1_2_agree_on_whatever_we_write(value: Any) -> None:
    data = written("yaml", value)
    assert same(read_as((1, 1), data), read_as((1, 2), data))


@both
def test_numpy_floats_enums_and_tuples_are_written_as_what_they_hold(name: str) -> None:
    value = {"float": np.float64(0.5), "mode": Mode.FAST, Mode.FAST: Level.HIGH, "pair": (1, (2.0,))}
    assert same(round_trip(name, value), {"float": 0.5, "mode": "no", "no": 3, "pair": [1, [2.0]]})


def test_the_spelling_of_yaml() -> None:
    value = {"b": [1, {"c": "é"}, [], [True]], "a": {"x": None, "y": {}}, "e": 1e-07, "z": "a\n\x85"}
    assert written("yaml", value).decode() == (
        '"a":\n  "x": null\n  "y": {}\n'
        '"b":\n  - 1\n  -\n    "c": "é"\n  - []\n  -\n    - true\n'
        '"e": 1.0e-07\n"z": "a\\n\\x85"\n'
    )


def test_the_spelling_of_json() -> None:
    assert written("json", {"b": "é", "a": [1]}).decode() == '{\n  "a": [\n    1\n  ],\n  "b": "é"\n}\n'


CYCLE: list[Any] = []
CYCLE.append(CYCLE)
REFUSED: dict[str, tuple[Any, type[RunbundleError]]] = {
    "NaN": ({"a": math.nan}, InvalidValue),
    "infinity": ([math.inf], InvalidValue),
    "NumPy NaN": ({"a": np.float64("nan")}, InvalidValue),
    "surrogate": ("\ud800", InvalidValue),
    "number as key": ({1: 2}, InvalidType),
    "array": ({"a": np.zeros(2)}, InvalidType),
    "NumPy integer": ({"a": np.int64(1)}, InvalidType),
    "NumPy flag": ({"a": np.bool_(1)}, InvalidType),
    "bytes": (b"x", InvalidType),
    "set": ({"a": {1}}, InvalidType),
    "cyclic": (CYCLE, InvalidValue),
    "endless integer": ({"a": 10**5000}, InvalidValue),
}


@both
@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_what_would_not_come_back_is_refused(name: str, case: tuple[Any, type[RunbundleError]]) -> None:
    value, kind = case
    with pytest.raises(kind, match=r"^the value"):
        written(name, value)


@both
@pytest.mark.parametrize("depth", [250, 500, 800, 100_000])
def test_depth_is_written_or_refused(name: str, depth: int) -> None:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    try:
        data = written(name, value)
    except InvalidValue:
        assert depth > 250
    else:
        assert get_format(name).decode(data, {}) == value


def test_keys_that_yaml_readers_do_not_find_are_refused() -> None:
    limit = 1024 - len('""')
    assert round_trip("yaml", {"a": [{"k" * limit: 1}]}) == {"a": [{"k" * limit: 1}]}
    with pytest.raises(InvalidValue, match=r"the key 'kkk.*too long for YAML"):
        written("yaml", {"a": [{"k" * (limit + 1): 1}]})


@both
def test_a_schema_is_checked_against_the_document(name: str) -> None:
    assert get_format(name).encode({"a": 1}).facts() == {"document": {"a": 1}}


MALFORMED = {
    "not UTF-8": b"\xff",
    "control character": b"a: \x01",
    "half a list": b"[1, ",
    "two values": b"a: b: c",
    "tab": b"\t",
    "duplicate key": b"a: 1\na: 2",
    "two documents": b"---\n1\n---\n2",
    "alias of nothing": b"*a",
    "list that holds itself": b"&a [*a]",
    "object that holds itself": b"&a {x: *a}",
    "code": b"!!python/object/apply:os.system [ls]",
    "other tag": b"!mine 1",
    "date": b"a: 2001-01-01",
    "binary": b"!!binary AAAA",
    "set": b"!!set {a, b}",
    "no flag": b"!!bool maybe",
    "no integer": b"!!int x",
    "number as key": b"1: a",
    "flag as key": b"true: a",
    "none as key": b"~: a",
    "list as key": b"? [a]\n: 1",
    "later version": b"%YAML 9.9\n---\n1",
    "too deep": b"[" * 500 + b"]" * 500,
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_yaml_that_holds_more_than_json_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError, match=r"^The YAML "):
        get_format("yaml").decode(data, {})


def test_the_advice_for_a_value_that_is_more_than_json_is_to_quote_it() -> None:
    with pytest.raises(DecodeError, match=r"^The YAML holds datetime\.date\(2001, 1, 1\).*\. Quote it"):
        get_format("yaml").decode(b"a: 2001-01-01", {})
    with pytest.raises(DecodeError, match=r"^The YAML has keys that are not text: \[1\]\. Quote them"):
        get_format("yaml").decode(b"1: a", {})


def test_yaml_written_by_hand_is_read_as_yaml_1_2() -> None:
    text = b"""
    # a comment
    name: no
    time: 1:30
    lr: 1e-3
    octal: 012
    empty:
    block: |
      two
      lines
    list: [a, 'b', "c"]
    base: &base {x: 1}
    """
    assert yaml.load(text) == {
        "name": "no",
        "time": "1:30",
        "lr": 0.001,
        "octal": 12,
        "empty": None,
        "block": "two\nlines\n",
        "list": ["a", "b", "c"],
        "base": {"x": 1},
    }


def test_json_damage_is_a_decode_error() -> None:
    data = written("json", {"a": [1, 2, "é"]})
    for size in range(len(data) - 2):
        with pytest.raises(DecodeError):
            get_format("json").decode(data[:size], {})
    assert json.loads(data) == {"a": [1, 2, "é"]}
