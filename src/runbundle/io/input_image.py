"""Reading pictures that come from outside: phone photos, scans, screenshots.

Pillow decodes: it raises for a truncated file, where OpenCV gives a half-grey picture.
"""

from __future__ import annotations

import io
import struct
import warnings
from typing import TYPE_CHECKING, Any

from runbundle.base.errors import DecodeError
from runbundle.io.formats.base import need

if TYPE_CHECKING:
    import numpy as np

_SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N", "I")


def decode_bgr(data: bytes) -> np.ndarray[Any, Any]:
    """The picture as it is meant to be seen: EXIF orientation applied, uint8, shape (H, W, 3), BGR.

    16-bit and grey pictures, RGBA (the colours, without regard to alpha) and CMYK are converted.

    Raises:
        DecodeError: not a picture, truncated, or absurdly large.
    """
    numpy, image = need("numpy", "images"), need("PIL.Image", "images")
    transpose = need("PIL.ImageOps", "images").exif_transpose
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", image.DecompressionBombWarning)  # its error is the limit
            with image.open(io.BytesIO(data)) as opened:
                opened.load()
                upright = transpose(opened)
                pixels: np.ndarray[Any, Any] = numpy.ascontiguousarray(_rgb(numpy, upright)[:, :, ::-1])
                return pixels
    except (OSError, ValueError, SyntaxError, EOFError, struct.error, MemoryError) as error:
        raise DecodeError(f"The picture is not readable: {error}", hint="Check the file or take it again") from error
    except image.DecompressionBombError as error:
        raise DecodeError(f"The picture is too large: {error}", hint="Scale it down first") from error


def _rgb(np: Any, picture: Any) -> Any:
    if picture.mode in _SIXTEEN_BIT:
        values = np.asarray(picture).astype(np.int64)
        grey = np.clip(values >> 8, 0, 255).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if picture.mode == "F":
        raise ValueError("floating-point pixels have no known range")
    return np.asarray(picture.convert("RGB"))
