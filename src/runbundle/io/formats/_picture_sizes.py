"""What the head of a PNG or JPEG says of its size, held against its length before anything is allocated."""

from __future__ import annotations

from typing import NamedTuple

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_SIGNATURE = b"\xff\xd8\xff"
_DEFLATE_RATIO = 1032  # zlib packs no more bytes than this into one
_PNG_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # per pixel, by colour type
_PIXELS_PER_BYTE = 512  # of a JPEG: each block of 8x8 pixels takes a bit at the least
_SLACK = 65_536


class Size(NamedTuple):
    """Rows, columns and samples per pixel."""

    height: int
    width: int
    samples: int


def png_size(data: bytes) -> Size:
    """The size of a PNG.

    Raises:
        ValueError: it is none, is cut short, or its bytes cannot hold so many pixels.
    """
    if not data.startswith(PNG_SIGNATURE) or data[12:16] != b"IHDR" or len(data) < 33:
        raise ValueError("it is no PNG")
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    samples = _PNG_SAMPLES.get(data[25], 0)
    row_bytes = 1 + (width * samples * data[24] + 7) // 8
    if not samples or not width or not height:
        raise ValueError("it has no pixels")
    if height * row_bytes > len(data) * _DEFLATE_RATIO + _SLACK:
        raise ValueError(f"{len(data)} bytes cannot hold {width} x {height} pixels")
    _walk_chunks(data)
    return Size(height, width, samples)


def _walk_chunks(data: bytes) -> None:
    """Whether every chunk lies within the file: OpenCV would make room for one of 2 GiB, and fill it with zeros."""
    at = len(PNG_SIGNATURE)
    while data[at + 4 : at + 8] != b"IEND":
        at += 12 + int.from_bytes(data[at : at + 4], "big")
        if at + 8 > len(data):
            raise ValueError("the PNG ends before its picture does")


def jpeg_size(data: bytes) -> Size:
    """The size of a JPEG that ends where it should.

    Raises:
        ValueError: it is none, has no end, or its bytes cannot hold so many pixels.
    """
    if not data.startswith(JPEG_SIGNATURE):
        raise ValueError("it is no JPEG")
    size, at = None, 2
    while data[at : at + 1] == b"\xff" and data[at + 1 : at + 2] not in (b"\xda", b""):  # to the first scan
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # a frame header
            frame = data[at + 5 : at + 10]
            size = Size(
                int.from_bytes(frame[:2], "big"), int.from_bytes(frame[2:4], "big"), frame[4] if frame[4:] else 0
            )
        is_fill = marker == 0xFF
        at += 1 if is_fill else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    if data.find(b"\xff\xd9", at) < 0:
        raise ValueError("the JPEG ends before its picture does")
    if size is None or not size.height or not size.width:
        raise ValueError("it has no pixels")
    if size.height * size.width > len(data) * _PIXELS_PER_BYTE + _SLACK:
        raise ValueError(f"{len(data)} bytes cannot hold {size.width} x {size.height} pixels")
    return size
