"""Photos of real grids with objects whose outlines are known; their cameras are not."""

from __future__ import annotations

import json
from pathlib import Path

import runbundle as rb
from segment.frames.dataset import Frames, joined
from segment.frames.render import frame_of

_UNKNOWN_CAMERA = {"K": [[float("nan")] * 3] * 3}
_TRUTH = "truth.json"


def load_real(folder: Path, size_px: tuple[int, int]) -> Frames | None:
    """The photos that ``truth.json`` lists under ``composite``; None where it is not there, or lists none.

    Intrinsics are NaN.

    Raises:
        DecodeError: the list or a photo cannot be read.
    """
    place = folder / _TRUTH
    if not place.is_file():
        return None
    try:
        listed = json.loads(place.read_text(encoding="utf-8"))["composite"]
        frames = [
            frame_of(folder / one["file"], {**one, "camera": _UNKNOWN_CAMERA}, str(one["case"]), size_px)
            for one in listed
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise rb.errors.DecodeError(
            f"{place} lists no photos: {error}", hint="Leave it out: frames.real=null"
        ) from error
    return joined(frames) if frames else None
