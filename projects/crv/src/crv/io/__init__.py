"""The run bundle on disk: paths, atomic artifacts, tables that grow.

::

    from crv.core.grammar import TableName
    from crv.io import Dataset, IoSettings

    dataset = Dataset(IoSettings(root_dir="out"), "20250101-000000")
    dataset.append(TableName.HOLDINGS, frame)
    dataset.scan(TableName.HOLDINGS, where={"tick_min": 0, "tick_max": 120}).collect()

``artifacts`` writes files of lab, world and mind, ``dataset`` the tables, ``run_manifest`` sums a bundle up; ``config``
has the settings, ``paths`` says where things lie, ``errors`` what may go wrong. Names are loaded when they are first
used: ``crv.io.artifacts`` needs neither Polars nor anything else that is heavy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crv.io.config import IoSettings
    from crv.io.dataset import Dataset

__all__ = ["Dataset", "IoSettings"]

_HOMES = {"Dataset": "crv.io.dataset", "IoSettings": "crv.io.config"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'crv.io' has no attribute {name!r}")
    try:
        value = getattr(importlib.import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        if error.name != "polars":
            raise
        from crv.io.errors import missing_polars  # noqa: PLC0415 - only where something is missing

        raise missing_polars("tables are made of its frames") from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
