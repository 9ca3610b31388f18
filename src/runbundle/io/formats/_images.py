"""What the image formats share: the check of arrays, and OpenCV's codec."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from runbundle.base.errors import DecodeError, InvalidInputError, InvalidType, InvalidValue
from runbundle.io.formats._picture_sizes import Size
from runbundle.io.formats.base import need

if TYPE_CHECKING:
    import numpy as np


def check_image(value: Any) -> np.ndarray[Any, Any]:
    """A uint8 array of shape (H, W) or (H, W, 3), neither side empty.

    Raises:
        InvalidType: not an array, or of another dtype. InvalidValue: of another shape.
    """
    numpy = need("numpy", "images")
    if not isinstance(value, numpy.ndarray) or isinstance(value, numpy.ma.MaskedArray):
        raise InvalidType(
            f"An image is a plain NumPy array, not {type(value).__name__}", hint="Give an array of uint8, HxW or HxWx3"
        )
    if value.dtype != numpy.uint8:
        raise InvalidType(
            f"An image is uint8, not {value.dtype} of shape {value.shape}", hint="Scale it to 0..255 first"
        )
    if value.size == 0 or not (value.ndim == 2 or (value.ndim == 3 and value.shape[2] == 3)):
        raise InvalidValue(
            f"An image has shape HxW or HxWx3 (BGR), not {value.shape} of {value.dtype}",
            hint="Reshape it first",
        )
    image: np.ndarray[Any, Any] = value
    return image


def compress(ext: str, image: np.ndarray[Any, Any], parameters: list[int]) -> bytes:
    """The bytes of an image file."""
    cv2 = need("cv2", "images")
    try:
        done, data = cv2.imencode(ext, image, parameters)
    except cv2.error as error:
        raise InvalidValue(f"An image of shape {image.shape} cannot be written as {ext}: {error.err}") from error
    if not done:
        raise InvalidValue(f"An image of shape {image.shape} cannot be written as {ext}")
    return bytes(data)


def decompress(data: bytes, size_of: Callable[[bytes], Size]) -> np.ndarray[Any, Any]:
    """The pixels of an image file that we wrote, unchanged: HxW or HxWx3 BGR.

    Nothing is allocated before the size that the file claims was held against its length.

    Raises:
        DecodeError: it is not of the kind that ``size_of`` knows, or not as it was written.
    """
    cv2, np = need("cv2", "images"), need("numpy", "images")
    try:
        size_of(data)
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise DecodeError(f"The image is not readable: {error.err}") from error
    except (ValueError, MemoryError) as error:
        raise DecodeError(f"The image is not readable: {error}") from error
    if image is None:
        raise DecodeError("The image is not readable")
    try:
        return check_image(image)
    except InvalidInputError as error:
        raise DecodeError(f"The image is not one of ours: {error.what}") from error


def array_facts(array: np.ndarray[Any, Any]) -> Mapping[str, Any]:
    """dtype, shape and range of one array, for a schema."""
    ranged = array.size > 0 and array.dtype.kind in "biuf"
    return {
        "dtype": str(array.dtype),
        "shape": list(array.shape),
        "min": array.min().item() if ranged else None,
        "max": array.max().item() if ranged else None,
    }
