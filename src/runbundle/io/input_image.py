"""Reading pictures that come from outside: phone photos, scans, screenshots.

Pillow decodes: it raises for a truncated file, where OpenCV gives a half-grey picture.
"""

from __future__ import annotations

import io
import struct
import warnings
from typing import TYPE_CHECKING, Any

from runbundle.base.errors import DecodeError
from runbundle.io.formats._picture_sizes import jpeg_size, png_size
from runbundle.io.formats.base import need

if TYPE_CHECKING:
    import numpy as np

_ORIENTATION = 0x0112  # the EXIF tag; its value says how a viewer turns the stored pixels
_TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
_SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N", "I")
# what cameras, phones, scanners and screenshots give. Pillow knows more, and for EPS would start Ghostscript
_KINDS = ("JPEG", "MPO", "PNG", "TIFF", "WEBP", "GIF", "BMP", "DIB", "PPM", "JPEG2000", "AVIF", "HEIF")


def decode_bgr(data: bytes) -> np.ndarray[Any, Any]:
    """The picture as it is meant to be seen: EXIF orientation applied, uint8, shape (H, W, 3), BGR.

    16-bit and grey pictures, RGBA (the colours, without regard to alpha) and CMYK are converted. JPEG, PNG, TIFF,
    WebP, GIF, BMP, PPM, JPEG 2000 and, where Pillow has them, AVIF and HEIF are read; no other program is started.

    Raises:
        DecodeError: not a picture of these kinds, truncated, larger than its bytes can hold, or absurdly large.
    """
    numpy, image = need("numpy", "images"), need("PIL.Image", "images")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of metadata that Pillow skips; for bombs its error is the limit
            image.init()
            kinds = [kind for kind in _KINDS if kind in image.OPEN]
            with image.open(io.BytesIO(data), formats=kinds) as opened:
                if opened.format in ("JPEG", "MPO"):
                    jpeg_size(data)
                elif opened.format == "PNG":
                    png_size(data)
                opened.load()
                upright = _upright(image, opened)
                pixels: np.ndarray[Any, Any] = numpy.ascontiguousarray(_rgb(numpy, upright)[:, :, ::-1])
                return pixels
    except (OSError, ValueError, SyntaxError, EOFError, RuntimeError, struct.error, MemoryError) as error:
        raise DecodeError(f"The picture is not readable: {error}", hint="Check the file or take it again") from error
    except image.DecompressionBombError as error:
        raise DecodeError(f"The picture is too large: {error}", hint="Scale it down first") from error


def _upright(image: Any, picture: Any) -> Any:
    try:
        orientation = picture.getexif().get(_ORIENTATION)
    except (OSError, ValueError, SyntaxError, struct.error):  # metadata without sense turns nothing
        return picture
    turn = _TURNS.get(orientation)
    return picture if turn is None else picture.transpose(image.Transpose[turn])


def _rgb(np: Any, picture: Any) -> Any:
    if picture.mode in _SIXTEEN_BIT:
        values = np.asarray(picture).astype(np.int64)
        grey = np.clip(values >> 8, 0, 255).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if picture.mode == "F":
        raise ValueError("floating-point pixels have no known range")
    return np.asarray(picture if picture.mode == "RGB" else picture.convert("RGB"))
