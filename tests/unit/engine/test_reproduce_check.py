"""Whether a run can be made again is told beforehand, point by point; what cannot is refused before anything runs."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import runbundle as rb
from runbundle import cli, errors
from runbundle.engine.reproduce.models import model_fault
from runbundle.engine.reproduce.options import Options
from runbundle.engine.reproduce.preflight import Preflight, preflight
from runbundle.engine.reproduce.reproduce import reproduce
from runbundle.io.journal import Journal
from sample_code import PROGRAM, git, repository, run_program, write

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
RUNNING = Options(current=frozenset({"environment"}))


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return repository(tmp_path / "code")


def faults(found: Preflight) -> dict[str, str]:
    return {point.code: point.message for point in found.faults}


def reseal(run_dir: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Tamper with a run as a whole: change its first attempt, chain its log anew, seal it anew."""
    log = run_dir / "artifacts.jsonl"
    records = [json.loads(line) for line in log.read_text().splitlines()]
    change(records[1])
    log.unlink()
    journal = Journal.create(log)
    for record in records:
        for name in ("seq", "prev_sha256", "crc32"):
            del record[name]
        journal.append(record)
    journal.close()
    manifest = json.loads((run_dir / "run_manifest.json").read_text())
    manifest |= {name: records[1][name] for name in manifest.keys() & records[1].keys() if name != "attempts"}
    for name in ("provenance", "invocation"):
        if name not in records[1]:
            manifest.pop(name, None)
    manifest["attempts"][0] |= {name: records[1][name] for name in ("host", "command", "git_hash", "git_dirty")}
    (run_dir / "run_manifest.json").write_text(
        json.dumps(manifest, ensure_ascii=False, indent=2, sort_keys=True) + "\n", encoding="utf-8"
    )
    seal = run_dir / "SHA256SUMS"
    names = sorted(str(p.relative_to(run_dir)) for p in run_dir.rglob("*") if p.is_file() and p != seal)
    seal.write_text("".join(f"{hashlib.sha256((run_dir / n).read_bytes()).hexdigest()}  {n}\n" for n in names))
    assert rb.open_run(run_dir).verify().findings == ()


def test_a_run_with_all_it_takes_is_told_to_be_reproducible(code: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_program(code)
    command = ["reproduce", str(run.path), "--check", "--environment", "current"]
    assert cli.main(command) == 0
    out = capsys.readouterr().out
    assert [line.split()[:2] for line in out.splitlines()[1:]] == [
        [point, "yes"] for point in ("intact", "ended", "command", "git", "changes", "environment", "inputs")
    ]
    assert cli.main([*command, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["is_good"], [point["is_good"] for point in told["points"]]) == (True, [True] * 7)


def test_a_run_outside_git_is_told_not_to_be_and_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "plain"
    write(folder, {"train.py": PROGRAM, "src/factor.py": "FACTOR = 2\n", "data.txt": "1\n"})
    run = run_program(folder)
    assert cli.main(["reproduce", str(run.path), "--check"]) == 1
    out = capsys.readouterr().out
    assert re.search(r"^git +no +the run was made outside git", out, re.MULTILINE)
    with pytest.raises(errors.ReproduceRefused, match=r"cannot be made again: .*made outside git.*--check"):
        reproduce(run.path, RUNNING)


def test_a_commit_that_is_nowhere_is_named(tmp_path: Path, code: Path) -> None:
    run = run_program(code)
    other = repository(tmp_path / "other", {"a": "b"})
    found = preflight(run.path, Options(repo=other, current=RUNNING.current))
    assert faults(found) == {
        "git": f"the commit {run.manifest['git_hash'][:12]} is not in {other}: name one that has it by --repo"
    }
    assert faults(preflight(run.path, Options(repo=tmp_path / "gone", current=RUNNING.current))).keys() == {"git"}


def test_a_commit_that_no_branch_has_any_more_is_found(code: Path) -> None:
    run = run_program(code)
    git(code, "commit", "-q", "--amend", "-m", "another", "--date", "2001-01-01T00:00:00")
    assert run.manifest["git_hash"] != git(code, "rev-parse", "HEAD")
    assert reproduce(run.path, RUNNING).verdict == "identical"


def test_files_that_were_left_out_are_named_and_can_be_done_without(code: Path) -> None:
    write(code, {".env": "A=1\n", "big.bin": "x" * (3 << 20)})
    run = run_program(code)
    found = preflight(run.path, RUNNING)
    assert faults(found) == {"changes": "new files were not kept: .env (secret), big.bin (too_large)"}
    with pytest.raises(errors.ReproduceRefused, match="try it all the same by --anyway"):
        reproduce(run.path, RUNNING)
    assert reproduce(run.path, Options(current=RUNNING.current, goes_on=True)).verdict == "identical"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda start: start["provenance"].update(diff=None), "The changes of the code were too long to keep"),
        (lambda start: start.pop("provenance"), "the tree had changes, and they were not kept"),
        (lambda start: start["provenance"].update(is_consistent=False), "the code changed while it was looked at"),
    ],
)
def test_changes_that_were_not_kept_are_named(
    code: Path, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    write(code, {"src/factor.py": "FACTOR = 5\n"})
    run = run_program(code)
    reseal(run.path, change)
    assert faults(preflight(run.path, RUNNING)) == {"changes": said}


def test_a_lock_file_that_is_missing_is_named(code: Path) -> None:
    run = run_program(code)
    assert faults(preflight(run.path, Options())) == {
        "environment": "the run kept no lock file: --environment current takes the running one"
    }


def test_a_lock_file_that_was_changed_in_a_run_sealed_anew_is_named(code: Path) -> None:
    write(code, {"uv.lock": "version = 1\n"})
    git(code, "add", "-A")
    git(code, "commit", "-qm", "locked")
    run = run_program(code)
    (run.path / "provenance/uv.lock").write_text("version = 2\n")
    assert faults(preflight(run.path, Options()))["intact"].startswith(
        "the run does not verify: changed: provenance/uv"
    )
    reseal(run.path, dict)
    assert faults(preflight(run.path, Options())) == {
        "environment": "The bytes of provenance/uv.lock are not those that were recorded"
    }


def test_nothing_of_a_run_that_does_not_verify_is_run(code: Path) -> None:
    run = run_program(code)
    (run.path / "input/data.txt").write_text("1 2 4\n")
    found = preflight(run.path, RUNNING)
    assert [point.code for point in found.points] == ["intact"]
    assert "changed: input/data.txt" in found.points[0].message
    with pytest.raises(errors.ReproduceRefused, match=r"does not verify: changed: input/data.txt"):
        reproduce(run.path, RUNNING)


def test_a_run_that_is_open_is_refused(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(code)
    with rb.start("plain", {}) as run:
        assert faults(preflight(run.path, RUNNING)) == {"ended": "the run is running"}


def test_a_command_that_was_typed_is_told_as_such(code: Path) -> None:
    run = run_program(code)
    reseal(run.path, lambda start: start.update(command=[start["command"][0]]))
    assert faults(preflight(run.path, RUNNING))["command"].startswith("the program was typed")


def test_a_run_of_an_earlier_version_is_told_what_it_did_not_record(code: Path) -> None:
    run = run_program(code)
    reseal(run.path, lambda start: start.pop("invocation"))
    assert faults(preflight(run.path, RUNNING))["command"].startswith("it was not recorded where")


def test_masked_secrets_are_asked_for_by_name_and_never_guessed(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "s3cret-value")
    run = run_program(code, "data.txt", "--api-key", "s3cret-value")
    asked = "api-key, api_key were masked: give --secret api-key=VARIABLE --secret api_key=VARIABLE"
    assert faults(preflight(run.path, RUNNING)) == {"secrets": asked}
    with pytest.raises(errors.ReproduceRefused, match="were masked"):
        reproduce(run.path, RUNNING)
    with pytest.raises(errors.InvalidValue, match="The variable NO_SUCH for the secret api_key is not set"):
        Options(secrets={"api_key": "NO_SUCH"})
    given = {"api_key": "MY_KEY", "api-key": "MY_KEY"}
    done = reproduce(run.path, Options(current=RUNNING.current, secrets=given, is_kept=True))
    assert (done.verdict, done.new_run_dir is not None) == ("identical", True)
    assert done.new_run_dir is not None
    kept = b"".join(place.read_bytes() for place in done.new_run_dir.rglob("*") if place.is_file())
    assert b"s3cret" not in kept
    assert rb.open_run(done.new_run_dir).read("result.json")["key_length"] == 12


@pytest.mark.parametrize("given", ["api_key", "=X", "api_key="])
def test_a_secret_is_given_by_the_name_of_a_variable(
    code: Path, given: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_program(code)
    assert cli.main(["reproduce", str(run.path), "--secret", given]) == 2
    assert "is not KEY=VARIABLE" in capsys.readouterr().err


def test_a_run_of_another_machine_is_run_only_when_it_is_trusted(code: Path) -> None:
    run = run_program(code)
    reseal(run.path, lambda start: start["host"].update(name="elsewhere"))
    assert preflight(run.path, RUNNING).is_good
    with pytest.raises(errors.ReproduceRefused, match=r"another machine, elsewhere; .*train.py data.txt.*--yes"):
        reproduce(run.path, RUNNING)
    assert reproduce(run.path, Options(current=RUNNING.current, is_trusted=True)).verdict == "identical"


def test_attempts_of_different_code_are_not_one_run_to_make_again(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(code)
    project = rb.Project("plain")
    run = project.start({"lr": 1})
    run.finish("failed")
    with project.resume(run.run_id, {"lr": 2}, allow_changed=True):
        pass
    assert faults(preflight(run.path, RUNNING))["ended"] == "its 2 attempts had different code or configurations"


@pytest.mark.parametrize("path", ["../outside.py", "/outside.py", "a/../../outside.py", ".git/hooks/post-checkout"])
def test_a_path_that_leads_out_of_the_checkout_is_refused_also_in_a_run_sealed_anew(
    tmp_path: Path, code: Path, path: str
) -> None:
    write(code, {"new.py": "x = 1\n"})
    run = run_program(code)
    place = run.path / run.manifest["provenance"]["untracked"]["path"]
    listing = json.loads(place.read_text())
    listing["kept"][0]["path"] = path
    place.write_text(json.dumps(listing))
    told = {"sha256": hashlib.sha256(place.read_bytes()).hexdigest(), "bytes": place.stat().st_size}
    reseal(run.path, lambda start: start["provenance"]["untracked"].update(told))
    assert faults(preflight(run.path, RUNNING)).keys() == {"changes"}
    with pytest.raises(errors.ReproduceRefused, match="a new file"):
        reproduce(run.path, RUNNING)
    assert not (tmp_path / "outside.py").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"folder": "../.."}, "the folder of the command"),
        ({"python_path": ["../src"]}, "a folder of modules"),
        ({"places": [{"word": 1, "of": "repository", "path": "../x.py"}]}, "a word of the command"),
        ({"places": [{"word": 99, "of": "python"}]}, "a word 99 that its command has not"),
    ],
)
def test_a_command_that_leads_out_of_the_checkout_is_refused_also_in_a_run_sealed_anew(
    code: Path, change: dict[str, Any], said: str
) -> None:
    run = run_program(code)
    reseal(run.path, lambda start: start["invocation"].update(change))
    with pytest.raises((errors.InvalidName, errors.ReproduceRefused), match=said):
        reproduce(run.path, RUNNING)


def test_a_diff_that_does_not_apply_is_a_clear_error(code: Path) -> None:
    write(code, {"src/factor.py": "FACTOR = 5\n"})
    run = run_program(code)
    place = run.path / "provenance/diff.patch"
    place.write_text(place.read_text().replace("-FACTOR = 2", "-FACTOR = 7"))
    told = {"sha256": hashlib.sha256(place.read_bytes()).hexdigest(), "bytes": place.stat().st_size}
    reseal(run.path, lambda start: start["provenance"]["diff"].update(told))
    with pytest.raises(errors.ReproduceRefused, match=r"Applying the kept changes failed: git says: .*src/factor.py"):
        reproduce(run.path, RUNNING)
    assert list(Path(tempfile.gettempdir()).iterdir()) == []


def test_a_model_that_is_gone_or_changed_is_named(tmp_path: Path) -> None:
    file = tmp_path / "models/seg/net/trained/base/1/best.onnx"
    write(
        tmp_path, {"models/seg/net/trained/base/1/best.onnx": "weights", "models/seg/net/trained/base/1/m.json": "{}"}
    )
    told = {
        "reference": "local://seg/net/trained/base/1",
        "path": "models/seg/net/trained/base/1",
        "bytes": 7,
        "sha256": hashlib.sha256(b"weights").hexdigest(),
    }
    assert model_fault(told, tmp_path) is None
    assert model_fault({**told, "path": f"{told['path']}/best.onnx"}, tmp_path) is None
    assert "names no file" in str(model_fault({**told, "path": "../models"}, tmp_path / "models"))
    file.write_text("weightz")
    assert model_fault(told, tmp_path) == "local://seg/net/trained/base/1 is not there any more, or holds other bytes"
    shutil.rmtree(tmp_path / "models")
    assert model_fault(told, tmp_path) == "local://seg/net/trained/base/1 is not there any more, or holds other bytes"


def test_a_condition_that_there_is_not_is_named() -> None:
    with pytest.raises(errors.InvalidValue, match="no condition 'weather'"):
        Options(current=frozenset({"weather"}))
