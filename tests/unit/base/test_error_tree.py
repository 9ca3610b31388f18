import builtins
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from runbundle.base import errors
from runbundle.base.errors import ArtifactExists, MissingExtra, RunbundleError, RunNotFound

# name: (parent, builtin that also catches it, code). Codes are only ever added.
TREE = {
    "NotFoundError": ("RunbundleError", "LookupError", "not_found"),
    "RunNotFound": ("NotFoundError", "FileNotFoundError", "run_not_found"),
    "ArtifactNotFound": ("NotFoundError", "FileNotFoundError", "artifact_not_found"),
    "InputNotFound": ("NotFoundError", "FileNotFoundError", "input_not_found"),
    "ModelNotFound": ("NotFoundError", "FileNotFoundError", "model_not_found"),
    "AlreadyExistsError": ("RunbundleError", "ValueError", "already_exists"),
    "RunExists": ("AlreadyExistsError", "FileExistsError", "run_exists"),
    "ArtifactExists": ("AlreadyExistsError", "FileExistsError", "artifact_exists"),
    "InputExists": ("AlreadyExistsError", "FileExistsError", "input_exists"),
    "ModelExists": ("AlreadyExistsError", "FileExistsError", "model_exists"),
    "ConflictError": ("RunbundleError", "RuntimeError", "conflict"),
    "RunSealed": ("ConflictError", "", "run_sealed"),
    "RunBusy": ("ConflictError", "", "run_busy"),
    "RunClosed": ("ConflictError", "", "run_closed"),
    "StageError": ("ConflictError", "", "stage_order"),
    "ResumeRefused": ("ConflictError", "", "resume_refused"),
    "PromotionRefused": ("ConflictError", "", "promotion_refused"),
    "ReproduceRefused": ("ConflictError", "", "reproduce_refused"),
    "OwnershipError": ("ConflictError", "PermissionError", "ownership"),
    "InvalidInputError": ("RunbundleError", "ValueError", "invalid_input"),
    "InvalidName": ("InvalidInputError", "", "invalid_name"),
    "InvalidValue": ("InvalidInputError", "", "invalid_value"),
    "InvalidType": ("InvalidInputError", "TypeError", "invalid_type"),
    "InvalidConfig": ("InvalidInputError", "", "invalid_config"),
    "ContractError": ("InvalidInputError", "", "contract"),
    "ContractUnmet": ("InvalidInputError", "", "contract_unmet"),
    "CorruptError": ("RunbundleError", "OSError", "corrupt"),
    "DigestMismatch": ("CorruptError", "", "digest_mismatch"),
    "ManifestCorrupt": ("CorruptError", "", "manifest_corrupt"),
    "LogCorrupt": ("CorruptError", "", "log_corrupt"),
    "DecodeError": ("CorruptError", "ValueError", "decode"),
    "UnsupportedError": ("RunbundleError", "RuntimeError", "unsupported"),
    "UnsupportedFormat": ("UnsupportedError", "ValueError", "unsupported_format"),
    "UnsupportedVersion": ("UnsupportedError", "", "unsupported_version"),
    "MissingExtra": ("UnsupportedError", "ImportError", "missing_extra"),
    "UnavailableError": ("RunbundleError", "OSError", "unavailable"),
}


def _below(kind: type[RunbundleError]) -> Iterator[type[RunbundleError]]:
    for child in kind.__subclasses__():
        yield child
        yield from _below(child)


LIBRARY = {kind.__name__: kind for kind in _below(RunbundleError) if kind.__module__ == errors.__name__}
every_error = pytest.mark.parametrize("kind", [RunbundleError, *LIBRARY.values()])


def test_the_tree_is_the_pinned_one() -> None:
    found = {}
    for name, kind in LIBRARY.items():
        parent, *more = (base.__name__ for base in kind.__bases__)
        found[name] = (parent, *(more or [""]), kind.code)
    assert found == TREE


def test_each_class_has_a_code_of_its_own() -> None:
    codes = [RunbundleError.code, *(kind.code for kind in LIBRARY.values())]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", code) for code in codes)


def test_the_drawing_in_the_docstring_is_the_tree() -> None:
    drawn = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"    ((?:│   |    )*)(?:├── |└── )(\w+) *([A-Z]\w+)?", line)
        if found:
            depth = len(found[1]) // 4
            path[depth:] = [found[2]]
            drawn[found[2]] = (path[depth - 1] if depth else "RunbundleError", found[3] or "")
    assert drawn == {name: (parent, builtin) for name, (parent, builtin, _) in TREE.items()}


@pytest.mark.parametrize(("name", "builtin"), [(name, builtin) for name, (_, builtin, _) in TREE.items() if builtin])
def test_callers_who_know_no_library_can_catch_it(name: str, builtin: str) -> None:
    with pytest.raises(getattr(builtins, builtin), match="It broke"):
        raise LIBRARY[name]("It broke")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (RunbundleError("It broke"), "It broke"),
        (RunbundleError("It broke", hint="Mend it"), "It broke. Mend it"),
        (
            ArtifactExists(
                "It was written before", hint="Rename it", run="r1", artifact="frame[7]", path="/s/frame.png"
            ),
            "It was written before (run r1, artifact frame[7], file /s/frame.png). Rename it",
        ),
        (RunNotFound("There is no run r1", run="r1", path="/s/r1"), "There is no run r1 (file /s/r1)"),
        (MissingExtra("x is missing", path=Path("/s")), "x is missing (file /s)"),
    ],
)
def test_the_message_says_what_where_and_what_to_do(error: RunbundleError, text: str) -> None:
    assert str(error) == text


@every_error
def test_errors_cross_process_borders_whole(kind: type[RunbundleError]) -> None:
    error = kind("It broke", hint="Mend it", run="r1", artifact="a[1]", path=Path("/s/a.png"))
    error.add_note("seen by a worker")
    back = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(error))))  # noqa: S301 - bytes of our own
    assert type(back) is kind
    assert (back.what, back.hint, back.run, back.artifact, back.path) == (
        *("It broke", "Mend it", "r1", "a[1]"),
        "/s/a.png",
    )
    assert str(back) == str(error)
    assert back.__notes__ == ["seen by a worker"]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RunbundleError("It broke"), {"code": "error", "what": "It broke", "hint": ""}),
        (RunNotFound("Gone", run="r1", artifact="a", path=Path("/s")), {"run": "r1", "artifact": "a", "path": "/s"}),
        (MissingExtra("Gone", hint="Get it", path="/s"), {"code": "missing_extra", "hint": "Get it", "path": "/s"}),
    ],
)
def test_an_error_as_json_has_all_its_fields(error: RunbundleError, told: dict[str, str]) -> None:
    assert told.items() <= error.to_json().items()
    assert list(error.to_json()) == ["code", "what", "hint", "run", "artifact", "path"]


def test_what_was_added_to_an_error_later_crosses_as_well() -> None:
    error = MissingExtra("It broke")
    error.run, error.path = "r2", "/later"
    back = pickle.loads(pickle.dumps(error))  # noqa: S301 - bytes of our own
    assert (back.run, back.path) == ("r2", "/later")
