import hashlib
import io
import struct
import zlib
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from runbundle.base.errors import DecodeError, InvalidInputError, InvalidType, InvalidValue
from runbundle.io.formats import get_format
from stand_ins import round_trip, written

Array = np.ndarray[Any, Any]
RANDOM = np.random.default_rng(7)
GREY = RANDOM.integers(0, 256, (7, 5), np.uint8)
COLOUR = RANDOM.integers(0, 256, (6, 4, 3), np.uint8)
SMOOTH = np.dstack([np.full((32, 48), level, np.uint8) for level in (10, 100, 200)])
IMAGES = {
    "grey": GREY,
    "colour": COLOUR,
    "1x1 grey": GREY[:1, :1],
    "1x1 colour": COLOUR[:1, :1],
    "one row": COLOUR[:1],
    "one column": GREY[:, :1],
    "three wide": GREY[:, :3],
    "all grey in colour": np.dstack([GREY] * 3),
    "strided": COLOUR[::2, ::-1],
    "Fortran order": np.asfortranarray(COLOUR),
    "BGR view of RGB": COLOUR[:, :, ::-1],
    "read-only": np.broadcast_to(np.uint8(9), (4, 4)),
}


@pytest.mark.parametrize("image", IMAGES.values(), ids=IMAGES)
@pytest.mark.parametrize("options", [{}, {"compression": 0}, {"compression": 9}])
def test_png_comes_back_in_the_shape_written(image: Array, options: dict[str, int]) -> None:
    back = round_trip("png", image, **options)
    assert (back.dtype, back.shape) == (np.uint8, image.shape)
    assert (back == image).all()


def test_compression_makes_a_png_smaller() -> None:
    plain, default, best = (len(written("png", SMOOTH, compression=level)) for level in (0, None, 9))
    assert plain > SMOOTH.size > 10 * default
    assert written("png", GREY, compression=9) != written("png", GREY, compression=0)
    assert best <= default


@pytest.mark.parametrize("image", IMAGES.values(), ids=IMAGES)
def test_jpeg_comes_back_in_the_shape_written(image: Array) -> None:
    back = round_trip("jpeg", image)
    assert (back.dtype, back.shape) == (np.uint8, image.shape)


def test_jpeg_is_near_and_quality_makes_it_nearer() -> None:
    assert np.abs(round_trip("jpeg", SMOOTH).astype(int) - SMOOTH).max() <= 3
    noise = RANDOM.integers(0, 256, (64, 64, 3), np.uint8)
    sizes = [len(written("jpeg", noise, quality=quality)) for quality in (1, 50, 95, 100)]
    assert sizes == sorted(set(sizes))
    assert written("jpeg", noise) == written("jpeg", noise, quality=95)


@pytest.mark.parametrize("name", ["png", "jpeg"])
def test_colours_are_in_bgr_order(name: str) -> None:
    """Another library, which counts in RGB, sees the same colours."""
    with Image.open(io.BytesIO(written(name, SMOOTH))) as picture:
        assert picture.size == (48, 32)
        red, green, blue = picture.convert("RGB").getpixel((20, 20))  # type: ignore[misc]  # three bands
    assert (blue, green, red) == pytest.approx((10, 100, 200), abs=3)


@pytest.mark.parametrize("name", ["png", "jpeg"])
def test_what_a_record_and_a_schema_learn_of_an_image(name: str) -> None:
    encoded = get_format(name).encode(COLOUR)
    assert {"shape": [6, 4, 3], "dtype": "uint8"}.items() <= encoded.meta.items()
    facts = {"dtype": "uint8", "shape": [6, 4, 3], "min": int(COLOUR.min()), "max": int(COLOUR.max())}
    assert encoded.facts() == {"arrays": {"image": facts}}


NO_IMAGES: dict[str, tuple[Any, type[InvalidInputError], tuple[str, ...]]] = {
    "list": ([[1]], InvalidType, ("list",)),
    "float": (np.zeros((4, 5)), InvalidType, ("float64", "(4, 5)")),
    "bool": (np.zeros((4, 5), bool), InvalidType, ("bool", "(4, 5)")),
    "uint16": (np.zeros((4, 5, 3), np.uint16), InvalidType, ("uint16", "(4, 5, 3)")),
    "int8": (np.zeros((4, 5), np.int8), InvalidType, ("int8", "(4, 5)")),
    "1-D": (np.zeros(5, np.uint8), InvalidValue, ("uint8", "(5,)")),
    "0-D": (np.zeros((), np.uint8), InvalidValue, ("uint8", "()")),
    "one channel": (np.zeros((4, 5, 1), np.uint8), InvalidValue, ("uint8", "(4, 5, 1)")),
    "alpha": (np.zeros((4, 5, 4), np.uint8), InvalidValue, ("uint8", "(4, 5, 4)")),
    "channels first": (np.zeros((3, 4, 5), np.uint8), InvalidValue, ("uint8", "(3, 4, 5)")),
    "4-D": (np.zeros((1, 4, 5, 3), np.uint8), InvalidValue, ("uint8", "(1, 4, 5, 3)")),
    "empty": (np.zeros((0, 5), np.uint8), InvalidValue, ("uint8", "(0, 5)")),
    "empty colour": (np.zeros((4, 0, 3), np.uint8), InvalidValue, ("uint8", "(4, 0, 3)")),
    "masked": (np.ma.masked_array(np.zeros((4, 5), np.uint8), mask=True), InvalidType, ("MaskedArray",)),
}


@pytest.mark.parametrize("name", ["png", "jpeg"])
@pytest.mark.parametrize("case", NO_IMAGES.values(), ids=NO_IMAGES)
def test_what_is_no_image_is_refused_by_dtype_and_shape(
    name: str, case: tuple[Any, type[InvalidInputError], tuple[str, ...]]
) -> None:
    value, kind, named = case
    with pytest.raises(kind) as caught:
        get_format(name).encode(value)
    assert all(text in str(caught.value) for text in named)


@pytest.mark.parametrize(
    ("name", "options"),
    [("png", {"compression": value}) for value in (-1, 10, 5.0, "5", True, [1])]
    + [("jpeg", {"quality": value}) for value in (0, 101, 95.0, "95", None, True)]
    + [("mask", {"true_value": value}) for value in (0, 256, -1, 255.0, "255", None, True)],
)
def test_options_out_of_range_are_refused_before_anything_is_written(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(
        InvalidValue, match=rf"{next(iter(options))} is .*{next(iter(options.values()))!r}".replace("[", r"\[")
    ):
        get_format(name).encode(GREY > 9 if name == "mask" else GREY, **options)


def test_a_side_too_long_for_jpeg_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InvalidValue, match=r"shape \(1, 65501\)"):
        written("jpeg", np.zeros((1, 65501), np.uint8))
    capfd.readouterr()  # OpenCV says it as well


# --- masks ---------------------------------------------------------------------------------------------------

TRUTH = GREY > 127


@pytest.mark.parametrize(
    "mask",
    [TRUTH, TRUTH.astype(np.uint8), TRUTH * np.uint8(255), TRUTH.astype(np.int64), TRUTH.astype(np.uint16) * 255],
    ids=["bool", "0/1", "0/255", "int64", "uint16"],
)
@pytest.mark.parametrize("true_value", [1, 2, 128, 255])
def test_masks_are_stored_as_0_and_true_value(mask: Array, true_value: int) -> None:
    encoded = get_format("mask").encode(mask, true_value=true_value)
    back = round_trip("mask", mask, true_value=true_value)
    assert (back.dtype, back.shape) == (np.uint8, mask.shape)
    assert (back == np.where(TRUTH, true_value, 0)).all()
    assert encoded.meta == {"shape": [7, 5], "dtype": "uint8", "is_mask": True, "true_value": true_value}
    assert encoded.facts() == {"arrays": {"image": {"dtype": "uint8", "shape": [7, 5], "min": 0, "max": true_value}}}


def test_a_mask_is_255_where_nothing_is_said() -> None:
    assert set(np.unique(round_trip("mask", TRUTH))) == {0, 255}


@pytest.mark.parametrize("mask", [np.zeros((3, 4), bool), np.ones((3, 4), bool), np.array([[0, 1, 255]])])
def test_plain_and_mixed_masks(mask: Array) -> None:
    assert (round_trip("mask", mask) == (mask != 0) * 255).all()


NO_MASKS: dict[str, tuple[Any, type[InvalidInputError], tuple[str, ...]]] = {
    "list": ([[True]], InvalidType, ("list",)),
    "1-D": (np.zeros(5, bool), InvalidValue, ("(5,)", "bool")),
    "3-D": (np.zeros((4, 5, 3), bool), InvalidValue, ("(4, 5, 3)", "bool")),
    "no rows": (np.zeros((0, 5), bool), InvalidValue, ("(0, 5)", "empty")),
    "no columns": (np.zeros((4, 0), np.uint8), InvalidValue, ("(4, 0)", "empty")),
    "float": (np.zeros((4, 5)), InvalidType, ("float64", "(4, 5)")),
    "text": (np.array([["0"]]), InvalidType, ("<U1", "(1, 1)")),
    "object": (np.array([[True]], object), InvalidType, ("object", "(1, 1)")),
    "two": (np.array([[0, 2]]), InvalidValue, ("[0, 2]",)),
    "minus one": (np.array([[0, -1]], np.int8), InvalidValue, ("[-1, 0]",)),
    "256": (np.array([[0, 256]]), InvalidValue, ("[0, 256]",)),
    "many": (np.arange(64).reshape(8, 8), InvalidValue, ("[0, 1, 2, 3, 4, 5, 6, 7]",)),
    "masked": (np.ma.masked_array(np.zeros((4, 5), bool), mask=True), InvalidType, ("MaskedArray",)),
}


@pytest.mark.parametrize("case", NO_MASKS.values(), ids=NO_MASKS)
def test_what_is_no_mask_is_refused(case: tuple[Any, type[InvalidInputError], tuple[str, ...]]) -> None:
    value, kind, named = case
    with pytest.raises(kind) as caught:
        get_format("mask").encode(value)
    assert all(text in str(caught.value) for text in named)


# --- bytes that are no image of ours -------------------------------------------------------------------------


def _png_of(array: Array) -> bytes:
    return bytes(cv2.imencode(".png", array)[1])


@pytest.mark.parametrize(
    "data",
    [b"", b"no image", _png_of(np.zeros((2, 2), np.uint16)), _png_of(np.zeros((2, 2, 4), np.uint8))],
    ids=["empty", "text", "16 bits", "alpha"],
)
@pytest.mark.parametrize("name", ["png", "mask", "jpeg"])
def test_other_bytes_are_a_decode_error(name: str, data: bytes) -> None:
    with pytest.raises(DecodeError, match="The image is not"):
        get_format(name).decode(data, {})


def test_encoding_does_not_touch_the_image() -> None:
    before = hashlib.sha256(COLOUR.tobytes()).hexdigest()
    for name in ("png", "jpeg"):
        written(name, COLOUR)
    assert hashlib.sha256(COLOUR.tobytes()).hexdigest() == before


@pytest.mark.parametrize("name", ["png", "mask", "jpeg"])
def test_plain_images_pack_well_and_come_back(name: str) -> None:
    for value in (0, 255):
        image = np.full((4000, 4000), value, np.uint8)
        options = {"png": {"compression": 9}, "jpeg": {"quality": 1}}.get(name, {})
        assert np.abs(round_trip(name, image, **options).astype(int) - image).max() <= 1


def _claiming(name: str, side: int) -> bytes:
    """A small image whose head claims to be large."""
    data = written(name, np.zeros((64, 64), np.uint8))
    if name == "jpeg":
        start = data.index(b"\xff\xc0") + 5
        return data[:start] + struct.pack(">HH", side, side) + data[start + 4 :]
    head = b"IHDR" + struct.pack(">II", side, side) + data[24:29]
    return data[:12] + head + struct.pack(">I", zlib.crc32(head)) + data[33:]


@pytest.mark.parametrize("name", ["png", "mask", "jpeg"])
@pytest.mark.parametrize("side", [0, 13_000, 30_000, 65_500])
def test_an_image_that_claims_more_than_it_holds_is_refused_before_anything_is_made(
    name: str, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cv2, "imdecode", pytest.fail)
    with pytest.raises(DecodeError, match=r"cannot hold|has no pixels"):
        get_format(name).decode(_claiming(name, side), {})


@pytest.mark.parametrize("name", ["png", "mask", "jpeg"])
def test_an_image_of_another_kind_is_a_decode_error(name: str) -> None:
    image = np.zeros((9, 9, 3), np.uint8)
    kinds = {".png", ".jpg", ".bmp", ".tiff", ".webp", ".ppm"} - {".jpg" if name == "jpeg" else ".png"}
    for kind in kinds:
        with pytest.raises(DecodeError, match="The image is not readable: it is no"):
            get_format(name).decode(bytes(cv2.imencode(kind, image)[1]), {})


@pytest.mark.parametrize("name", ["png", "jpeg"])
def test_an_image_cut_short_is_a_decode_error_and_never_half_grey(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    data = written(name, np.random.default_rng(1).integers(0, 256, (40, 50, 3), np.uint8))
    for size in range(0, len(data) - 12, 97):  # the last 12 bytes of a PNG are its end mark alone
        with pytest.raises(DecodeError):
            get_format(name).decode(data[:size], {})
    capfd.readouterr()  # libpng says it as well


@pytest.mark.parametrize("name", ["png", "mask"])
def test_a_chunk_longer_than_its_file_is_refused_before_room_is_made_for_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = written(name, GREY > 99 if name == "mask" else GREY)
    monkeypatch.setattr(cv2, "imdecode", pytest.fail)
    for length in (len(data), 2**31 - 1, 2**32 - 1):
        long = data[:33] + struct.pack(">I", length) + b"teXt" + data[33:]
        with pytest.raises(DecodeError, match="ends before its picture does"):
            get_format(name).decode(long, {})
