"""Named arrays in one NPZ file (NumPy's own format: a ZIP of ``.npy`` members), never with objects."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import Any, cast

from runbundle.base.errors import InvalidType, InvalidValue
from runbundle.io.atomic import Sink
from runbundle.io.confine import check_confined
from runbundle.io.formats._images import array_facts
from runbundle.io.formats._npz import fits_header, read_arrays
from runbundle.io.formats.base import Encoded, Format, copied_array, need


class NpzFormat(Format):
    """A dict of arrays. The same arrays give the same bytes."""

    name = "npz"
    extensions = (".npz",)
    content_type = "application/zip"

    def encode(self, value: Any, *, compress: bool = False) -> Encoded:
        """``compress`` makes the file smaller and takes longer."""
        np = need("numpy", "arrays")
        if not isinstance(value, Mapping) or not value:
            raise InvalidType("Arrays are given as a dict of at least one", hint="Give {'name': array}")
        arrays = {_member(name): _array(np, name, item) for name, item in value.items()}
        method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED

        def write(sink: Sink) -> None:
            with zipfile.ZipFile(cast("io.BytesIO", _OneWay(sink)), "w", method) as archive:
                for member, array in arrays.items():
                    entry = zipfile.ZipInfo(member)  # dated 1980-01-01: no clock in the bytes
                    entry.compress_type = method
                    with archive.open(entry, "w", force_zip64=True) as stream:
                        np.lib.format.write_array(stream, array, allow_pickle=False)

        shapes = {
            name: {"shape": list(np.shape(a)), "dtype": str(a.dtype)}
            for name, a in zip(value, arrays.values(), strict=True)
        }
        return Encoded(
            write,
            {"arrays": shapes},
            lambda: {"arrays": {n: array_facts(a) for n, a in zip(value, arrays.values(), strict=True)}},
        )

    def snapshot(self, value: Any, spare: Any = None) -> Any:
        """Copies of the arrays."""
        if not isinstance(value, Mapping):
            return super().snapshot(value)
        known = spare if isinstance(spare, dict) else {}
        return {name: copied_array(item, known.get(name)) for name, item in value.items()}

    def decode(self, data: bytes, meta: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG002 - unused here
        """The arrays, all in memory, which hardly takes more than they are large.

        Before any is made, what every member says of its array is held against its length, and its length against
        what can be packed in its bytes: a header that lies allocates nothing.
        """
        return read_arrays(data)


class _OneWay:
    """A sink as zipfile wants its stream: it can be written, and cannot seek."""

    def __init__(self, sink: Sink) -> None:
        self.write = sink.write
        self.flush = sink.flush


def _member(name: Any) -> str:
    if not isinstance(name, str):
        raise InvalidType(f"Names of arrays are text, not {name!r}")
    return check_confined(name, what="array name") + ".npy"


def _array(np: Any, name: str, value: Any) -> Any:
    try:
        array = np.asanyarray(value)
    except ValueError as error:
        raise InvalidType(f"{name!r} is no array: {error}", hint="Give arrays, or numbers that make one") from error
    if isinstance(array, np.ma.MaskedArray):
        raise InvalidType(f"The array {name!r} is masked, and its mask would be lost", hint="Give data and mask apart")
    if array.dtype.hasobject:
        raise InvalidType(f"The array {name!r} holds Python objects, which need pickle", hint="Give numbers or text")
    if array.dtype.kind == "V" and array.dtype.names is None:
        raise InvalidValue(
            f"The array {name!r} is of the opaque type {array.dtype}", hint="Give arrays of numbers, booleans or text"
        )
    if not fits_header(array):
        raise InvalidValue(
            f"The array {name!r} is of the type {str(array.dtype)[:200]}, which cannot be read back",
            hint="Give fewer fields, or each as an array of its own",
        )
    return array


FORMAT = NpzFormat()
