"""Layouts: where things lie in a run, as data (docs/format.md, sections 1 and 3.2)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from runbundle.base.clock import Clock
from runbundle.base.errors import ContractError, InvalidInputError
from runbundle.base.ids import check_component, check_identifier, check_portable, check_token, fold, plain, random_text

INPUT_FOLDER = "input"
LOGS_FOLDER, PROVENANCE_FOLDER, ATTEMPTS_FOLDER = "logs", "provenance", "attempts"
_FIELD = re.compile(r"\{(\w+)\}")
_OPTIONAL_PART = re.compile(r"\[([^\[\]{}]*)\{variant\}\]")
_ROOT_NAMES = frozenset(
    {
        *(ATTEMPTS_FOLDER, PROVENANCE_FOLDER, "run_manifest.json", "contract.json"),
        *("config.yaml", "config_resolved.yaml"),
        *("artifacts.jsonl", "metrics.jsonl", "metrics.json", "sha256sums"),
    }
)


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
    precreate: tuple[str, ...] = ("artifacts", LOGS_FOLDER)

    def __post_init__(self) -> None:
        check_identifier(self.name, what="layout name")
        folders = {check_identifier(plain(kind), what="kind"): plain(place) for kind, place in self.folders.items()}
        object.__setattr__(self, "folders", folders)
        object.__setattr__(self, "precreate", tuple(map(plain, self.precreate)))
        _check_fields(self.run_folder, {"project", "run_id"}, "run_folder")
        _check_fields(self.run_id, {"git_hash", "millis", "random8"}, "run_id")
        _check_fields(self.default_folder, {"kind"}, "default_folder")
        _check_fields(self.file_name, {"input_stem", "suffix", "variant", "ext"}, "file_name")
        self._check_run_folder()
        self._check_file_name()
        for folder in (*self.folders.values(), self.extras_folder, *self.precreate):
            check_folder(folder)
        if fold(self.extras_folder).split("/")[0] == INPUT_FOLDER:
            raise ContractError(
                f"extras_folder {self.extras_folder!r} lies in {INPUT_FOLDER}/, which is for inputs",
                hint="Give another folder",
            )

    def _check_run_folder(self) -> None:
        top, *between, last = self.run_folder.split("/")
        if top != "runs" or last != "{run_id}" or len(between) > 1:
            raise ContractError(
                f"run_folder {self.run_folder!r} must be runs/{{run_id}}, with at most one folder between"
            )
        for part in between:
            check_portable(part.format(project="project", run_id="run"), what="the folder of runs")

    def _check_file_name(self) -> None:
        is_one_part = len(_OPTIONAL_PART.findall(self.file_name)) == 1 and self.file_name.count("{variant}") == 1
        if not is_one_part or "{suffix}" not in self.file_name or "/" in self.file_name:
            raise ContractError(
                f"file_name {self.file_name!r} must be one name with {{suffix}} and one part such as [_{{variant}}]"
            )
        if not self.separator:
            raise ContractError(f"file_name {self.file_name!r} must put something between suffix and variant")

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

    def table_folder(self, kind: str, suffix: str) -> str:
        """The folder of a table's parts, relative to the run."""
        return f"{self.folder_of(kind)}/{suffix}"

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
        middle = "" if variant is None else f"{self.separator}{check_token(variant, what='variant')}"
        before, after = self.around_variant(suffix, ext, input_stem=input_stem)
        return check_component(f"{before}{middle}{after}", what="file name")

    def around_variant(self, suffix: str, ext: str, *, input_stem: str | None) -> tuple[str, str]:
        """What stands before a variant and its separator in a file name, and what stands after them."""
        head, _, tail = _OPTIONAL_PART.split(self.file_name)
        fields = {"input_stem": input_stem, "suffix": suffix, "ext": ext}
        return head.format(**fields), tail.format(**fields)

    def new_run_id(self, moment: datetime, git_hash: str, clock: Clock) -> str:
        """An id for a run that starts now."""
        random8 = random_text(clock, 8) if "{random8}" in self.run_id else ""
        millis = f"{moment.microsecond // 1000:03d}"
        text = moment.strftime(self.run_id).format(git_hash=git_hash, millis=millis, random8=random8)
        return check_portable(text, what="run id")


def _check_fields(template: str, allowed: set[str], what: str) -> None:
    found = _FIELD.findall(template)
    if set(found) - allowed or not len(found) == template.count("{") == template.count("}"):
        raise ContractError(f"{what} {template!r} may hold {sorted(allowed)} in braces, nothing else")


def check_folder(folder: str) -> str:
    """A folder inside the run that is not one of the library's own.

    Raises:
        ContractError, InvalidName: it is.
    """
    if not isinstance(folder, str):
        raise ContractError(f"The folder {folder!r} is not text")
    parts = folder.split("/")
    for part in parts:
        check_portable(part, what=f"folder {folder!r}: the part")
    if fold(parts[0]) in _ROOT_NAMES:
        raise ContractError(f"{folder!r} is kept for the library", hint="Choose another folder or file name")
    return folder


STANDARD = Layout()
