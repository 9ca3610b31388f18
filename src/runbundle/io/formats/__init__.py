"""The formats of artifacts, by name and by extension. Each is one small module with a ``FORMAT``.

========  ==================  ===========================================================  =========
name      extension           value                                                        extra
========  ==================  ===========================================================  =========
json      .json               what JSON holds exactly
yaml      .yaml .yml          the same
text      .txt .md .log       str
html      .html               str
csv       .csv                list of dicts with the same keys; read back as text
png       .png                uint8 array, HxW or HxWx3 BGR                                images
mask      .png                bool or 0/1/255 array, HxW                                   images
jpeg      .jpg .jpeg          as png; lossy                                                images
npz       .npz                dict of arrays without objects                               arrays
parquet   .parquet            Polars DataFrame                                             tables
checkpoint  .pt               nested dicts, lists, tensors, numbers and text; under          (torch)
                              ``checkpoints/`` only
safetensors  .safetensors     dict of arrays or tensors                                    safetensors
onnx      .onnx               a serialised model, or the path of one; read back as bytes
file      any                 path of a file, or bytes; read back as bytes
========  ==================  ===========================================================  =========

Pickle is no format here, and a file that holds one is refused. A checkpoint, whose bytes torch packs by pickle, holds
plain values and tensors alone, and is read by torch's own safe reader.
"""

from __future__ import annotations

import importlib

from runbundle.base.errors import UnsupportedFormat
from runbundle.io.formats.base import Encoded, Format

__all__ = ["FORMAT_NAMES", "Encoded", "Format", "format_for_extension", "get_format"]

FORMAT_NAMES = (
    *("json", "yaml", "text", "html", "csv", "png", "mask", "jpeg", "npz"),
    *("parquet", "checkpoint", "safetensors", "onnx", "file"),
)

_loaded: dict[str, Format] = {}


def get_format(name: str) -> Format:
    """The format of that name.

    Raises:
        UnsupportedFormat: there is none.
    """
    found = _loaded.get(name)
    if found is None:
        if name not in FORMAT_NAMES:
            raise UnsupportedFormat(
                f"There is no format {name!r}", hint=f"Formats are {', '.join(sorted(FORMAT_NAMES))}"
            )
        module = importlib.import_module(f"runbundle.io.formats.{name}")
        found = _loaded[name] = module.FORMAT
    return found


def format_for_extension(ext: str) -> Format:
    """The format that an extension (with its dot) stands for when nothing else is said.

    Raises:
        UnsupportedFormat: none does.
    """
    for name in FORMAT_NAMES:
        if ext.lower() in get_format(name).extensions:
            return get_format(name)
    raise UnsupportedFormat(
        f"No format is known for the extension {ext!r}",
        hint="Save it under a known extension, or declare it in a contract with format file",
    )
