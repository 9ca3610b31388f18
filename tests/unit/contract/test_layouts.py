import enum
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from runbundle.base.errors import ContractError, InvalidInputError, InvalidName
from runbundle.contract.layout import STANDARD, Layout
from stand_ins import MOMENT, FixedClock

GRIDPET = Layout(
    name="gridpet",
    run_id="run_%Y%m%d_%H%M%S_{millis}_{random8}",
    folders={kind: kind for kind in ("preprocess", "grid")},
    file_name="{input_stem}__{suffix}[__{variant}]{ext}",
    precreate=("input", "preprocess", "grid", "logs"),
)
REFUSED: dict[str, dict[str, Any]] = {
    "name": {"name": "a/b"},
    "unknown field": {"file_name": "{suffix}{colour}[_{variant}]{ext}"},
    "format of a field": {"file_name": "{suffix!r}[_{variant}]{ext}"},
    "attribute of a field": {"file_name": "{suffix.__class__}[_{variant}]{ext}"},
    "number of a field": {"file_name": "{0}{suffix}[_{variant}]{ext}"},
    "open brace": {"file_name": "{suffix}[_{variant}]{ext}{"},
    "closing brace": {"file_name": "{suffix}}[_{variant}]{ext}"},
    "doubled braces": {"file_name": "{{suffix}}[_{variant}]{ext}"},
    "no suffix": {"file_name": "{input_stem}[_{variant}]{ext}"},
    "no part for variants": {"file_name": "{suffix}{ext}"},
    "variant outside of brackets": {"file_name": "{suffix}_{variant}{ext}"},
    "variant twice": {"file_name": "{suffix}{variant}[_{variant}]{ext}"},
    "two parts": {"file_name": "{suffix}[_{variant}][-{variant}]{ext}"},
    "no separator": {"file_name": "{suffix}[{variant}]{ext}"},
    "folder in a file name": {"file_name": "{suffix}/[_{variant}]{ext}"},
    "folder in the separator": {"file_name": "{suffix}[/{variant}]{ext}"},
    "run outside of runs": {"run_folder": "elsewhere/{run_id}"},
    "run that leaves": {"run_folder": "runs/../../{run_id}"},
    "run in a hidden place": {"run_folder": "runs/.new-x/{run_id}"},
    "run too deep to be found": {"run_folder": "runs/{project}/2026/{run_id}"},
    "run under another name": {"run_folder": "runs/{project}/run_{run_id}"},
    "run without its id": {"run_folder": "runs/{project}"},
    "field of a run folder": {"run_folder": "runs/{suffix}/{run_id}"},
    "field of a run id": {"run_id": "{project}"},
    "field of a folder": {"default_folder": "artifacts/{suffix}"},
    "absolute folder": {"folders": {"a": "/srv/a"}},
    "folder that leaves": {"folders": {"a": "a/../../b"}},
    "empty folder": {"folders": {"a": ""}},
    "folder with a backslash": {"folders": {"a": "a\\b"}},
    "number as folder": {"folders": {"a": 1}},
    "number as kind": {"folders": {7: "7"}},
    "kind that is none": {"folders": {"a b": "a b"}},
    "folder of the library": {"folders": {"a": "provenance/x"}},
    "folder of the library, other case": {"folders": {"a": "Attempts"}},
    "file of the library": {"extras_folder": "run_manifest.json"},
    "log of the library": {"precreate": ("artifacts.jsonl",)},
    "seal of the library": {"precreate": ("SHA256SUMS",)},
    "extras among inputs": {"extras_folder": "input/extras"},
    "extras among inputs, other case": {"extras_folder": "Input"},
    "precreated folder that leaves": {"precreate": ("..",)},
}


@pytest.mark.parametrize("change", REFUSED.values(), ids=REFUSED)
def test_layouts_that_make_no_sense_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises((ContractError, InvalidName)) as caught:
        Layout(**change)
    (value,) = change.values()
    shown = next(iter(value.values())) if isinstance(value, dict) else value[0] if isinstance(value, tuple) else value
    assert str(shown).split("/")[0] in str(caught.value).replace("\\\\", "\\")


@pytest.mark.parametrize("kind", ["..", "attempts", "a/b"])
def test_a_kind_cannot_choose_a_folder_of_the_library(kind: str) -> None:
    with pytest.raises((ContractError, InvalidName)):
        Layout(default_folder="{kind}").folder_of(kind if kind != "a/b" else "../b")


@pytest.mark.parametrize(
    ("layout", "kind", "folder"),
    [
        (STANDARD, "predictions", "artifacts/predictions"),
        (GRIDPET, "grid", "grid"),
        (GRIDPET, "qc", "artifacts/qc"),
        (Layout(default_folder="all"), "grid", "all"),
        (Layout(folders={"tidy": "artifacts/lab/tidy"}), "tidy", "artifacts/lab/tidy"),
    ],
)
def test_the_folder_of_a_kind(layout: Layout, kind: str, folder: str) -> None:
    assert layout.folder_of(kind) == folder


@pytest.mark.parametrize(
    ("layout", "suffix", "ext", "variant", "stem", "name"),
    [
        (STANDARD, "frame", ".npz", None, None, "frame.npz"),
        (STANDARD, "frame", ".npz", "0000", None, "frame_0000.npz"),
        (STANDARD, "frame", ".npz", "0000", "leaf", "frame_0000.npz"),
        (GRIDPET, "grid_points", ".json", None, "IMG 1 (2)", "IMG 1 (2)__grid_points.json"),
        (GRIDPET, "mask", ".png", "leaf-1", "IMG", "IMG__mask__leaf-1.png"),
        (GRIDPET, "mask", ".png", None, "{suffix}[x]", "{suffix}[x]__mask.png"),
        (GRIDPET, "mask", ".png", "v", "größe.v2", "größe.v2__mask__v.png"),
        (Layout(file_name="{suffix}{ext}[-{variant}]"), "log", ".txt", "1", None, "log.txt-1"),
        (Layout(file_name=r"{suffix}[\g<1>{variant}]{ext}".replace("\\", "+")), "a", ".b", "c", None, "a+g<1>c.b"),
    ],
)
def test_names_of_files(
    layout: Layout, suffix: str, ext: str, variant: str | None, stem: str | None, name: str
) -> None:
    assert layout.file_name_of(suffix, ext, variant=variant, input_stem=stem) == name


@pytest.mark.parametrize("stem", [None, ""])
def test_names_after_the_input_are_refused_before_there_is_one(stem: str | None) -> None:
    assert GRIDPET.uses_input_stem
    assert not STANDARD.uses_input_stem
    with pytest.raises(InvalidInputError, match=r"No input is set.*ingest"):
        GRIDPET.file_name_of("mask", ".png", variant=None, input_stem=stem)


@pytest.mark.parametrize(
    ("suffix", "variant", "stem", "message"),
    [
        ("Mask", None, "a", "suffix 'Mask'"),
        ("mask", "", "a", "variant ''"),
        ("mask", "../x", "a", "variant '../x'"),
        ("mask", "Leaf", "a", "variant 'Leaf'"),
        ("mask", 7, "a", "variant 7"),
        ("mask", None, "a/b", "path separator"),
        ("mask", None, "..\\a", "path separator"),
        ("mask", None, "a\0", "control character"),
        ("mask", None, "x" * 250, "longer than 255 bytes"),
        ("mask", "v" * 250, "a", "longer than 255 bytes"),
        ("mask", None, ".tmp-a", "temporary"),
    ],
)
def test_names_that_cannot_be_taken(suffix: str, variant: Any, stem: str, message: str) -> None:
    with pytest.raises(InvalidName, match=re.escape(message)):
        GRIDPET.file_name_of(suffix, ".png", variant=variant, input_stem=stem)


@pytest.mark.parametrize(
    ("layout", "run_id"),
    [
        (STANDARD, "2026-11-21_10-00-00_0123456789ab"),
        (GRIDPET, "run_20261121_100000_417_ABCDEFGH"),
        (Layout(run_id="{millis}-{git_hash}"), "417-0123456789ab"),
        (Layout(run_id="fixed"), "fixed"),
    ],
)
def test_ids_of_runs(layout: Layout, run_id: str) -> None:
    assert layout.new_run_id(MOMENT, "0123456789ab", FixedClock()) == run_id


def test_milliseconds_have_three_digits() -> None:
    moment = datetime(2026, 1, 1, microsecond=7999, tzinfo=UTC)
    assert Layout(run_id="{millis}").new_run_id(moment, "nogit", FixedClock()) == "007"


def test_an_id_that_is_no_name_is_refused() -> None:
    with pytest.raises(InvalidName, match="run id"):
        Layout(run_id="%d/%m").new_run_id(MOMENT, "nogit", FixedClock())


class Kind(str, enum.Enum):  # noqa: UP042 - users write kinds like this as well
    GRID = "grid"


def test_kinds_may_be_members_of_an_enum_and_are_kept_as_text() -> None:
    layout = Layout(folders={Kind.GRID: Kind.GRID}, precreate=tuple(Kind))
    assert layout.folder_of("grid") == "grid"
    assert [type(text) for text in (*layout.folders, *layout.folders.values(), *layout.precreate)] == [str] * 3


def test_layouts_are_values() -> None:
    assert hash(STANDARD) == hash(Layout())
    assert Layout(folders={"a": "b"}, precreate=["a"]) == Layout(folders={"a": "b"}, precreate=("a",))  # type: ignore[arg-type]  # as YAML gives it
    assert STANDARD.separator == "_"
    assert GRIDPET.separator == "__"
