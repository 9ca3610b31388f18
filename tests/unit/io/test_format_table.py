import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runbundle.base.errors import InvalidInputError, MissingExtra, UnsupportedFormat
from runbundle.io.formats import FORMAT_NAMES, format_for_extension, get_format
from runbundle.io.formats.base import need
from runbundle.io.input_image import decode_bgr
from stand_ins import written

# name: (extensions, the usual one first; media type)
FORMATS = {
    "json": ((".json",), "application/json"),
    "yaml": ((".yaml", ".yml"), "application/yaml"),
    "text": ((".txt", ".md", ".log"), "text/plain; charset=utf-8"),
    "html": ((".html", ".htm"), "text/html; charset=utf-8"),
    "csv": ((".csv",), "text/csv; charset=utf-8"),
    "png": ((".png",), "image/png"),
    "mask": ((".png",), "image/png"),
    "jpeg": ((".jpg", ".jpeg"), "image/jpeg"),
    "npz": ((".npz",), "application/zip"),
    "parquet": ((".parquet",), "application/vnd.apache.parquet"),
    "checkpoint": ((".pt",), "application/octet-stream"),
    "safetensors": ((".safetensors",), "application/octet-stream"),
    "onnx": ((".onnx",), "application/octet-stream"),
    "file": ((), "application/octet-stream"),
}
IMAGE = np.zeros((2, 2), np.uint8)


def test_the_formats_are_the_pinned_ones() -> None:
    assert {name: (get_format(name).extensions, get_format(name).content_type) for name in FORMAT_NAMES} == FORMATS
    assert all(get_format(name).name == name for name in FORMAT_NAMES)


@pytest.mark.parametrize(
    ("ext", "name"),
    [(ext, name) for name, (extensions, _) in FORMATS.items() for ext in extensions if name != "mask"]
    + [(".PNG", "png"), (".JPeG", "jpeg")],
)
def test_an_extension_stands_for_a_format(ext: str, name: str) -> None:
    assert format_for_extension(ext).name == name


@pytest.mark.parametrize("ext", ["", ".", "png", ".pkl", ".pth", ".exe", ".tar.gz"])
def test_other_extensions_are_refused_with_advice(ext: str) -> None:
    with pytest.raises(UnsupportedFormat, match=re.escape(repr(ext)) + ".*Save it under a known extension"):
        format_for_extension(ext)


@pytest.mark.parametrize("name", ["pickle", "PNG", "", "base", "_images", "../json", "formats.json"])
def test_other_names_are_refused_and_the_names_told(name: str) -> None:
    with pytest.raises(UnsupportedFormat, match="Formats are checkpoint, csv, file, html, jpeg"):
        get_format(name)


VALUES: dict[str, Any] = {
    "json": {"b": 1, "a": [1.5, None]},
    "yaml": {"b": 1, "a": [1.5, None]},
    "text": "größe",
    "html": "<p>",
    "csv": [{"a": 1, "b": "x"}],
    "png": IMAGE,
    "mask": IMAGE == 0,
    "jpeg": IMAGE,
    "npz": {"b": np.arange(3), "a": np.array(["x"])},
    "safetensors": {"b": np.arange(3), "a": np.zeros((2, 2), np.float32)},
    "file": b"bytes",
}


@pytest.mark.parametrize("name", VALUES)
def test_the_same_value_gives_the_same_bytes(name: str) -> None:
    assert written(name, VALUES[name]) == written(name, VALUES[name])


@pytest.mark.parametrize("name", FORMATS)
def test_unknown_options_are_refused(name: str) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        get_format(name).encode(VALUES.get(name), colour="red")


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("value", [None, 1.5, object(), {1, 2}], ids=["None", "float", "object", "set"])
def test_values_of_no_use_are_refused_by_name(name: str, value: Any) -> None:
    if name in ("json", "yaml") and (value is None or value == 1.5):
        assert get_format(name).decode(written(name, value), {}) == value
        return
    with pytest.raises(InvalidInputError) as caught:
        written(name, value)
    assert isinstance(caught.value, TypeError)
    assert name in ("npz", "csv") or type(value).__name__ in str(caught.value)


MISSING = [
    ("png", "cv2", "images"),
    ("png", "numpy", "images"),
    ("mask", "cv2", "images"),
    ("mask", "numpy", "images"),
    ("jpeg", "cv2", "images"),
    ("npz", "numpy", "arrays"),
    ("parquet", "polars", "tables"),
    ("safetensors", "safetensors.numpy", "safetensors"),
]


@pytest.mark.parametrize(("name", "module", "extra"), MISSING)
def test_a_missing_library_is_named_with_the_extra_that_brings_it(
    name: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    for act in (lambda: written(name, VALUES.get(name)), lambda: get_format(name).decode(b"", {})):
        with pytest.raises(MissingExtra, match=re.escape(f"{module} is needed here and is not installed")) as caught:
            act()
        assert isinstance(caught.value, ImportError)
        assert f'pip install "runbundle[{extra}]"' in str(caught.value)


@pytest.mark.parametrize("module", ["numpy", "PIL.Image"])
def test_reading_pictures_needs_the_images_extra(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match=r"runbundle\[images\]"):
        decode_bgr(b"")


def test_a_missing_module_of_no_extra_is_told_as_well() -> None:
    with pytest.raises(MissingExtra, match="no_such_module_here"):
        need("no_such_module_here", "images")


def test_every_extra_that_a_message_names_exists() -> None:
    root = Path(__file__).parents[3]
    extras = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    text = "".join(path.read_text() for path in (root / "src" / "runbundle").rglob("*.py"))
    named = set(re.findall(r'need\("[^"]+", "(\w+)"\)', text)) | set(re.findall(r"runbundle\[(\w+)\]", text))
    assert {"images", "arrays", "tables", "schema"} <= named <= set(extras)
