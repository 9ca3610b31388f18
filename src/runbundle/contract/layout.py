"""Layouts: where things lie in a run, as data (docs/format.md, sections 1 and 3.2)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from runbundle.base.clock import Clock
from runbundle.base.errors import ContractError, InvalidInputError
from runbundle.base.ids import check_component, check_identifier, check_token, random_text

INPUT_FOLDER = "input"
_FIELD = re.compile(r"\{(\w+)\}")
_OPTIONAL_PART = re.compile(r"\[([^\[\]{}]*)\{variant\}\]")
_ROOT_NAMES = frozenset({"attempts", "provenance", "metrics.json", "config.yaml"})


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a project's runs and their artifacts lie.

    Attributes:
        name: what manifests call it.
        run_folder: the run's place in the store, of ``{project}`` and ``{run_id}``.
        run_id: template of new ids: the codes of ``strftime`` (times are UTC) and ``{git_hash}`` (12 characters,
            ``-dirty`` with uncommitted changes, or ``nogit``), ``{millis}`` (3 digits), ``{random8}``.
        folders: kind to folder; a kind that is not named lies in ``default_folder``.
        default_folder: of ``{kind}``.
        file_name: of ``{input_stem}``, ``{suffix}``, ``{variant}`` and ``{ext}``; the part in brackets is left out
            where there is no variant.
        extras_folder: where undeclared artifacts go.
        precreate: folders made with the run; others are made when they are needed.
    """

    name: str = "standard"
    run_folder: str = "runs/{project}/{run_id}"
    run_id: str = "%Y-%m-%d_%H-%M-%S_{git_hash}"
    folders: Mapping[str, str] = field(default_factory=dict, hash=False)
    default_folder: str = "artifacts/{kind}"
    file_name: str = "{suffix}[_{variant}]{ext}"
    extras_folder: str = "artifacts"
    precreate: tuple[str, ...] = ("artifacts", "logs")

    def __post_init__(self) -> None:
        check_identifier(self.name, what="layout name")
        object.__setattr__(self, "folders", {str(kind): folder for kind, folder in self.folders.items()})
        object.__setattr__(self, "precreate", tuple(self.precreate))
        _check_fields(self.run_folder, {"project", "run_id"}, "run_folder")
        _check_fields(self.run_id, {"git_hash", "millis", "random8"}, "run_id")
        _check_fields(self.default_folder, {"kind"}, "default_folder")
        _check_fields(self.file_name, {"input_stem", "suffix", "variant", "ext"}, "file_name")
        if not self.run_folder.startswith("runs/") or not self.run_folder.endswith("{run_id}"):
            raise ContractError(f"run_folder {self.run_folder!r} must begin with runs/ and end with {{run_id}}")
        if len(_OPTIONAL_PART.findall(self.file_name)) != 1 or "{suffix}" not in self.file_name:
            raise ContractError(
                f"file_name {self.file_name!r} must hold {{suffix}} and one part such as [_{{variant}}]"
            )
        if not self.separator:
            raise ContractError(f"file_name {self.file_name!r} must put something between suffix and variant")
        for folder in (*self.folders.values(), self.extras_folder, *self.precreate):
            check_folder(folder)

    @property
    def separator(self) -> str:
        """What stands before the variant in a file name."""
        return str(_OPTIONAL_PART.findall(self.file_name)[0])

    @property
    def uses_input_stem(self) -> bool:
        """Whether file names begin with the name of the primary input."""
        return "{input_stem}" in self.file_name

    def folder_of(self, kind: str) -> str:
        """The folder of a kind, relative to the run."""
        return self.folders.get(kind) or check_folder(self.default_folder.format(kind=kind))

    def file_name_of(self, suffix: str, ext: str, *, variant: str | None, input_stem: str | None) -> str:
        """The name of an artifact's file.

        Raises:
            InvalidInputError: the layout names files after the input, and none is set.
            InvalidName: a suffix, a variant or the whole name that cannot be taken.
        """
        if self.uses_input_stem and not input_stem:
            raise InvalidInputError(
                "No input is set, and file names begin with its name",
                hint="Call ingest() or read_input_bgr() first",
            )
        check_token(suffix, what="suffix")
        template = self.file_name
        if variant is None:
            template = _OPTIONAL_PART.sub("", template)
        else:
            check_token(variant, what="variant")
            template = _OPTIONAL_PART.sub(r"\1{variant}", template)
        name = template.format(input_stem=input_stem, suffix=suffix, variant=variant, ext=ext)
        return check_component(name, what="file name")

    def new_run_id(self, moment: datetime, git_hash: str, clock: Clock) -> str:
        """An id for a run that starts now."""
        text = moment.strftime(self.run_id).format(
            git_hash=git_hash, millis=f"{moment.microsecond // 1000:03d}", random8=random_text(clock, 8)
        )
        return check_component(text, what="run id")


def _check_fields(template: str, allowed: set[str], what: str) -> None:
    unknown = set(_FIELD.findall(template)) - allowed
    if unknown or template.count("{") != len(_FIELD.findall(template)):
        raise ContractError(f"{what} {template!r} may hold {sorted(allowed)} in braces, nothing else")


def check_folder(folder: str) -> str:
    """A folder inside the run that is not one of the library's own.

    Raises:
        ContractError, InvalidName: it is.
    """
    parts = folder.split("/")
    for part in parts:
        check_component(part, what=f"folder {folder!r}: the part")
    if parts[0] in _ROOT_NAMES:
        raise ContractError(f"The folder {folder!r} is kept for the library")
    return folder


STANDARD = Layout()
