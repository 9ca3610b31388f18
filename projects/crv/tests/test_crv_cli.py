"""The command line: what a person sees, and what a script can rely on."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import runbundle as rb
from crv.cli import main
from crv_samples import Broken, Interrupted, Leaky

Captured = pytest.CaptureFixture[str]
SMALL = ("--ticks", "20", "--set", "probe_every=10")


def call(capsys: Captured, *arguments: object) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_simulate_makes_one_sealed_run_and_prints_where_it_is(tmp_path: Path, capsys: Captured) -> None:
    code, out, err = call(capsys, "simulate", "--agents", 20, *SMALL, "--seed", 5, "--store", tmp_path)
    assert (code, err) == (0, "")
    [place] = (tmp_path / "runs").iterdir()
    assert out.splitlines()[0] == str(place)
    assert "minds are off the oracle by amber" in out
    run = rb.open_run(place)
    assert (run.status, run.is_sealed, run.config["seed"], run.config["probe_every"]) == ("completed", True, 5, 10)
    assert (place / "artifacts/figures/overview.png").is_file()


def test_simulate_tells_one_json_object_and_leaves_the_picture_out(tmp_path: Path, capsys: Captured) -> None:
    code, out, _ = call(capsys, "simulate", "--agents", 20, *SMALL, "--store", tmp_path, "--json", "--no-figure")
    told = json.loads(out)
    assert (code, told["settings"]["agents"]) == (0, 20)
    assert not (Path(told["run_dir"]) / "artifacts/figures").exists()


def test_the_store_is_that_of_the_environment(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNBUNDLE_STORE", str(tmp_path))
    assert call(capsys, "simulate", "--agents", 20, *SMALL, "--no-figure")[0] == 0
    assert len(list((tmp_path / "runs").iterdir())) == 1


def test_a_violated_audit_exits_1_and_names_the_audit(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crv.engine.simulation.Exchange", Leaky)
    code, out, err = call(capsys, "simulate", "--agents", Leaky.agents, *SMALL, "--store", tmp_path)
    assert (code, out) == (1, "")
    assert "The audit conservation was violated" in err
    assert len(err.splitlines()) == 2


def test_sweep_prints_a_line_for_each_run(tmp_path: Path, capfd: Captured) -> None:
    grid = ("--seeds", "1,2", "--agents", "20", "--vary", "mind.trend=0,0.5", "--jobs", "2")
    code, out, err = call(capfd, "sweep", *grid, *SMALL, "--store", tmp_path)
    assert code == 0
    assert len(out.splitlines()) == 4
    assert err.strip() == "4 of 4 simulated and audited"
    assert sum("mind.trend 0.5, seed 2" in line for line in out.splitlines()) == 1
    runs = [rb.open_run(line.split()[0]) for line in out.splitlines()]
    assert {(run.config["mind"]["trend"], run.config["seed"]) for run in runs} == {(0, 1), (0, 2), (0.5, 1), (0.5, 2)}


@pytest.mark.parametrize("command", ["simulate", "sweep"])
def test_all_settings_are_listed_and_nothing_is_simulated(command: str, tmp_path: Path, capsys: Captured) -> None:
    code, out, _ = call(capsys, command, "--list-settings", "--store", tmp_path)
    assert (code, list(tmp_path.iterdir())) == (0, [])
    assert [line.split() for line in out.splitlines() if line.startswith("mind.trend")] == [
        ["mind.trend", "0.5", "0", "to", "5"]
    ]


@pytest.mark.parametrize(
    ("arguments", "seeds", "agents"),
    [
        (["--vary", "seed=1,2", "--agents", "20"], {1, 2}, {20}),
        (["--set", "seed=3", "--vary", "agents=20,30"], {3}, {20, 30}),
        (["--set", "agents=20"], {7}, {20}),
    ],
)
def test_a_sweep_takes_every_setting_by_either_way(
    arguments: list[str], seeds: set[int], agents: set[int], tmp_path: Path, capsys: Captured
) -> None:
    code, out, _ = call(capsys, "sweep", *arguments, "--jobs", "1", *SMALL, "--store", tmp_path)
    runs = [rb.open_run(line.split()[0]) for line in out.splitlines()]
    assert (code, len(runs)) == (0, len(seeds) * len(agents))
    assert {run.config["seed"] for run in runs} == seeds
    assert {run.config["agents"] for run in runs} == agents


def test_a_sweep_tells_who_failed_and_exits_1(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crv.engine.simulation.Exchange", Leaky)
    grid = ("--seeds", "1", "--agents", f"20,{Leaky.agents}", "--jobs", "1", "--json")
    code, out, err = call(capsys, "sweep", *grid, *SMALL, "--store", tmp_path)
    assert code == 1
    good, bad = map(json.loads, out.splitlines())
    assert good["settings"]["agents"] == 20
    assert (bad["settings"]["agents"], bad["error"]["code"]) == (Leaky.agents, "contract_unmet")
    assert f"agents {Leaky.agents}, seed 1 failed:" in err
    assert "1 of 2 simulated and audited" in err


@pytest.mark.parametrize("debug", [(), ("--debug",)])
def test_an_error_of_any_kind_in_one_combination_hides_no_other(
    debug: tuple[str, ...], tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crv.engine.simulation.Exchange", Broken)
    grid = ("--seeds", "1", "--agents", f"{Broken.agents},20", "--jobs", "1", "--json")
    code, out, err = call(capsys, *debug, "sweep", *grid, *SMALL, "--store", tmp_path)
    assert code == 4
    bad, good = map(json.loads, out.splitlines())
    assert (bad["settings"]["agents"], bad["error"]["what"]) == (Broken.agents, "ZeroDivisionError: nothing to share")
    assert good["settings"]["agents"] == 20
    assert f"agents {Broken.agents}, seed 1 failed:" in err
    assert "crv: ZeroDivisionError: nothing to share\n" in err
    assert "1 of 2 simulated and audited" in err
    assert ("Traceback" in err) == bool(debug)


def test_a_sweep_that_is_interrupted_ends(tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crv.engine.simulation.Exchange", Interrupted)
    grid = ("--seeds", "1", "--agents", f"{Interrupted.agents},20", "--jobs", "1")
    code, out, _ = call(capsys, "sweep", *grid, *SMALL, "--store", tmp_path)
    assert (code, out) == (130, "")


def test_report_draws_beside_the_run_or_where_it_is_told(tmp_path: Path, capsys: Captured) -> None:
    call(capsys, "simulate", "--agents", 20, *SMALL, "--store", tmp_path, "--no-figure")
    [place] = (tmp_path / "runs").iterdir()
    code, out, _ = call(capsys, "report", place.name[:-2], "--store", tmp_path)
    assert (code, out.strip()) == (0, str(place.with_name(f"{place.name}.report") / "overview.png"))
    code, out, _ = call(capsys, "report", place, "-o", tmp_path / "a.png")
    assert (code, (tmp_path / "a.png").read_bytes()[:4]) == (0, b"\x89PNG")
    code, _, err = call(capsys, "report", place, "-o", place / "a.png")
    assert (code, "is sealed" in err) == (1, True)
    assert not rb.open_run(place).verify().findings


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["simulate", "--agents", "3"], 2, "agents is 3"),
        (["simulate", "--ticks", "0"], 2, "ticks is 0"),
        (["simulate", "--set", "nothing=1"], 2, "There is no setting nothing"),
        (["simulate", "--set", "mind.trend"], 2, "sets nothing"),
        (["simulate", "--set", "trend=1"], 2, "Did you mean mind.trend?"),
        (["simulate", "--ticks", "0"], 2, "from 1 to 10,000,000"),
        (["simulate", "--seed", "1", "--set", "seed=2"], 2, "The setting seed is given twice"),
        (["sweep", "--vary", "mind.trend=0,x"], 2, "sets nothing"),
        (["sweep", "--vary", "mind.trend"], 2, "'mind.trend' varies nothing"),
        (["sweep", "--vary", "mind.trend=0,1", "--set", "mind.trend=0.5"], 2, "The setting mind.trend is given twice"),
        (["sweep", "--vary", "seed=1,2", "--seeds", "3"], 2, "The setting seed is given twice"),
        (["sweep", "--seeds", "1,1"], 2, "The setting seed has a value twice"),
        (["sweep", "--jobs", "0"], 2, "--jobs is 0"),
        (["report", "crv_nothing"], 3, "There is no run crv_nothing"),
        (["report", "crv_nothing", "-o", "a.jpg"], 2, "no name of a PNG"),
    ],
)
def test_bad_use_is_told_in_two_lines(
    arguments: list[str], code: int, said: str, tmp_path: Path, capsys: Captured
) -> None:
    told = call(capsys, *arguments, "--store", tmp_path)
    assert (told[0], told[1]) == (code, "")
    assert said in told[2]
    assert len(told[2].splitlines()) == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [["sweep", "--seeds", "1,x"], ["simulate", "--agents", "many"], ["nonsense"], []])
def test_wrong_usage_exits_2(arguments: list[str], capsys: Captured) -> None:
    code, out, err = call(capsys, *arguments)
    assert (code, out) == (2, "")
    assert "usage: crv" in err


def test_a_store_that_is_a_file_is_told(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "file").write_text("")
    code, _, err = call(capsys, "simulate", "--agents", 20, *SMALL, "--store", tmp_path / "file")
    assert (code, "is a file" in err) == (2, True)


def test_progress_is_shown_on_a_terminal_and_is_gone_at_the_end(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    code, _, err = call(capsys, "simulate", "--agents", 20, *SMALL, "--store", tmp_path, "--no-figure")
    assert code == 0
    assert "simulating [###############...............] 10/20" in err
    assert err.endswith("\r\033[K")
