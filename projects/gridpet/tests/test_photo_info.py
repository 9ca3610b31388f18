from __future__ import annotations

import contextlib
import io
import json
import time
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from gridpet.vision.model import Declined
from gridpet.vision.quality.photo_info import read_photo_info


def encoded(kind: str = "JPEG", mode: str = "RGB", size: tuple[int, int] = (64, 48), **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise(size, 60).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def with_orientation(value: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = value
    return encoded(exif=exif)


def png_header(width: int, height: int, depth: int = 8) -> bytes:
    body = b"IHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([depth, 2, 0, 0, 0])
    ihdr = (13).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    idat = (0).to_bytes(4, "big") + b"IDAT" + zlib.crc32(b"IDAT").to_bytes(4, "big")
    iend = (0).to_bytes(4, "big") + b"IEND" + zlib.crc32(b"IEND").to_bytes(4, "big")
    return b"\x89PNG\r\n\x1a\n" + ihdr + idat + iend


def jpeg_claiming(side: int) -> bytes:
    data = encoded()
    place = data.index(b"\xff\xc0") + 5
    return data[:place] + side.to_bytes(2, "big") * 2 + data[place + 4 :]


def test_a_plain_jpeg_is_described() -> None:
    data = encoded()
    info = read_photo_info(data)
    assert (info["width_px"], info["height_px"]) == (64, 48)
    assert (info["stored_width_px"], info["stored_height_px"]) == (64, 48)
    assert info["exif_orientation"] == 1
    assert info["bit_depth"] == 8
    assert info["color_mode"] == "RGB"
    assert info["icc"] is None
    assert info["file_bytes"] == len(data)
    assert info["format"] == "JPEG"
    assert str(info["decoder"]).startswith("Pillow ")
    json.dumps(info)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_displayed_size_follows_the_orientation(orientation: int) -> None:
    info = read_photo_info(with_orientation(orientation))
    assert info["exif_orientation"] == orientation
    assert (info["width_px"], info["height_px"]) == ((48, 64) if orientation >= 5 else (64, 48))


def test_an_orientation_that_does_not_exist_turns_nothing() -> None:
    assert read_photo_info(with_orientation(9))["exif_orientation"] == 1


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGB"])
def test_colour_modes_of_jpeg(mode: str) -> None:
    assert read_photo_info(encoded(mode=mode))["color_mode"] == mode


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "BMP"])
def test_other_formats_are_read(kind: str) -> None:
    info = read_photo_info(encoded(kind))
    assert (info["format"], info["width_px"], info["bit_depth"]) == (kind, 64, 8)


def test_sixteen_bits_are_seen() -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((20, 30), dtype=np.uint16)).save(buffer, "PNG")
    assert read_photo_info(buffer.getvalue())["bit_depth"] == 16
    assert read_photo_info(png_header(40, 30, depth=16))["bit_depth"] == 16
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((20, 30), dtype=np.uint16)).save(buffer, "TIFF")
    assert read_photo_info(buffer.getvalue())["bit_depth"] == 16


def test_colour_profile_is_named() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert "sRGB" in str(read_photo_info(encoded(icc_profile=profile))["icc"])
    assert read_photo_info(encoded(icc_profile=b"no profile"))["icc"] == "unreadable"


def test_a_hundred_megapixels_are_not_absurd() -> None:
    assert read_photo_info(png_header(24_000, 12_000))["width_px"] == 24_000


def test_trailing_bytes_after_a_complete_photo_are_no_damage() -> None:
    assert read_photo_info(encoded() + b"\x00" * 100)["width_px"] == 64


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "empty"),
        (b"this is a letter, not a photo", "not a photo"),
        (b"\x00\x00\x00\x18ftypheic" + b"\x00" * 40, "HEIC"),
        (b"\xff\xd8\xff", "damaged or cut off"),
        (encoded()[:200], "damaged|ends early"),
        (encoded(size=(400, 300))[:-3000], "ends early"),
        (encoded("PNG", size=(200, 200))[:-3000], "ends early"),
        (encoded("WEBP")[:-10], "damaged|ends early"),
        (encoded("PNG")[:20], "damaged"),
        (encoded("TIFF")[:6], "damaged"),
        (encoded(size=(1, 1)), "1 x 1 px"),
        (encoded(size=(4000, 15)), "each side needs 16"),
        (jpeg_claiming(65_500), "65500 x 65500 px"),
        (png_header(2**31 - 1, 2**31 - 1), "more than can be decoded"),
        (b"RIFF\x10\x00\x00\x00WAVEfmt ", "damaged"),
    ],
)
def test_broken_and_absurd_files_are_declined(data: bytes, told: str) -> None:
    tracemalloc.start()
    begun = time.process_time()
    try:
        with pytest.raises(Declined, match=told):
            read_photo_info(data)
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()
    assert time.process_time() - begun < 1.0


def test_a_thumbnails_end_mark_is_not_the_photos() -> None:
    exif = Image.Exif()
    exif[0x010E] = "thumbnail\xff\xd9".encode("latin-1")
    data = encoded(size=(400, 300), exif=exif)
    assert read_photo_info(data)["width_px"] == 400
    with pytest.raises(Declined, match="ends early"):
        read_photo_info(data[:-2000])


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow tells what it skips
def test_random_damage_is_declined_or_described() -> None:
    rng = np.random.default_rng(4)
    whole = [np.frombuffer(encoded(kind), dtype=np.uint8) for kind in ("JPEG", "PNG", "TIFF", "WEBP", "BMP")]
    for _ in range(400):
        data = whole[int(rng.integers(len(whole)))].copy()
        places = rng.integers(2, min(len(data), 300), 8)
        data[places] = rng.integers(0, 256, 8)
        with contextlib.suppress(Declined):
            assert read_photo_info(data[: int(rng.integers(4, len(data) + 1))].tobytes())["width_px"] >= 16
