"""What a run keeps of the code that made it (seed 002, sections 3 and 7)."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import runbundle as rb
from runbundle import errors
from runbundle.run.origin import code, git, newfiles, provenance
from runbundle.run.origin.newfiles import is_secret_file
from sample_runs import codes, files, project

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def do(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false"]
    command = ["git", *identity, "-c", "protocol.file.allow=always", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


def make_repository(folder: Path, contents: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True)
    do(folder, "init", "-q", "-b", "main")
    write(folder, contents)
    do(folder, "add", "-A")
    do(folder, "commit", "-q", "-m", "first")
    return folder


def write(folder: Path, contents: dict[str, bytes]) -> None:
    for name, data in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clean repository; the current folder is in it."""
    folder = make_repository(
        tmp_path / "code",
        {
            "train.py": b"lr = 1\n",
            "below/x.py": b"x = 1\n",
            "gone.py": b"g",
            "logo.bin": bytes(range(256)),
            ".gitignore": b"*.log\n",
        },
    )
    monkeypatch.chdir(folder / "below")
    return folder


def told(run: rb.RunIO) -> dict[str, Any]:
    found: dict[str, Any] = rb.open_run(run.path).manifest["provenance"]
    return found


def listing(run: rb.RunIO) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run.path / told(run)["untracked"]["path"]).read_bytes())
    return found


def kept(run: rb.RunIO) -> dict[str, bytes]:
    """The new files that a run keeps, by their paths in the repository."""
    folder = (run.path / told(run)["untracked"]["path"]).parent
    found = {}
    for item in listing(run)["kept"]:
        data = (folder / item["kept_as"]).read_bytes()
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (item["sha256"], item["bytes"])
        found[item["path"]] = data
    return found


def left_out(run: rb.RunIO) -> dict[str, str]:
    return {item["path"]: item["reason"] for item in listing(run)["left_out"]}


# --- clean and dirty trees ------------------------------------------------------------------------


@needs_git
def test_a_clean_tree_leaves_the_list_of_packages_alone(tree: Path, tmp_path: Path) -> None:
    run = project(tmp_path / "store").start()
    assert {path for path in files(run.path) if path.startswith("provenance/")} == {"provenance/packages.json"}
    assert told(run).keys() == {"packages"}
    assert rb.open_run(run.path).manifest["git_hash"] == do(tree, "rev-parse", "HEAD")


@needs_git
def test_the_diff_and_the_new_files_make_the_commit_what_the_tree_was(tree: Path, tmp_path: Path) -> None:
    do(tree, "rm", "-q", "gone.py")
    write(tree, {"train.py": b"lr = 2\n", "logo.bin": bytes(300), "new/deep/model.py": b"m", "seen.log": b"ignored"})
    write(tree, {"staged.py": b"s = 1\n"})
    do(tree, "add", "staged.py")
    (tree / "new/tool.sh").write_bytes(b"#!/bin/sh\n")
    (tree / "new/tool.sh").chmod(0o755)
    run = project(tree).start()
    assert kept(run) == {"new/deep/model.py": b"m", "new/tool.sh": b"#!/bin/sh\n"}
    assert [item["is_executable"] for item in listing(run)["kept"]] == [False, True]
    assert (told(run)["is_consistent"], listing(run)["is_complete"], left_out(run)) == (True, True, {})
    copy = tmp_path / "copy"
    do(tmp_path, "clone", "-q", str(tree), str(copy))
    do(copy, "apply", str(run.path / "provenance/diff.patch"))
    names = ("train.py", "logo.bin", "staged.py", ".gitignore")
    assert {name: (copy / name).read_bytes() for name in names} == {name: (tree / name).read_bytes() for name in names}
    assert not (copy / "gone.py").exists()
    run.finish()
    sealed = (run.path / "SHA256SUMS").read_text()
    assert "provenance/diff.patch" in sealed
    assert "provenance/untracked/new/deep/model.py" in sealed
    assert codes(rb.open_run(run.path).verify()) == []


@needs_git
def test_the_stores_own_folders_are_never_kept(tree: Path) -> None:
    write(tree, {"runs/old/x.json": b"{}", "models/m.bin": b"m", "out/runs/y.json": b"{}", "out/z.py": b"z"})
    assert kept(project(tree / "out").start()) == {"out/z.py": b"z"}


@needs_git
def test_what_the_user_configured_for_diffs_does_not_spoil_them(tree: Path, tmp_path: Path) -> None:
    for name, value in {
        "diff.noprefix": "true",
        "color.ui": "always",
        "diff.external": "false",
        "diff.context": "0",
        "status.showUntrackedFiles": "no",
        "core.quotePath": "true",
    }.items():
        do(tree, "config", name, value)
    write(tree, {"train.py": b"lr = 3\n", "ü.py": b"u"})
    run = project(tmp_path / "store").start()
    assert kept(run) == {"ü.py": b"u"}
    do(tree, "stash", "-q")
    do(tree, "apply", "-p1", str(run.path / "provenance/diff.patch"))
    assert (tree / "train.py").read_bytes() == b"lr = 3\n"


@needs_git
def test_changes_in_submodules_are_kept_as_well(tree: Path, tmp_path: Path) -> None:
    library = make_repository(tmp_path / "library", {"lib.py": b"v = 1\n"})
    for name in ("changed", "moved", "still"):
        do(tree, "submodule", "add", "-q", str(library), f"libs/{name}")
    do(tree, "commit", "-q", "-m", "submodules")
    write(tree / "libs/changed", {"lib.py": b"v = 2\n", "more.py": b"m"})
    write(tree / "libs/moved", {"lib.py": b"v = 3\n"})
    do(tree / "libs/moved", "commit", "-q", "-a", "-m", "moved")
    run = project(tmp_path / "store").start()
    commits = {item["path"]: item["commit"] for item in told(run)["submodules"]}
    assert commits == {f"libs/{name}": do(tree / "libs" / name, "rev-parse", "HEAD") for name in ("changed", "moved")}
    assert kept(run) == {"libs/changed/more.py": b"m"}
    copy = tmp_path / "copy"
    do(tmp_path, "clone", "-q", "--recurse-submodules", str(tree), str(copy))
    do(copy, "apply", str(run.path / "provenance/diff.patch"))
    assert (copy / "libs/changed/lib.py").read_bytes() == b"v = 2\n"


@needs_git
def test_before_the_first_commit_all_files_are_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "code"
    folder.mkdir()
    do(folder, "init", "-q")
    write(folder, {"a.py": b"a", "b.py": b"b"})
    do(folder, "add", "a.py")
    monkeypatch.chdir(folder)
    run = project(tmp_path / "store").start()
    assert run.run_id.endswith("_nogit")
    assert kept(run) == {"a.py": b"a", "b.py": b"b"}


# --- what is left out -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *(".env", ".env.local", "prod.env", ".envrc", "a/.netrc", "server.pem", "x.KEY", "id_rsa", "id_ed25519.old"),
        *("credentials.json", "client_secret.json", "secrets.yaml", ".aws/config", "hf_token", ".npmrc", "api-key.txt"),
        *("service-account-1.json", ".git-credentials", "db.password"),
    ],
)
def test_files_that_hold_secrets_are_known_by_their_names(name: str) -> None:
    assert is_secret_file(name.encode())


@pytest.mark.parametrize(
    "name", [".env.example", "secrets.py", "tokenizer.json", "keys.md", "environment.yml", "monkey", "tokens.txt"]
)
def test_other_files_are_not(name: str) -> None:
    assert not is_secret_file(name.encode())


@needs_git
def test_files_that_hold_secrets_are_never_copied_be_they_new_or_changed(tree: Path, tmp_path: Path) -> None:
    write(tree, {"conf/.env": b"KEY=old\n"})
    do(tree, "add", "-A")
    do(tree, "commit", "-q", "-m", "unwise")
    write(tree, {"conf/.env": b"KEY=hidden-one\n", "key.pem": b"hidden-two", "train.py": b"lr = 4\n"})
    run = project(tmp_path / "store").start()
    run.finish()
    held = b"".join((run.path / path).read_bytes() for path in files(run.path))
    assert b"hidden-" not in held
    assert b"lr = 4" in held
    assert left_out(run) == {"conf/.env": "secret", "key.pem": "secret"}


@needs_git
def test_new_files_that_hold_a_secret_of_the_configuration_are_never_copied(tree: Path, tmp_path: Path) -> None:
    write(tree, {"out/train.txt": b"the password is word-of-the-demo", "pin.txt": b"a1b2", "b.txt": b"xa1b2x"})
    write(tree, {"outputs/.hydra/config.yaml": b"password: older"})
    with project(tmp_path / "data").start({"password": "word-of-the-demo", "pin_code": {"secret": "a1b2"}}) as run:
        pass
    assert not [place for place in run.path.rglob("*") if place.is_file() and b"word-of-the" in place.read_bytes()]
    told = json.loads((run.path / "provenance/untracked.json").read_text())
    assert [file["path"] for file in told["kept"]] == ["b.txt"]
    assert {file["path"]: (file["reason"], file["bytes"]) for file in told["left_out"]} == {
        "out/train.txt": ("secret", 32),
        "outputs/.hydra/config.yaml": ("secret", 15),
        "pin.txt": ("secret", 4),
    }


def test_what_is_left_out_is_told_with_its_size(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newfiles, "_MOST_FILE", 100)
    monkeypatch.setattr(newfiles, "_MOST_BYTES", 150)
    monkeypatch.setattr(newfiles, "_MOST_FILES", 3)
    write(tree, {"a.bin": bytes(101), "b.bin": bytes(90), "c.py": bytes(40), "d.py": b"d", "e.py": b"e"})
    (tree / "link").symlink_to("/etc/hostname")
    make_repository(tree / "nested", {"x.py": b"x"})
    os.mkfifo(tree / "pipe")
    run = project(tmp_path / "store").start()
    assert kept(run).keys() == {"c.py", "d.py", "e.py"}
    assert left_out(run) == {"a.bin": "too_large", "b.bin": "no_room", "link": "link", "nested/": "repository"}
    assert {item["path"]: item["bytes"] for item in listing(run)["left_out"]}["a.bin"] == 101


@needs_git
def test_of_very_many_new_files_some_are_listed_and_the_rest_is_counted(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(newfiles, "_MOST_FILES", 1)
    monkeypatch.setattr(newfiles, "_MOST_LEFT_OUT", 2)
    write(tree, {f"n{number}.py": b"n" for number in range(6)})
    run = project(tmp_path / "store").start()
    told = listing(run)
    assert (len(told["kept"]), len(told["left_out"]), told["left_out_more"], told["is_complete"]) == (1, 2, 3, True)


@needs_git
def test_a_list_of_new_files_that_is_too_long_says_so(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(newfiles, "_MOST_NAMES", 10)
    write(tree, {f"long-name-{number}.py": b"n" for number in range(6)})
    run = project(tmp_path / "store").start()
    assert (listing(run)["is_complete"], told(run)["is_consistent"]) == (False, False)


@needs_git
def test_a_diff_that_is_too_long_is_told_and_not_kept(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code, "_MOST_DIFF", 10)
    write(tree, {"train.py": b"lr = 5\n"})
    run = project(tmp_path / "store").start()
    assert told(run)["diff"] is None
    assert not (run.path / "provenance/diff.patch").exists()
    run.finish("failed")
    project(tmp_path / "store").resume(run.run_id).finish()


NAMES = (b"line\nbreak.py", b"back\\slash.py", b"not-utf-8-\xff.py", b"tab\t.py", b" lead", b"con.py", b"A.py", b"a.py")


@needs_git
def test_any_name_that_a_disk_takes_is_kept(tree: Path, tmp_path: Path) -> None:
    for number, name in enumerate(NAMES):
        with open(os.fsencode(tree) + b"/" + name, "wb") as stream:  # noqa: PTH123 - a name of bytes
            stream.write(b"%d" % number)
    run = project(tmp_path / "store").start()
    found = {bytes.fromhex(item["path_hex"]) if "path_hex" in item else item["path"].encode(): item for item in
             listing(run)["kept"]}  # fmt: skip
    folder = run.path / "provenance"
    assert {name: (folder / item["kept_as"]).read_bytes() for name, item in found.items()} == {
        name: b"%d" % number for number, name in enumerate(NAMES)
    }
    run.finish()
    assert codes(rb.open_run(run.path).verify()) == []


# --- one look -------------------------------------------------------------------------------------


def meddle(monkeypatch: pytest.MonkeyPatch, tree: Path, times: int) -> list[int]:
    """Change the tree after each of the first looks."""
    take, done = code._take, [0]

    def meddled(root: Path, paths: Any, prefix: str = "") -> Any:
        look = take(root, paths, prefix)
        done[0] += 1
        if done[0] <= times:
            (tree / "train.py").write_text(f"lr = {done[0]}0\n")
        return look

    monkeypatch.setattr(code, "_take", meddled)
    return done


@needs_git
def test_a_tree_that_comes_to_rest_is_looked_at_again(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tree, {"train.py": b"lr = 6\n"})
    looks = meddle(monkeypatch, tree, 1)
    run = project(tmp_path / "store").start()
    assert (told(run)["is_consistent"], looks) == (True, [3])
    assert b"+lr = 10\n" in (run.path / "provenance/diff.patch").read_bytes()


@needs_git
def test_a_tree_that_does_not_come_to_rest_is_told(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tree, {"train.py": b"lr = 6\n"})
    looks = meddle(monkeypatch, tree, 100)
    assert told(project(tmp_path / "store").start())["is_consistent"] is False
    assert looks == [4]


@needs_git
def test_a_second_run_of_a_process_asks_git_nothing(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tree, {"train.py": b"lr = 7\n", "new.py": b"n"})
    first = project(tmp_path / "store").start()
    write(tree, {"train.py": b"lr = 8\n", "new.py": b"o"})
    monkeypatch.setattr(subprocess, "Popen", None)
    second = project(tmp_path / "store").start()
    assert kept(second) == kept(first) == {"new.py": b"n"}
    assert told(second)["diff"]["sha256"] == told(first)["diff"]["sha256"]


# --- git's own traps ------------------------------------------------------------------------------


@needs_git
def test_variables_of_a_hook_do_not_lead_to_another_repository(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_repository(tmp_path / "other", {"o.py": b"o"})
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "no-index"))
    monkeypatch.setenv("GIT_LITERAL_PATHSPECS", "1")
    state = code.git_state(tree)
    assert (state.root, state.is_dirty) == (tree, False)


def fake_git(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    folder.mkdir()
    (folder / "git").write_text(f"#!{sys.executable}\n{script}")
    (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ("fatal: detected dubious ownership in repository at '/x'", "git does not trust the owner of the repository"),
        ("fatal: not a git repository (or any of the parent directories): .git", None),
        ("fatal: the disk is on fire", "git failed"),
    ],
)
def test_why_git_does_not_answer_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, fault: str | None
) -> None:
    fake_git(tmp_path / "bin", monkeypatch, f"import sys; sys.exit(sys.stderr.write({said!r}) and 128)")
    run = project(tmp_path / "store").start()
    assert run.run_id.endswith("_nogit")
    assert told(run).get("git_fault") == fault


def test_a_git_that_never_answers_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git, "_TIMEOUT_S", 0.2)
    fake_git(tmp_path / "bin", monkeypatch, "import time; time.sleep(60)")
    assert "did not answer" in told(project(tmp_path / "store").start())["git_fault"]


@needs_git
def test_a_status_that_fails_is_no_clean_tree(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, commit = shutil.which("git"), do(tree, "rev-parse", "HEAD")
    script = f"import os, sys\nif 'status' in sys.argv: sys.exit(1)\nos.execv({real!r}, sys.argv)"
    fake_git(tmp_path / "bin", monkeypatch, script)
    manifest = rb.open_run(project(tmp_path / "store").start().path).manifest
    assert (manifest["git_hash"], manifest["git_dirty"]) == (commit, True)
    assert manifest["provenance"]["git_fault"] == "git failed"


@pytest.mark.parametrize("fault", ["git is not installed", None])
def test_without_git_a_repository_is_told_to_be_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str | None
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    if fault:
        (tmp_path / ".git").mkdir()
    assert told(project(tmp_path / "store").start()).get("git_fault") == fault


# --- attempts -------------------------------------------------------------------------------------


@needs_git
def test_a_resumed_run_keeps_the_changes_of_both_attempts(tree: Path, tmp_path: Path) -> None:
    write(tree, {"train.py": b"lr = 7\n", "new.py": b"first"})
    run = project(tmp_path / "store").start()
    run.finish("failed")
    before = {path: (run.path / path).read_bytes() for path in files(run.path) if path.startswith("provenance/")}
    write(tree, {"train.py": b"lr = 8\n", "new.py": b"second"})
    code.forget_code()
    with pytest.raises(errors.ResumeRefused, match="the code"):
        project(tmp_path / "store").resume(run.run_id)
    again = project(tmp_path / "store").resume(run.run_id, allow_changed=True)
    assert (again.path / "provenance/untracked/new.py").read_bytes() == b"first"
    assert (again.path / "provenance/attempt.2/untracked/new.py").read_bytes() == b"second"
    assert b"lr = 8" in (again.path / "provenance/attempt.2/diff.patch").read_bytes()
    assert kept(again) == {"new.py": b"second"}
    assert told(again)["packages"]["path"] == "provenance/packages.json"
    again.finish()
    assert {path: (run.path / path).read_bytes() for path in before} == before
    assert codes(rb.open_run(run.path).verify()) == []


@needs_git
def test_files_that_a_program_left_beside_clean_code_are_no_change_of_it(tree: Path, tmp_path: Path) -> None:
    run = project(tmp_path / "store").start()
    run.finish("failed")
    write(tree, {"outputs/curve.csv": b"1,2\n"})
    code.forget_code()
    again = project(tmp_path / "store").resume(run.run_id)
    assert again.is_finished is False
    again.finish("failed")
    (tree / "outputs/curve.csv").unlink()
    code.forget_code()
    project(tmp_path / "store").resume(run.run_id).finish()


@needs_git
def test_another_commit_in_a_submodule_is_a_change_of_the_code(tree: Path, tmp_path: Path) -> None:
    library = make_repository(tmp_path / "library", {"lib.py": b"v = 1\n"})
    do(tree, "submodule", "add", "-q", str(library), "lib")
    do(tree, "commit", "-q", "-m", "submodules")
    run = project(tmp_path / "store").start()
    run.finish("failed")
    for value in (b"2", b"3"):
        write(tree / "lib", {"lib.py": value})
        do(tree / "lib", "commit", "-q", "-a", "-m", "moved")
        code.forget_code()
        with pytest.raises(errors.ResumeRefused, match="the code"):
            project(tmp_path / "store").resume(run.run_id)
        project(tmp_path / "store").resume(run.run_id, allow_changed=True).finish("failed")


@needs_git
def test_a_resume_under_the_same_code_keeps_nothing_twice(tree: Path, tmp_path: Path) -> None:
    write(tree, {"train.py": b"lr = 7\n", "new.py": b"first"})
    run = project(tmp_path / "store").start()
    run.finish("failed")
    before = {path for path in files(run.path) if path.startswith("provenance/")}
    said = told(run)
    code.forget_code()
    again = project(tmp_path / "store").resume(run.run_id)
    assert {path for path in files(run.path) if path.startswith("provenance/")} == {*before, "provenance/SHA256SUMS.1"}
    assert told(again) == said


# --- the environment ------------------------------------------------------------------------------


def test_every_installed_package_is_listed(tmp_path: Path) -> None:
    run = project(tmp_path).start()
    packages = json.loads((run.path / "provenance/packages.json").read_bytes())
    assert packages["pytest"] == version("pytest")
    assert packages["ruamel.yaml"] == version("ruamel.yaml")
    assert rb.open_run(run.path).manifest["package_versions"].items() <= packages.items()


HASHED = b"numpy==2.0 \\\n    --hash=sha256:" + b"0" * 64 + b"\n"


@needs_git
@pytest.mark.parametrize(
    ("there", "name"),
    [
        ({"uv.lock": b"u", "pylock.toml": b"p"}, "uv.lock"),
        ({"pylock.toml": b"p", "requirements.txt": HASHED}, "pylock.toml"),
        ({"requirements.txt": b"numpy\n", "requirements-hashed.txt": HASHED}, "requirements-hashed.txt"),
        ({"uv.lock": b"far", "below/pylock.toml": b"near"}, "pylock.toml"),
        ({"requirements.txt": b"numpy\n", "../uv.lock": b"above the repository"}, None),
    ],
)
def test_seed_002_section_7_the_lock_file_is_kept_with_its_digest(
    tree: Path, tmp_path: Path, there: dict[str, bytes], name: str | None
) -> None:
    write(tree, there)
    run = project(tmp_path / "store").start()
    told = rb.open_run(run.path).manifest.get("lock_file")
    if name is None:
        assert told is None
        return
    data = there.get(f"below/{name}", there.get(name))
    assert data is not None
    assert told == {
        "name": name,
        "folder": "below" if f"below/{name}" in there else ".",
        "path": f"provenance/{name}",
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
    }
    assert (run.path / "provenance" / name).read_bytes() == data


def test_an_index_with_its_password_is_masked_in_the_lock_file(tmp_path: Path) -> None:
    (tmp_path / "uv.lock").write_text('source = "https://me:hidden-pw@index/simple"\n')
    run = project(tmp_path / "store").start()
    assert rb.open_run(run.path).manifest["lock_file"]["is_masked"] is True
    assert (run.path / "provenance/uv.lock").read_text() == 'source = "https://me:<secret:url>@index/simple"\n'


def test_seed_002_section_3_torch_cuda_and_devices_are_told_if_torch_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch: Any = SimpleNamespace(__version__="2.13.0", version=SimpleNamespace(cuda="13.1"))
    monkeypatch.setitem(sys.modules, "torch", torch)
    manifest = rb.open_run(project(tmp_path).start().path).manifest
    assert (manifest["torch_version"], manifest["cuda_version"]) == ("2.13.0", "13.1")
    assert manifest["device_info"]["cpu_count"] == os.cpu_count()


@pytest.mark.parametrize("module", [None, SimpleNamespace()])
def test_without_torch_nothing_is_told_and_it_is_never_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Any
) -> None:
    monkeypatch.setitem(sys.modules, "torch", module)
    manifest = rb.open_run(project(tmp_path).start().path).manifest
    assert manifest.keys().isdisjoint({"torch_version", "cuda_version", "device_info"})


def test_the_devices_are_those_that_the_driver_names(tmp_path: Path) -> None:
    for number, model in enumerate(("NVIDIA A100", "NVIDIA L4")):
        write(tmp_path, {f"{number}/information": f"Model: \t\t {model}\nIRQ: 5\n".encode()})
    assert provenance._gpus(tmp_path) == ["NVIDIA A100", "NVIDIA L4"]
    assert provenance._gpus(tmp_path / "none") == []
