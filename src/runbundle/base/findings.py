"""What a check found: one shape for contract checks and integrity checks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it must be.

    Attributes:
        code: stable; all codes are listed in docs/format.md, section 7.
        subject: the file, artifact or stage concerned.
        message: what is wrong, for a person.
    """

    code: str
    subject: str
    message: str

    def to_json(self) -> dict[str, Any]:
        """The finding as a JSON object."""
        return {"code": self.code, "subject": self.subject, "message": self.message}

    def __str__(self) -> str:
        """One line for a person."""
        return f"{self.code}: {self.subject}: {self.message}"


@dataclass(frozen=True, slots=True)
class Report:
    """The findings of one check, empty when all is good, and what is said besides.

    Attributes:
        findings: what is wrong.
        warnings: what may come to be wrong elsewhere or later; the run is good all the same.
        notes: what a person should know although nothing is wrong.
    """

    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()
    warnings: tuple[Finding, ...] = ()

    @property
    def is_good(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def __iter__(self) -> Iterator[Finding]:
        """The findings."""
        return iter(self.findings)

    def to_json(self) -> dict[str, Any]:
        """The report as a JSON object."""
        return {
            "is_good": self.is_good,
            "findings": [finding.to_json() for finding in self.findings],
            "warnings": [warning.to_json() for warning in self.warnings],
            "notes": list(self.notes),
        }
