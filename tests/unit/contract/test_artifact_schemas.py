import math
import sys
from typing import Any

import numpy as np
import polars as pl
import pytest

from runbundle.base.errors import ContractError, InvalidValue, MissingExtra
from runbundle.contract.schema import check_facts, check_schema
from runbundle.io.formats import get_format

NO_SCHEMAS: dict[str, tuple[dict[str, Any], str]] = {
    "empty": ({}, "document, arrays, columns"),
    "other form": ({"type": "object"}, "document, arrays, columns"),
    "two forms": ({"document": {}, "arrays": {}}, "document, arrays, columns"),
    "no object": ({"document": True}, "must map document to an object"),
    "list of rules": ({"arrays": [1]}, "must map arrays to an object"),
    "rule of no object": ({"arrays": {"a": 3}}, "'a'.*no object"),
    "unknown rule": ({"arrays": {"a": {"dtyp": "uint8"}}}, r"unknown rules for 'a': \['dtyp'\]"),
    "rule of the other form": ({"arrays": {"a": {"nullable": True}}}, "nullable"),
    "shape of a column": ({"columns": {"a": {"shape": [1]}}}, "shape"),
    "text as minimum": ({"arrays": {"a": {"min": "0"}}}, r"wrong type: \['min'\]"),
    "flag as maximum": ({"columns": {"a": {"max": True}}}, r"wrong type: \['max'\]"),
    "number as shape": ({"arrays": {"a": {"shape": 3}}}, r"wrong type: \['shape'\]"),
    "float in a shape": ({"arrays": {"a": {"shape": [1.5]}}}, r"wrong type: \['shape'\]"),
    "number as dtype": ({"arrays": {"a": {"dtype": 8}}}, r"wrong type: \['dtype'\]"),
    "text as flag": ({"columns": {"a": {"nullable": "no", "required": 1}}}, r"wrong type: \['nullable', 'required'\]"),
}


@pytest.mark.parametrize("case", NO_SCHEMAS.values(), ids=NO_SCHEMAS)
def test_what_is_no_schema_is_refused(case: tuple[dict[str, Any], str]) -> None:
    schema, message = case
    with pytest.raises(ContractError, match=f"^The schema of points .*{message}"):
        check_schema(schema, what="points")


@pytest.mark.parametrize(
    "schema",
    [
        {"document": {}},
        {"document": {"type": "objekt"}},  # what JSON Schema makes of it is asked at the write
        {"arrays": {}},
        {"arrays": {"a": {"dtype": "float64", "shape": [None, "n", 3], "min": 0, "max": 1.5, "unit": "mm"}}},
        {"columns": {"a": {"dtype": "int64", "min": -1, "max": 1, "unit": "", "nullable": False, "required": False}}},
    ],
)
def test_schemas(schema: dict[str, Any]) -> None:
    check_schema(schema, what="points")


# --- arrays --------------------------------------------------------------------------------------------------

XY = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
ARRAYS: dict[str, tuple[dict[str, Any], dict[str, Any], str | None]] = {
    "no rules": ({}, {"xy": XY}, None),
    "more arrays than rules": ({"xy": {}}, {"xy": XY, "more": XY}, None),
    "all of it": ({"xy": {"dtype": "float64", "shape": [3, 2], "min": 0, "max": 5, "unit": "mm"}}, {"xy": XY}, None),
    "open lengths": ({"xy": {"shape": [None, None]}}, {"xy": XY}, None),
    "missing": ({"xy": {}, "z": {}}, {"xy": XY}, "the array 'z' is missing"),
    "dtype": ({"xy": {"dtype": "float32"}}, {"xy": XY}, "array 'xy' is float64, not float32"),
    "length": ({"xy": {"shape": [4, 2]}}, {"xy": XY}, r"array 'xy' has shape \[3, 2\], not \[4, 2\]"),
    "dimensions": ({"xy": {"shape": [None]}}, {"xy": XY}, r"has shape \[3, 2\], not \[None\]"),
    "no dimension": ({"xy": {"shape": []}}, {"xy": np.array(1.0)}, None),
    "below": ({"xy": {"min": 0.5}}, {"xy": XY}, "array 'xy' goes down to 0.0, below 0.5"),
    "above": ({"xy": {"max": 4.5}}, {"xy": XY}, "array 'xy' goes up to 5.0, above 4.5"),
    "at the bounds": ({"xy": {"min": 0, "max": 5}}, {"xy": XY}, None),
    "NaN against a minimum": ({"xy": {"min": 0}}, {"xy": np.array([1, np.nan])}, "goes down to nan, below 0"),
    "NaN against a maximum": ({"xy": {"max": 9}}, {"xy": np.array([1, np.nan])}, "goes up to nan, above 9"),
    "NaN without a range": ({"xy": {"dtype": "float64"}}, {"xy": np.array([np.nan])}, None),
    "infinity": ({"xy": {"max": 1e300}}, {"xy": np.array([np.inf])}, "goes up to inf"),
    "nothing in it": ({"xy": {"min": 0, "max": 1}}, {"xy": np.zeros((0, 2))}, None),
    "integers": ({"xy": {"min": 0, "max": 255}}, {"xy": np.array([0, 256])}, "goes up to 256, above 255"),
    "flags": ({"xy": {"min": 1}}, {"xy": np.array([True, False])}, "goes down to False, below 1"),
    "one symbol, equal": ({"a": {"shape": ["n", 2]}, "b": {"shape": ["n"]}}, {"a": XY, "b": np.zeros(3)}, None),
    "one symbol, other": (
        {"a": {"shape": ["n", 2]}, "b": {"shape": ["n"]}},
        {"a": XY, "b": np.zeros(4)},
        r"array 'b' has shape \[4\], not \['n'\]",
    ),
    "one symbol in one shape": ({"a": {"shape": ["n", "n"]}}, {"a": XY}, r"has shape \[3, 2\], not \['n', 'n'\]"),
    "two symbols": ({"a": {"shape": ["n", "m"]}}, {"a": XY}, None),
}


@pytest.mark.parametrize("case", ARRAYS.values(), ids=ARRAYS)
def test_arrays(case: tuple[dict[str, Any], dict[str, Any], str | None]) -> None:
    rules, arrays, fault = case
    facts = get_format("npz").encode(arrays).facts()
    if fault is None:
        check_facts({"arrays": rules}, facts, what="points")
    else:
        with pytest.raises(InvalidValue, match=f"^points is not as its schema says: .*{fault}"):
            check_facts({"arrays": rules}, facts, what="points")


@pytest.mark.parametrize("name", ["png", "jpeg", "mask"])
def test_an_image_is_the_array_image(name: str) -> None:
    facts = get_format(name).encode(np.zeros((2, 3), np.uint8)).facts()
    check_facts({"arrays": {"image": {"dtype": "uint8", "shape": [2, 3], "max": 0}}}, facts, what="overlay")
    with pytest.raises(InvalidValue, match=r"shape \[2, 3\], not \['n', 'n'\]"):
        check_facts({"arrays": {"image": {"shape": ["n", "n"]}}}, facts, what="overlay")


# --- columns -------------------------------------------------------------------------------------------------

COLUMNS: dict[str, tuple[dict[str, Any], list[dict[str, Any]], str | None]] = {
    "no rules": ({}, [{"a": 1}], None),
    "all of it": ({"a": {"dtype": "int64", "min": 1, "max": 2, "nullable": False}}, [{"a": 1}, {"a": 2}], None),
    "missing": ({"b": {}}, [{"a": 1}], "the column 'b' is missing"),
    "missing and not required": ({"b": {"required": False, "dtype": "int64"}}, [{"a": 1}], None),
    "dtype": ({"a": {"dtype": "int64"}}, [{"a": 1.5}], "column 'a' is float64, not int64"),
    "empty cell": ({"a": {"nullable": False}}, [{"a": 1}, {"a": None}], "column 'a' has 1 empty cell"),
    "empty cell allowed": ({"a": {"min": 0}}, [{"a": 1}, {"a": None}], None),
    "below": ({"a": {"min": 0}}, [{"a": 1}, {"a": -2}], "column 'a' goes down to -2, below 0"),
    "above": ({"a": {"max": 0}}, [{"a": 1}], "column 'a' goes up to 1, above 0"),
}


@pytest.mark.parametrize("case", COLUMNS.values(), ids=COLUMNS)
@pytest.mark.parametrize("name", ["csv", "parquet"])
def test_columns(name: str, case: tuple[dict[str, Any], list[dict[str, Any]], str | None]) -> None:
    rules, rows, fault = case
    facts = get_format(name).encode(rows if name == "csv" else pl.DataFrame(rows)).facts()
    if fault is None:
        check_facts({"columns": rules}, facts, what="table")
    else:
        with pytest.raises(InvalidValue, match=f"^table is not as its schema says: .*{fault}"):
            check_facts({"columns": rules}, facts, what="table")


@pytest.mark.parametrize("rule", [{"min": 0}, {"max": 9}])
def test_one_nan_in_a_column_is_out_of_range(rule: dict[str, Any]) -> None:
    facts = get_format("parquet").encode(pl.DataFrame({"a": [1.0, math.nan, None]})).facts()
    with pytest.raises(InvalidValue, match=r"column 'a' goes .* to nan"):
        check_facts({"columns": {"a": rule}}, facts, what="table")


# --- documents -----------------------------------------------------------------------------------------------

DOCUMENT = {
    "type": "object",
    "required": ["pitch"],
    "properties": {"pitch": {"$ref": "#/$defs/length"}, "points": {"items": {"type": "number"}}},
    "$defs": {"length": {"type": "number", "exclusiveMinimum": 0}},
}


def test_a_document_as_its_schema_says() -> None:
    check_facts({"document": DOCUMENT}, {"document": {"pitch": 10, "points": [1, 2.5], "more": None}}, what="grid")


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ([], r"\$: \[\] is not of type 'object'"),
        ({}, r"\$: 'pitch' is a required property"),
        ({"pitch": 0}, r"\$\.pitch: 0 is less than or equal to the minimum of 0"),
        ({"pitch": 1, "points": [1, "2"]}, r"\$\.points\[1\]: '2' is not of type 'number'"),
        ({"pitch": "x" * 1000}, r"\$\.pitch: 'x{190,199}$"),
    ],
)
def test_a_document_that_is_otherwise_is_told_where(document: Any, fault: str) -> None:
    with pytest.raises(InvalidValue, match=f"^grid is not as its schema says: {fault}"):
        check_facts({"document": DOCUMENT}, {"document": document}, what="grid")


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "objekt"},
        {"properties": 3},
        {"pattern": "("},
        {"$ref": "#/$defs/nothing"},
        {"$ref": "http://127.0.0.1:9/schema.json"},  # nothing is fetched: the address is of no service
        {"$ref": "file:///etc/passwd"},
    ],
)
def test_what_is_no_json_schema_is_a_contract_error(schema: dict[str, Any]) -> None:
    with pytest.raises(ContractError, match="The schema of grid is no JSON Schema: "):
        check_facts({"document": schema}, {"document": {"pitch": "x"}}, what="grid")


def test_without_jsonschema_the_advice_is_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    with pytest.raises(MissingExtra, match=r"pip install \"runbundle\[schema\]\""):
        check_facts({"document": {}}, {"document": {}}, what="grid")
    check_facts({"arrays": {}}, {"arrays": {}}, what="grid")


@pytest.mark.parametrize(("count", "end"), [(5, "'a4' is missing"), (8, "'a4' is missing (and 3 more)")])
def test_the_first_few_faults_are_told_and_the_rest_counted(count: int, end: str) -> None:
    rules: dict[str, Any] = {f"a{number}": {} for number in range(count)}
    with pytest.raises(InvalidValue) as caught:
        check_facts({"arrays": rules}, {"arrays": {}}, what="points")
    assert str(caught.value).count("is missing") == 5
    assert str(caught.value).endswith(end)


@pytest.mark.parametrize(
    ("form", "facts"), [("document", {"arrays": {}}), ("columns", {"document": {}}), ("arrays", {})]
)
def test_a_schema_of_another_format_is_a_contract_error(form: str, facts: dict[str, Any]) -> None:
    with pytest.raises(ContractError, match=f"speaks of {form}, which its format does not have"):
        check_facts({form: {}}, facts, what="points")
