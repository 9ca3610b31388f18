"""A state of the code, checked out elsewhere.

The checkout is a repository of its own that borrows the objects of the one which has the commit. So that one is only
read: it has no worktree to forget about, none of its hooks runs, and a kill leaves nothing in it.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

from runbundle.base.errors import ReproduceRefused, UnavailableError
from runbundle.engine.reproduce.code import Code, CodeFile
from runbundle.engine.reproduce.recorded import confined
from runbundle.io.atomic import create_file, make_folder, os_errors
from runbundle.io.confine import inside
from runbundle.run.origin.git import ask, own_environment

_QUIET = ("-c", "core.hooksPath=/dev/null", "-c", "advice.detachedHead=false", "-c", "core.fsmonitor=false")
_GITLINK = b"160000"


def has_commit(repository: Path, commit: str) -> bool:
    """Whether a repository has a commit, be it on a branch or not."""
    return ask(repository, "cat-file", "-e", f"{commit}^{{commit}}").is_good


def find_repository(candidates: Iterator[Path], commit: str) -> Path | None:
    """The first of some folders that lies in a repository which has the commit."""
    return next((folder for folder in candidates if folder.is_dir() and has_commit(folder, commit)), None)


def check_out(code: Code, repository: Path, tree: Path, patch: Path) -> list[str]:
    """Make ``tree`` what the code was.

    Args:
        code: what to check out.
        repository: has the commit; only read.
        tree: a folder that is not there yet.
        patch: where to put the changes for git to read; not there yet.

    Returns:
        The submodules that are left empty, as the repository has not checked them out.

    Raises:
        ReproduceRefused: git refuses: a commit is missing, or the changes do not apply. UnavailableError: git or the
            disk fails. InvalidName: a path leads out of the tree.
    """
    _borrow(repository, tree, code.commit)
    empty = _submodules(code, repository, tree, "")
    if code.diff:
        create_file(patch, code.diff)
        _git(tree, "apply", "--binary", "--whitespace=nowarn", str(patch), doing="Applying the kept changes")
    for file in code.new_files:
        _put(tree, file)
    return empty


def _borrow(source: Path, target: Path, commit: str) -> None:
    """A repository at ``target`` with the objects of another, at a commit."""
    objects = ask(source, "rev-parse", "--path-format=absolute", "--git-path", "objects")
    if not objects.is_good:
        raise ReproduceRefused(f"git says nothing of {source}: {objects.fault}", hint="Name a repository by --repo")
    make_folder(target)
    kind = "sha256" if len(commit) == 64 else "sha1"
    _git(target, "init", "--quiet", "--template=", f"--object-format={kind}", doing="Making a checkout")
    info = target / ".git/objects/info"
    make_folder(info)
    create_file(info / "alternates", f"{objects.line}\n".encode())
    shallow = Path(ask(source, "rev-parse", "--path-format=absolute", "--git-path", "shallow").line)
    if shallow.is_file():
        with os_errors("Reading", shallow):
            create_file(target / ".git/shallow", shallow.read_bytes())
    _git(target, "checkout", "--quiet", "--detach", commit, doing=f"Checking out {commit[:12]}")


def _submodules(code: Code, repository: Path, tree: Path, prefix: str) -> list[str]:
    """Check out the submodules of a tree, and theirs; returns those that the repository has not checked out."""
    empty = []
    for path, commit in _gitlinks(tree):
        name = f"{prefix}{path}"
        wanted = code.submodules.get(name, commit)
        if wanted is None:
            continue
        source, target = (inside(top, path, what="submodule") for top in (repository_top(repository), tree))
        if not (source / ".git").exists():
            empty.append(name)
            continue
        if not has_commit(source, wanted):
            raise ReproduceRefused(
                f"The submodule {name} has no commit {wanted[:12]} in {source}", hint="Fetch it, or name another --repo"
            )
        _borrow(source, target, wanted)
        empty += _submodules(code, source, target, f"{name}/")
    return empty


def _gitlinks(tree: Path) -> Iterator[tuple[str, str]]:
    """The submodules of the commit that is checked out, and the commit of each."""
    listed = ask(tree, "ls-tree", "-r", "-z", "HEAD")
    for line in listed.data.split(b"\0")[:-1]:
        told, _, path = line.partition(b"\t")
        if told.startswith(_GITLINK):
            yield confined(path.decode("utf-8", "surrogateescape"), "a submodule"), told.split()[2].decode("ascii")


def repository_top(folder: Path) -> Path:
    """The top of the repository that holds a folder; of one without files, the folder."""
    answer = ask(folder, "rev-parse", "--show-toplevel")
    return Path(answer.line) if answer.is_good and answer.data else folder


def _put(tree: Path, file: CodeFile) -> None:
    place = inside(tree, confined(file.path, "a new file"), what="new file")
    make_folder(place.parent)
    if place.exists():
        raise ReproduceRefused(f"The new file {file.path} is in the commit already", hint="The run was changed")
    create_file(place, file.data)
    if file.is_executable:
        with os_errors("Making a file executable", place):
            place.chmod(0o755)


def _git(folder: Path, *arguments: str, doing: str) -> None:
    command = ["git", "-C", str(folder), *_QUIET, *arguments]
    try:
        done = subprocess.run(  # noqa: S603 - our own arguments
            command, stdin=subprocess.DEVNULL, capture_output=True, env=own_environment(), check=False
        )
    except OSError as error:
        raise UnavailableError(f"{doing} failed: git cannot be started", hint="Is it installed?") from error
    if done.returncode:
        said = " ".join(done.stderr.decode("utf-8", "replace").split())[-400:]
        raise ReproduceRefused(
            f"{doing} failed: git says: {said or done.returncode}",
            hint="Look at what git says in the repository",
            path=folder,
        )
