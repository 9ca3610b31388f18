"""Readers whose library could end the process or take all memory, fuzzed in a child that may have little of it."""

import datetime as dt
import io
import random
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from faults.mutations import mutated
from faults.seeds import seeds
from runbundle.base.errors import RunbundleError
from runbundle.io.formats import get_format
from runbundle.io.input_image import decode_bgr
from sample_runs import run_child
from stand_ins import written

TABLE = pl.DataFrame(
    {
        "int": [1, None, 3] * 10,
        "float": [0.5, 1.5, None] * 10,
        "text": ["größe", "", None] * 10,
        "flag": [True, False, None] * 10,
        "day": [dt.date(2026, 11, 21)] * 30,
        "list": [[1, 2], [], None] * 10,
        "struct": [{"x": 1, "y": "a"}] * 30,
        "kind": pl.Series(["x", "y", "x"] * 10, dtype=pl.Categorical),
    }
)
COMPRESSIONS = ("zstd", "snappy", "uncompressed", "gzip", "lz4")
PIXELS = np.random.default_rng(5).integers(0, 256, (40, 30, 3), np.uint8)
ROUNDS = 100


def spoilt_table(source: random.Random) -> bytes:
    """A table with changes, most of them in its footer, where all the numbers are that a reader believes."""
    data = written("parquet", TABLE, compression=source.choice(COMPRESSIONS))
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    if source.randrange(4) == 0:
        return mutated(data, source)
    spoilt = mutated(data[footer:-8], source)
    return data[:footer] + spoilt + len(spoilt).to_bytes(4, "little") + data[-4:]


def spoilt_picture(source: random.Random) -> bytes:
    """A picture, or two of them crossed."""
    kinds = ("PNG", "JPEG", "TIFF", "WEBP", "GIF", "BMP", "PPM", "JPEG2000")
    streams = [io.BytesIO(), io.BytesIO()]
    for stream in streams:
        Image.fromarray(PIXELS).save(stream, source.choice(kinds))
    return mutated(streams[0].getvalue(), source, others=streams[1].getvalue())


def read_spoilt(what: str, seed: int, memory_mib: int) -> None:
    """In the child: read many, within so much more memory than is taken now."""
    source = random.Random(f"{what} {seed}")  # noqa: S311 - the same on every machine
    get_format("parquet").decode(written("parquet", TABLE), {})  # starts its threads
    decode_bgr(written("png", PIXELS))
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limit = taken + memory_mib * (1 << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for number in range(ROUNDS):
        began = time.process_time()
        data = spoilt_table(source) if what == "parquet" else spoilt_picture(source)
        try:
            if what == "parquet":
                get_format(what).decode(data, {})
            else:
                decode_bgr(data)
                get_format("png").decode(data, {})
        except RunbundleError:
            pass
        except BaseException as error:  # what may not be: a foreign error, or no memory
            raise AssertionError(f"input {number}: {data!r}") from error
        assert time.process_time() - began < 20, data


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
@pytest.mark.parametrize("seed", seeds(1), ids="seed {}".format)
@pytest.mark.parametrize(("what", "memory_mib"), [("parquet", 1024), ("picture", 256)])
def test_a_spoilt_file_ends_no_process_and_takes_little_memory(
    what: str, memory_mib: int, seed: int, tmp_path: Path
) -> None:
    code = "from faults.test_fuzzed_readers_children import read_spoilt; "
    try:
        done = run_child(f"{code}read_spoilt({what!r}, {seed}, {memory_mib})", tmp_path)
    except subprocess.TimeoutExpired:
        pytest.fail("a reader hangs")
    assert done.returncode == 0, done.stderr[-3000:]


def read_large(rows: int, memory_mib: int) -> None:
    """In the child: a table of a few KiB that is hundreds of MiB in memory, of which there is less."""
    data = written("parquet", pl.DataFrame({"a": pl.repeat(0, rows, dtype=pl.Int64, eager=True)}))
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limit = taken + memory_mib * (1 << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    try:
        get_format("parquet").decode(data, {})
    except RunbundleError as error:
        assert "do not fit into memory" in str(error)  # noqa: PT017 - in a child there is no pytest
    else:
        raise AssertionError("it was read")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
def test_a_table_that_packs_well_and_does_not_fit_into_memory_ends_no_process(tmp_path: Path) -> None:
    code = "from faults.test_fuzzed_readers_children import read_large; read_large(30_000_000, 300)"
    done = run_child(code, tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
