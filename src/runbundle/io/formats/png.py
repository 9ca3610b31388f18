"""PNG images: lossless, uint8."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runbundle.base.errors import InvalidValue
from runbundle.io.formats import _images
from runbundle.io.formats._picture_sizes import png_size
from runbundle.io.formats.base import Encoded, Format

_COMPRESSION_FLAG = 16  # cv2.IMWRITE_PNG_COMPRESSION


class PngFormat(Format):
    """A uint8 array of shape (H, W), or (H, W, 3) in BGR order."""

    name = "png"
    extensions = (".png",)
    content_type = "image/png"

    def encode(self, value: Any, *, compression: int | None = None) -> Encoded:
        """``compression`` is zlib's level 0 to 9; left out, OpenCV's fast default."""
        image = _images.check_image(value)
        if compression is not None and (type(compression) is not int or not 0 <= compression <= 9):
            raise InvalidValue(f"compression is 0 to 9, not {compression!r}")
        parameters = [] if compression is None else [_COMPRESSION_FLAG, compression]
        return Encoded(
            lambda sink: sink.write(_images.compress(".png", image, parameters)),
            {"shape": list(image.shape), "dtype": str(image.dtype)},
            lambda: {"arrays": {"image": _images.array_facts(image)}},
        )

    def decode(self, data: bytes, meta: Mapping[str, Any]) -> Any:  # noqa: ARG002 - a format may need its meta
        """The pixels, in the shape they were written."""
        return _images.decompress(data, png_size)


FORMAT = PngFormat()
