"""Exit codes: one for each branch of the errors."""

from __future__ import annotations

from runbundle.base.errors import (
    ConflictError,
    CorruptError,
    InvalidInputError,
    NotFoundError,
    RunbundleError,
)

GOOD, NO, USAGE, NOT_FOUND, ENVIRONMENT = 0, 1, 2, 3, 4

_BRANCHES = ((NotFoundError, NOT_FOUND), (InvalidInputError, USAGE), (CorruptError, NO), (ConflictError, NO))


def exit_code(error: RunbundleError) -> int:
    """The exit code that an error stands for."""
    return next((code for branch, code in _BRANCHES if isinstance(error, branch)), ENVIRONMENT)
