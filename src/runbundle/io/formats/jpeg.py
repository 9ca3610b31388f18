"""JPEG images: small and lossy, for pictures that are looked at and not measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runbundle.base.errors import InvalidValue
from runbundle.io.formats import _images
from runbundle.io.formats._picture_sizes import jpeg_size
from runbundle.io.formats.base import Encoded, Format

_QUALITY_FLAG = 1  # cv2.IMWRITE_JPEG_QUALITY


class JpegFormat(Format):
    """A uint8 array of shape (H, W), or (H, W, 3) in BGR order; pixels come back nearly the same."""

    name = "jpeg"
    extensions = (".jpg", ".jpeg")
    content_type = "image/jpeg"

    def encode(self, value: Any, *, quality: int = 95) -> Encoded:
        """``quality`` is 1 to 100."""
        image = _images.check_image(value)
        if type(quality) is not int or not 1 <= quality <= 100:
            raise InvalidValue(f"quality is 1 to 100, not {quality!r}")
        return Encoded(
            lambda sink: sink.write(_images.compress(".jpg", image, [_QUALITY_FLAG, quality])),
            {"shape": list(image.shape), "dtype": str(image.dtype), "quality": quality},
            lambda: {"arrays": {"image": _images.array_facts(image)}},
        )

    def decode(self, data: bytes, meta: Mapping[str, Any]) -> Any:  # noqa: ARG002 - a format may need its meta
        """The pixels, in the shape they were written."""
        return _images.decompress(data, jpeg_size)


FORMAT = JpegFormat()
