"""Frames in one file, which a training ingests: ``.npz``, the same bytes for the same frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

import runbundle as rb

_NDIM = {"images": 4, "masks": 3, "intrinsics": 3, "names": 1}


@dataclass(frozen=True, slots=True)
class Frames:
    """Some frames.

    Attributes:
        images: uint8, shape (n, height, width, 3), BGR.
        masks: uint8, shape (n, height, width): 1 on an object, else 0.
        intrinsics: float64, shape (n, 3, 3), pixels.
        names: what each was made from.
    """

    images: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    intrinsics: NDArray[np.float64]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def some(self, chosen: Sequence[int] | NDArray[np.int64]) -> Frames:
        """The frames of these numbers."""
        at = np.asarray(chosen, np.int64)
        return Frames(self.images[at], self.masks[at], self.intrinsics[at], tuple(self.names[int(n)] for n in at))


def joined(parts: Sequence[Frames]) -> Frames:
    """Frames of one size, one after the other."""
    return Frames(
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.masks for part in parts]),
        np.concatenate([part.intrinsics for part in parts]),
        tuple(name for part in parts for name in part.names),
    )


def save(frames: Frames, place: Path) -> None:
    """Write a file that appears whole, in the place of what may be there.

    Raises:
        UnavailableError: the disk refuses.
    """
    aside = place.with_name(f".{place.name}.new")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("wb") as stream:
            np.savez(
                stream,
                images=frames.images,
                masks=frames.masks,
                intrinsics=frames.intrinsics,
                names=np.array(frames.names, dtype=np.str_),
            )
        aside.replace(place)
    except OSError as error:
        raise rb.errors.UnavailableError(
            f"{place} cannot be written: {error.strerror}", hint="Give another place: frames.file=PATH"
        ) from error


def load(place: Path) -> Frames:
    """The frames of a file; nothing in it is unpickled.

    Raises:
        DecodeError: it is no file of frames.
    """
    try:
        with place.open("rb") as stream, np.load(stream, allow_pickle=False) as held:
            arrays = {name: held[name] for name in _NDIM}
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise rb.errors.DecodeError(
            f"{place} is no file of frames: {error}", hint="Make one: segment render", path=place
        ) from error
    counts = {len(array) for array in arrays.values()}
    if len(counts) != 1 or 0 in counts or any(array.ndim != _NDIM[name] for name, array in arrays.items()):
        raise rb.errors.DecodeError(f"{place} holds no frames, or not all of each", hint="Make one: segment render")
    return Frames(
        arrays["images"].astype(np.uint8, copy=False),
        arrays["masks"].astype(np.uint8, copy=False),
        arrays["intrinsics"].astype(np.float64, copy=False),
        tuple(map(str, arrays["names"])),
    )
