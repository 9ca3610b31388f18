"""What a photo's file says about itself, from its header only; broken and absurd files are declined here."""

from __future__ import annotations

import io
import struct
from typing import Any

import PIL
from PIL import (
    BmpImagePlugin,
    Image,
    ImageCms,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from gridpet.vision.model import Declined

MAX_PIXELS = 2**30  # the decoder refuses more
MIN_SIDE_PX = 16  # less cannot show a grid
_ORIENTATION_TAG = 0x0112
_BITS_TAG = 258  # TIFF BitsPerSample
_TURNED = range(5, 9)  # EXIF orientations that exchange width and height

# The plugins are called directly: Image.open warns about photos of 100 MP phones, and refuses 179 MP.
_PLUGINS: tuple[tuple[bytes, type[ImageFile.ImageFile]], ...] = (
    (b"\xff\xd8\xff", JpegImagePlugin.JpegImageFile),
    (b"\x89PNG\r\n\x1a\n", PngImagePlugin.PngImageFile),
    (b"II*\x00", TiffImagePlugin.TiffImageFile),
    (b"MM\x00*", TiffImagePlugin.TiffImageFile),
    (b"RIFF", WebPImagePlugin.WebPImageFile),
    (b"BM", BmpImagePlugin.BmpImageFile),
)
_HEADER_ERRORS = (OSError, SyntaxError, ValueError, KeyError, IndexError, TypeError, EOFError, struct.error)


def read_photo_info(data: bytes) -> dict[str, Any]:
    """Read the header of a photo; the pixels are not decoded.

    Args:
        data: the whole file: JPEG, PNG, TIFF, WebP or BMP.

    Returns:
        ``width_px, height_px`` as displayed (EXIF orientation applied), ``stored_width_px, stored_height_px``,
        ``exif_orientation`` 1 to 8, ``bit_depth`` per channel, ``color_mode`` (Pillow's name), ``icc`` (the colour
        profile's description, or None), ``file_bytes``, ``format`` and ``decoder``.

    Raises:
        Declined: the file is empty, not such a photo, damaged or cut off, or its size is absurd.
    """
    if not data:
        raise Declined("the file is empty: copy the photo again")
    facts = {"file_bytes": len(data)}
    image = _open_header(data, facts)
    width, height = image.size
    if min(width, height) < MIN_SIDE_PX:
        raise Declined(f"the photo is {width} x {height} px: each side needs {MIN_SIDE_PX}", details=facts)
    if width * height > MAX_PIXELS:
        raise Declined(
            f"the photo claims {width} x {height} px, more than can be decoded: the file is damaged or no photo",
            details=facts,
        )
    if _is_cut_off(data, image):
        raise Declined("the photo's file ends early: it was not copied completely, copy it again", details=facts)
    orientation = _orientation(image)
    turned = orientation in _TURNED
    return {
        "width_px": height if turned else width,
        "height_px": width if turned else height,
        "stored_width_px": width,
        "stored_height_px": height,
        "exif_orientation": orientation,
        "bit_depth": _bit_depth(data, image),
        "color_mode": image.mode,
        "icc": _profile_name(image),
        "file_bytes": len(data),
        "format": image.format,
        "decoder": f"Pillow {PIL.__version__}",
    }


def _open_header(data: bytes, facts: dict[str, Any]) -> ImageFile.ImageFile:
    for signature, plugin in _PLUGINS:
        if data.startswith(signature):
            try:
                return plugin(io.BytesIO(data))
            except _HEADER_ERRORS as error:
                raise Declined(
                    "the photo's header is damaged or cut off: copy the photo again",
                    details={**facts, "cause": f"{type(error).__name__}: {error}"},
                ) from error
    if data[4:12] in {b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypavif", b"ftypheim"}:
        raise Declined("HEIC and AVIF photos cannot be read: save the photo as JPEG", details=facts)
    raise Declined("the file is not a photo: JPEG, PNG, TIFF, WebP and BMP can be read", details=facts)


def _is_cut_off(data: bytes, image: ImageFile.ImageFile) -> bool:
    """Whether the pixel data lacks its end mark.

    In JPEG data after the start of a scan, FF is always followed by 00 or a marker (ITU-T T.81, B.1.1.5), so the
    end mark found there is the photo's own and not that of a thumbnail.
    """
    if image.format == "JPEG":
        scan = _first_scan(data)
        return scan is None or data.find(b"\xff\xd9", scan) < 0
    if image.format == "PNG":
        return data.rfind(b"IEND") < 0
    if image.format == "WEBP":
        return len(data) < 8 + int.from_bytes(data[4:8], "little")
    return False


def _first_scan(data: bytes) -> int | None:
    """Position after the first start-of-scan segment's marker, or None: segments are skipped by their lengths."""
    place = 2
    while place + 4 <= len(data):
        if data[place] != 0xFF:
            return None
        marker = data[place + 1]
        if marker == 0xDA:
            return place + 2
        if marker == 0xFF:  # fill byte
            place += 1
            continue
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return None


def _orientation(image: ImageFile.ImageFile) -> int:
    """The EXIF orientation, 1 if there is none or none that is valid; PNG's is read without decoding it."""
    try:
        if image.format == "PNG":
            exif = Image.Exif()
            exif.load(image.info.get("exif", b""))
        else:
            exif = image.getexif()
        value = int(exif.get(_ORIENTATION_TAG, 1))
    except _HEADER_ERRORS:
        return 1  # a broken EXIF block turns nothing, and decoders ignore it as well
    return value if 1 <= value <= 8 else 1


def _bit_depth(data: bytes, image: ImageFile.ImageFile) -> int:
    if image.format == "PNG":
        return data[24]  # IHDR, after the two lengths
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        bits = image.tag_v2.get(_BITS_TAG, (8,))
        return int(max(bits)) if isinstance(bits, tuple) else int(bits)
    return 1 if image.mode == "1" else 8


def _profile_name(image: ImageFile.ImageFile) -> str | None:
    profile = image.info.get("icc_profile")
    if not profile:
        return None
    try:
        name = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile)))
    except (ImageCms.PyCMSError, OSError):
        return "unreadable"
    return str(name).strip() or "unnamed"
