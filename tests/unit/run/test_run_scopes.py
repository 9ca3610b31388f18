"""Who owns what: only projects make runs, and a skill writes what it was given (seed 002, section 1)."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import runbundle as rb
from runbundle import errors
from sample_runs import CONTRACT, OPTIONAL, ROWS, SPEC, files, project, run_child

FREE = rb.Contract(
    "free",
    "1",
    artifacts=(
        SPEC("frame", "frames", "frame", ".json", "json", required=OPTIONAL),
        SPEC("mask", "frames", "mask", ".json", "json", required=OPTIONAL),
        SPEC("table", "tables", "table", ".csv", "csv", required=OPTIONAL),
    ),
    allow_extras=True,
)


@pytest.fixture
def run(tmp_path: Path) -> rb.RunIO:
    return project(tmp_path / "store", FREE).start({"rate": 1})


def test_a_skill_writes_the_ids_it_was_given_and_logs_and_reads(run: rb.RunIO) -> None:
    run.write("table", ROWS)
    skill = run.scoped(ids=["frame"])
    assert skill.write("frame", {"x": 1}, variant="1", meta={"of": "a"}).variant == "1"
    assert skill.write_json("frame", data={"x": 2}, variant="2").bytes
    skill.log({"loss": 0.5}, step=1)
    skill.logger.info("seen")
    skill.flush()
    assert [dict(row) for row in skill.read("table")]
    assert (skill.config, skill.run_id, skill.path, skill.is_finished) == ({"rate": 1}, run.run_id, run.path, False)
    with pytest.raises(errors.OwnershipError, match="ids frame cannot write mask") as caught:
        skill.write("mask", {})
    assert (caught.value.run, caught.value.artifact, caught.value.code) == (run.run_id, "mask", "ownership")
    run.finish()
    assert skill.is_finished


def test_a_skill_writes_the_kinds_it_was_given(run: rb.RunIO) -> None:
    skill = run.scoped(kinds={"frames"})
    skill.write("frame", {})
    skill.write("mask", {})
    with pytest.raises(errors.OwnershipError, match="kinds frames cannot write table of kind tables"):
        skill.write("table", ROWS)


def test_a_skill_that_predicts_writes_frames(tmp_path: Path) -> None:
    pytest.importorskip("numpy", reason="numpy is not installed")
    frame = rb.predictions()
    with project(tmp_path / "free").start() as run:
        seen: dict[str, Any] = {"timestamp": 0.5, "intrinsics": "cameras/left.json"}
        run.scoped(kinds=["predictions"]).write_frame(frame, 7, {"mask": [[0, 1]]}, **seen)
        with pytest.raises(errors.OwnershipError):
            run.scoped(kinds=["tables"]).write_frame(frame, 8, {"mask": [[0, 1]]}, **seen)
    assert [entry["frame_id"] for entry in rb.open_run(run.path).read("frame_metadata")["frames"]] == ["0007"]


def test_both_limits_hold_where_both_are_given(run: rb.RunIO) -> None:
    skill = run.scoped(ids=["frame", "table"], kinds=["frames"])
    skill.write("frame", {})
    for other in ("mask", "table"):
        with pytest.raises(errors.OwnershipError):
            skill.write(other, {})


def test_extras_are_saved_only_where_the_kind_extra_was_given(run: rb.RunIO) -> None:
    for skill in (run.scoped(), run.scoped(kinds=["frames"]), run.scoped(ids=["frame"])):
        with pytest.raises(errors.OwnershipError, match=r"cannot save 'notes\.txt'"):
            skill.save("notes.txt", "x")
    assert run.scoped(kinds=["extra"]).save("notes.txt", "x").kind == "extra"
    with pytest.raises(errors.OwnershipError):
        run.scoped(ids=["a.txt"], kinds=["extra"]).save("b.txt", "x")


def test_a_handle_is_narrowed_and_never_widened(run: rb.RunIO) -> None:
    skill = run.scoped(ids=["frame"])
    assert skill.scoped(kinds=["frames"]).write("frame", {}).artifact_id == "frame"
    for wider in (skill.scoped(), skill.scoped(ids=["frame", "mask"]), skill.scoped(kinds=["frames", "extra"])):
        with pytest.raises(errors.OwnershipError):
            wider.write("mask", {})
        with pytest.raises(errors.OwnershipError):
            wider.save("notes.txt", "x")
    with pytest.raises(errors.OwnershipError):
        skill.scoped(ids=["mask"]).write("frame", {})


BEYOND: dict[str, Callable[[Any], object]] = {
    "stage": lambda skill: skill.stage("prepare"),
    "skip": lambda skill: skill.skip("prepare"),
    "ingest": lambda skill: skill.ingest("/x"),
    "summary": lambda skill: skill.summary,
    "finish": lambda skill: skill.finish(),
    "with": lambda skill: skill.__enter__(),
    "compact": lambda skill: skill.compact(),
    "environment": lambda skill: skill.environment(),
    "use_model": lambda skill: skill.use_model("model://net@best"),
    "outcome": lambda skill: skill.outcome("prepare"),
    "root digest": lambda skill: skill.root_digest,
}


@pytest.mark.parametrize("beyond", BEYOND.values(), ids=BEYOND)
def test_what_is_the_projects_is_refused(run: rb.RunIO, beyond: Callable[[Any], object]) -> None:
    before = files(run.path)
    with pytest.raises(PermissionError) as caught:
        beyond(run.scoped())
    assert isinstance(caught.value, errors.OwnershipError)
    assert files(run.path) == before
    run.save("later.txt", "the run goes on")


def test_all_that_a_run_can_do_is_allowed_or_refused_and_nothing_is_left_open() -> None:
    """A method that ``RunIO`` gets later is refused until someone allows it."""
    allowed = {name for name in dir(rb.ScopedRunIO) if not name.startswith("_")}
    assert allowed == {
        *(
            "append",
            "table",
            "config",
            "contract",
            "flush",
            "is_finished",
            "log",
            "logger",
            "path",
            "primary_input",
            "read",
        ),
        *("read_input", "read_input_bgr", "run_id", "save", "scoped", "write", "write_json", "write_mask_png"),
        *("write_frame", "write_png"),
    }
    assert allowed <= set(dir(rb.RunIO))


def test_a_name_that_no_run_has_is_an_attribute_error(run: rb.RunIO) -> None:
    with pytest.raises(AttributeError, match="wriet"):
        _ = run.scoped().wriet


def test_the_primary_input_can_be_read_and_not_changed(tmp_path: Path, run: rb.RunIO) -> None:
    source = tmp_path / "source.bin"
    source.write_bytes(b"seen")
    run.ingest(source)
    skill: Any = run.scoped()
    assert (skill.read_input(), skill.primary_input["filename"]) == (b"seen", "input/source.bin")
    with pytest.raises(TypeError):
        skill.read_input("source.bin")


@pytest.mark.parametrize(
    ("limits", "error"),
    [
        ({"ids": "frame"}, errors.InvalidType),
        ({"ids": 5}, errors.InvalidType),
        ({"ids": [5]}, errors.InvalidType),
        ({"ids": ["farme"]}, errors.ContractError),
        ({"kinds": ["farmes"]}, errors.ContractError),
    ],
)
def test_limits_that_name_nothing_are_refused(run: rb.RunIO, limits: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        run.scoped(**limits)


def test_a_spec_of_another_contract_gets_no_further(run: rb.RunIO) -> None:
    forged = SPEC("mask", "extra", "mask", ".json", "json")
    with pytest.raises(errors.ContractError):
        run.scoped(kinds=["extra"]).write(forged, {})


def test_without_a_contract_the_spec_says_what_is_written(tmp_path: Path) -> None:
    skill = project(tmp_path / "store").start().scoped(kinds=["frames"])
    skill.write(SPEC("frame", "frames", "frame", ".json", "json"), {})
    with pytest.raises(errors.OwnershipError):
        skill.write(SPEC("table", "tables", "table", ".csv", "csv"), ROWS)
    with pytest.raises(errors.ContractError):
        skill.write("frame", {})


WORKER = """
import pickle
from runbundle import errors
skill = pickle.loads(bytes.fromhex({data!r}))
skill.write("frame", {{"by": "a worker"}}, variant="w")
try:
    skill.write("mask", {{}})
except errors.OwnershipError:
    print("refused")
"""


def test_the_limits_go_with_the_handle_into_a_worker(tmp_path: Path, run: rb.RunIO) -> None:
    done = run_child(WORKER.format(data=pickle.dumps(run.scoped(ids=["frame"])).hex()), tmp_path)
    assert done.stdout == "refused\n", done.stderr
    assert run.read("frame", "w") == {"by": "a worker"}


# --- only projects make runs ----------------------------------------------------------------------

SOURCE = Path(rb.__file__).parent


def test_seed_002_section_1_only_a_project_calls_what_makes_run_folders() -> None:
    callers = {
        word: sorted(
            place.relative_to(SOURCE).as_posix() for place in SOURCE.rglob("*.py") if word in place.read_text()
        )
        for word in ("create_run(", "reopen(\n", "NEW_PREFIX")
    }
    assert callers == {
        "create_run(": ["run/create.py", "run/project.py"],
        "reopen(\n": ["run/project.py", "run/reopen.py"],
        "NEW_PREFIX": ["run/create.py"],
    }


def test_seed_002_section_6_no_run_and_no_skill_writes_into_models(tmp_path: Path, run: rb.RunIO) -> None:
    """Only what stands above a run brings models in: neither a run's code nor its handles name the way."""
    words = ("bring_in(", "set_alias(", "UnseenFolder(", "aliases_bytes(")
    callers = {
        place.relative_to(SOURCE).as_posix()
        for place in SOURCE.rglob("*.py")
        if any(word in place.read_text() for word in words)
    }
    assert {name for name in callers if name.startswith("run/")} == {"run/models/aliases.py", "run/create.py"}
    (tmp_path / "store" / "models").mkdir()
    for handle in (run, run.scoped(kinds=["extra", "frames"])):
        for name in ("../../../models/x.json", "models/../../x.json", str(tmp_path / "store/models/x.json")):
            with pytest.raises(errors.InvalidName):
                handle.save(name, {})
        for word in ("promote", "add", "alias"):
            assert not hasattr(type(handle), word)
    run.save("models/x.json", {})  # a folder of its own
    assert list((tmp_path / "store" / "models").iterdir()) == []


def test_seed_002_section_1_no_other_public_name_makes_a_run_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = project(tmp_path / "store", CONTRACT).start()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RUNBUNDLE_STORE", str(tmp_path / "other"))
    makers = {"Project", "start", "run_command", "report_error", "errors", "__version__"}
    arguments: list[tuple[Any, ...]] = [(), (str(tmp_path / "new"),), (run,), (run.path,), (run, tmp_path / "new")]
    for name in set(rb.__all__) - makers:
        for given in arguments:
            try:
                getattr(rb, name)(*given)
            except (TypeError, ValueError, AttributeError, rb.RunbundleError):
                continue
    for name in [name for name in dir(rb.RunIO) if not name.startswith("_") and name != "finish"]:
        member = getattr(run, name)
        for given in arguments if callable(member) else ():
            try:
                member(*given)
            except (TypeError, ValueError, AttributeError, rb.RunbundleError):
                continue
    assert {place.parent for place in tmp_path.rglob("run_manifest.json")} == {run.path}
