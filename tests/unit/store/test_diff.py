"""What differs between two runs: conditions and results, by value, and in seconds for many artifacts."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import runbundle as rb
from runbundle import cli
from runbundle.store.values import Verdict
from sample_runs import CONTRACT, abandon, project, write_all

IMAGES = rb.ArtifactSpec("view", "views", "view", ".png", "png", compare=rb.Comparison(atol=2))
TIMED = rb.ArtifactSpec("timed", "facts", "timed", ".json", "json", compare=rb.Comparison(ignore=("*.at", "at")))
PLOT = rb.ArtifactSpec("plot", "views", "plot", ".png", "png", compare=rb.Comparison(by="nothing"))
RULED = rb.Contract("ruled", "1", artifacts=tuple(replace(spec, required="optional") for spec in (IMAGES, TIMED, PLOT)))  # type: ignore[arg-type]


def made(folder: Path, run_id: str, config: Any = None, contract: rb.Contract | None = None, **values: Any) -> rb.Run:
    """A finished run that saved these values, by their ids where there is a contract."""
    with project(folder, contract).start(config, run_id=run_id) as run:
        for name, value in values.items():
            if contract is None:
                run.save(name.replace("__", "."), value)
            else:
                run.write(name, value)
    return rb.open_run(run.path)


def verdicts(found: Any) -> dict[str, str]:
    return {one.artifact: one.verdict.value for one in found.artifacts}


def test_two_runs_of_the_same_are_the_same(tmp_path: Path) -> None:
    runs = [made(tmp_path, name, {"lr": 1}, a__json={"x": 1}) for name in ("one", "two")]
    found = rb.diff(*runs)
    assert (found.verdict, found.is_same, found.unlike) == (Verdict.IDENTICAL, True, ())
    assert not any(found.conditions.values())


def test_of_the_configuration_only_what_differs_is_told_at_its_depth(tmp_path: Path) -> None:
    left = made(tmp_path, "one", {"net": {"width": 8, "act": "relu"}, "gone": 1, "same": [1]})
    right = made(tmp_path, "two", {"net": {"width": 16, "act": "relu"}, "new": {"a": 1}, "same": [1]})
    changes = rb.diff(left, right).conditions["config"]
    assert [str(change) for change in changes] == [
        "gone: 1, then nothing",
        "net.width: 8, then 16",
        "new: nothing, then {'a': 1}",
    ]
    assert changes[0].to_json() == {"place": "gone", "verdict": "differs", "left": 1}


def test_artifacts_are_told_as_same_changed_missing_or_added(tmp_path: Path) -> None:
    left = made(tmp_path, "one", a__json={"x": [1, 2]}, b__txt="b", c__npz={"v": np.zeros(3)}, same__json=1)
    right = made(tmp_path, "two", a__json={"x": [1, 3]}, d__txt="d", c__npz={"v": np.ones(3)}, same__json=1)
    found = rb.diff(left.path, str(right.path))
    assert verdicts(found) == {
        "a.json": "differs",
        "b.txt": "missing",
        "c.npz": "differs",
        "d.txt": "added",
        "same.json": "identical",
    }
    told = {one.artifact: one for one in found.unlike}
    assert told["a.json"].places == ("x[1]: 2, then 3",)
    assert told["c.npz"].largest == 1.0
    assert found.verdict is Verdict.DIFFERS


def test_equal_values_in_other_bytes_are_identical(tmp_path: Path) -> None:
    arrays = {"v": np.arange(100)}
    for name, is_packed in (("one", False), ("two", True)):
        with project(tmp_path).start(run_id=name) as run:
            run.save("a.npz", arrays, compress=is_packed)
            run.save("raw.bin", name.encode())
    found = rb.diff(tmp_path / "runs/demo/one", tmp_path / "runs/demo/two")
    assert verdicts(found) == {"a.npz": "identical", "raw.bin": "differs"}


def test_each_spec_has_its_own_rule(tmp_path: Path) -> None:
    pictures = [np.full((4, 4, 3), level, np.uint8) for level in (10, 12, 13)]
    left, near, far = (
        made(tmp_path, f"run{number}", None, RULED, view=picture, timed={"at": number, "x": 1}, plot=picture)
        for number, picture in enumerate(pictures)
    )
    found = rb.diff(left, near)
    assert verdicts(found) == {"plot": "identical", "timed": "identical", "view": "within tolerance"}
    assert found.verdict is Verdict.WITHIN
    assert verdicts(rb.diff(left, far))["view"] == "differs"


def test_a_tolerance_is_for_what_no_contract_says_anything_of(tmp_path: Path) -> None:
    left, right = (made(tmp_path, f"run{v}", a__json={"x": v}, t__csv=[{"x": v, "n": "a"}]) for v in (1.0, 1.05))
    assert rb.diff(left, right).verdict is Verdict.DIFFERS
    assert rb.diff(left, right, tolerance=rb.Comparison(rtol=0.1)).verdict is Verdict.WITHIN


def test_metrics_are_told_by_final_scalars_and_by_the_first_step_where_series_part(tmp_path: Path) -> None:
    def logged(name: str, last: float, more: bool) -> rb.Run:  # noqa: FBT001 - a test
        with project(tmp_path).start(run_id=name) as run:
            for step in range(10):
                run.log({"loss": 1 / (step + 1), "other": last if step >= 7 else 0.0}, step=step)
            run.summary["iou"] = last
            if more:
                run.log({"extra": 1.0}, step=0)
        return rb.open_run(run.path)

    found = rb.diff(logged("one", 0.5, False), logged("two", 0.75, True))
    assert [str(change) for change in found.scalars] == [
        "extra: nothing, then 1.0",
        "iou: 0.5, then 0.75",
        "other: 0.5, then 0.75",
    ]
    assert [str(change) for change in found.series] == [
        "extra at step 0: nothing, then 1.0",
        "other at step 7: 0.5, then 0.75",
    ]
    within = rb.diff(
        rb.open_run(tmp_path / "runs/demo/one"), tmp_path / "runs/demo/two", tolerance=rb.Comparison(atol=1)
    )
    assert {change.verdict for change in within.series if "other" in change.place} == {Verdict.WITHIN}


def test_inputs_and_outcomes_of_stages_are_told(tmp_path: Path) -> None:
    runs = []
    for name, data in (("one", b"a"), ("two", b"b")):
        source = tmp_path / "x.bin"
        source.write_bytes(data)
        run = project(tmp_path / "store", CONTRACT).start(run_id=name)
        run.ingest(source)
        if name == "one":
            write_all(run)
            run.finish()
        else:
            run.skip("prepare", "no")
            abandon(run)
        runs.append(rb.open_run(run.path))
    found = rb.diff(*runs)
    assert [change.place for change in found.conditions["inputs"]] == ["input/x.bin"]
    assert [str(change) for change in found.outcome] == [
        "status: completed, then interrupted",
        "stage measure: committed, then nothing",
        "stage prepare: committed, then skipped",
        "stage report: committed, then nothing",
    ]


def test_a_damaged_artifact_differs_and_hides_no_other(tmp_path: Path) -> None:
    left = made(tmp_path, "one", a__json={"x": 1}, b__json=1)
    right = made(tmp_path, "two", a__json={"x": 2}, b__json=2)
    (left.path / "artifacts/a.json").write_bytes(b"{}")
    told = {one.artifact: one.places[0] for one in rb.diff(left, right).unlike}
    assert told["a.json"].startswith("its values were not compared: ")
    assert told["b.json"] == "1, then 2"


def test_two_runs_of_ten_thousand_artifacts_are_compared_in_seconds(tmp_path: Path) -> None:
    for name, offset in (("one", 0), ("two", 1)):
        with project(tmp_path).start(run_id=name) as run:
            for number in range(10_000):
                run.save(f"a{number}.json", number + (offset if number % 100 == 0 else 0))
    began = time.process_time()
    found = rb.diff(tmp_path / "runs/demo/one", tmp_path / "runs/demo/two")
    assert (len(found.artifacts), len(found.unlike)) == (10_000, 100)
    assert time.process_time() - began < 10


@pytest.mark.parametrize(("value", "code"), [({"x": 1}, 0), ({"x": 2}, 1)])
def test_the_command_prints_what_differs_and_says_so_by_its_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], value: Any, code: int
) -> None:
    left = made(tmp_path, "one", {"lr": 1}, a__json={"x": 1})
    right = made(tmp_path, "two", {"lr": value["x"]}, a__json=value)
    command = ["diff", str(left.path), "two", "--store", str(tmp_path)]
    assert cli.main(command) == code
    out = capsys.readouterr().out
    assert ("config:\n  lr: 1, then 2\n" in out) is (code == 1)
    assert ("what is the same by the logs was not read (verify reads it)" in out) is (code == 0)
    assert out.splitlines()[-1] == f"results: {'differs' if code else 'identical'}"
    assert cli.main([*command, "--json"]) == code
    told = json.loads(capsys.readouterr().out)
    assert (told["json_version"], told["left"], told["right"], told["is_same"]) == (0, "one", right.run_id, not code)
    assert told["artifacts"]["counts"]["identical"] == 1 - code
