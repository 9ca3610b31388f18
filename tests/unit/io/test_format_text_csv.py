import csv
import enum
import io
import math
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbundle.base.errors import DecodeError, InvalidInputError, InvalidType, InvalidValue, RunbundleError
from runbundle.io.formats import get_format
from stand_ins import round_trip, written

texts = pytest.mark.parametrize("name", ["text", "html"])


@texts
@pytest.mark.parametrize("text", ["", "größe 🌿", "a\r\nb\rc\nd", "no newline", "\ufeffmark", "\0", "<p>&amp;</p>"])
def test_text_is_kept_byte_for_byte(name: str, text: str) -> None:
    assert written(name, text) == text.encode()
    assert round_trip(name, text) == text


@texts
@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        (b"bytes", InvalidType, "Text was expected, not bytes"),
        (["a"], InvalidType, "Text was expected, not list"),
        ("ok\ud800", InvalidValue, "lone surrogate at 2"),
    ],
)
def test_what_is_no_text_is_refused(name: str, value: Any, kind: type[RunbundleError], message: str) -> None:
    with pytest.raises(kind, match=message):
        written(name, value)


@texts
@pytest.mark.parametrize("data", [b"\xff", b"ok\xc3", b"\xed\xa0\x80"])
def test_bytes_that_are_no_text_are_a_decode_error(name: str, data: bytes) -> None:
    with pytest.raises(DecodeError, match="not UTF-8"):
        get_format(name).decode(data, {})


# --- csv -----------------------------------------------------------------------------------------------------

TABLES: dict[str, tuple[list[dict[str, Any]], str]] = {
    "numbers": ([{"a": 1, "b": 0.1}, {"a": -2, "b": 1e-07}], "a,b\n1,0.1\n-2,1e-07\n"),
    "text": ([{"a": "x, y", "b": 'say "hi"'}], 'a,b\n"x, y","say ""hi"""\n'),
    "newline": ([{"a": "x\ny", "b": 1}], 'a,b\n"x\ny",1\n'),
    "empty cells": ([{"a": None, "b": ""}, {"a": 1, "b": None}], "a,b\n,\n1,\n"),
    "one empty column": ([{"a": None}], 'a\n""\n'),
    "flags": ([{"a": True, "b": False}], "a,b\nTrue,False\n"),
    "order of the first row": ([{"b": 1, "a": 2}, {"a": 3, "b": 4}], "b,a\n1,2\n4,3\n"),
    "unicode": ([{"größe": "日本"}], "größe\n日本\n"),
    "all digits": ([{"a": 0.1 + 0.2, "b": 2**70}], "a,b\n0.30000000000000004,1180591620717411303424\n"),
}


@pytest.mark.parametrize("case", TABLES.values(), ids=TABLES)
def test_tables_are_spelt_plainly(case: tuple[list[dict[str, Any]], str]) -> None:
    rows, text = case
    assert written("csv", rows).decode() == text
    back = [{name: "" if cell is None else str(cell) for name, cell in row.items()} for row in rows]
    assert round_trip("csv", rows) == back


CELLS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(
    ["\r", "a\rb", '"', ",", "\r\n"]
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(CELLS.filter(bool), min_size=1, max_size=3, unique=True).flatmap(
        lambda names: st.lists(st.fixed_dictionaries(dict.fromkeys(names, CELLS)), min_size=1, max_size=4)
    )
)
def test_text_in_cells_and_names_comes_back_exactly(rows: list[dict[str, str]]) -> None:
    assert round_trip("csv", rows) == rows
    assert list(csv.DictReader(io.StringIO(written("csv", rows).decode(), newline=""))) == rows


def test_any_mapping_is_a_row() -> None:
    assert round_trip("csv", (MappingProxyType({"a": 1}),)) == [{"a": "1"}]


BAD_TABLES: dict[str, tuple[Any, type[RunbundleError], str]] = {
    "no rows": ([], InvalidType, "at least one dict"),
    "a dict": ({"a": [1]}, InvalidType, "at least one dict"),
    "rows of lists": ([[1]], InvalidType, "at least one dict"),
    "no columns": ([{}], InvalidValue, "Column names"),
    "empty name": ([{"": 1}], InvalidValue, "Column names"),
    "number as name": ([{1: 1}], InvalidValue, "Column names"),
    "missing column": ([{"a": 1, "b": 2}, {"a": 1}], InvalidValue, "Row 1 has other columns"),
    "other column": ([{"a": 1}, {"a": 1, "b": 2}], InvalidValue, "Row 1 has other columns"),
    "NaN": ([{"a": 1.0}, {"a": math.nan}], InvalidValue, "Row 1, column 'a' is nan"),
    "infinity": ([{"a": -math.inf}], InvalidValue, "Row 0, column 'a' is -inf"),
    "list": ([{"a": [1]}], InvalidType, "Row 0, column 'a': a cell cannot hold list"),
    "surrogate": ([{"a": "\ud800"}], InvalidValue, "lone surrogate"),
    "surrogate as name": ([{"\ud800": 1}], InvalidValue, "lone surrogate"),
    "endless integer": ([{"a": 10**5000}], InvalidValue, "cannot be written"),
    "endless cell": ([{"a": "x" * 131_073}], InvalidValue, "Row 0, column 'a' has 131073 characters"),
}


@pytest.mark.parametrize("case", BAD_TABLES.values(), ids=BAD_TABLES)
def test_what_is_no_table_is_refused(case: tuple[Any, type[InvalidInputError], str]) -> None:
    value, kind, message = case
    with pytest.raises(kind, match=message):
        written("csv", value)


def test_the_longest_cell_comes_back() -> None:
    rows = [{"a": "x" * 131_072}]
    assert round_trip("csv", rows) == rows


@pytest.mark.parametrize(
    "data", [b"", b"a,b\n1\n", b"a\n1,2\n", b'a\n"x', b'a\n"x"y\n', b"\xff\n", b"a,a\n1,2\n", b"a\n" + b"x" * 200_000]
)
def test_bytes_that_are_no_table_are_a_decode_error(data: bytes) -> None:
    with pytest.raises(DecodeError, match=r"^The table"):
        get_format("csv").decode(data, {})


def test_facts_of_a_table_are_those_of_its_values() -> None:
    rows = [
        {"i": 3, "f": 1.5, "m": 1, "s": "x", "b": True, "n": None},
        {"i": -1, "f": 2, "m": "y", "s": None, "b": False, "n": None},
    ]
    encoded = get_format("csv").encode(rows)
    assert encoded.meta == {"rows": 2}
    assert encoded.facts() == {
        "rows": 2,
        "columns": {
            "i": {"dtype": "int64", "nulls": 0, "min": -1, "max": 3},
            "f": {"dtype": "float64", "nulls": 0, "min": 1.5, "max": 2},
            "m": {"dtype": "mixed", "nulls": 0, "min": None, "max": None},
            "s": {"dtype": "str", "nulls": 1, "min": None, "max": None},
            "b": {"dtype": "bool", "nulls": 0, "min": False, "max": True},
            "n": {"dtype": "null", "nulls": 2, "min": None, "max": None},
        },
    }


class Level(int, enum.Enum):
    HIGH = 3


class Share(float, enum.Enum):
    HALF = 0.5


class Grade(str, enum.Enum):  # noqa: UP042 - users write names like this as well
    GOOD = "good"


@pytest.mark.parametrize(("member", "spelt"), [(Level.HIGH, "3"), (Share.HALF, "0.5"), (Grade.GOOD, "good")])
def test_a_member_of_an_enum_is_written_as_what_it_holds(member: Any, spelt: str) -> None:
    assert round_trip("csv", [{"a": member, Grade.GOOD: 1}]) == [{"a": spelt, "good": "1"}]


def test_a_name_too_long_to_be_read_back_is_refused() -> None:
    assert round_trip("csv", [{"x" * 131_072: "y" * 131_072}]) == [{"x" * 131_072: "y" * 131_072}]
    with pytest.raises(InvalidValue, match="A column name has more than"):
        written("csv", [{"x" * 131_073: 1}])


def test_what_another_library_sets_as_a_limit_writes_nothing_that_is_not_read() -> None:
    limit = csv.field_size_limit(10_000_000)
    try:
        with pytest.raises(InvalidValue, match="more than can be read back"):
            written("csv", [{"a": "x" * 131_073}])
    finally:
        csv.field_size_limit(limit)
