"""What goes wrong in ``crv.io``: one branch of the library's errors, so that its commands report them as well.

::

    RunbundleError
    └── IoError
        ├── IoConfigError       ValueError      a setting is wrong
        ├── IoSchemaError       ValueError      rows or text that cannot be taken
        ├── IoWriteError        OSError         nothing was written
        │   ├── IoSealedError   RunSealed       because the run is finished
        │   └── IoForkedError   RuntimeError    because this process was forked while Polars was at work
        └── IoManifestError     OSError         a table is not there, or is not what was written

What the library raises below is the ``__cause__``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import runbundle as rb


class IoError(rb.RunbundleError):
    """Reading or writing a run bundle went wrong: what happened, to which run and table, and what to do."""

    code = "crv_io"


class IoConfigError(IoError, rb.errors.InvalidConfig):
    """A setting is wrong; the message names it and where it stands."""

    code = "crv_io_config"


class IoSchemaError(IoError, rb.errors.InvalidValue):
    """What was given is not what the table or the file holds; the message names the column. Nothing was written."""

    code = "crv_io_schema"


class IoWriteError(IoError, OSError):
    """It could not be written. What was there before is whole."""

    code = "crv_io_write"


class IoSealedError(IoWriteError, rb.errors.RunSealed):
    """The run is finished and sealed: nothing in it may change."""

    code = "crv_io_sealed"


class IoForkedError(IoWriteError, rb.errors.UnsupportedError):
    """Polars was at work when this process was forked: it is not used here, where it would never end."""

    code = "crv_io_forked"


class IoManifestError(IoError, rb.errors.CorruptError):
    """A table has no manifest, or its parts are not those that were written."""

    code = "crv_io_manifest"


_MATCHING: tuple[tuple[type[rb.RunbundleError], type[IoError]], ...] = (
    (rb.errors.InvalidInputError, IoSchemaError),
    (rb.errors.RunSealed, IoSealedError),
    (rb.errors.CorruptError, IoManifestError),
    (rb.errors.NotFoundError, IoManifestError),
)


@contextmanager
def io_errors(*, run: str | None = None, artifact: str | None = None) -> Iterator[None]:
    """Errors of the library in a block become those of ``crv.io``; all of them name the run and the table."""
    try:
        yield
    except IoError as error:
        error.run, error.artifact = error.run or run, error.artifact or artifact
        raise
    except rb.errors.MissingExtra:  # an installation that lacks something says so itself
        raise
    except rb.RunbundleError as error:
        kind = next((to for branch, to in _MATCHING if isinstance(error, branch)), IoWriteError)
        if type(error) is rb.errors.UnsupportedError:  # those of formats and versions have classes of their own
            kind = IoForkedError
        raise kind(
            error.what, hint=error.hint, run=run or error.run, artifact=artifact or error.artifact, path=error.path
        ) from error


def missing_polars(why: str) -> rb.errors.MissingExtra:
    """The error, also a ``RuntimeError`` and an ``ImportError``, that says how to get Polars."""
    return rb.errors.MissingExtra(f"Polars is not installed; {why}", hint='Install it: pip install "crv[tables]"')
