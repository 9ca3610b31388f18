"""What a contract declares: artifacts and stages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from runbundle.base import jsontext
from runbundle.base.errors import ContractError
from runbundle.base.ids import check_identifier, check_token, plain
from runbundle.contract.comparison import Comparison
from runbundle.contract.model import ModelSpec
from runbundle.contract.roster import RosterSpec
from runbundle.contract.schema import check_schema
from runbundle.contract.table import DTYPES, TableSpec

INPUT_KIND = "input"
EXTRA_KIND = "extra"  # of what no contract declares
_PICKLES = (".pkl", ".pickle", ".p", ".joblib", ".dill")


class Required(StrEnum):
    """When an artifact is owed."""

    ALWAYS = "always"
    IF_PASSED = "if_passed"
    OPTIONAL = "optional"


class Outcome(StrEnum):
    """How a stage ended."""

    COMMITTED = "committed"
    DECLINED = "declined"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class ArtifactSpec:
    """One declared output.

    Attributes:
        artifact_id: its name in code, records and references.
        kind: the class of artifact; the layout maps it to a folder.
        suffix: its part of the file name; empty for the input, which keeps its own name.
        ext: the file extension with its dot; empty for the input.
        format: how its bytes are written (``runbundle.io.formats``).
        stage: the stage that writes it, or None.
        required: whether it is owed always, if the stage passed, or never.
        is_deliverable: whether it is meant for the user rather than for debugging.
        description: what it is, for people.
        schema: what its content must be, or None: ``{"document": <JSON Schema>}``, ``{"arrays": {name: rule}}``
            or ``{"columns": {name: rule}}``; see ``runbundle.contract.schema``.
        roster: the document that lists all variants with their facts, or None; then each is written with a variant.
        model: where the artifact belongs if it is promoted to a model, or None.
        compare: when two of it, of two runs, are the same; left out, when they have equal values.
        table: how it grows, if it is a table that rows are appended to; then ``suffix`` is the name of its folder.

    Raises:
        ContractError, InvalidName: the fields contradict each other or a name cannot be taken.
        InvalidType, InvalidValue: the schema is not JSON.
    """

    artifact_id: str
    kind: str
    suffix: str
    ext: str
    format: str
    stage: str | None = None
    required: Required = Required.ALWAYS
    is_deliverable: bool = False
    description: str = ""
    schema: Mapping[str, Any] | None = field(default=None, hash=False)
    roster: RosterSpec | None = None
    model: ModelSpec | None = None
    compare: Comparison | None = None
    table: TableSpec | None = None

    def __post_init__(self) -> None:
        for name in ("artifact_id", "kind", "suffix", "ext", "format", "stage", "description"):
            object.__setattr__(self, name, plain(getattr(self, name)))
        check_identifier(self.artifact_id, what="artifact_id")
        check_identifier(self.kind, what="kind")
        check_text(self.format, what=f"The format of {self.artifact_id}")
        check_text(self.description, what=f"The description of {self.artifact_id}")
        if self.required not in tuple(Required):
            raise ContractError(f"{self.artifact_id} is required {self.required!r}, not one of {', '.join(Required)}")
        object.__setattr__(self, "required", Required(self.required))
        if self.stage is not None:
            check_identifier(self.stage, what="stage")
        if self.kind == INPUT_KIND:
            self._check_input()
        else:
            check_token(self.suffix, what=f"the suffix of {self.artifact_id}")
            check_extension(self.ext, what=f"the extension of {self.artifact_id}")
        if self.roster is not None:
            self._check_roster(self.roster)
        if self.schema is not None:
            object.__setattr__(self, "schema", _copied(self.schema, what=f"the schema of {self.artifact_id}"))
            check_schema(self.schema, what=self.artifact_id)
        if self.table is not None:
            self._check_table(self.table)

    def _check_input(self) -> None:
        if self.suffix or self.ext or self.format != "file" or self.stage is not None:
            raise ContractError(
                f"{self.artifact_id} is of kind input, which keeps the name it came with",
                hint="Give it no suffix, no ext, no stage, and the format file",
            )

    def _check_roster(self, roster: RosterSpec) -> None:
        if self.kind == INPUT_KIND or roster.artifact_id == self.artifact_id:
            raise ContractError(f"{self.artifact_id} cannot be listed in a roster of the id {roster.artifact_id}")

    def _check_table(self, table: TableSpec) -> None:
        if self.kind == INPUT_KIND or self.roster is not None or (self.format, self.ext) != ("parquet", ".parquet"):
            raise ContractError(
                f"{self.artifact_id} is a table, whose parts are Parquet files in a folder of their own",
                hint="Give it the format parquet, the ext .parquet and no roster",
            )
        if self.columns is None and self.schema is not None:
            raise ContractError(f"The schema of the table {self.artifact_id} speaks of its columns, or is left out")
        for name, column in (self.columns or {}).items():
            dtype = str(column.get("dtype", "int64"))
            if dtype.lower().partition("(")[0] not in DTYPES:
                import difflib  # noqa: PLC0415 - few misspell a type

                near = difflib.get_close_matches(dtype.lower(), DTYPES, n=3, cutoff=0.4)
                raise ContractError(
                    f"The column {name!r} of the table {self.artifact_id} is to be {dtype!r}, which no type is called",
                    hint=f"There are {', '.join(near or sorted(DTYPES))}",
                )
        rule = (self.columns or {}).get(table.bucket_by or "", {})
        if not str(rule.get("dtype", "int64")).lower().startswith(("int", "uint")):
            raise ContractError(f"{table.bucket_by} is no integer in {self.artifact_id}: rows go into buckets by one")

    @property
    def columns(self) -> Mapping[str, Any] | None:
        """The rules of its columns, if its schema has such."""
        found: Mapping[str, Any] | None = (self.schema or {}).get("columns")
        return found

    @property
    def name(self) -> str:
        """What a table is called: its kind and its folder in that (``world/events``)."""
        return f"{self.kind}/{self.suffix}"

    @property
    def roster_spec(self) -> ArtifactSpec | None:
        """The spec of the roster, if there is one: it lies beside what it lists, and is owed with it."""
        if self.roster is None:
            return None
        return ArtifactSpec(
            artifact_id=self.roster.artifact_id,
            kind=self.kind,
            suffix=self.roster.suffix,
            ext=".json",
            format="json",
            stage=self.stage,
            required=self.required,
            is_deliverable=self.is_deliverable,
            description=f"What is told of each {self.artifact_id}",
        )


@dataclass(frozen=True, slots=True)
class StageSpec:
    """One step of a pipeline.

    Attributes:
        stage: its name.
        needs: the stages whose results it uses; it is skipped unless all of them committed.
        always: it runs even so, and even after a stage failed to give anything.
    """

    stage: str
    needs: tuple[str, ...] = ()
    always: bool = False

    def __post_init__(self) -> None:
        check_identifier(self.stage, what="stage")
        object.__setattr__(self, "stage", plain(self.stage))
        object.__setattr__(self, "needs", tuple(map(plain, self.needs)))


def _copied(schema: Mapping[str, Any], *, what: str) -> Any:
    """A schema as it will be read back, which no later change of the original reaches."""
    return jsontext.parse(jsontext.line(schema, what=what), what=what)


def check_text(value: Any, *, what: str) -> None:
    """Text, as contract.json holds it.

    Raises:
        ContractError: anything else, such as a number.
    """
    if not isinstance(value, str):
        raise ContractError(f"{what} must be text, not {value!r}", hint="Put it in quotes")


def check_extension(ext: str, *, what: str = "the extension") -> str:
    """A file extension with its dot, of lower-case letters and digits, and none of a pickle.

    Raises:
        ContractError: anything else.
    """
    if not isinstance(ext, str) or not ext.startswith("."):
        raise ContractError(f"{what} must begin with a dot, not {ext!r}", hint='Write ".png", say')
    check_token(ext[1:], what=what)
    if ext in _PICKLES:
        raise ContractError(
            f"{what} is {ext}: pickles can run code when they are read", hint="Use npz, parquet or json"
        )
    return ext
