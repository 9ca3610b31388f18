"""For each promise: where a line that keeps it is taken out of a copy of the library, the named test fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from promises import LINES, PROMISES, Line

ROOT = Path(__file__).resolve().parents[2]
# as `python -m pytest`, once it is known which library is at hand
PYTEST = """
import sys
import pytest
import runbundle

assert runbundle.__file__ == sys.argv[1], runbundle.__file__
sys.exit(pytest.main(sys.argv[2:]))
"""
# no plugin, xdist among them, and little else: loading them takes longer than a test
OPTIONS = ("-q", "-x", "--tb=short", *(f"-pno:{name}" for name in ("cacheprovider", "doctest", "legacypath")))
# what a failed test ends with that found the library behave otherwise, and did not just break
BEHAVIOUR = ("assert ", "AssertionError: ", "Failed: DID NOT RAISE ", "runbundle.base.errors.")
pytestmark = pytest.mark.slow


def run_tests(source: Path, tests: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run tests of this repository with the library of another folder."""
    env = {**os.environ, "COLUMNS": "500", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    env["PYTHONPATH"] = os.pathsep.join([str(source), *filter(None, [env.get("PYTHONPATH")])])
    for name in [
        name
        for name in env
        if name.startswith(("PYTEST_XDIST_", "PYTEST_CURRENT_", "PYTEST_ADDOPTS", "PYTEST_PLUGINS"))
    ]:
        del env[name]
    package = str(source / "runbundle" / "__init__.py")
    command = [sys.executable, "-c", PYTEST, package, *OPTIONS, f"--basetemp={folder}", *tests]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=100)


def take_out(line: Line, source: Path) -> None:
    place = source / "runbundle" / line.path
    text = place.read_text(encoding="utf-8")
    for taken, instead in line.edits:
        assert text.count(taken) == 1, f"{line.path} holds {text.count(taken)} times: {taken}"
        text = text.replace(taken, instead)
    compile(text, line.path, "exec")
    place.unlink()  # it may be a link to the library's own
    place.write_text(text, encoding="utf-8")


def failures(output: str) -> list[str]:
    """What each failed test ended with, as the summary says it."""
    return [said.partition(" - ")[2] for said in output.splitlines() if said.startswith("FAILED ")]


def test_each_promise_is_kept_by_a_line_and_each_line_has_a_name_of_its_own() -> None:
    assert {line.promise for line in LINES} == set(PROMISES) == set(range(1, 10))
    assert len({line.name for line in LINES}) == len(LINES)


def test_every_named_test_passes_where_nothing_is_taken_out(tmp_path: Path) -> None:
    named = sorted({test for line in LINES for test in line.tests})
    done = run_tests(ROOT / "src", named, tmp_path / "tests")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.name)
def test_a_promise_is_broken_where_its_line_is_taken_out(line: Line, tmp_path: Path) -> None:
    compiled = f"{Path(line.path).stem}.*.pyc"
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns(compiled, "*.pyc.*"))
    take_out(line, tmp_path / "src")
    done = run_tests(tmp_path / "src", line.tests, tmp_path / "tests")
    said = done.stdout + done.stderr
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, said
    assert any(failure.startswith(BEHAVIOUR) for failure in failures(done.stdout)), said
