"""Seed 002, section 6: checkpoints are saved while the training goes on, and none is lost in silence."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import runbundle as rb
from runbundle import errors
from runbundle.run import background as module
from sample_runs import SPEC, codes, project, run_child

LAST, BEST = "checkpoints/last.npz", "checkpoints/best.npz"
CONTRACT = rb.Contract(
    "train",
    "1",
    artifacts=(SPEC("last", "checkpoints", "last", ".npz", "npz", stage="train", required=rb.Required.OPTIONAL),),
    stages=(rb.StageSpec("train"),),
)


class Gate:
    """Holds up the thread before each write, and lets writes fail on demand."""

    def __init__(self) -> None:
        self.is_open = threading.Event()
        self.is_open.set()
        self.arrived = threading.Semaphore(0)
        self.failures: list[BaseException] = []
        self.written: list[str] = []
        self.threads: set[int] = set()

    def pass_through(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def put(session: Any, target: Any, offer: Any) -> Any:
            self.threads.add(threading.get_ident())
            self.arrived.release()
            assert self.is_open.wait(30)
            if self.failures:
                raise self.failures.pop(0)
            self.written.append(str(getattr(target, "artifact_id", target)))
            return real(session, target, offer)

        return put


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    found = Gate()
    for name in ("put_extra", "put_declared"):
        monkeypatch.setattr(module, name, found.pass_through(getattr(module, name)))
    yield found
    found.is_open.set()


def state(number: float) -> dict[str, Any]:
    return {"w": np.full(1000, number)}


def read(run: rb.RunIO | Path, name: str = LAST) -> float:
    path = run if isinstance(run, Path) else run.path
    return float(rb.open_run(path).read(name)["w"][0])


def wait_until(is_so: Callable[[], bool]) -> None:
    while not is_so():
        os.sched_yield()


def no_space() -> errors.UnavailableError:
    return errors.UnavailableError("Writing failed: no space", hint="Make room")


def test_a_save_returns_when_the_value_is_copied_and_what_comes_later_does_not_reach_it(
    tmp_path: Path, gate: Gate
) -> None:
    run = project(tmp_path).start()
    gate.is_open.clear()
    value = state(1)
    run.background.save(LAST, value)
    value["w"] += 1
    assert not (run.path / "artifacts" / LAST).exists()
    gate.is_open.set()
    run.background.wait()
    assert read(run) == 1
    run.finish()
    assert (rb.open_run(run.path).verify().findings, gate.threads & {threading.get_ident()}) == ((), set())


@pytest.mark.parametrize("ext", ["npz", "safetensors"])
def test_the_memory_of_a_written_copy_is_used_again_where_it_fits_and_let_go_at_the_end(
    tmp_path: Path, ext: str
) -> None:
    if ext == "safetensors":
        pytest.importorskip("safetensors", reason="safetensors is not installed")
    run, name = project(tmp_path).start(), f"checkpoints/last.{ext}"
    places: list[int] = []
    values: list[dict[str, Any]] = [state(1), state(2), {"w": np.zeros((2, 3))}, state(4), state(5), {"v": np.ones(4)}]
    for value in values:
        run.background.save(name, value, replace=True)
        run.background.wait()
        places.append(next(iter(run.background._spare.values())).ctypes.data)
        assert {key: item.tolist() for key, item in run.read(name).items()} == {k: v.tolist() for k, v in value.items()}
        assert not np.shares_memory(next(iter(run.background._spare.values())), next(iter(value.values())))
    assert (places[0] == places[1], places[3] == places[4]) == (True, True)
    run.finish()
    assert run.background._spare is None


def test_flush_and_finish_wait_for_what_is_being_saved(tmp_path: Path) -> None:
    with project(tmp_path).start() as run:
        run.background.save(LAST, state(0))
        run.flush()
        assert read(run) == 0
        for number in range(1, 20):
            run.background.save(LAST, state(number), replace=True)
    assert read(run) == 19
    assert rb.open_run(run.path).verify().findings == ()


def test_one_save_is_done_and_one_waits_whose_place_a_later_one_takes(tmp_path: Path, gate: Gate) -> None:
    run = project(tmp_path).start()
    gate.is_open.clear()
    run.background.save(LAST, state(1), replace=True)
    gate.arrived.acquire()
    run.background.save(LAST, state(2), replace=True)
    run.background.save(LAST, state(3), replace=True)
    other = threading.Thread(target=lambda: run.background.save(BEST, state(4)))
    other.start()
    changed = run.background._changed
    wait_until(lambda: len(changed._waiters) == 1)  # type: ignore[attr-defined] # how a Condition knows who waits
    assert gate.written == []
    gate.is_open.set()
    other.join()
    run.finish()
    assert gate.written == [LAST, LAST, BEST]
    assert (read(run), read(run, BEST)) == (3, 4)


def test_a_save_that_replaces_nothing_takes_no_place_and_is_refused(tmp_path: Path, gate: Gate) -> None:
    run = project(tmp_path).start()
    gate.is_open.clear()
    run.background.save("other.npz", state(0))
    gate.arrived.acquire()
    run.background.save(LAST, state(1))
    second = threading.Thread(target=lambda: run.background.save(LAST, state(2)))
    second.start()
    changed = run.background._changed
    wait_until(lambda: len(changed._waiters) == 1)  # type: ignore[attr-defined] # how a Condition knows who waits
    gate.is_open.set()
    second.join()
    with pytest.raises(errors.ArtifactExists):
        run.flush()
    assert read(run) == 1
    run.finish()


def test_ctrl_c_while_there_is_no_room_saves_nothing_and_holds_nothing_up(
    tmp_path: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = project(tmp_path).start()
    gate.is_open.clear()
    run.background.save(LAST, state(1))
    gate.arrived.acquire()
    run.background.save(BEST, state(2))
    with monkeypatch.context() as patch:
        patch.setattr(run.background._changed, "wait", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run.background.save("checkpoints/third.npz", state(3))
    gate.is_open.set()
    run.finish()
    assert sorted(gate.written) == sorted([LAST, BEST])


@pytest.mark.parametrize("ask", ["save", "write", "wait", "flush", "begin"])
def test_what_went_wrong_is_raised_once_where_someone_hears_it(tmp_path: Path, gate: Gate, ask: str) -> None:
    run = project(tmp_path).start()
    spec = SPEC("best", "checkpoints", "best", ".npz", "npz")
    asked: dict[str, Callable[[], object]] = {
        "save": lambda: run.background.save(LAST, state(3)),
        "write": lambda: run.background.write(spec, state(3)),
        "wait": run.background.wait,
        "flush": run.flush,
        "begin": lambda: run.stage("train").__enter__(),
    }
    gate.failures = [no_space()]
    run.background.save(LAST, state(1))
    wait_until(lambda: bool(run.background._failures))
    with pytest.raises(errors.UnavailableError, match="no space"):
        asked[ask]()
    run.background.save(LAST, state(7))
    run.finish()
    assert (rb.open_run(run.path).status, read(run)) == ("completed", 7)


def test_of_several_failures_the_first_is_raised_and_the_others_are_its_notes(tmp_path: Path, gate: Gate) -> None:
    run = project(tmp_path).start()
    gate.failures = [no_space(), errors.UnavailableError("and another")]
    gate.is_open.clear()
    run.background.save(LAST, state(1))
    gate.arrived.acquire()
    run.background.save(BEST, state(1))
    gate.is_open.set()
    with pytest.raises(errors.UnavailableError, match="no space") as caught:
        run.flush()
    assert caught.value.__notes__ == ["Another write in the background failed: and another"]
    run.finish()


def test_a_stage_that_lost_a_save_fails_and_can_be_tried_again(tmp_path: Path, gate: Gate) -> None:
    run = project(tmp_path, CONTRACT).start()
    gate.failures = [no_space()]

    def train() -> None:
        with run.stage("train"):
            run.background.write("last", state(1))

    with pytest.raises(errors.UnavailableError, match="no space"):
        train()
    assert run.outcome("train") is rb.Outcome.FAILED
    train()
    run.finish()
    assert (rb.open_run(run.path).status, read(run, "last")) == ("completed", 1)


def test_what_was_given_before_a_stage_belongs_to_none(tmp_path: Path, gate: Gate) -> None:
    run = project(tmp_path).start()
    gate.is_open.clear()
    run.background.save(LAST, state(1))
    stage = run.stage("later")
    opener = threading.Thread(target=stage.__enter__)
    opener.start()
    gate.is_open.set()
    opener.join()
    run.background.save(BEST, state(2))
    stage.__exit__(None, None, None)
    run.finish()
    done = rb.open_run(run.path)
    assert (done.record(LAST).stage, done.record(BEST).stage) == (None, "later")


def test_a_run_that_lost_a_save_ends_as_failed_and_says_why(tmp_path: Path, gate: Gate) -> None:
    run = project(tmp_path).start(run_id="r")
    gate.failures = [no_space(), ZeroDivisionError("odd")]
    run.background.save(LAST, state(1))
    wait_until(lambda: bool(run.background._failures))
    with pytest.raises(errors.UnavailableError, match="no space"):
        run.finish()
    done = rb.open_run(run.path)
    assert (done.status, done.is_sealed, done.verify().findings) == ("failed", True, ())
    assert done.manifest["attempts"][0]["error"]["message"].startswith("Writing failed: no space")

    def block() -> None:
        with project(tmp_path).resume("r") as again:
            again.background.save(LAST, state(1))

    with pytest.raises(errors.UnavailableError, match=r"A write in the background failed: ZeroDivisionError: odd"):
        block()
    assert rb.open_run(run.path).status == "failed"


def test_a_lost_save_is_told_beside_the_error_that_ended_the_run(tmp_path: Path, gate: Gate) -> None:
    gate.failures = [no_space()]

    def block() -> None:
        with project(tmp_path).start(run_id="r") as run:
            run.background.save(LAST, state(1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        block()
    assert any("no space" in note for note in caught.value.__notes__)
    run_dir = tmp_path / "runs/demo/r"
    assert "no space" in (run_dir / "logs/traceback.1.txt").read_text()


@pytest.mark.parametrize(
    ("ended", "status"),
    [(SystemExit(143), "failed"), (KeyboardInterrupt(), "aborted"), (ZeroDivisionError(), "failed")],
    ids=["SIGTERM", "Ctrl-C", "error"],
)
def test_whatever_ends_a_run_what_was_given_is_written_first(
    tmp_path: Path, gate: Gate, ended: BaseException, status: str
) -> None:
    def block() -> None:
        with project(tmp_path).start(run_id="r") as run:
            gate.is_open.clear()
            run.background.save(LAST, state(1), replace=True)
            gate.arrived.acquire()
            run.background.save(LAST, state(2), replace=True)
            threading.Timer(0, gate.is_open.set).start()
            raise ended

    with pytest.raises(type(ended)):
        block()
    run_dir = tmp_path / "runs/demo/r"
    assert (rb.open_run(run_dir).status, read(run_dir)) == (status, 2)
    assert (rb.open_run(run_dir).is_sealed, rb.open_run(run_dir).verify().findings) == (True, ())


def test_what_cannot_be_saved_is_said_at_once(tmp_path: Path) -> None:
    run = project(tmp_path, CONTRACT).start()
    with pytest.raises(errors.ContractError, match="declares no artifact 'other'"):
        run.background.write("other", {})
    with pytest.raises(errors.ContractError, match="allows no extras"):
        run.background.save("x.npz", state(1))
    with pytest.raises(errors.InvalidType, match="cannot be copied"):
        run.background.write("last", {"a": threading.Lock()})
    run.finish("failed")
    with pytest.raises(errors.RunSealed):
        run.background.write("last", state(1))


def test_a_thread_that_cannot_be_started_is_an_error_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = project(tmp_path).start()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", lambda _: (_ for _ in ()).throw(RuntimeError("can't start")))
        with pytest.raises(errors.UnavailableError, match="No thread could be started"):
            run.background.save(LAST, state(1))
    run.background.save(LAST, state(2))
    run.finish()
    assert read(run) == 2


def test_an_artifact_that_exists_is_kept_and_told_of(tmp_path: Path) -> None:
    run = project(tmp_path).start()
    run.save(LAST, state(1))
    run.background.save(LAST, state(2))
    with pytest.raises(errors.ArtifactExists):
        run.flush()
    run.finish()
    assert read(run) == 1


def test_a_forked_child_has_a_background_of_its_own_and_the_parent_loses_nothing(tmp_path: Path) -> None:
    child = """
import os, numpy as np, runbundle as rb
from runbundle.run import background as module
import threading
gate, arrived = threading.Event(), threading.Event()
real = module.put_extra
def put(*given):
    arrived.set()
    gate.wait()
    return real(*given)
module.put_extra = put
run = rb.Project("demo", store="store").start(run_id="r")
background = run.background
background.save("a.npz", {"w": np.ones(9)})
arrived.wait()
pid = os.fork()
if pid == 0:
    module.put_extra = real
    background.save("b.npz", {"w": np.ones(9)})
    run.finish()
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
gate.set()
run.finish()
done = rb.open_run(run.path)
print(sorted(record.artifact_id for record in done.artifacts()), done.verify().findings)
"""
    done = run_child(child, tmp_path)
    assert (done.stdout.strip(), done.stderr) == ("['a.npz', 'b.npz'] ()", "")


def test_a_process_that_ends_without_finish_still_writes_what_it_was_given(tmp_path: Path) -> None:
    child = """
import numpy as np, runbundle as rb
run = rb.Project("demo", store="store").start(run_id="r")
run.background.save("a.npz", {"w": np.ones(9)})
"""
    done = run_child(child, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    run = rb.open_run(tmp_path / "store/runs/demo/r")
    assert (run.status, run.read("a.npz")["w"].sum()) == ("failed", 9)


def test_a_joined_process_waits_for_its_saves_when_it_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    child = """
import numpy as np, runbundle as rb
with rb.join() as run:
    for number in range(5):
        run.background.save("checkpoints/last.npz", {"w": np.full(9, number)}, replace=True)
"""
    with project(tmp_path).start() as run:
        monkeypatch.setenv("RUNBUNDLE_RUN_DIR", str(run.path))
        done = run_child(child, tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
    assert read(run) == 4


def test_threads_share_it(tmp_path: Path) -> None:
    run = project(tmp_path).start()
    names = [f"checkpoints/{number}.npz" for number in range(12)]
    threads = [threading.Thread(target=run.background.save, args=(name, state(1))) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run.finish()
    assert {record.artifact_id for record in rb.open_run(run.path).artifacts()} == set(names)
    assert codes(rb.open_run(run.path).verify()) == []


def test_seed_002_section_6_best_and_last_lie_under_checkpoints_and_are_replaced_whole(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    layer = torch.nn.Linear(4, 2)
    with project(tmp_path).start() as run:
        for step in range(4):
            with torch.no_grad():
                layer.weight.fill_(step)
            run.background.save("checkpoints/last.pt", {"model": layer.state_dict(), "step": step}, replace=True)
            if step % 2:
                run.background.save("checkpoints/best.pt", {"model": layer.state_dict()}, replace=True)
    done = rb.open_run(run.path)
    assert sorted(path.name for path in (run.path / "artifacts/checkpoints").iterdir()) == ["best.pt", "last.pt"]
    assert done.read("checkpoints/last.pt")["step"] == 3
    assert done.read("checkpoints/best.pt")["model"]["weight"][0, 0] == 3
    assert (done.verify().findings, done.record("checkpoints/last.pt").format) == ((), "checkpoint")


def test_the_memory_of_a_written_checkpoint_is_used_again(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    weight = torch.ones(1000)
    with project(tmp_path).start() as run:
        places = []
        for number in range(3):
            weight += 1
            run.background.save("checkpoints/last.pt", {"a": weight, "b": [weight[::2], {"c": number}]}, replace=True)
            run.background.wait()
            places.append(run.background._spare["a"].data_ptr())
            assert run.read("checkpoints/last.pt")["a"][0] == weight[0]
        assert len(set(places)) == 1
        assert places[0] != weight.data_ptr()
