"""Values that no format holds, at the public face: refused, or given back exactly; and what runs no code."""

import datetime as dt
import enum
import math
import pickle
import struct
import uuid
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import runbundle as rb
from runbundle import errors
from sample_runs import codes, own_folder, project

__all__ = ["own_folder"]


@dataclass
class Point:
    x: int = 1


class Colour(enum.Enum):
    RED = 1


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


EXACT = {
    "beyond 64 bits": [2**63, 2**64, -(2**64), 10**300],
    "negative zero": [-0.0, 0.0],
    "extremes": [5e-324, 1.7976931348623157e308],
    "text": [
        "",
        "\0",
        "\x7f\x85\u2028\ufeff\ufffe🌿",
        "e\u0301",
        "é",
        "no",
        "1e3",
        "~",
        "*a",
        "&a",
        "!!python/name:os.system",
    ],
    "keys": {"": 1, "a b": 2, "é": 3, "e\u0301": 4, "true": 5, "<<": 6, "__proto__": 7},
    "deep": nested(150),
    "flags": [True, 1, 1.0, None],
}
REFUSED = {
    "NaN": math.nan,
    "infinity": math.inf,
    "NumPy NaN": np.float64("nan"),
    "set": {1},
    "bytes": b"x",
    "Decimal": Decimal(1),
    "UUID": uuid.UUID(int=1),
    "Enum": Colour.RED,
    "datetime": dt.datetime(2026, 11, 21, tzinfo=dt.UTC),
    "date": dt.date(2026, 11, 21),
    "dataclass": Point(),
    "path": Path("x"),
    "array": np.zeros(2),
    "complex": 1j,
    "function": len,
    "lone surrogate": "\ud800",
    "lone surrogate as key": {"\udfff": 1},
    "number as key": {1: 2},
    "flag as key": {True: 2},
    "none as key": {None: 2},
    "bytes as key": {b"a": 2},
    "too deep": nested(100_000),
    "endless integer": 10**5000,
}


def same(one: Any, other: Any) -> bool:
    """Equal in value and type, and -0.0 apart from 0.0."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return struct.pack("d", one) == struct.pack("d", other)
    return type(one) is type(other) and one == other


@pytest.mark.parametrize("value", EXACT.values(), ids=EXACT)
def test_odd_values_come_back_exactly_from_everywhere(tmp_path: Path, value: Any) -> None:
    with project(tmp_path).start({"p": value}) as run:
        run.save("a.json", value)
        run.save("a.yaml", value)
        run.save("b.json", {"a": [value]}, meta={"m": value})
    done = rb.open_run(run.path)
    assert same(done.read("a.json"), value)
    assert same(done.read("a.yaml"), value)
    assert same(done.record("b.json").meta["m"], value)
    assert same(done.config["p"], value)
    assert codes(done.verify()) == []


@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED)
def test_what_json_cannot_hold_is_refused_everywhere_and_nothing_is_written(tmp_path: Path, value: Any) -> None:
    run = project(tmp_path).start()
    before = sorted(run.path.rglob("*")), (run.path / "artifacts.jsonl").read_bytes()
    for name in ("a.json", "a.yaml"):
        for given in ({"a": [value]}, *(() if isinstance(value, bytes | Path) else (value,))):  # those are files
            with pytest.raises(errors.InvalidInputError) as caught:
                run.save(name, given)
            str(caught.value).encode()
            assert len(str(caught.value)) < 1000
    with pytest.raises(errors.InvalidInputError):
        run.save("b.json", 1, meta={"m": value})
    assert (sorted(run.path.rglob("*")), (run.path / "artifacts.jsonl").read_bytes()) == before
    run.finish()
    assert codes(rb.open_run(run.path).verify()) == []


@pytest.mark.parametrize("title", [title for title in REFUSED if title != "dataclass"])
def test_what_json_cannot_hold_is_no_configuration(tmp_path: Path, title: str) -> None:
    with pytest.raises(errors.InvalidInputError):
        project(tmp_path).start({"p": [REFUSED[title]]})
    assert not list(tmp_path.rglob("run_manifest.json"))


class Attack:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("it-ran"),)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "name", ["a.bin", "a.json", "a.png", "a.npz", "a.parquet", "a.txt", "a.csv", "a.yaml", "a.pth"]
)
def test_a_pickle_is_refused_under_any_extension(tmp_path: Path, name: str, protocol: int) -> None:
    run = project(tmp_path / "store").start()
    (tmp_path / "model").write_bytes(pickle.dumps({"a": Attack()}, protocol))
    for value in ((tmp_path / "model").read_bytes(), tmp_path / "model"):
        with pytest.raises(errors.InvalidValue, match="pickle"):
            run.save(name, value)
    assert not Path("it-ran").exists()


@pytest.mark.parametrize(
    "array",
    [np.array([Attack()]), np.array([(1, {})], [("a", "i4"), ("b", "O")]), np.array([None, 1]), np.array([2**70])],
    ids=["objects", "objects in records", "None", "integers beyond 64 bits"],
)
def test_arrays_of_objects_are_refused(tmp_path: Path, array: Any) -> None:
    run = project(tmp_path).start()
    with pytest.raises(errors.InvalidType, match="Python objects"):
        run.save("a.npz", {"a": array})
    assert list((run.path / "artifacts").iterdir()) == []
