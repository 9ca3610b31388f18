"""What must hold of a run after a crash: it is readable, nothing promised is lost, another attempt brings it home."""

import contextlib
import importlib
import importlib.util
import io
import json
import os
import shutil
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import independent_reader
import runbundle as rb
from faults.facts import NO_RUN, SEALED, STATUS, Facts, lasting, lost_bytes, told_by_library, told_by_reader, unlawful
from faults.syscalls import Plan, Step, Syscalls
from faults.workloads import RUN, Act, Scene, Workload, complete, let_go
from runbundle import errors
from runbundle.cli import main

CAN_REPAIR = importlib.util.find_spec("runbundle.run.repair") is not None


class Rehearsal(NamedTuple):
    """What a workload does when nothing goes wrong."""

    history: list[Act]
    trace: list[Step]
    before: list[Step]


def rehearse(workload: Workload, folder: Path) -> Rehearsal:
    """Play a workload to its end, and let go of what it leaves open."""
    watch = Syscalls(folder / "store")
    scene = workload.scene(folder, now=lambda: len(watch.trace))
    with watch:
        workload.play(scene)
    let_go(scene.store)
    return Rehearsal(scene.history, watch.trace, watch.before)


# --- processes --------------------------------------------------------------------------------------------


def in_child(work: Callable[[], None]) -> int:
    """Do something in a forked process; returns its exit code, negative where a signal ended it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads of pytest-xdist, which the child does not use
        pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        work()
    except BaseException:  # noqa: BLE001 - the child must never go on as a test
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def play_until_killed(workload: Workload, folder: Path, plan: Plan) -> tuple[int, int]:
    """Play in a child; returns its exit code, and how many acts had returned when it ended."""
    reading, writing = os.pipe()

    def work() -> None:
        scene = workload.scene(folder, tell=lambda: os.write(writing, b"."))
        with Syscalls(folder / "store", plan):
            workload.play(scene)

    try:
        code = in_child(work)
        os.close(writing)
        with open(reading, "rb") as told:  # noqa: PTH123 - it is a pipe
            return code, len(told.read())
    except BaseException:
        os.close(reading)
        raise


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is such a disk: creating files on others takes most of the time."""
    if not os.access("/dev/shm", os.W_OK):  # noqa: S108 - what Linux has
        yield tmp_path / "here"
        return
    place = Path(tempfile.mkdtemp(prefix="faults-", dir="/dev/shm"))
    yield place / "here"
    shutil.rmtree(place)


@pytest.fixture(autouse=True)
def no_real_syncs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The power stays on while tests run: what a sync is for is worked out by ``disk.py``."""
    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, lambda _: None)


def emptied(folder: Path) -> Path:
    """The folder, with nothing in it: the same path each time, for which git was asked already."""
    let_go(folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


# --- the judgement ----------------------------------------------------------------------------------------


def listed(store: Path) -> list[dict[str, Any]]:
    """The runs of a store, as ``runbundle ls --json`` prints them."""
    if not (store / "runs").is_dir():
        return []
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        main(["ls", "--json", "--store", str(store)])
    return list(json.loads(printed.getvalue())["runs"])


def findings(run_dir: Path) -> list[tuple[str, str]]:
    """What the library and the independent reader find, together."""
    ours = [(finding.code, finding.subject) for finding in rb.open_run(run_dir).verify()]
    return sorted({*ours, *independent_reader.verify(run_dir)})


def mend(run_dir: Path) -> bool:
    """Repair a run; False where there is no repair yet."""
    if CAN_REPAIR:
        importlib.import_module("runbundle.run.repair").repair(run_dir)
    return CAN_REPAIR


def assert_clean(run_dir: Path, when: str) -> None:
    found = findings(run_dir)
    assert found == [], f"{when}: {found}"


def assert_tells(run_dir: Path, lawful: Sequence[Facts], when: str) -> None:
    """Both readers tell one of the lawful states, fact by fact."""
    for who, tell in (("library", told_by_library), ("independent reader", told_by_reader)):
        wrong = unlawful(tell(run_dir), lawful)
        assert wrong == [], f"{when}: the {who} tells {'; '.join(wrong)}"


def assert_kept(run_dir: Path, lawful: Sequence[Facts], when: str) -> None:
    lost = lost_bytes(run_dir, lawful)
    assert lost == [], f"{when}: no file holds {lost}"


def assert_survives_kill(scene: Scene, lawful: Sequence[Facts], when: str) -> None:
    """After a kill: the run is not listed or readable, clean but for orphans, and can be brought to its end."""
    try:
        _assert_survives_kill(scene, lawful, when)
    except errors.RunbundleError as error:
        raise AssertionError(f"{when}: {error!r}") from error


def _assert_survives_kill(scene: Scene, lawful: Sequence[Facts], when: str) -> None:
    rows = listed(scene.store)
    if not rows:
        assert NO_RUN in lawful, f"{when}: the run is not listed"
        complete(scene.project.start({"rate": 0.5}, run_id=RUN))
        return
    assert [row["run_id"] for row in rows] == [RUN], when
    assert rows[0]["status"] != "damaged", f"{when}: {rows[0]['error']}"
    run_dir = scene.run_dir
    assert_tells(run_dir, lawful, when)
    found = findings(run_dir)
    assert {code for code, _ in found} <= {"stray"}, f"{when}: {found}"
    if mend(run_dir):
        assert_clean(run_dir, f"{when}: after repair")
        assert_tells(run_dir, [*lawful, *map(_sealed, lawful)], f"{when}: after repair")
    assert_kept(run_dir, lawful, when)
    assert_comes_home(scene, lawful, when)


def assert_survives_power_cut(scene: Scene, lawful: Sequence[Facts], when: str) -> None:
    """After a power cut: what was safe is there; before anything was, at worst our own errors."""
    try:
        _assert_survives_power_cut(scene, lawful, when)
    except errors.RunbundleError as error:
        if NO_RUN not in lawful:
            raise AssertionError(f"{when}: {error!r}") from error


def _assert_survives_power_cut(scene: Scene, lawful: Sequence[Facts], when: str) -> None:
    run_dir = scene.run_dir
    if not any(row["path"] == str(run_dir) for row in listed(scene.store)) and NO_RUN in lawful:
        return
    if mend(run_dir):
        assert_clean(run_dir, f"{when}: after repair")
        lawful = [*lawful, *map(_sealed, lawful)]
    assert_tells(run_dir, lawful, when)
    assert_kept(run_dir, lawful, when)
    assert_comes_home(scene, lawful, when)


def _sealed(facts: Facts) -> Facts:
    """A run that was stopped just before its seal is sealed by repair."""
    return {**facts, SEALED: True}


def assert_comes_home(scene: Scene, lawful: Sequence[Facts], when: str) -> None:
    """A run that is not completed can be resumed, and then finishes intact, with all that was promised."""
    run_dir = scene.run_dir
    if independent_reader.IndependentRun(run_dir).journal.status == "completed":
        assert "completed" in [facts.get(STATUS) for facts in lawful], f"{when}: completed too early"
        try:
            scene.project.resume(RUN)
        except errors.RunSealed:
            assert_clean(run_dir, when)
            return
        raise AssertionError(f"{when}: a completed run was resumed")
    complete(scene.project.resume(RUN))
    assert_clean(run_dir, f"{when}: after another attempt")
    done = rb.open_run(run_dir)
    assert (done.status, done.is_sealed, done.check().findings) == ("completed", True, ()), f"{when}: {done.check()}"
    assert_kept(run_dir, lawful, f"{when}: after another attempt")
    kept = [lasting(facts) for facts in lawful]
    seen = {
        key: value for key, value in lasting(told_by_library(run_dir)).items() if any(key in facts for facts in kept)
    }
    wrong = unlawful(seen, kept)
    assert wrong == [], f"{when}: after another attempt {'; '.join(wrong)}"
