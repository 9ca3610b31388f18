"""Tables of a bundle as tables of the library: their columns as rules, their settings as its specs."""

from __future__ import annotations

import os
from typing import Any

import runbundle as rb
from crv.core.grammar import BUCKET, TICK, TableDescriptor, TableName
from crv.core.tables import get_table
from crv.io.config import IoSettings
from crv.io.paths import run_root, table_dir

_DTYPES = {"i64": "int64", "f64": "float64", "str": "string", "struct": "struct", "list[struct]": "list"}


def column_rules(described: TableDescriptor) -> dict[str, dict[str, Any]]:
    """The columns of a table as rules of the library; ``bucket`` is none, as the folders of the parts say it."""
    return {
        name: {"dtype": _DTYPES[dtype], **({"nullable": False} if name in described.required else {"required": False})}
        for name, dtype in described.columns.items()
        if name != BUCKET
    }


def table_spec(settings: IoSettings, described: TableDescriptor) -> rb.TableSpec:
    """How a table grows under these settings."""
    return rb.TableSpec(
        bucket_by=TICK,
        bucket_size=settings.tick_bucket_size,
        is_strict=settings.strict_schema,
        schema_version=str(described.version),
        compression=settings.compression,
        row_group_rows=settings.row_group_size,
    )


def open_table(settings: IoSettings, run_id: str, name: str) -> rb.Table:
    """A table by its name; one that the grammar does not have is there to be read.

    Raises:
        ValueError: it is no run id, or no name of a table.
    """
    folder = table_dir(settings, run_id, name)
    if name not in frozenset(TableName):
        return rb.Table(folder, spec=rb.TableSpec(bucket_by=TICK, bucket_size=settings.tick_bucket_size))
    described = get_table(name)
    return rb.Table(folder, spec=table_spec(settings, described), columns=column_rules(described), run_id=str(run_id))


def is_run(settings: IoSettings, run_id: str) -> bool:
    """Whether the folder is a run that a project made: then its log tells of every part."""
    return os.path.exists(os.path.join(run_root(settings, run_id), "run_manifest.json"))
