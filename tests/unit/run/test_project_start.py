"""Making runs: ids, clashes, names, configurations, and that a run is there whole or not at all."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import runbundle as rb
from runbundle import errors
from runbundle.io.unseen import UnseenFolder
from sample_runs import CONTRACT, LOG, MANIFEST, FixedClock, codes, files, project

PACKAGES = "provenance/packages.json"


class Level(str, Enum):  # noqa: UP042 - as seed 000 declares its enums
    """An enum whose ``str()`` is not its text."""

    HIGH = "high"


@dataclass
class Inner:
    """A part of a configuration."""

    rate: float


@dataclass
class Config:
    """A configuration."""

    name: str
    inner: Inner


# --- ids ------------------------------------------------------------------------------------------


def test_the_run_id_is_the_utc_time_and_the_commit(tmp_path: Path) -> None:
    run = rb.Project("demo", store=tmp_path, clock=FixedClock()).start()
    assert run.path == tmp_path / "runs" / "demo" / "2026-11-21_10-00-00_nogit"
    assert rb.open_run(run.path).manifest["created_at_utc"] == "2026-11-21T10:00:00.417+00:00"


def test_runs_of_one_second_get_four_characters_more(tmp_path: Path) -> None:
    owner = rb.Project("demo", store=tmp_path, clock=FixedClock())
    ids = [owner.start().run_id for _ in range(3)]
    assert ids[0] == "2026-11-21_10-00-00_nogit"
    assert all(re.fullmatch(r"2026-11-21_10-00-00_nogit-[A-Za-z0-9]{4}", run_id) for run_id in ids[1:])


def test_thirty_threads_in_one_second_make_thirty_runs(tmp_path: Path) -> None:
    owner = rb.Project("demo", store=tmp_path, clock=FixedClock())
    gate = threading.Barrier(30)

    def start(number: int) -> Path:
        gate.wait()
        run = owner.start({"number": number})
        assert run.path.name == run.run_id
        return run.path

    with ThreadPoolExecutor(30) as pool:
        paths = list(pool.map(start, range(30)))
    assert len(set(paths)) == 30
    assert sorted(paths) == sorted((tmp_path / "runs" / "demo").iterdir())
    assert [rb.open_run(path).config["number"] for path in paths] == list(range(30))


def test_a_given_id_that_is_taken_is_refused(tmp_path: Path) -> None:
    run = project(tmp_path).start(run_id="first")
    before = files(run.path)
    with pytest.raises(FileExistsError, match="first") as caught:
        project(tmp_path).start(run_id="first")
    assert isinstance(caught.value, errors.RunExists)
    assert files(run.path) == before
    assert list(run.path.parent.iterdir()) == [run.path]


def test_a_file_in_the_place_of_a_run_is_kept(tmp_path: Path) -> None:
    place = tmp_path / "runs" / "demo" / "first"
    place.parent.mkdir(parents=True)
    place.write_text("kept")
    with pytest.raises(errors.RunExists):
        project(tmp_path).start(run_id="first")
    assert place.read_text() == "kept"


def test_an_empty_folder_in_the_place_of_a_run_is_kept(tmp_path: Path) -> None:
    (tmp_path / "runs" / "demo" / "first").mkdir(parents=True)
    with pytest.raises(errors.RunExists):
        project(tmp_path).start(run_id="first")


BAD_COMPONENTS = [
    "",
    ".",
    "..",
    "../x",
    "a/b",
    "a\\b",
    "a\0",
    "a\nb",
    "x" * 256,
    ".new-x",
    ".tmp-x",
    "end.",
    "con",
    "\ud800",
]


@pytest.mark.parametrize("run_id", BAD_COMPONENTS)
def test_a_run_id_is_one_plain_component(tmp_path: Path, run_id: str) -> None:
    with pytest.raises(errors.InvalidName):
        project(tmp_path).start(run_id=run_id)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "name", [*BAD_COMPONENTS, "with space", "é", "run_20261121_100000_417_a9F3K2Qx", "2026-11-21_10-00-00_nogit"]
)
def test_a_project_name_is_plain_and_no_run_id(tmp_path: Path, name: str) -> None:
    with pytest.raises(errors.InvalidName):
        rb.Project(name, store=tmp_path)


def test_a_run_is_never_made_inside_another(tmp_path: Path) -> None:
    flat = rb.Contract("flat", "1", layout=rb.Layout(name="flat", run_folder="runs/{run_id}"))
    outer = rb.Project("lab", store=tmp_path, contract=flat).start(run_id="demo")
    before = files(outer.path)
    with pytest.raises(errors.RunExists, match="holds no other"):
        project(tmp_path).start()
    assert files(outer.path) == before


# --- whole or not at all --------------------------------------------------------------------------


def test_a_new_run_holds_all_it_must(tmp_path: Path) -> None:
    run = project(tmp_path, CONTRACT).start({"rate": 0.5})
    assert files(run.path) == {MANIFEST, "config.yaml", "config_resolved.yaml", "contract.json", LOG, PACKAGES}
    assert (run.path / "config.yaml").read_text() == '"rate": 0.5\n'
    assert codes(rb.open_run(run.path).verify()) == []


def test_a_run_is_visible_only_when_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[set[str]] = []
    name = UnseenFolder.name

    def spy(folder: UnseenFolder, place: str) -> bool:
        assert Path(folder.path).name.startswith(".new-")
        seen.append(files(Path(folder.path)))
        assert not Path(place).exists()
        return name(folder, place)

    monkeypatch.setattr(UnseenFolder, "name", spy)
    project(tmp_path).start()
    assert seen == [{MANIFEST, "config.yaml", "config_resolved.yaml", LOG, PACKAGES}]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_fails_on_the_way_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail(*_: object) -> bool:
        raise error

    monkeypatch.setattr(UnseenFolder, "name", fail)
    with pytest.raises((errors.UnavailableError, KeyboardInterrupt)) as caught:
        project(tmp_path).start(run_id="r")
    assert getattr(caught.value, "run", "r") == "r"  # Ctrl-C is of no run
    assert list((tmp_path / "runs" / "demo").iterdir()) == []


# --- configurations -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "kept"),
    [
        (None, {}),
        ({"a": (1, 2), "b": {"c": None}}, {"a": [1, 2], "b": {"c": None}}),
        (Config("x", Inner(0.5)), {"name": "x", "inner": {"rate": 0.5}}),
        ({"inner": Inner(1e-7)}, {"inner": {"rate": 1e-7}}),
        (
            {"rate": np.float64(0.1), "level": Level.HIGH, Level.HIGH: True},
            {"rate": 0.1, "level": "high", "high": True},
        ),
        ({"text": "yes", "more": "1e3\n\u2028é"}, {"text": "yes", "more": "1e3\n\u2028é"}),
    ],
)
def test_a_configuration_comes_back_as_plain_values(tmp_path: Path, config: object, kept: Mapping[str, Any]) -> None:
    run = project(tmp_path).start(config)
    assert run.config == kept
    assert rb.open_run(run.path).config == kept
    run.finish("failed")
    assert project(tmp_path).resume(run.run_id, config).config == kept


def _deep() -> dict[str, Any]:
    config: dict[str, Any] = {}
    for _ in range(20_000):
        config = {"a": config}
    return config


def _circular() -> dict[str, Any]:
    config: dict[str, Any] = {}
    config["self"] = config
    return config


@pytest.mark.parametrize(
    "config",
    [
        {"a": float("nan")},
        {"a": {1, 2}},
        {"a": {"b": "${oc.env:NOT_SET_ANYWHERE}"}},
        {"a": ["x", "pre ${b} post"]},
        {1: "x"},
        {"a": b"x"},
        {"a": np.arange(3)},
        {"a": threading.Lock()},
        {"a": "\ud800"},
        [1, 2],
        "text",
        Config,
        _deep(),
        _circular(),
    ],
    ids=lambda config: str(type(config).__name__),
)
def test_a_configuration_that_cannot_be_kept_is_refused(tmp_path: Path, config: object) -> None:
    with pytest.raises(ValueError, match="onfiguration") as caught:
        project(tmp_path).start(config)
    assert isinstance(caught.value, errors.InvalidConfig)


def test_the_place_of_what_cannot_be_resolved_is_named(tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidConfig, match=r"at model\.layers\[1\]"):
        project(tmp_path).start({"model": {"layers": [1, "${n}"]}})


def test_what_a_caller_does_to_the_configuration_changes_nothing(tmp_path: Path) -> None:
    given = {"layers": [1, 2]}
    run = project(tmp_path).start(given)
    given["layers"].append(3)
    run.config["layers"].append(4)
    run.finish()
    assert rb.open_run(run.path).config == {"layers": [1, 2]}
    assert codes(rb.open_run(run.path).verify()) == []


# --- what a project is given ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "error"),
    [
        ({"status": "completed"}, errors.InvalidName),
        ({"attempts": []}, errors.InvalidName),
        ({"x": float("inf")}, errors.InvalidValue),
        ({"x": object()}, errors.InvalidType),
        (["x"], errors.InvalidType),
    ],
)
def test_facts_are_json_and_never_fields_of_the_manifest(tmp_path: Path, facts: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        rb.Project("demo", store=tmp_path, facts=facts)


def test_a_durability_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidValue, match="process or power"):
        rb.Project("demo", store=tmp_path, durability="disk")


def test_a_contract_of_an_unknown_format_is_refused(tmp_path: Path) -> None:
    contract = rb.Contract("x", "1", artifacts=(rb.ArtifactSpec("a", "k", "a", ".bin", "pickle"),))
    with pytest.raises(errors.UnsupportedFormat, match="pickle"):
        rb.Project("demo", store=tmp_path, contract=contract)


@pytest.mark.parametrize("store", ["a\0b", "x" * 300, "/dev/null/x", 5])
def test_a_store_that_cannot_be_is_our_error(store: Any) -> None:
    with pytest.raises(rb.RunbundleError):
        rb.Project("demo", store=store).start()


def test_the_short_form_takes_its_project_and_store_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert rb.start().path.parent == tmp_path / "runs" / "default"
    monkeypatch.setenv("RUNBUNDLE_PROJECT", "named")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RUNBUNDLE_STORE", "~/elsewhere")
    assert rb.start().path.parent == tmp_path / "elsewhere" / "runs" / "named"


# --- where the code comes from --------------------------------------------------------------------


def _git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clean repository of one commit; the current folder is in it."""
    folder = tmp_path / "code"
    (folder / "below").mkdir(parents=True)
    (folder / "below" / "x.py").write_text("x = 1\n")
    _git(folder, "init", "-q")
    _git(folder, "add", ".")
    _git(folder, "commit", "-q", "-m", "first")
    monkeypatch.chdir(folder / "below")
    return folder


def test_the_default_store_is_the_repository_and_its_runs_are_no_change(repository: Path) -> None:
    commit = _git(repository, "rev-parse", "HEAD")
    first = rb.start("demo")
    assert first.path.parent == repository / "runs" / "demo"
    assert first.run_id.endswith(f"_{commit[:12]}")
    manifest = rb.open_run(first.path).manifest
    assert (manifest["git_hash"], manifest["git_dirty"]) == (commit, False)


def test_changes_are_told_in_the_name(repository: Path, tmp_path: Path) -> None:
    (repository / "new.py").touch()
    run = project(tmp_path).start()
    assert run.run_id.endswith("-dirty")
    assert rb.open_run(run.path).manifest["git_dirty"] is True


def test_a_store_anywhere_in_the_repository_is_no_change(repository: Path) -> None:
    """A killed run must not make the code look changed to the next process that resumes it."""
    from runbundle.run.origin.code import forget_code  # noqa: PLC0415 - its cache stands for a process

    store = repository / "out [1]"
    run = project(store).start()
    run.finish("failed")
    forget_code()
    assert not project(store).resume(run.run_id).run_id.endswith("-dirty")


def test_a_current_folder_that_is_gone_is_no_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert project(tmp_path / "store").start().run_id.endswith("_nogit")
    with pytest.raises(errors.UnavailableError, match="current folder"):
        rb.start("demo")
