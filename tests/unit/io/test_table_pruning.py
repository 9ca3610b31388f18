"""A table read with what its parts say of their ranges has the rows that it has without."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runbundle.base.clock import SystemClock
from runbundle.io.table import scan as scanning
from runbundle.io.table.folder import FolderTable
from runbundle.io.table.parts import Cutting
from runbundle.io.table.rows import Rows

tick = pl.col("tick")
RANGES = {
    "int64": (2**63 - 30, 2**63 - 1),
    "uint64": (2**63 - 15, 2**63 + 15),
    "int8": (100, 127),
    "uint8": (0, 30),
    "int32": (0, 30),
    "uint32": (2**32 - 30, 2**32 - 1),
    "int128": (2**64 - 10, 2**64 + 20),
}
COMPARED: tuple[Callable[[int], pl.Expr], ...] = (
    lambda value: tick == value,
    lambda value: tick != value,
    lambda value: tick > value,
    lambda value: tick <= value,
    lambda value: tick == pl.lit(value),
    tick.eq_missing,
    lambda value: tick.is_between(value - 3, value),
    lambda value: (tick == value).is_null(),
    lambda value: tick + 1 > value,
    lambda value: pl.col("row") > value % 20,
    lambda _: tick.is_null(),
    lambda _: tick.is_not_null(),
)


@st.composite
def filters(draw: st.DrawFn, dtype: str) -> pl.Expr:
    low, high = RANGES[dtype]
    kind = getattr(pl, {"uint8": "UInt8", "uint32": "UInt32", "uint64": "UInt64"}.get(dtype, dtype.capitalize()))
    values = st.integers(max(0, low), high)
    found: pl.Expr = draw(st.sampled_from(COMPARED))(draw(values))
    for _ in range(draw(st.integers(0, 3))):
        how = draw(st.integers(0, 3))
        if how == 0:
            found = ~found
        elif how == 1:
            found = found & draw(st.sampled_from(COMPARED))(draw(values))
        elif how == 2:
            found = found | draw(st.sampled_from(COMPARED))(draw(values))
        else:
            found = found & tick.is_in(pl.Series(draw(st.lists(values, max_size=3)), dtype=kind).implode())
    return found


def table(folder: Path, dtype: str, frames: list[list[int]], size: int) -> FolderTable:
    rules = {"tick": {"dtype": dtype}, "row": {"dtype": "int64"}}
    cutting = Cutting("tick", size, "zstd", 1000, "1", "t", None)
    made = FolderTable(folder, cutting, Rows(rules, "tick"), SystemClock())
    row = 0
    for ticks in frames:
        made.append(
            pl.DataFrame(
                {"tick": sorted(ticks), "row": range(row, row + len(ticks))}, schema_overrides={"tick": pl.Int128}
            )
        )
        row += len(ticks)
    return made


def both(made: FolderTable) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    parts = made.parts()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scanning, "_takes_statistics", lambda: False)
        plain = scanning.scan(made.folder, parts, bucket_by="tick")
    return scanning.scan(made.folder, parts, bucket_by="tick"), plain


def outcome(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except pl.exceptions.PolarsError as error:  # a literal that the type has no value for
        return type(error)


@pytest.mark.parametrize("dtype", RANGES)
def test_what_is_pruned_has_no_row_that_was_asked_for(dtype: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    low, high = RANGES[dtype]

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.lists(st.lists(st.integers(low, high), min_size=1, max_size=4), min_size=1, max_size=6),
        st.sampled_from([1, 7, 1000]),
        st.lists(filters(dtype), min_size=4, max_size=4),
        st.lists(st.integers(low, high), max_size=3),
    )
    def compare(frames: list[list[int]], size: int, wheres: list[pl.Expr], joined: list[int]) -> None:
        pruned, plain = both(table(tmp_path_factory.mktemp("t"), dtype, frames, size))
        other = pl.LazyFrame({"tick": pl.Series(joined, dtype=plain.collect_schema()["tick"])})
        asked: list[Callable[[pl.LazyFrame], pl.LazyFrame]] = [
            *(lambda frame, where=where: frame.filter(where) for where in wheres),
            *(lambda frame, where=where: frame.filter(where).select(pl.len()) for where in wheres[:1]),
            *(lambda frame, where=where: frame.filter(where).slice(1, 2) for where in wheres[:1]),
            lambda frame: frame.join(other, on="tick", how="inner"),
            lambda frame: frame.join(other, on="tick", how="anti"),
            lambda frame: frame.group_by("tick").agg(pl.len(), pl.col("row").sum()),
            lambda frame: frame.select(tick.min(), pl.len(), high=tick.max()),
            lambda frame: frame.slice(2, 3),
            lambda frame: frame.tail(2),
        ]
        for number, ask in enumerate(asked):
            wanted = outcome(lambda: sorted(ask(plain).collect().rows()))  # noqa: B023 - called at once
            for engine in ("in-memory", "streaming"):
                got = outcome(lambda: sorted(ask(pruned).collect(engine=engine).rows()))  # noqa: B023
                assert got == wanted, (number, engine)

    compare()
