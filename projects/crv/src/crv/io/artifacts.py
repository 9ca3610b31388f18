"""Files of a run bundle: where those of the lab lie, and text and Parquet written whole or not at all.

::

    <root_dir>/runs/<run_id>/artifacts/lab/{tidy,probes,policy}/<name>.parquet
    <root_dir>/runs/<run_id>/artifacts/lab/audit/<name>.(json|parquet)

The functions take bare paths. Each write goes to a temporary file of a name of its own in the same folder, is synced,
takes its name at once, and its folder is synced: under any kill the old or the new file is there, whole, and when the
call returns no power cut takes it. Several processes may write one path; the last one stays.

Outside of any run that is all. In the folder of an open run the file is recorded and sealed with it as well; in that of
a sealed run the write is refused. Making a run is the business of crv's project: no function here does.

This module loads the standard library and the light core of the library; Polars is loaded by the call that needs it.
"""

from __future__ import annotations

import io
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import runbundle as rb
from crv.io.config import IoSettings
from crv.io.errors import IoSchemaError, IoSealedError, io_errors, missing_polars
from crv.io.forks import refuse_lost_polars
from crv.io.fs import makedirs
from crv.io.paths import run_root

if TYPE_CHECKING:
    import polars as pl

LabSubdir = Literal["tidy", "policy", "probes", "audit"]
LAB_SUBDIRS: Final[tuple[LabSubdir, ...]] = get_args(LabSubdir)


def artifacts_root(settings: IoSettings, run_id: str) -> str:
    """The folder of a run's artifacts; it is not made.

    Returns:
        ``<root_dir>/runs/<run_id>/artifacts``

    Raises:
        ValueError: it is no run id.
    """
    return os.path.join(run_root(settings, run_id), "artifacts")


def lab_dir(settings: IoSettings, run_id: str, subdir: LabSubdir) -> str:
    """A folder of the lab's artifacts, which is made where it is not there.

    Args:
        settings: say where bundles lie.
        run_id: of the run.
        subdir: ``tidy``, ``policy``, ``probes`` or ``audit``.

    Returns:
        ``<root_dir>/runs/<run_id>/artifacts/lab/<subdir>``

    Raises:
        ValueError: there is no such subdir, or it is no run id.
        IoSealedError: the folder is not there, and the run is sealed.
        IoWriteError: the folder cannot be made.
    """
    if subdir not in LAB_SUBDIRS:
        raise ValueError(f"The lab has no {subdir!r}; it has {', '.join(LAB_SUBDIRS)}")
    folder = os.path.join(artifacts_root(settings, run_id), "lab", subdir)
    if not os.path.isdir(folder):
        _refuse_sealed(run_root(settings, run_id))
        makedirs(folder, exist_ok=True)
    return folder


def file_stat(path: str) -> dict[str, Any]:
    """What is to be told of a file.

    Returns:
        ``path`` as given; ``bytes``, its length, 0 if it is not there; ``created_at``, the time of this call in UTC,
        as ISO 8601.
    """
    try:
        size = os.path.getsize(path)
    except (FileNotFoundError, NotADirectoryError):
        size = 0
    return {"path": path, "bytes": size, "created_at": datetime.now(UTC).isoformat()}


def write_text_atomic(path: str, text: str) -> dict[str, Any]:
    """Write text as UTF-8, whole or not at all; missing folders are made.

    Args:
        path: the file; what is there is replaced.
        text: what it is to hold.

    Returns:
        ``file_stat(path)`` and ``wrote_text``, which is True.

    Raises:
        TypeError: it is not text.
        IoSchemaError: the text holds half a character (a lone surrogate), which UTF-8 has no bytes for; or the path
            names no file.
        IoWriteError: it could not be written, or the run is sealed; what was there is whole.
    """
    if not isinstance(text, str):
        raise rb.errors.InvalidType(f"The text for {path} is {type(text).__name__}", hint="Give a str", path=path)
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise IoSchemaError(
            f"The text for {path} is no Unicode at position {error.start}", hint="Nothing was written", path=path
        ) from error
    _write(path, data)
    return file_stat(path) | {"wrote_text": True}


def write_parquet_atomic(path: str, df: pl.DataFrame) -> dict[str, Any]:
    """Write a frame as Parquet with the defaults of Polars, whole or not at all; missing folders are made.

    The same frame gives the same bytes, with the same Polars.

    Args:
        path: the file; what is there is replaced.
        df: a ``polars.DataFrame``.

    Returns:
        ``file_stat(path)`` and ``rows``.

    Raises:
        RuntimeError: Polars is not installed; the message names the extra that brings it.
        TypeError: it is no Polars DataFrame.
        IoSchemaError: Parquet cannot hold it, as Python objects or a struct without fields; or the path names no file.
        IoForkedError: this process was forked while Polars was at work.
        IoWriteError: it could not be written, or the run is sealed; what was there is whole.
    """
    refuse_lost_polars(path)
    try:
        import polars as pl  # noqa: PLC0415 - only this call needs it
    except ImportError as error:
        raise missing_polars("Parquet is written by it") from error
    if not isinstance(df, pl.DataFrame):
        raise rb.errors.InvalidType(f"Parquet is written of a polars.DataFrame, not {type(df).__name__}", path=path)
    data = io.BytesIO()
    try:
        df.write_parquet(data)
    except pl.exceptions.PolarsError as error:
        raise IoSchemaError(
            f"Parquet cannot hold the frame for {path}: {str(error).splitlines()[0]}",
            hint="Nothing was written",
            path=path,
        ) from error
    _write(path, data.getvalue())
    return file_stat(path) | {"rows": df.height}


def _refuse_sealed(root: str) -> None:
    """Whether a folder is that of a run whose seal is there; one is no run for having sums alone."""
    if all(os.path.lexists(os.path.join(root, name)) for name in ("run_manifest.json", "SHA256SUMS")):
        run_id = os.path.basename(root)
        raise IoSealedError(
            f"The run {run_id} is sealed; nothing in it may change",
            hint="Write beside it, or start another run",
            run=run_id,
            path=root,
        )


def _write(path: str, data: bytes) -> None:
    if not os.path.basename(path):
        raise IoSchemaError(f"{path!r} names no file", hint="Give a path that ends in a file's name")
    with io_errors():
        rb.write_file(path, data)
