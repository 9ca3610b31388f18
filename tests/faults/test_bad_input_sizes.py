"""Runs that are large in one way: nothing is refused for its number, lost, or read back otherwise."""

from pathlib import Path

import pytest

import runbundle as rb
from sample_runs import codes, own_folder

__all__ = ["own_folder"]
pytestmark = pytest.mark.slow


def test_100_000_metric_names(tmp_path: Path) -> None:
    values = {f"layer/{number}/größe": number / 7 for number in range(100_000)}
    with rb.start("large", store=tmp_path) as run:
        run.log(values, step=0)
        run.log(dict(list(values.items())[:1000]), step=1)
    done = rb.open_run(run.path)
    assert dict(done.summary) == values
    assert done.series("layer/0/größe").steps == [0, 1]
    assert done.series("layer/99999/größe").values == [99_999 / 7]
    assert codes(done.verify()) == []


def test_100_000_metric_names_one_at_a_time(tmp_path: Path) -> None:
    with rb.start("large", store=tmp_path) as run:
        for number in range(100_000):
            run.log({f"m{number}": number}, step=number)
    assert dict(rb.open_run(run.path).summary) == {f"m{number}": number for number in range(100_000)}


@pytest.mark.parametrize(
    "value",
    ["x" * 10_000_000, 'é "\\\n' * 2_000_000, list(range(1_000_000)), {f"k{n}": n / 3 for n in range(300_000)}],
    ids=["plain text", "text to escape", "list", "object"],
)
def test_a_parameter_of_10_mb(tmp_path: Path, value: object) -> None:
    with rb.start("large", {"p": value}, store=tmp_path) as run:
        pass
    done = rb.open_run(run.path)
    assert done.config["p"] == value
    assert codes(done.verify()) == []
    failed = rb.start("large", {"p": value}, store=tmp_path)
    failed.finish("failed")
    with rb.Project("large", store=tmp_path).resume(failed.run_id) as run:
        assert run.config["p"] == value


def test_10_000_artifacts(tmp_path: Path) -> None:
    with rb.start("large", store=tmp_path) as run:
        for number in range(10_000):
            run.save(f"{number % 100}/{number}.json", {"n": number})
    done = rb.open_run(run.path)
    assert len(list(done.artifacts())) == 10_000
    assert done.read("99/9999.json") == {"n": 9999}
    assert codes(done.verify()) == []


def test_an_artifact_and_a_metric_of_10_mb_of_name_or_meta(tmp_path: Path) -> None:
    with rb.start("large", store=tmp_path) as run:
        run.save("a.json", 1, meta={"note": "x" * 10_000_000})
        run.log({"m" * 10_000_000: 1.5})
    done = rb.open_run(run.path)
    assert done.record("a.json").meta == {"note": "x" * 10_000_000}
    assert dict(done.summary) == {"m" * 10_000_000: 1.5}
    assert codes(done.verify()) == []
