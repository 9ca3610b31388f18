"""Every reader of bytes, given changed and random ones: an error of ours, told in few words, or a right value."""

import io
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

import runbundle as rb
from faults.mutations import mutated, random_bytes
from faults.seeds import seeds
from runbundle.base import jsontext
from runbundle.base.errors import RunbundleError
from runbundle.contract.declaration import from_mapping, from_yaml, to_mapping
from runbundle.io.formats import get_format, yaml
from runbundle.io.input_image import decode_bgr
from runbundle.io.journal import Journal
from runbundle.run.log.manifest import parse_manifest
from runbundle.run.seal import read_seal
from sample_runs import CONTRACT, SEED_CONTRACT, finished_run
from stand_ins import read_journal, written

NUMBERS = np.random.default_rng(3)
DOCUMENT = {
    "lr": [1e-05, 0.5, -0.0, 7, 2**70],
    "text": 'a "b" \\ é🌿\n\x85\ufeff',
    "net": {"layers": [{"n": 3, "act": None}, [[True], {}]], "": []},
}
ROWS = [{"a": 1, "größe": 'x "y", z', "c": None}, {"a": -2.5, "größe": "\n\r", "c": ""}]
IMAGE = NUMBERS.integers(0, 256, (24, 31, 3), np.uint8)
ARRAYS = {"a": np.arange(6.0).reshape(2, 3), "b/c": np.array(["x", "é"]), "r": np.zeros(2, [("x", "i4"), ("y", "f8")])}
# a graph of one Relu, IR version 8, opset 17
ONNX = (
    b'\x08\x08:3\n\x0c\n\x01x\x12\x01y"\x04Relu\x12\x01gZ\x0f\n\x01x\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01'
    b"b\x0f\n\x01y\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\x11"
)
LONGEST_S = 20.0  # of processor time for one value: a hang, not a measure of speed


def _picture(kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(IMAGE).save(stream, kind, **options)
    return stream.getvalue()


SAMPLES: dict[str, list[bytes]] = {
    "json": [written("json", DOCUMENT), jsontext.line(DOCUMENT)],
    "yaml": [written("yaml", DOCUMENT), b"a: [1, {b: c}]\nd: |\n  text\n  more\n? e\n: &x !!str 'f'\n--- # g\n"],
    "text": [written("text", "größe 🌿\r\n")],
    "html": [written("html", "<p>é</p>")],
    "csv": [written("csv", ROWS)],
    "png": [written("png", IMAGE), written("png", IMAGE[:, :, 0])],
    "mask": [written("mask", IMAGE[:, :, 0] > 99)],
    "jpeg": [written("jpeg", IMAGE), _picture("JPEG", progressive=True), written("jpeg", IMAGE[:, :, 0])],
    "npz": [written("npz", ARRAYS), written("npz", ARRAYS, compress=True)],
    "safetensors": [written("safetensors", {"a": np.arange(6.0).reshape(2, 3), "b": np.zeros(3, np.uint8)})],
    "onnx": [ONNX],
    "file": [b"any"],
}
PICTURES = {
    "JPEG": _picture("JPEG"),
    "PNG": _picture("PNG"),
    "TIFF": _picture("TIFF", compression="tiff_lzw"),
    "WEBP": _picture("WEBP"),
    "GIF": _picture("GIF"),
    "BMP": _picture("BMP"),
    "PPM": _picture("PPM"),
    "JPEG2000": _picture("JPEG2000"),
}
OTHERS = b"".join(data for samples in SAMPLES.values() for data in samples)


def outcome(read: Callable[[], Any]) -> Any:
    """The value, or None after an error of ours; all else goes through."""
    began = time.process_time()
    try:
        return read()
    except RunbundleError as error:
        assert len(str(error)) < 2000  # noqa: PT017 - what any error must be, not that there is one
        str(error).encode()
        return None
    finally:
        assert time.process_time() - began < LONGEST_S


def is_json(value: Any) -> bool:
    return outcome(lambda: jsontext.pretty(value)) is not None or isinstance(value, int)


def is_right(name: str, value: Any) -> bool:  # noqa: PLR0911 - one a format
    """Whether a value is one that the format may give."""
    match name:
        case "json" | "yaml":
            return is_json(value)
        case "text" | "html":
            return isinstance(value, str)
        case "csv":
            return all(isinstance(cell, str) for row in value for cell in row.values())
        case "npz":
            known = [array.tobytes() for array in ARRAYS.values()]  # each member has a checksum
            return all(array.tobytes() in known for array in value.values())
        case "safetensors":
            return all(isinstance(array, np.ndarray) for array in value.values())
        case "file" | "onnx":
            return isinstance(value, bytes)
    return value.dtype == np.uint8 and value.size > 0 and value.shape[2:] in ((), (3,))


@pytest.mark.parametrize("seed", seeds(6), ids="seed {}".format)
@pytest.mark.parametrize("name", SAMPLES)
def test_a_format_reads_changed_bytes_rightly_or_says_that_it_cannot(
    name: str, seed: int, capfd: pytest.CaptureFixture[str]
) -> None:
    source = random.Random(f"{name} {seed}")  # noqa: S311 - the same on every machine
    for _ in range(40):
        data = mutated(source.choice(SAMPLES[name]), source, others=OTHERS)
        for given in (data, random_bytes(source)):
            value = outcome(lambda given=given: get_format(name).decode(given, {}))  # type: ignore[misc]
            assert value is None or is_right(name, value), given
            outcome(lambda given=given: get_format("file").encode(given))  # type: ignore[misc]
    capfd.readouterr()  # the image libraries say it as well


@pytest.mark.parametrize("seed", seeds(4), ids="seed {}".format)
@pytest.mark.parametrize("kind", PICTURES)
def test_a_picture_is_read_or_refused(kind: str, seed: int, capfd: pytest.CaptureFixture[str]) -> None:
    source = random.Random(f"{kind} {seed}")  # noqa: S311 - the same on every machine
    for _ in range(30):
        data = mutated(PICTURES[kind], source, others=PICTURES["JPEG"])
        pixels = outcome(lambda data=data: decode_bgr(data))  # type: ignore[misc]
        assert pixels is None or (pixels.dtype == np.uint8 and pixels.shape[2] == 3), data
    capfd.readouterr()


@pytest.mark.parametrize("seed", seeds(8), ids="seed {}".format)
def test_json_and_yaml_texts_are_strict_values_or_errors(seed: int) -> None:
    source = random.Random(seed)  # noqa: S311 - the same on every machine
    for _ in range(150):
        for name, read in (("json", jsontext.parse), ("yaml", yaml.load)):
            data = random_bytes(source) if source.randrange(3) else mutated(SAMPLES[name][0], source, others=OTHERS)
            value = outcome(lambda read=read, data=data: read(data))  # type: ignore[misc]
            assert is_json(value), data


# --- the files of a run -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_run(tmp_path_factory.mktemp("fuzz"))


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("fuzz") / "a.jsonl"
    made = Journal.create(path)
    for number in range(8):
        made.append({"record": "note", "text": f"{number} é", "data": DOCUMENT})
    made.close()
    return path.read_bytes()


@pytest.mark.parametrize("seed", seeds(10), ids="seed {}".format)
def test_a_journal_gives_what_was_said_up_to_its_damage(seed: int, journal: bytes, tmp_path: Path) -> None:
    source = random.Random(seed)  # noqa: S311 - the same on every machine
    place = tmp_path / "a.jsonl"
    place.write_bytes(journal)
    whole = read_journal(place)
    assert whole.damage is None
    for _ in range(60):
        data = mutated(journal, source)
        place.write_bytes(data)
        found = outcome(lambda: read_journal(place))
        said = len(found.records)
        # what is shown is what was said, but for the last line, which nothing follows that names its digest
        assert list(found.records[: max(0, said - 1)]) == list(whole.records[: max(0, said - 1)]), data
        assert found.good_bytes + found.torn_bytes == len(data) or found.damage is not None, data


@pytest.mark.parametrize("seed", seeds(10), ids="seed {}".format)
def test_a_manifest_and_a_seal_are_read_or_refused(seed: int, run_dir: Path, tmp_path: Path) -> None:
    source = random.Random(seed)  # noqa: S311 - the same on every machine
    manifest, seal = (run_dir / "run_manifest.json").read_bytes(), (run_dir / "SHA256SUMS").read_bytes()
    for _ in range(40):
        data = mutated(manifest, source, others=OTHERS)
        found = outcome(lambda data=data: parse_manifest(data))  # type: ignore[misc]
        assert found is None or is_json(found), data
        (tmp_path / "SHA256SUMS").write_bytes(mutated(seal, source, others=OTHERS))
        sealed = outcome(lambda: read_seal(tmp_path))
        for path, digest in sealed[0].items() if sealed else ():
            assert not path.startswith("/"), path
            assert ".." not in path.split("/"), path
            assert len(bytes.fromhex(digest)) == 32


@pytest.mark.parametrize("contract", [CONTRACT, SEED_CONTRACT], ids=["sample", "seed layout"])
@pytest.mark.parametrize("seed", seeds(8), ids="seed {}".format)
def test_a_contract_is_a_contract_or_an_error(seed: int, contract: rb.Contract) -> None:
    source = random.Random(seed)  # noqa: S311 - the same on every machine
    mapping = to_mapping(contract)
    text = yaml.dump(mapping)
    assert from_yaml(text.decode()) == from_mapping(mapping) == contract
    for _ in range(30):
        changed = _changed(mapping, source)
        found = outcome(lambda changed=changed: from_mapping(changed))  # type: ignore[misc]
        assert found is None or from_mapping(to_mapping(found)) == found, changed
        data = mutated(text, source, others=OTHERS).decode(errors="replace")
        found = outcome(lambda data=data: from_yaml(data))  # type: ignore[misc]
        assert found is None or isinstance(found, rb.Contract), data


ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    1.5,
    "",
    "..",
    "/x",
    "a b",
    "{x}",
    "[_{variant}]",
    "x" * 300,
    [],
    [[]],
    {},
    {"": 0},
    "é",
    "\0",
]


def _changed(value: Any, source: random.Random) -> Any:
    """JSON with one place changed for something odd, or left out."""
    if isinstance(value, dict) and value and source.randrange(8):
        key = source.choice(list(value))
        if not source.randrange(6):
            return {name: item for name, item in value.items() if name != key}
        return {**value, key: _changed(value[key], source)}
    if isinstance(value, list) and value and source.randrange(8):
        place = source.randrange(len(value))
        return [*value[:place], _changed(value[place], source), *value[place + 1 :]]
    return source.choice(ODD)


# --- tables, whose library may end the process: test_fuzzed_readers_children.py has more ----------


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" * 3, b"PAR1" + b"\xff" * 8 + b"PAR1"], ids=range(4))
def test_what_only_looks_like_a_table_is_refused(data: bytes) -> None:
    assert outcome(lambda: get_format("parquet").decode(data, {})) is None
    assert isinstance(get_format("parquet").decode(written("parquet", pl.DataFrame({"a": [1]})), {}), pl.DataFrame)
