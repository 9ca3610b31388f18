"""What the logs of a run say, taken together (docs/format.md, section 3).

Records are applied one by one, in any order across logs; what replaces what is said by pointers only.
"""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from runbundle.base import jsontext
from runbundle.base.ids import fold
from runbundle.contract.record import ArtifactRecord, Pointer
from runbundle.contract.spec import Outcome
from runbundle.run.log.lines import CREATOR, Record, as_damage, check_fields


class Ending(NamedTuple):
    """How a try of a stage ended."""

    try_number: int
    outcome: Outcome
    reasons: tuple[str, ...]


@dataclass(slots=True)
class RunState:
    """The facts of a run.

    Attributes:
        header: the first record of the creator's log.
        writers: for each writer, the process that it is or was.
        starts, ends: the ``attempt`` records by their number.
        inputs: the ``input`` records in force, by pointer.
        records: every artifact record, by pointer.
        gone: pointers of records that are no longer in force.
        in_force: artifact records in force, by (artifact_id, variant).
        intents: digests and lengths that a replacement announced, by the pointer it replaces.
        endings: for each stage, how its last try ended.
        tries: for each stage, how often it began.
        moves: the files of tries set aside: (from, to, pointer).
        by_fold: every path in force, by its form on disks that ignore case; None until someone asks.
        rivals: further records in force of an artifact, by (artifact_id, variant): what takes them out of force may
            stand in a log that is read later. Any that are left when all logs are read break I14.
        rosters: what the records say of each roster, by its artifact_id.
        merged: pointers of records of parts whose rows are in another part now.
        models: the models that were used, each once; in an order that does not depend on whose log is read first.
        announced: digests that files without a record, those of the configuration, may have until the next attempt.
    """

    header: Record | None = None
    writers: dict[str, Record] = field(default_factory=dict)
    starts: dict[int, Record] = field(default_factory=dict)
    ends: dict[int, Record] = field(default_factory=dict)
    inputs: dict[Pointer, Record] = field(default_factory=dict)
    records: dict[Pointer, ArtifactRecord] = field(default_factory=dict)
    gone: set[Pointer] = field(default_factory=set)
    in_force: dict[tuple[str, str | None], ArtifactRecord] = field(default_factory=dict)
    intents: dict[Pointer, list[tuple[str, int]]] = field(default_factory=dict)
    endings: dict[str, Ending] = field(default_factory=dict)
    tries: dict[str, int] = field(default_factory=dict)
    moves: list[tuple[str, str, Pointer]] = field(default_factory=list)
    by_fold: dict[str, set[str]] | None = None
    rivals: dict[tuple[str, str | None], list[ArtifactRecord]] = field(default_factory=dict)
    rosters: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    announced: dict[str, set[str]] = field(default_factory=dict)
    models: list[Record] = field(default_factory=list)
    merged: set[Pointer] = field(default_factory=set)

    def apply(self, record: Record, pointer: Pointer) -> None:
        """Take in one record; types that are not known are ignored.

        Raises:
            LogCorrupt: a field that the format promises is missing.
            UnsupportedVersion: the log is of a later version.
        """
        with as_damage(record, pointer):
            check_fields(record, pointer)
            apply = _APPLY.get(record["record"])
            if apply is not None:
                apply(self, record, pointer)

    @property
    def attempt(self) -> int:
        """The number of the last attempt; 0 before the first."""
        return max(self.starts, default=0)

    @property
    def primary_input(self) -> Record | None:
        """The record of the primary input, if one was set."""
        return next((record for record in self.inputs.values() if record["is_primary"]), None)

    @property
    def outcomes(self) -> dict[str, Outcome]:
        """How each stage ended, for those that did."""
        return {
            stage: ending.outcome
            for stage, ending in self.endings.items()
            if ending.try_number >= self.tries.get(stage, 0)
        }

    def is_passed(self, stage: str) -> bool:
        """Whether the last try of a stage committed or declined: it need not run again."""
        return self.outcomes.get(stage) in (Outcome.COMMITTED, Outcome.DECLINED)

    def uncommitted(self, stage: str) -> list[ArtifactRecord]:
        """The artifacts in force of a stage whose last try did not pass."""
        return [] if self.is_passed(stage) else [r for r in self.in_force.values() if r.stage == stage]

    def sizes(self, record: ArtifactRecord) -> set[int]:
        """The lengths that the file of a record may have (I15)."""
        return {record.bytes, *(size for _, size in self.intents.get(record.pointer, ()))}

    def contradictions(self) -> list[str]:
        """What is in force twice and may not be (docs/format.md, I14)."""
        names = [record["filename"] for record in self.inputs.values()]
        names += [record.filename for record in self.in_force.values()]
        primaries = [record["filename"] for record in self.inputs.values() if record["is_primary"]]
        found = [f"two records of {rivals[0].label} are in force" for rivals in self.rivals.values()]
        found += [f"two records in force name {name}" for name, count in Counter(names).items() if count > 1]
        return found + ([f"{' and '.join(primaries)} are primary inputs"] if len(primaries) > 1 else [])

    def files(self) -> Iterator[tuple[str, int | None, frozenset[str]]]:
        """Every file the log accounts for: its path, its length if there is one only, the digests it may have."""
        for pointer, record in self.inputs.items():
            if record["sha256"] is None:
                yield record["filename"], None, frozenset()
            else:
                yield record["filename"], *self.allowed(pointer, record["bytes"], record["sha256"])
        for artifact in self.in_force.values():
            yield artifact.filename, *self.allowed(artifact.pointer, artifact.bytes, artifact.sha256)

    def moved_files(self, run_dir: Path) -> Iterator[tuple[str, int | None, frozenset[str]]]:
        """The files set aside, as ``files``: at their new place, or still at the old one (I16)."""
        in_force = {path for path, _, _ in self.files()} if self.moves else set()
        for source, target, pointer in self.moves:
            if pointer in self.records:
                has_stayed = not os.path.lexists(run_dir / target) and source not in in_force
                has_stayed = has_stayed and os.path.lexists(run_dir / source)
                record = self.records[pointer]
                yield source if has_stayed else target, *self.allowed(pointer, record.bytes, record.sha256)

    def allowed(self, pointer: Pointer, size: int, sha256: str) -> tuple[int | None, frozenset[str]]:
        """The length, if there is one only, and the digests that the file of a record may have (I15)."""
        announced = self.intents.get(pointer)
        if not announced:
            return size, frozenset((sha256,))
        return None, frozenset((sha256, *(digest for digest, _ in announced)))

    def named_alike(self, filename: str) -> Collection[str]:
        """The paths in force that are one name on some disks with a path, this very one among them."""
        if self.by_fold is None:
            self.by_fold = {}
            for record in itertools.chain(self.in_force.values(), *self.rivals.values()):
                self.by_fold.setdefault(fold(record.filename), set()).add(record.filename)
        return self.by_fold.get(fold(filename), ())

    def _apply_header(self, record: Record, pointer: Pointer) -> None:
        self.writers[pointer.writer] = record["host"]
        if pointer.writer == CREATOR:
            lacking = sorted(_RUN_FIELDS - record["run"].keys())
            if lacking:
                raise ValueError(f"its run lacks {', '.join(lacking)}")
            self.header = record

    def _apply_attempt(self, record: Record, pointer: Pointer) -> None:  # noqa: ARG002 - one shape for all
        if record["event"] in ("start", "end"):
            (self.starts if record["event"] == "start" else self.ends)[int(record["attempt"])] = record
            self.announced = {}

    def _apply_input(self, record: Record, pointer: Pointer) -> None:
        self._retire(Pointer.from_json(record["replaces"]))
        if pointer not in self.gone:
            self.inputs[pointer] = record

    def _apply_artifact(self, record: Record, pointer: Pointer) -> None:
        self.add(ArtifactRecord.from_json(record, pointer), pointer)

    def add(self, artifact: ArtifactRecord, pointer: Pointer) -> None:
        """Take in the record of an artifact."""
        self.records[pointer] = artifact
        if artifact.roster is not None:
            self.rosters[artifact.roster["artifact_id"]] = artifact.roster
        self._retire(artifact.replaces)
        if artifact.table is not None:
            self._merge(artifact.table)
        if pointer not in self.gone:
            key = artifact.artifact_id, artifact.variant
            if key in self.in_force:
                self.rivals.setdefault(key, []).append(self.in_force[key])
            self.in_force[key] = artifact
            if self.by_fold is not None:
                self.by_fold.setdefault(fold(artifact.filename), set()).add(artifact.filename)

    def _merge(self, table: Mapping[str, Any]) -> None:
        """A part of a table takes the place of those whose rows it has, all at once."""
        for each in table.get("merges", ()):
            pointer = Pointer(**each)
            self.merged.add(pointer)
            self._retire(pointer)

    def _apply_intent(self, record: Record, pointer: Pointer) -> None:
        replaced = Pointer.from_json(record["replaces"])
        if replaced is None and pointer.writer == CREATOR and record["filename"] in _ANNOUNCED:
            self.announced.setdefault(record["filename"], set()).add(record["sha256"])
        elif replaced is not None:
            self.intents.setdefault(replaced, []).append((record["sha256"], record["bytes"]))

    def _apply_stage(self, record: Record, pointer: Pointer) -> None:  # noqa: ARG002 - one shape for all
        if record["event"] == "start":
            self.tries[record["stage"]] = max(self.tries.get(record["stage"], 0), record["try"])
        elif record["event"] == "set_aside":
            for move in record["moved"]:
                moved = Pointer(**move["artifact"])
                self.moves.append((move["from"], move["to"], moved))
                self._retire(moved)

    def _apply_quarantine(self, record: Record, pointer: Pointer) -> None:  # noqa: ARG002 - one shape for all
        for move in record["moved"]:
            self._retire(Pointer.from_json(move["artifact"]))

    def _apply_commit(self, record: Record, pointer: Pointer) -> None:  # noqa: ARG002 - one shape for all
        ending = Ending(record["try"], Outcome(record["outcome"]), tuple(map(str, record["reasons"])))
        known = self.endings.get(record["stage"])
        if known is None or ending.try_number >= known.try_number:
            self.endings[record["stage"]] = ending

    def _apply_model(self, record: Record, pointer: Pointer) -> None:  # noqa: ARG002 - one shape for all
        told = {name: record[name] for name in _MODEL_FIELDS}
        if told not in self.models:
            self.models = sorted([*self.models, told], key=jsontext.line)

    def _retire(self, pointer: Pointer | None) -> None:
        if pointer is None:
            return
        self.gone.add(pointer)
        self.inputs.pop(pointer, None)
        old = self.records.get(pointer)
        if old is None:
            return
        key = old.artifact_id, old.variant
        rivals = self.rivals.get(key, [])
        if self.in_force.get(key) is old:
            del self.in_force[key]
            if rivals:
                self.in_force[key] = rivals.pop()
        elif old in rivals:
            rivals.remove(old)
        else:
            return
        if not rivals:
            self.rivals.pop(key, None)
        left = [record.filename for record in (self.in_force.get(key), *rivals) if record is not None]
        if self.by_fold is not None and old.filename not in left:
            self.by_fold[fold(old.filename)].discard(old.filename)


_ANNOUNCED = ("config.yaml", "config_resolved.yaml")
_RUN_FIELDS = frozenset(
    ("run_id", "run_uuid", "project_name", "producer", "created_at_utc", "contract", "layout", "requires", "facts")
)
_MODEL_FIELDS = ("reference", "path", "sha256", "bytes", "source")

_APPLY = {
    "header": RunState._apply_header,  # noqa: SLF001 - its own methods
    "attempt": RunState._apply_attempt,  # noqa: SLF001
    "input": RunState._apply_input,  # noqa: SLF001
    "artifact": RunState._apply_artifact,  # noqa: SLF001
    "intent": RunState._apply_intent,  # noqa: SLF001
    "stage": RunState._apply_stage,  # noqa: SLF001
    "quarantine": RunState._apply_quarantine,  # noqa: SLF001
    "commit": RunState._apply_commit,  # noqa: SLF001
    "model": RunState._apply_model,  # noqa: SLF001
}
