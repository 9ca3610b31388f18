"""Whole runs whose files were changed: reading gives what was written, or an error of ours; verify finds it."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import runbundle as rb
from faults.mutations import mutated, random_bytes
from faults.seeds import seeds
from runbundle.store.listing import list_runs
from sample_runs import FACT, LOG, MANIFEST, REPORT, ROWS, SEAL, TABLE, finished_run

METRICS = "metrics.jsonl"
FILES = (MANIFEST, LOG, METRICS, SEAL, "contract.json", "config.yaml", "config_resolved.yaml", "metrics.json")
CONTENT = ("input/source.bin", FACT, TABLE, REPORT)
WRITTEN = {"fact": {"known": True}, "table": [{"x": "1", "y": "2.5"}], "report": "All is well."}


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert list(ROWS[0]) == list(WRITTEN["table"][0])  # type: ignore[index]
    return finished_run(tmp_path_factory.mktemp("fuzz"))


def looks(run_dir: Path) -> dict[str, Callable[[], Any]]:
    """All that can be asked of a run."""
    return {
        "status": lambda: rb.open_run(run_dir).status,
        "config": lambda: rb.open_run(run_dir).config,
        "contract": lambda: rb.open_run(run_dir).contract,
        "artifacts": lambda: list(rb.open_run(run_dir).artifacts()),
        "summary": lambda: dict(rb.open_run(run_dir).summary),
        "series": lambda: rb.open_run(run_dir).series("loss"),
        "check": lambda: rb.open_run(run_dir).check(),
        "verify": lambda: rb.open_run(run_dir).verify(),
        "listing": lambda: list_runs(run_dir.parents[2]),
        **{name: lambda name=name: rb.open_run(run_dir).read(name) for name in WRITTEN},  # type: ignore[misc]
    }


def told(run_dir: Path) -> dict[str, Any]:
    """What each look gives; errors of ours stand for themselves, others go through."""
    found: dict[str, Any] = {}
    for name, look in looks(run_dir).items():
        try:
            found[name] = look()
        except rb.RunbundleError as error:
            assert len(str(error)) < 2000  # noqa: PT017 - what any error must be
            str(error).encode()
            found[name] = error
    return found


@pytest.mark.parametrize("seed", seeds(8), ids="seed {}".format)
def test_a_run_with_changed_files_is_read_rightly_or_not_at_all(seed: int, sealed: Path, tmp_path: Path) -> None:
    source = random.Random(seed)  # noqa: S311 - the same on every machine
    before = told(sealed)
    assert not before["verify"].findings
    for number in range(12):
        run_dir = tmp_path / str(number) / "runs" / "demo" / sealed.name
        shutil.copytree(sealed, run_dir)
        names = source.sample((*FILES, *CONTENT), source.choice((1, 1, 2)))
        if source.randrange(4) == 0:
            (run_dir / SEAL).unlink()
            names = [name for name in names if name != SEAL] or [LOG]
        is_changed = False
        for name in names:
            data = (run_dir / name).read_bytes()
            new = random_bytes(source) if source.randrange(8) == 0 else mutated(data, source)
            (run_dir / name).write_bytes(new)
            is_changed |= new != data
        after = told(run_dir)
        if LOG not in names:
            for name, value in WRITTEN.items():
                assert isinstance(after[name], rb.RunbundleError) or after[name] == value
        if is_changed and (run_dir / SEAL).exists():
            assert isinstance(after["verify"], rb.RunbundleError) or after["verify"].findings, names


@pytest.mark.parametrize("seed", seeds(4), ids="seed {}".format)
def test_one_damaged_run_hides_no_other(seed: int, sealed: Path, tmp_path: Path) -> None:
    source = random.Random(seed)  # noqa: S311 - the same on every machine
    for name in ("damaged", "whole"):
        shutil.copytree(sealed, tmp_path / "runs" / "demo" / name)
    for _ in range(8):
        for name in (MANIFEST, LOG):
            (tmp_path / "runs" / "demo" / "damaged" / name).write_bytes(mutated((sealed / name).read_bytes(), source))
        assert "whole" in [found.path.name for found in list_runs(tmp_path) if found.error is None]
