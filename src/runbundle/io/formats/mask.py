"""Masks: yes or no per pixel, stored as PNG with the values 0 and ``true_value``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runbundle.base.errors import InvalidType, InvalidValue
from runbundle.io.formats import _images
from runbundle.io.formats._picture_sizes import png_size
from runbundle.io.formats.base import Encoded, Format, need


class MaskFormat(Format):
    """A 2-D array, bool or of integers within {0, 1, 255}."""

    name = "mask"
    extensions = (".png",)
    content_type = "image/png"

    def encode(self, value: Any, *, true_value: int = 255) -> Encoded:
        """``true_value``, 1 to 255, is what true is stored as; it stands in the record's meta."""
        np = need("numpy", "images")
        truth = _as_bool(value)
        if isinstance(true_value, bool) or not isinstance(true_value, int) or not 1 <= true_value <= 255:
            raise InvalidValue(f"true_value is an integer from 1 to 255, not {true_value!r}")
        image = np.where(truth, np.uint8(true_value), np.uint8(0))
        meta = {"shape": list(image.shape), "dtype": "uint8", "is_mask": True, "true_value": true_value}
        return Encoded(
            lambda sink: sink.write(_images.compress(".png", image, [])),
            meta,
            lambda: {"arrays": {"image": _images.array_facts(image)}},
        )

    def decode(self, data: bytes, meta: Mapping[str, Any]) -> Any:  # noqa: ARG002 - a format may need its meta
        """uint8, shape (H, W), values 0 and ``true_value``."""
        return _images.decompress(data, png_size)


def _as_bool(value: Any) -> Any:
    np = need("numpy", "images")
    if not isinstance(value, np.ndarray) or isinstance(value, np.ma.MaskedArray):
        raise InvalidType(
            f"A mask is a plain NumPy array, not {type(value).__name__}", hint="Give an array of bool, HxW"
        )
    if value.ndim != 2:
        raise InvalidValue(f"A mask has shape HxW, not {value.shape} of {value.dtype}")
    if value.size == 0:
        raise InvalidValue(f"A mask of shape {value.shape} of {value.dtype} is empty")
    if value.dtype == np.bool_:
        return value
    if value.dtype.kind not in "iu":
        raise InvalidType(
            f"A mask is bool or integer, not {value.dtype} of shape {value.shape}",
            hint="Compare it with a threshold first",
        )
    if not np.isin(value, (0, 1, 255)).all():
        found = np.unique(value)[:8].tolist()
        raise InvalidValue(
            f"A mask holds 0, 1 and 255 only; here are {found}", hint="Compare it with a threshold first"
        )
    return value != 0


FORMAT = MaskFormat()
