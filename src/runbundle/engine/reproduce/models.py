"""The models that a run used: whether they are still there, by the digests that the run recorded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runbundle.base.errors import RunbundleError
from runbundle.io.atomic import hash_file
from runbundle.io.confine import files_below, inside


def model_fault(told: Mapping[str, Any], home: Path) -> str | None:
    """Why a model that a run used is not there; None if it is.

    Args:
        told: what the run recorded: ``reference``, ``path`` (from the store: the model's folder, or a file), ``bytes``
            and ``sha256``.
        home: the store of the run.
    """
    try:
        place = inside(home, str(told["path"]), what="model")
        if place.is_dir():
            files = [place / name for name in files_below(place) if (place / name).stat().st_size == told["bytes"]]
        else:
            files = [place] if place.is_file() else []
        if any(hash_file(file).sha256 == told["sha256"] for file in files):
            return None
    except RunbundleError as error:
        return f"{told['reference']}: {error.what}"
    return f"{told['reference']} is not there any more, or holds other bytes"
