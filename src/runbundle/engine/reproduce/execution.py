"""The recorded command, run in a checkout, and the run that it leaves."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from runbundle.base.errors import ReproduceRefused, RunNotFound, UnavailableError
from runbundle.engine.reproduce.environment import Environment
from runbundle.engine.reproduce.options import INPUTS, Options
from runbundle.engine.reproduce.recorded import Recorded, confined, within
from runbundle.engine.reproduce.workplace import Workplace
from runbundle.io.atomic import Staged, copy_into, hash_file, make_folder
from runbundle.io.confine import inside
from runbundle.run.origin.invocation import ENVIRONMENT, PYTHON, REPOSITORY, VARIABLES
from runbundle.run.reproduction import Reproduction, is_original
from runbundle.run.run import Run, open_run
from runbundle.run.settings.secrets import unmask
from runbundle.store.listing import run_folders


@dataclass(frozen=True, slots=True)
class Execution:
    """Where a command is run again.

    Attributes:
        recorded: the old run. options: what was asked for.
        work: the temporary folder. tree: the checkout. repository: what it was checked out from.
        environment: what to run in. store: where the new run goes.
    """

    recorded: Recorded
    options: Options
    work: Workplace
    tree: Path
    repository: Path
    environment: Environment
    store: Path

    def run(self) -> int:
        """Run the command; what it prints goes to stderr. Returns its exit code.

        Raises:
            ReproduceRefused: a word of it leads elsewhere. UnavailableError: it cannot be started.
        """
        folder = within(self.tree, self.recorded.folder, "the folder of the command")
        make_folder(folder)  # it may hold nothing that git knows
        make_folder(self.store)
        words = self.words()
        output = sys.stderr.fileno() if _has_descriptor() else subprocess.DEVNULL
        try:
            with subprocess.Popen(  # noqa: S603 - that is what was asked for
                words,
                cwd=folder,
                env=self.variables(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(self.work.lock,),
            ) as process:
                return process.wait()
        except OSError as error:
            raise UnavailableError(
                f"{words[0]} cannot be started: {error.strerror}",
                hint="Install it, or put it on the PATH",
                path=words[0],
            ) from error

    def words(self) -> list[str]:
        """The command's words, each place in them where it lies now, its secrets put back."""
        words = list(self.recorded.command)
        places = (self.recorded.invocation or {}).get("places", [])
        for place in places:
            number = place["word"]
            if type(number) is not int or not 0 <= number < len(words):
                raise ReproduceRefused(f"The run tells of a word {number} that its command has not")
            words[number] = f"{place.get('after', '')}{self._placed(place)}"
        words = [self._with_input(word) for word in words]
        found: list[str] = unmask(words, lambda key: os.environ[self.options.secrets[key]])
        return found

    def _placed(self, place: Mapping[str, Any]) -> Path:
        if place["of"] == PYTHON:
            return self.environment.python
        top = {ENVIRONMENT: self.environment.prefix, REPOSITORY: self.tree}[place["of"]]
        return top / confined(str(place["path"]), "a word of the command")

    def _with_input(self, word: str) -> str:
        """A word that names an input of the run: the run's copy of it, where the file is gone or holds something else.

        A program may look at what it is given before the library sees it. Where inputs are taken as they are now: the
        file that it came from.
        """
        before, sign, value = word.rpartition("=")
        for told in self.recorded.run.manifest["inputs"]:
            for head, path in {("", word), (f"{before}{sign}", value)}:
                if not path or not self._names(path, told):
                    continue
                if self.options.takes_recorded(INPUTS):
                    place = self.tree / self.recorded.folder / path
                    if not place.is_file() or hash_file(place).sha256 != told["sha256"]:
                        return f"{head}{self._copied(told)}"
                elif Path(told["original_path"]).is_file():
                    return f"{head}{told['original_path']}"
        return word

    def _names(self, path: str, told: Mapping[str, Any]) -> bool:
        """Whether a path names what an input was taken from: where it was, or at the same place of another checkout."""
        absolute = os.path.normpath(self.tree / self.recorded.folder / path)
        is_it = is_original(told, path, None) or is_original(told, absolute, self.tree)
        return told["sha256"] is not None and is_it

    def _copied(self, told: Mapping[str, Any]) -> Path:
        """A copy for the program, which may do with it what it likes."""
        folder = self.work.path / "input"
        make_folder(folder)
        place = folder / PurePosixPath(told["filename"]).name
        if not place.exists():
            with Staged(place) as staged:
                copy_into(inside(self.recorded.run.path, told["filename"], what="input"), staged)
                staged.seal()
                staged.create()
        return place

    def variables(self) -> dict[str, str]:
        """The environment of the command: this process's, with the recorded variables, and what says what it is."""
        told = self.recorded.invocation or {}
        own = {
            name: value
            for name, value in os.environ.items()
            if name not in VARIABLES and not name.startswith(("RUNBUNDLE_", "GIT_")) and name != "VIRTUAL_ENV"
        }
        again = Reproduction(
            self.recorded.run.path,
            self.store,
            self.recorded.home,
            self.options.secrets,
            self.options.current & {"config", "inputs"},
        )
        recorded = {name: str(value) for name, value in told.get("variables", {}).items() if name in VARIABLES}
        path = {"PATH": f"{self.environment.prefix / 'bin'}{os.pathsep}{own.get('PATH', os.defpath)}"}
        python = {"PYTHONPATH": os.pathsep.join(self._python_path(told)), "PYTHONDONTWRITEBYTECODE": "1"}
        return {**own, **recorded, **path, **python, **again.environment()}

    def _python_path(self, told: Mapping[str, Any]) -> Iterator[str]:
        """Where the command's modules come from: its own from the checkout, never from the folder it was made from."""
        for relative in told.get("python_path", []):
            yield str(self.tree / confined(str(relative), "a folder of modules"))
        if not self.environment.is_locked:
            for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep):
                if entry and not Path(entry).resolve().is_relative_to(self.repository):
                    yield entry

    def new_run(self, exit_code: int) -> Run:
        """The run that the command left in the place of the old one.

        Raises:
            ReproduceRefused: it left none.
        """
        uuid = self.recorded.run.manifest["run_uuid"]
        found = [run for run in _runs(self.store) if (run.manifest.get("reproduces") or {}).get("run_uuid") == uuid]
        if not found:
            raise ReproduceRefused(
                f"The command ended with exit code {exit_code} and left no run in the place of the old one",
                hint="See what it said above; a runbundle in its environment that cannot do this leaves none either",
                run=self.recorded.run.run_id,
            )
        inputs = _digests(self.recorded.run)
        return next((run for run in found if _digests(run) == inputs), found[-1])


def _digests(run: Run) -> set[str]:
    return {str(told["sha256"]) for told in run.manifest["inputs"]}


def _runs(store: Path) -> Iterator[Run]:
    try:
        folders = list(run_folders(store))
    except RunNotFound:  # nothing was made there
        return
    for folder in folders:
        yield open_run(folder)


def _has_descriptor() -> bool:
    """Whether this process has a stderr that another can write to."""
    try:
        return sys.stderr.fileno() >= 0
    except (OSError, AttributeError, ValueError):
        return False
