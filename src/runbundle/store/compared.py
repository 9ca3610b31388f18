"""The artifacts of two runs, held against each other one by one: by hash first, then by the rule of their spec."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from runbundle.base.errors import CorruptError, MissingExtra, RunbundleError
from runbundle.base.jsontext import spell_number
from runbundle.contract.comparison import EXACT, By, Comparison
from runbundle.contract.record import ArtifactRecord
from runbundle.run.run import Run
from runbundle.store.values import Verdict, difference

_OPAQUE = ("text", "html", "file", "onnx")  # their values are their bytes
_GOOD = (Verdict.IDENTICAL, Verdict.WITHIN)


@dataclass(frozen=True, slots=True)
class Compared:
    """Two artifacts of one id.

    Attributes:
        artifact: the id, with its variant in brackets. filename: its path, in the earlier run if it is there.
        verdict: how they compare.
        places: where they differ, and how, the first of them; ``more`` is how many there are besides.
        largest: the largest difference of two numbers; None where none was found.
    """

    artifact: str
    filename: str
    verdict: Verdict
    places: tuple[str, ...] = ()
    more: int = 0
    largest: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The comparison as a JSON object."""
        return {
            "artifact": self.artifact,
            "filename": self.filename,
            "verdict": self.verdict.value,
            "places": list(self.places),
            "more_places": self.more,
            "largest": None if self.largest is None else spell_number(self.largest),
        }


def compare_artifacts(left: Run, right: Run, default: Comparison = EXACT) -> Iterator[Compared]:
    """Each artifact in force of one of two runs, in the order of the ids; tables that grow are left out.

    Equal digests are never looked into. The rule is that of the earlier run's contract; ``default`` is that of
    artifacts of which no contract says any.
    """
    ours, theirs = (
        {key: record for key, record in run.state.in_force.items() if record.table is None} for run in (left, right)
    )
    specs = left.contract.by_id if left.contract else {}
    for key in sorted(ours.keys() | theirs.keys(), key=lambda key: (key[0], key[1] is not None, key[1] or "")):
        one, other = ours.get(key), theirs.get(key)
        if one is None or other is None:
            there = one or other
            assert there is not None  # noqa: S101 - the key is of one of them
            yield Compared(there.label, there.filename, Verdict.MISSING if one else Verdict.ADDED)
        elif one.sha256 == other.sha256:
            yield Compared(one.label, one.filename, Verdict.IDENTICAL)
        else:
            spec = specs.get(one.artifact_id)
            yield _compare(left, right, one, other, (spec.compare if spec else None) or default)


def _compare(left: Run, right: Run, one: ArtifactRecord, other: ArtifactRecord, rule: Comparison) -> Compared:
    if rule.by is By.NOTHING:
        return Compared(one.label, one.filename, Verdict.IDENTICAL, ("not compared, as its spec says",))
    if one.format != other.format:
        return _differs(one, f"the format {one.format}, then {other.format}")
    if rule.by is By.BYTES or one.format in _OPAQUE:
        return _differs(one, f"{one.bytes} bytes, then {other.bytes}" if one.bytes != other.bytes else "other bytes")
    try:
        before, after = _value(left, one), _value(right, other)
    except (CorruptError, MissingExtra) as error:  # told where it counts: the bytes differ, that much is known
        return _differs(one, f"its values were not compared: {told_of(error)}")
    found = difference(before, after, rule)
    return Compared(one.label, one.filename, found.verdict, tuple(found.places), found.more, found.largest)


def _differs(record: ArtifactRecord, told: str) -> Compared:
    return Compared(record.label, record.filename, Verdict.DIFFERS, (told,))


def told_of(error: RunbundleError) -> str:
    """Why values were not compared."""
    return error.what if isinstance(error, CorruptError) else f"{error.what}. {error.hint}"


def _value(run: Run, record: ArtifactRecord) -> Any:
    """What an artifact holds; of CSV, which is read as text, the cells that are numbers as such."""
    value = run.read(record.artifact_id, record.variant)
    return [{name: _cell(cell) for name, cell in row.items()} for row in value] if record.format == "csv" else value


def _cell(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text


def overall(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict on a whole of which the parts have these."""
    found = set(verdicts)
    if found - set(_GOOD):
        return Verdict.DIFFERS
    return Verdict.WITHIN if Verdict.WITHIN in found else Verdict.IDENTICAL


def counts(artifacts: Iterable[Compared]) -> Mapping[str, int]:
    """How many artifacts have each verdict."""
    found = dict.fromkeys((verdict.value for verdict in Verdict), 0)
    for one in artifacts:
        found[one.verdict.value] += 1
    return found
