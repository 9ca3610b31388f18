"""Hydra's jobs, each a run (seed 002, sections 1 to 3), with the real hydra-core."""

from __future__ import annotations

import logging
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import runbundle as rb
from runbundle import errors
from sample_runs import FixedClock

hydra = pytest.importorskip("hydra", reason="hydra-core is not installed")

from omegaconf import DictConfig  # noqa: E402 - only where there is Hydra

from runbundle.interop.hydra import RunbundleCallback  # noqa: E402

CONFIG = """
lr: 0.01
model:
  name: tiny
  label: ${model.name}-${lr}
hydra:
  callbacks:
    runbundle:
      _target_: runbundle.interop.hydra.RunbundleCallback
      project: sample
      store: store
"""
CONTRACT = rb.Contract("held", "1", artifacts=(rb.ArtifactSpec("fact", "facts", "fact", ".json", "json"),))


def held_project() -> rb.Project:
    return rb.Project("sample", store="store", contract=CONTRACT)


def standing_project() -> rb.Project:
    return rb.Project("sample", store="store", clock=FixedClock())


def config_with(project: Callable[[], rb.Project]) -> str:
    """The configuration with a project that a function of this module gives."""
    given = f"project: {{_target_: {__name__}.{project.__name__}}}"
    return CONFIG.replace("project: sample", given).replace("store: store", "")


Job = Callable[[Any], Any]


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """Hydra sets the root logger up; it is put back."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    for handler in [handler for handler in root.handlers if handler not in handlers]:
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)


def play(job: Job, *overrides: str, config: str = CONFIG) -> None:
    """Run a job as ``python job.py OVERRIDE...`` would."""
    Path("conf").mkdir(exist_ok=True)
    Path("conf/config.yaml").write_text(config)
    main = hydra.main(version_base=None, config_path=str(Path("conf").resolve()), config_name="config")(job)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["job.py", *overrides])
        main()


def nothing(_: Any) -> None:
    """A job that does nothing."""


def runs() -> list[rb.Run]:
    return [rb.open_run(place) for place in sorted(Path("store/runs/sample").iterdir())]


def only_run() -> rb.Run:
    (run,) = runs()
    assert run.verify().is_good
    return run


def test_seed_002_section_3_a_job_is_a_run_that_holds_the_composed_configuration_resolved() -> None:
    play(nothing, "lr=0.5")
    run = only_run()
    assert (run.status, run.is_sealed) == ("completed", True)
    assert run.config == {"lr": 0.5, "model": {"name": "tiny", "label": "tiny-0.5"}}
    assert "${" not in (run.path / "config_resolved.yaml").read_text()
    assert "${model.name}-${lr}" in (run.path / "config.yaml").read_text()
    asked = run.manifest["hydra"]
    assert (asked["overrides"], asked["config_name"], asked["sweep"]) == (["lr=0.5"], "config", None)


def test_the_job_finds_its_run_by_join_and_so_do_the_processes_it_starts() -> None:
    child = "import runbundle as rb\nwith rb.join() as run: run.save('child.json', 1)"

    def job(config: Any) -> None:
        run = rb.join()
        run.log({"loss": config.lr}, step=0)
        subprocess.run([sys.executable, "-c", child], check=True)

    play(job)
    run = only_run()
    assert (run.series("loss").values, run.read("child.json"), run.status) == ([0.01], 1, "completed")
    with pytest.raises(errors.InvalidValue, match="no run to join"):
        rb.join()


def test_what_the_job_logs_is_in_the_run_and_what_comes_later_is_not() -> None:
    play(lambda config: logging.getLogger("mine").info("lr is %s", config.lr))
    logging.getLogger("mine").warning("later")
    text = (only_run().path / "logs/run.log").read_text()
    assert "lr is 0.01" in text
    assert "later" not in text


def test_a_job_that_raises_fails_its_run_with_the_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    def job(config: Any) -> None:
        raise ZeroDivisionError(f"lr is {config.lr}")

    with pytest.raises(SystemExit):
        play(job)
    run = only_run()
    assert (run.status, run.manifest["attempts"][0]["error"]["type"]) == ("failed", "ZeroDivisionError")
    assert "lr is 0.01" in (run.path / "logs/traceback.1.txt").read_text()
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_each_job_of_a_multirun_is_a_run_of_its_own_and_all_name_the_sweep() -> None:
    play(lambda config: rb.join().log({"lr": config.lr}, step=0), "--multirun", "lr=0.1,0.2,0.3")
    play(nothing, "--multirun", "lr=0.4")
    asked = [run.manifest["hydra"] for run in runs()]
    assert {run.status for run in runs()} == {"completed"}
    assert sorted(entry["overrides"][0] for entry in asked) == ["lr=0.1", "lr=0.2", "lr=0.3", "lr=0.4"]
    first = {entry["sweep"] for entry in asked if entry["overrides"] != ["lr=0.4"]}
    (second,) = {entry["sweep"] for entry in asked} - first
    assert len(first) == 1
    assert None not in (*first, second)
    assert sorted(entry["job_num"] for entry in asked) == [0, 0, 1, 2]


def test_a_callback_that_is_sent_to_another_machine_knows_its_sweep() -> None:
    callback = RunbundleCallback("sample")
    callback.on_multirun_start(DictConfig({}))
    assert pickle.loads(pickle.dumps(callback))._sweep == callback._sweep  # noqa: S301 - as launchers do


def test_where_hydra_goes_elsewhere_for_the_job_the_store_stays_where_it_was() -> None:
    play(lambda _: Path("by_the_job.txt").write_text("x"), "hydra.job.chdir=true", "hydra.run.dir=elsewhere")
    assert Path("elsewhere/by_the_job.txt").exists()
    assert only_run().status == "completed"


def test_a_sweep_of_50_jobs_within_a_second_gives_50_runs() -> None:
    words = ("--multirun", f"lr={','.join(map(str, range(50)))}", "hydra/job_logging=none")
    play(lambda config: rb.join().save("lr.json", config.lr), *words, config=config_with(standing_project))
    assert sorted(run.read("lr.json") for run in runs()) == list(range(50))
    assert {run.status for run in runs()} == {"completed"}


def test_one_job_of_a_sweep_that_fails_fails_its_own_run() -> None:
    with pytest.raises(SystemExit):
        play(lambda config: 1 / config.lr, "--multirun", "lr=1,0,2")
    assert sorted(run.status for run in runs()) == ["completed", "completed", "failed"]


@pytest.mark.parametrize(
    ("line", "said"),
    [("bad: ${nowhere}", "nowhere"), ("bad: ${worse}\nworse: ${bad}", "bad|Recursi"), ("bad: ???", "bad")],
    ids=["nowhere", "circle", "missing"],
)
def test_seed_002_section_3_a_configuration_that_cannot_be_resolved_stops_the_job_before_it_begins(
    line: str, said: str
) -> None:
    has_begun = []
    with pytest.raises(SystemExit, match=f"not begun.*({said})"):
        play(lambda _: has_begun.append(1), config=f"{CONFIG}\n{line}")
    assert has_begun == []
    assert not Path("store/runs/sample").exists()


def test_a_store_that_cannot_be_written_stops_the_job_before_it_begins() -> None:
    Path("store").write_text("a file")
    with pytest.raises(SystemExit, match=r"cannot be recorded: The store .* is a file"):
        play(lambda _: pytest.fail("begun"))


def test_what_is_no_error_of_the_library_stops_the_job_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("nobody thought of this")

    monkeypatch.setattr(rb.Project, "start", broken)
    with pytest.raises(SystemExit, match="nobody thought of this"):
        play(lambda _: pytest.fail("begun"))


def test_a_job_that_leaves_out_what_its_contract_asks_for_is_reported_as_failed(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        play(nothing, config=config_with(held_project))
    assert only_run().status == "failed"
    assert "does not meet its contract" in capfd.readouterr().err
    play(lambda _: rb.join().write("fact", 1), config=config_with(held_project))
    assert sorted(run.status for run in runs()) == ["completed", "failed"]


# --- ends that Hydra tells no callback of -------------------------------------------------------------------

SCRIPT = """
import os, signal, sys
import hydra
import runbundle as rb

@hydra.main(version_base=None, config_path=os.path.abspath("conf"), config_name="config")
def main(config):
    rb.join().save("before.json", 1)
    {what}

main()
"""


def play_script(what: str) -> subprocess.CompletedProcess[str]:
    Path("conf").mkdir(exist_ok=True)
    Path("conf/config.yaml").write_text(CONFIG)
    Path("job.py").write_text(SCRIPT.format(what=what))
    return subprocess.run([sys.executable, "job.py"], capture_output=True, text=True, check=False, timeout=60)


def test_ctrl_c_in_a_job_aborts_its_run() -> None:
    done = play_script("os.kill(os.getpid(), signal.SIGINT); signal.pause()")
    assert done.returncode != 0
    run = only_run()
    assert (run.status, run.is_sealed, run.read("before.json")) == ("aborted", True, 1)
    assert "KeyboardInterrupt" in (run.path / "logs/traceback.1.txt").read_text()


def test_sys_exit_in_a_job_fails_its_run() -> None:
    assert play_script("sys.exit(3)").returncode == 3
    run = only_run()
    assert (run.status, run.manifest["attempts"][0]["error"]["type"]) == ("failed", "RunClosed")


def test_sigterm_in_a_job_aborts_its_run_and_ends_the_process_as_it_would() -> None:
    assert play_script("os.kill(os.getpid(), signal.SIGTERM); signal.pause()").returncode == -15
    assert (only_run().status, only_run().is_sealed) == ("aborted", True)


def test_a_secret_in_an_override_is_nowhere_in_the_run() -> None:
    play(nothing, "+db.password=hunter2")
    held = b"".join(path.read_bytes() for path in only_run().path.rglob("*") if path.is_file())
    assert b"hunter2" not in held
    assert b"<secret:" in held


def test_an_override_is_told_as_it_was_given_and_not_as_what_it_stands_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHERE", "somewhere")
    play(nothing, "+x=${lr}", "+y=${oc.env:WHERE}")
    assert only_run().manifest["hydra"]["overrides"] == ["+x=${lr}", "+y=${oc.env:WHERE}"]


def test_a_secret_that_the_configuration_knows_is_masked_in_any_override() -> None:
    play(nothing, "+db.password=of-the-demo-12", "+note='mine: of-the-demo-12'")
    assert only_run().manifest["hydra"]["overrides"][1] == "+note='mine: <secret:db.password>'"
    assert not any(b"of-the-demo-12" in place.read_bytes() for place in only_run().path.rglob("*") if place.is_file())


def test_a_killed_job_leaves_an_interrupted_run_that_can_be_resumed() -> None:
    done = play_script("os.kill(os.getpid(), signal.SIGKILL)")
    assert done.returncode == -9
    run = only_run()
    assert run.status == "interrupted"
    with rb.Project("sample", store="store").resume(run.run_id) as again:
        assert again.read("before.json") == 1
    assert only_run().status == "completed"


def test_a_job_that_was_left_and_its_interrupt_caught_is_ended_before_the_next_begins() -> None:
    def interrupted(_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:  # which keeps all that the job had at hand alive
        play(interrupted)
    play(nothing)
    assert [run.status for run in runs()] == ["failed", "completed"]
    assert caught.value.args == ()


# --- launchers, and runs that are there already --------------------------------------------------------------


def test_the_processes_of_one_launch_have_one_run() -> None:
    script = SCRIPT.replace('save("before.json"', 'save("before-" + os.environ["RANK"] + ".json"')
    Path("conf").mkdir()
    Path("conf/config.yaml").write_text(CONFIG)
    wait = "while len(list((rb.join().path / 'artifacts').iterdir())) < 2: pass"
    Path("job.py").write_text(script.format(what=wait))
    master = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29512", "WORLD_SIZE": "2"}
    words = [sys.executable, "job.py", "hydra.run.dir=out/${oc.env:RANK}"]
    children = [subprocess.Popen(words, env={**master, "RANK": rank}) for rank in ("1", "0")]
    assert [child.wait(timeout=60) for child in children] == [0, 0]
    assert {record.artifact_id for record in only_run().artifacts()} == {"before-0.json", "before-1.json"}
    assert only_run().status == "completed"


def test_a_process_that_a_run_started_joins_that_run() -> None:
    with rb.start("outer", store="store") as outer:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("RUNBUNDLE_RUN_DIR", str(outer.path))
            play(lambda _: rb.join().save("inner.json", 1))
        assert not outer.is_finished
    assert rb.open_run(outer.path).read("inner.json") == 1
    assert not Path("store/runs/sample").exists()


def test_the_example_of_the_page_runs_as_it_stands() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs/integrations.md").read_text(encoding="utf-8")
    config, program = (re.findall(rf"```{kind}\n(.*?)```", page, re.DOTALL)[0] for kind in ("yaml", "python"))
    Path("conf").mkdir()
    Path("conf/config.yaml").write_text(config)
    Path("train.py").write_text(program)
    subprocess.run([sys.executable, "train.py", "lr=0.5"], check=True, timeout=60)
    (place,) = Path("runs/train").iterdir()
    run = rb.open_run(place)
    assert (run.status, run.config, run.series("loss").values[:2]) == ("completed", {"lr": 0.5}, [0.5, 0.25])
