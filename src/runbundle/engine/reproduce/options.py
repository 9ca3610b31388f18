"""What is asked of a reproduction."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runbundle.base.errors import InvalidValue
from runbundle.contract.comparison import EXACT, Comparison

CODE, CONFIG, ENVIRONMENT, INPUTS = "code", "config", "environment", "inputs"
CONDITIONS = (CODE, CONFIG, ENVIRONMENT, INPUTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a run is made again.

    Attributes:
        repo: the repository that has the commit, or a clone of it; None: that of the run's folder, or of the current
            folder.
        current: what is taken as it is now, and not as it was recorded: of ``code`` (the repository's folder as it
            stands), ``config`` (what the program gives), ``environment`` (the running one) and ``inputs`` (the files
            at their original paths).
        secrets: for each masked key, the variable of the environment that holds the secret.
        tolerance: of metrics, and of artifacts of which no contract says any.
        is_kept: whether the new run stays also where it does not differ.
        is_trusted: whether a command may be run that was recorded on another machine.
        goes_on: whether to try although something may be missing; what cannot do without is refused all the same.

    Raises:
        InvalidValue: there is no such condition, or a variable of a secret is not set.
    """

    repo: Path | None = None
    current: frozenset[str] = frozenset()
    secrets: Mapping[str, str] = field(default_factory=dict)
    tolerance: Comparison = EXACT
    is_kept: bool = False
    is_trusted: bool = False
    goes_on: bool = False

    def __post_init__(self) -> None:
        unknown = sorted(self.current - set(CONDITIONS))
        if unknown:
            raise InvalidValue(f"There is no condition {unknown[0]!r}", hint=f"There are {', '.join(CONDITIONS)}")
        for key, variable in self.secrets.items():
            if not os.environ.get(variable):
                raise InvalidValue(f"The variable {variable} for the secret {key} is not set", hint="Set it")

    def takes_recorded(self, condition: str) -> bool:
        """Whether a condition is to be as it was recorded."""
        return condition not in self.current
