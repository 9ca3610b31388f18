import io
import struct
import subprocess
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from runbundle.base.errors import DecodeError
from runbundle.io.input_image import decode_bgr

Array = np.ndarray[Any, Any]
RANDOM = np.random.default_rng(11)
RGB = RANDOM.integers(0, 256, (5, 7, 3), np.uint8)
LARGE = Image.fromarray(RANDOM.integers(0, 256, (48, 64, 3), np.uint8)).resize((192, 144))
ORIENTATION = 0x0112


def saved(picture: Any, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(stream, kind, **options)
    return stream.getvalue()


def oriented(number: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = number
    return exif


# what a viewer does with the stored pixels, by orientation
UPRIGHT: dict[int, Callable[[Array], Array]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("number", UPRIGHT)
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_pictures_stand_upright_whatever_the_camera_did(number: int, kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    pixels = decode_bgr(saved(RGB, kind, exif=oriented(number), **options))
    assert (pixels == UPRIGHT[number](RGB)[:, :, ::-1]).all()
    assert pixels.shape == ((5, 7, 3) if number < 5 else (7, 5, 3))
    assert (pixels.dtype, pixels.flags.c_contiguous, pixels.flags.writeable) == (np.uint8, True, True)


@pytest.mark.parametrize("number", UPRIGHT)
def test_jpegs_stand_upright_too(number: int) -> None:
    plain = decode_bgr(saved(LARGE, "JPEG"))
    turned = decode_bgr(saved(LARGE, "JPEG", exif=oriented(number)))
    assert (turned == UPRIGHT[number](plain)).all()


@pytest.mark.parametrize("exif", [oriented(0), oriented(9), b"Exif\0\0garbage", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"])
def test_exif_without_sense_turns_nothing_and_warns_no_one(exif: Any) -> None:
    assert (decode_bgr(saved(RGB, "PNG", exif=exif)) == RGB[:, :, ::-1]).all()
    assert (decode_bgr(saved(LARGE, "JPEG", exif=exif)) == decode_bgr(saved(LARGE, "JPEG"))).all()


GREY = RGB[:, :, 0]
DEEP = np.array([[0, 255, 256], [257, 40_000, 65_535]], np.uint16)
CONVERTED: dict[str, tuple[bytes, Array]] = {
    "1x1": (saved(RGB[:1, :1], "PNG"), RGB[:1, :1]),
    "grey": (saved(GREY, "PNG"), np.dstack([GREY] * 3)),
    "grey with alpha": (saved(Image.merge("LA", [Image.fromarray(GREY)] * 2), "PNG"), np.dstack([GREY] * 3)),
    "black and white": (saved(Image.fromarray(GREY > 127), "PNG"), np.dstack([(GREY > 127) * 255] * 3)),
    "16-bit grey PNG": (saved(DEEP, "PNG"), np.dstack([DEEP >> 8] * 3)),
    "16-bit grey TIFF": (saved(DEEP, "TIFF"), np.dstack([DEEP >> 8] * 3)),
    "32-bit grey TIFF": (saved(DEEP.astype(np.int32), "TIFF"), np.dstack([DEEP >> 8] * 3)),
    "RGBA, all of it transparent": (saved(np.dstack([RGB, GREY * 0]), "PNG"), RGB),
    "CMYK": (saved(Image.new("CMYK", (3, 2), (0, 255, 255, 0)), "TIFF"), np.full((2, 3, 3), (255, 0, 0))),
    "palette": (saved(Image.fromarray(GREY).convert("P"), "PNG"), np.dstack([GREY] * 3)),
    "palette with transparency": (
        saved(Image.fromarray(GREY).convert("P"), "PNG", transparency=bytes(range(256))),
        np.dstack([GREY] * 3),
    ),
    "GIF": (saved(Image.fromarray(GREY), "GIF"), np.dstack([GREY] * 3)),
    "BMP": (saved(RGB, "BMP"), RGB),
    "PPM": (saved(RGB, "PPM"), RGB),
}


@pytest.mark.parametrize("case", CONVERTED.values(), ids=CONVERTED)
def test_every_kind_of_picture_becomes_bgr(case: tuple[bytes, Array]) -> None:
    data, rgb = case
    pixels = decode_bgr(data)
    assert (pixels.dtype, pixels.shape) == (np.uint8, rgb.shape)
    assert (pixels == rgb[:, :, ::-1]).all()


def test_cmyk_jpegs_have_their_colours() -> None:
    pixels = decode_bgr(saved(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95))
    assert np.abs(pixels.astype(int) - (0, 0, 255)).max() < 12


def _png_header(width: int, height: int) -> bytes:
    """A PNG that says how large it is, and holds one row of it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"\0" * 3 * 65_500)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def _jpeg_header(side: int) -> bytes:
    whole = saved(LARGE, "JPEG")
    start = whole.index(b"\xff\xc0") + 5
    return whole[:start] + struct.pack(">HH", side, side) + whole[start + 4 :]


NO_PICTURES = {
    "empty": b"",
    "text": b"not a picture",
    "HTML": b"<!doctype html><img src=x>",
    "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    "zeros": bytes(1000),
    "PNG signature": b"\x89PNG\r\n\x1a\n",
    "JPEG signature": b"\xff\xd8\xff\xe0",
    "65500 px PNG": _png_header(65_500, 65_500),
    "65500 px JPEG": _jpeg_header(65_500),
    "0 px": _png_header(0, 10),
    "more rows than there are": _png_header(65_500, 100),
    "floats": saved(np.linspace(0, 1, 6, dtype=np.float32).reshape(2, 3), "TIFF"),
    "13000 px PNG without its pixels": _png_header(13_000, 13_000),
    "13000 px JPEG without its pixels": _jpeg_header(13_000),
    "PostScript, which Pillow hands to Ghostscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "Photoshop": b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 2, 2, 8, 3) + bytes(99),
    "damaged checksum": saved(RGB, "PNG").replace(b"IHDR\0\0\0\x07", b"IHDR\0\0\0\x08"),
}


@pytest.mark.parametrize("data", NO_PICTURES.values(), ids=NO_PICTURES)
def test_what_is_no_picture_is_a_decode_error(data: bytes) -> None:
    decode_bgr(saved(RGB, "PNG"))  # what is imported on the way is no memory of this one
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError, match=r"^The picture is (not readable|too large): "):
            decode_bgr(data)
        assert tracemalloc.get_traced_memory()[1] < 30e6
    finally:
        tracemalloc.stop()


def test_no_program_is_started_for_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", pytest.fail)
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", "gs")
    with pytest.raises(DecodeError):
        decode_bgr(NO_PICTURES["PostScript, which Pillow hands to Ghostscript"])


def test_plain_pictures_pack_well_and_are_read() -> None:
    plain = np.zeros((3000, 3000, 3), np.uint8)
    for kind in ("PNG", "JPEG"):
        for options in ({}, {"optimize": True}, {"quality": 1}, {"progressive": True, "quality": 1}):
            assert decode_bgr(saved(plain, kind, **options)).shape == plain.shape
    assert decode_bgr(saved(Image.new("1", (6000, 6000)), "PNG", optimize=True)).shape == (6000, 6000, 3)


def _with_thumbnail(jpeg: bytes) -> bytes:
    """A JPEG with a whole one inside its metadata, as cameras write them."""
    inner = saved(LARGE.resize((16, 12)), "JPEG")
    return jpeg[:2] + b"\xff\xe9" + struct.pack(">H", len(inner) + 2) + inner + jpeg[2:]


WHOLE = {
    "JPEG": saved(LARGE, "JPEG"),
    "progressive JPEG": saved(LARGE, "JPEG", progressive=True),
    "JPEG with a thumbnail": _with_thumbnail(saved(LARGE, "JPEG")),
    "JPEG with fill bytes": saved(LARGE, "JPEG").replace(b"\xff\xdb", b"\xff\xff\xff\xdb", 1),
    "PNG": saved(LARGE, "PNG"),
    "WEBP": saved(LARGE, "WEBP"),
    "TIFF": saved(LARGE, "TIFF", compression="tiff_lzw"),
    "BMP": saved(LARGE, "BMP"),
}


@pytest.mark.parametrize("data", WHOLE.values(), ids=WHOLE)
def test_a_truncated_picture_is_an_error_and_never_half_grey(data: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    whole = decode_bgr(data)
    sizes = {*range(0, len(data), max(1, len(data) // 40)), *range(len(data) - 20, len(data))}
    refused = 0
    for size in sizes:
        try:
            pixels = decode_bgr(data[:size])
        except DecodeError:
            refused += 1
        else:
            assert (pixels == whole).all()  # what is missing was no part of the picture
    assert refused >= 40
    capfd.readouterr()  # the TIFF library says it as well


@pytest.mark.parametrize("title", [title for title in WHOLE if "JPEG" in title])
@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_a_jpeg_whose_rest_is_zeros_is_an_error(title: str, share: float) -> None:
    """What an interrupted download or a dying memory card leaves; Pillow alone would give a half-grey picture."""
    data = WHOLE[title]
    kept = int(len(data) * share)
    with pytest.raises(DecodeError, match="not readable"):
        decode_bgr(data[:kept] + bytes(len(data) - kept))


@pytest.mark.parametrize("title", WHOLE)
@pytest.mark.parametrize("more", [b"\0" * 50, b"\xff\xda moving picture \xff\xda", saved(RGB, "JPEG")[:90]])
def test_what_follows_a_whole_picture_is_left_alone(title: str, more: bytes) -> None:
    assert (decode_bgr(WHOLE[title] + more) == decode_bgr(WHOLE[title])).all()


def test_damage_never_raises_anything_but_a_decode_error(capfd: pytest.CaptureFixture[str]) -> None:
    for data in (WHOLE["JPEG"], WHOLE["PNG"], saved(RGB, "TIFF", exif=oriented(6)), saved(RGB, "GIF")):
        for place in [*range(min(len(data), 120)), *range(120, len(data), max(1, len(data) // 40))]:
            damaged = bytearray(data)
            damaged[place] ^= 0x55
            try:
                pixels = decode_bgr(bytes(damaged))
            except DecodeError:
                continue
            assert pixels.shape[2] == 3
    capfd.readouterr()
