"""What differs between two runs: the conditions they were made under, and what came of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runbundle.base.jsontext import spell_number
from runbundle.contract.comparison import EXACT, Comparison
from runbundle.run.metrics.series import Series
from runbundle.run.run import Run, open_run
from runbundle.store.compared import Compared, compare_artifacts, counts, overall
from runbundle.store.conditions import ABSENT, Change, conditions
from runbundle.store.tablediff import compare_tables
from runbundle.store.values import Verdict, is_close


@dataclass(frozen=True, slots=True)
class Diff:
    """What differs between two runs.

    Attributes:
        left, right: the runs' ids.
        conditions: of ``config``, ``code``, ``environment`` and ``inputs``, what differs.
        outcome: what differs of the status, and of the outcomes of stages.
        scalars: the final scalars that differ. series: of each metric, the first step where the two part.
        artifacts: every artifact of either, with its verdict; a table that grows is one, whatever its parts.
    """

    left: str
    right: str
    conditions: Mapping[str, tuple[Change, ...]]
    outcome: tuple[Change, ...]
    scalars: tuple[Change, ...]
    series: tuple[Change, ...]
    artifacts: tuple[Compared, ...]

    @property
    def verdict(self) -> Verdict:
        """The verdict on what came of them: ``identical``, ``within tolerance`` or ``differs``."""
        changed = (*self.outcome, *self.scalars, *self.series)
        return overall([one.verdict for one in changed] + [one.verdict for one in self.artifacts])

    @property
    def is_same(self) -> bool:
        """Whether nothing differs, the conditions included."""
        return self.verdict is Verdict.IDENTICAL and not any(self.conditions.values())

    @property
    def unlike(self) -> tuple[Compared, ...]:
        """The artifacts that are not identical."""
        return tuple(one for one in self.artifacts if one.verdict is not Verdict.IDENTICAL)

    def to_json(self) -> dict[str, Any]:
        """The diff as a JSON object; of artifacts those that are not identical, and how many there are of each."""
        return {
            "left": self.left,
            "right": self.right,
            "verdict": self.verdict.value,
            "is_same": self.is_same,
            **{name: [change.to_json() for change in found] for name, found in self.conditions.items()},
            "outcome": [change.to_json() for change in self.outcome],
            "metrics": {
                "scalars": [change.to_json() for change in self.scalars],
                "series": [change.to_json() for change in self.series],
            },
            "artifacts": {"counts": counts(self.artifacts), "unlike": [one.to_json() for one in self.unlike]},
        }


def diff(left: Run | str | Path, right: Run | str | Path, *, tolerance: Comparison = EXACT) -> Diff:
    """What differs between two runs, the earlier one first.

    Artifacts are compared by their hashes in the logs first, and where these are equal no file is read: ``Run.verify``
    does that. Those that differ are compared by the rule of their spec (``ArtifactSpec.compare``): JSON
    and tables by value, arrays and images by the size of the difference. A table that grows is the same if its rows
    are, in whatever order and parts. Of metrics values are compared, not times.

    Args:
        left: the earlier run, or its folder.
        right: the later one.
        tolerance: of metrics, and of artifacts of which no contract says any.

    Raises:
        RunNotFound: a folder is no run. CorruptError: a log, or what is kept of the code, is damaged. Where an
            artifact has to be read and is damaged, it differs, and its damage is told.
    """
    one, other = (run if isinstance(run, Run) else open_run(run) for run in (left, right))
    return Diff(
        left=one.run_id,
        right=other.run_id,
        conditions=conditions(one, other),
        outcome=tuple(_outcome(one, other)),
        scalars=tuple(_scalars(one, other, tolerance)),
        series=tuple(_series(one, other, tolerance)),
        artifacts=(*compare_artifacts(one, other, tolerance), *compare_tables(one, other, tolerance)),
    )


def _outcome(left: Run, right: Run) -> Iterator[Change]:
    if left.status != right.status:
        yield Change("status", left.status, right.status)
    ours, theirs = left.state.outcomes, right.state.outcomes
    for stage in sorted(ours.keys() | theirs.keys()):
        if ours.get(stage) != theirs.get(stage):
            yield Change(f"stage {stage}", ours.get(stage, ABSENT), theirs.get(stage, ABSENT))


def _scalars(left: Run, right: Run, rule: Comparison) -> Iterator[Change]:
    ours, theirs = left.summary, right.summary
    for name in sorted(ours.keys() | theirs.keys()):
        if not rule.ignores(name):
            yield from _scalar(name, ours.get(name, ABSENT), theirs.get(name, ABSENT), rule)


def _scalar(name: str, left: Any, right: Any, rule: Comparison) -> Iterator[Change]:
    are_numbers = all(isinstance(side, int | float) for side in (left, right))
    if is_close(left, right, EXACT) if are_numbers else left == right:
        return
    is_within = are_numbers and is_close(left, right, rule)
    verdict = Verdict.WITHIN if is_within else Verdict.DIFFERS
    yield Change(name, _spelt(left), _spelt(right), verdict)


def _spelt(value: Any) -> Any:
    return value if value is ABSENT else spell_number(value)


def _series(left: Run, right: Run, rule: Comparison) -> Iterator[Change]:
    ours, theirs = left.series_names, right.series_names
    for name in sorted({*ours, *theirs}):
        if rule.ignores(name):
            continue
        one, other = (
            run.series(name) if name in names else Series([], []) for run, names in ((left, ours), (right, theirs))
        )
        found = _parting(name, one, other, rule)
        if found is not None:
            yield found


def _parting(name: str, left: Series, right: Series, rule: Comparison) -> Change | None:
    """The first step where two series part beyond the tolerance; else the first where they are not equal."""
    if (left.steps, left.values) == (right.steps, right.values):
        return None
    within: Change | None = None
    ours, theirs = dict(zip(*left, strict=True)), dict(zip(*right, strict=True))
    for step in sorted(ours.keys() | theirs.keys()):
        for found in _scalar(f"{name} at step {step}", ours.get(step, ABSENT), theirs.get(step, ABSENT), rule):
            if found.verdict is Verdict.DIFFERS:
                return found
            within = within or found
    return within
