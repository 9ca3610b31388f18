"""The contract of a project: its layout, artifacts and stages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from runbundle.base.errors import ContractError
from runbundle.base.ids import check_identifier, fold, is_token
from runbundle.contract.layout import INPUT_FOLDER, STANDARD, Layout
from runbundle.contract.spec import INPUT_KIND, ArtifactSpec, Required, StageSpec, check_text

_CHECKPOINT, _CHECKPOINTS = "checkpoint", "checkpoints"  # what torch serialised stays in one place


@dataclass(frozen=True)
class Contract:
    """The versioned catalog that runs are held to.

    Attributes:
        name: usually the project's.
        version: of the contract; any text.
        artifacts: the specs; ids are unique, and so are the file names they give. The roster of a spec that has one
            follows it, declared or not.
        stages: in order; a spec's stage must be one of them.
        layout: where things lie.
        formats: the formats that artifacts may have, or None for all.
        allow_extras: whether undeclared artifacts may be saved, under ``layout.extras_folder``.

    Raises:
        ContractError: it contradicts itself. InvalidName: a file name that cannot be taken.
    """

    name: str
    version: str
    artifacts: tuple[ArtifactSpec, ...] = ()
    stages: tuple[StageSpec, ...] = ()
    layout: Layout = field(default=STANDARD)
    formats: frozenset[str] | None = None
    allow_extras: bool = False

    def __post_init__(self) -> None:
        check_identifier(self.name, what="contract name")
        check_text(self.version, what="The version of the contract")
        object.__setattr__(self, "artifacts", _with_rosters(self.artifacts))
        object.__setattr__(self, "stages", tuple(self.stages))
        if self.formats is not None:
            object.__setattr__(self, "formats", frozenset(self.formats))
        _refuse_twice("artifact", (spec.artifact_id for spec in self.artifacts))
        _refuse_twice("stage", (stage.stage for stage in self.stages))
        self._check_stages()
        self._check_artifacts()

    @cached_property
    def by_id(self) -> Mapping[str, ArtifactSpec]:
        """The specs by artifact_id."""
        return {spec.artifact_id: spec for spec in self.artifacts}

    @cached_property
    def input_spec(self) -> ArtifactSpec | None:
        """The spec that stands for the primary input, if there is one."""
        return next((spec for spec in self.artifacts if spec.kind == INPUT_KIND), None)

    @cached_property
    def rosters(self) -> Mapping[str, ArtifactSpec]:
        """The specs whose artifacts a roster lists, by the roster's artifact_id."""
        return {spec.roster.artifact_id: spec for spec in self.artifacts if spec.roster is not None}

    def spec(self, artifact_id: str) -> ArtifactSpec:
        """The spec of an id.

        Raises:
            ContractError: it is not declared.
        """
        found = self.by_id.get(artifact_id)
        if found is None:
            raise ContractError(
                f"The contract {self.name} {self.version} declares no artifact {str(artifact_id)!r}",
                hint=f"It declares {', '.join(self.by_id)}",
            )
        return found

    def table(self, name: str) -> ArtifactSpec | None:
        """The spec of a table, by its id or its name (``world/events``); None if none is declared."""
        found = self.by_id.get(name) or next((s for s in self.artifacts if s.table and s.name == name), None)
        return found if found is not None and found.table is not None else None

    @cached_property
    def table_folders(self) -> frozenset[str]:
        """The folders of the tables that are declared."""
        return frozenset(self.layout.table_folder(s.kind, s.suffix) for s in self.artifacts if s.table is not None)

    def stage(self, name: str) -> StageSpec:
        """The stage of a name.

        Raises:
            ContractError: it is not declared.
        """
        for stage in self.stages:
            if stage.stage == name:
                return stage
        declared = ", ".join(stage.stage for stage in self.stages) or "none"
        raise ContractError(f"The contract {self.name} declares no stage {name!r}", hint=f"It declares {declared}")

    def of_stage(self, stage: str | None, *required: Required) -> tuple[ArtifactSpec, ...]:
        """The specs of a stage, or only those with one of the given ``required``."""
        return tuple(
            spec for spec in self.artifacts if spec.stage == stage and (not required or spec.required in required)
        )

    def required_by_stage(self) -> dict[str, tuple[str, ...]]:
        """For each stage, the ids it owes: always, or when it passed."""
        owed = (Required.ALWAYS, Required.IF_PASSED)
        return {s.stage: tuple(spec.artifact_id for spec in self.of_stage(s.stage, *owed)) for s in self.stages}

    def optional_by_stage(self) -> dict[str, tuple[str, ...]]:
        """For each stage, the ids it may write."""
        return {
            s.stage: tuple(spec.artifact_id for spec in self.of_stage(s.stage, Required.OPTIONAL)) for s in self.stages
        }

    def path_of(self, spec: ArtifactSpec, *, variant: str | None, input_stem: str | None) -> str:
        """The path of an artifact in the run: injective, also when compared without case.

        Raises:
            InvalidInputError, InvalidName: as ``Layout.file_name_of``.
            ContractError: the name could as well be that of another spec.
        """
        folder = self.layout.folder_of(spec.kind)
        name = self.layout.file_name_of(spec.suffix, spec.ext, variant=variant, input_stem=input_stem)
        if variant is not None:
            for other in self._by_folder.get(fold(folder), ()):
                if other.artifact_id != spec.artifact_id and self._could_be_of(other, name, variant, input_stem):
                    raise ContractError(
                        f"The file name {name} of {spec.artifact_id} could be one of {other.artifact_id}",
                        hint="Give another variant, or one of the two another suffix",
                    )
        return f"{folder}/{name}"

    def _could_be_of(self, other: ArtifactSpec, name: str, variant: str, input_stem: str | None) -> bool:
        """Whether ``other`` could give this name with no variant, or with one that is no longer than this."""
        start, end = self.layout.around_variant(other.suffix, other.ext, input_stem=input_stem)
        if name == f"{start}{end}":
            return True
        start += self.layout.separator
        rest = name[len(start) : len(name) - len(end)]
        return name == f"{start}{rest}{end}" and is_token(rest) and len(rest) <= len(variant)

    @cached_property
    def _by_folder(self) -> Mapping[str, list[ArtifactSpec]]:
        found: dict[str, list[ArtifactSpec]] = {}
        for spec in self.artifacts:
            if spec.kind != INPUT_KIND:
                found.setdefault(fold(self.layout.folder_of(spec.kind)), []).append(spec)
        return found

    def _check_stages(self) -> None:
        known: set[str] = set()
        for stage in self.stages:
            late = [need for need in stage.needs if need not in known]
            if late:
                raise ContractError(
                    f"The stage {stage.stage} needs {late}, which no stage before it is named",
                    hint="Declare it before, or correct its needs",
                )
            known.add(stage.stage)
        for spec in self.artifacts:
            if spec.stage is not None and spec.stage not in known:
                raise ContractError(
                    f"{spec.artifact_id} belongs to the stage {spec.stage!r}, which is not declared",
                    hint="Add the stage, or correct the spec",
                )

    def _check_artifacts(self) -> None:
        places: dict[tuple[str, str], str] = {}
        inputs = [spec.artifact_id for spec in self.artifacts if spec.kind == INPUT_KIND]
        if len(inputs) > 1:
            raise ContractError(
                f"Only one spec may be of kind input, not {inputs}", hint="Give the others another kind"
            )
        for spec in self.artifacts:
            if self.formats is not None and spec.kind != INPUT_KIND and spec.format not in self.formats:
                raise ContractError(
                    f"{spec.artifact_id} has the format {spec.format}, which the contract does not allow",
                    hint="Add it to the formats of the contract, or give the spec another",
                )
            if spec.kind == INPUT_KIND:
                continue
            folder = fold(self.layout.folder_of(spec.kind))
            if folder.split("/")[0] == INPUT_FOLDER:
                raise ContractError(
                    f"{spec.artifact_id} would lie in {INPUT_FOLDER}/, which is for inputs",
                    hint="Give its kind another folder",
                )
            if spec.format == _CHECKPOINT and _CHECKPOINTS not in folder.split("/"):
                raise ContractError(
                    f"{spec.artifact_id} has the format {_CHECKPOINT}, whose files lie under {_CHECKPOINTS}/ alone",
                    hint=f'Give it the kind "{_CHECKPOINTS}"',
                )
            name = self.layout.file_name_of(spec.suffix, spec.ext, variant=None, input_stem="x")
            other = places.setdefault((folder, name), spec.artifact_id)
            if other != spec.artifact_id:
                raise ContractError(
                    f"{other} and {spec.artifact_id} would have the same file name",
                    hint="Give one of them another suffix or kind",
                )
        self._check_tables()

    def _check_tables(self) -> None:
        """The folder of a table holds its parts alone."""
        tables = {fold(self.layout.table_folder(s.kind, s.suffix)): s.artifact_id for s in self.artifacts if s.table}
        others = {*self.layout.precreate, self.layout.extras_folder}
        others |= {self.layout.folder_of(spec.kind) for spec in self.artifacts if spec.kind != INPUT_KIND}
        for folder in others if tables else ():
            for table, artifact_id in tables.items():
                if f"{fold(folder)}/".startswith(f"{table}/"):
                    raise ContractError(
                        f"{folder} lies in the folder of the table {artifact_id}",
                        hint="Give one of the two another folder",
                    )


def _with_rosters(artifacts: Iterable[ArtifactSpec]) -> tuple[ArtifactSpec, ...]:
    specs = tuple(artifacts)
    declared = {spec.artifact_id: spec for spec in specs}
    found: list[ArtifactSpec] = []
    for spec in specs:
        found.append(spec)
        roster = spec.roster_spec
        if roster is None:
            continue
        there = declared.setdefault(roster.artifact_id, roster)
        if there is roster:
            found.append(roster)
        elif there != roster:
            raise ContractError(
                f"{roster.artifact_id} is declared otherwise than as the roster of {spec.artifact_id}",
                hint="Leave it out: it comes with the spec that it lists",
            )
    return tuple(found)


def _refuse_twice(what: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name.casefold() in seen:
            raise ContractError(f"The {what} {name!r} is declared twice", hint="Rename one of them")
        seen.add(name.casefold())
