"""Where things lie, as text. Nothing here touches the disk.

::

    <root_dir>/runs/<run_id>/
        artifacts/lab/{tidy,probes,policy,audit}/...
        tables/<table>/bucket=000123/part-<uuid>.parquet
        tables/<table>/manifest.json
        bundle.manifest.json
"""

from __future__ import annotations

import os

from crv.core.grammar import is_lower_snake
from crv.core.ids import RunId
from crv.io.config import IoSettings


def run_root(settings: IoSettings, run_id: str) -> str:
    """The folder of a run: ``<root_dir>/runs/<run_id>``.

    Raises:
        ValueError: it is no run id (``crv.core.ids.RunId``).
    """
    return os.path.join(settings.root_dir, "runs", str(RunId(run_id)))


def tables_root(settings: IoSettings, run_id: str) -> str:
    """The folder of a run's tables: ``<run>/tables``."""
    return os.path.join(run_root(settings, run_id), "tables")


def table_dir(settings: IoSettings, run_id: str, table: str) -> str:
    """The folder of a table: ``<run>/tables/<table>``.

    Raises:
        ValueError: the name is not made of lower-case words with ``_`` between them.
    """
    if not is_lower_snake(table):
        raise ValueError(f"{table!r} is no name of a table: give lower-case words with _ between them")
    return os.path.join(tables_root(settings, run_id), str(table))


def manifest_path(settings: IoSettings, run_id: str, table: str) -> str:
    """The manifest of a table: ``<run>/tables/<table>/manifest.json``."""
    return os.path.join(table_dir(settings, run_id, table), "manifest.json")


def bucket_id_for_tick(tick: int, bucket_size: int) -> int:
    """The bucket into which a tick goes: ``tick // bucket_size``.

    Raises:
        ValueError: a tick below 0, or a size below 1.
    """
    if tick < 0 or bucket_size < 1:
        raise ValueError(f"Ticks count from 0 and buckets hold at least 1, not {tick} and {bucket_size}")
    return tick // bucket_size


def format_bucket_dir(bucket_id: int) -> str:
    """The name of a bucket's folder, of six digits or more: ``bucket=000123``.

    Raises:
        ValueError: a bucket below 0.
    """
    if bucket_id < 0:
        raise ValueError(f"Buckets count from 0, not {bucket_id}")
    return f"bucket={bucket_id:06d}"


def bucket_dir(settings: IoSettings, run_id: str, table: str, bucket_id: int) -> str:
    """The folder of a bucket: ``<run>/tables/<table>/bucket=000123``."""
    return os.path.join(table_dir(settings, run_id, table), format_bucket_dir(bucket_id))
