"""A run that another program's training is recorded into: begun when it is first needed, ended once.

What the integrations share, so that they behave alike:

- The run is reached by whoever asks first; where ``RUNBUNDLE_RUN_DIR`` names a run (a Hydra job's, say), it is that
  one. Who begins a run ends it; a run that somebody else began is never ended here.
- An error of the library's own is raised where it happens (``on_error="raise"``), or warned of and counted
  (``"warn"``): then the training goes on, and the run says at its end, as ``lost_writes`` of its summary, how many
  calls left nothing. A full disk costs a training its record then, and not its life; which of the two is worse is for
  its user to say. What is no error of the library is never caught.
  An exception of the training's own is never hidden by one of the library's: that becomes a note on it.
- A training that ended well may be followed by more (a test, another fit), so its run stays open, made safe, until it
  is ended by its handle or the process ends; then it is completed. One that was left by an exception is failed at
  once, or aborted by Ctrl-C.
"""

from __future__ import annotations

import atexit
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, get_args

from runbundle.base.errors import InvalidValue, RunbundleError
from runbundle.interop import ranks
from runbundle.run.ending import outcome
from runbundle.run.join import RUN_DIR_VARIABLE
from runbundle.run.project import Project, named_project
from runbundle.run.runio import RunIO

OnError = Literal["raise", "warn"]
LOST = "lost_writes"


class Recording:
    """The run of a training, from its first need to its end. For one thread.

    Args:
        project: the project whose run it is to be, or its name.
        run: a run that is open already, and that its owner ends.
        on_error: what becomes of an error of the library.

    Attributes:
        project: the project.

    Raises:
        InvalidValue: ``on_error`` is neither. InvalidName: no project can have the name.
    """

    def __init__(
        self, project: Project | str | None = None, run: RunIO | None = None, on_error: OnError = "raise"
    ) -> None:
        if on_error not in get_args(OnError):
            raise InvalidValue(f"on_error is {' or '.join(get_args(OnError))}, not {on_error!r}")
        self.project = project if isinstance(project, Project) else named_project(project)
        self._run, self._on_error = run, on_error
        self._owner_pid: int | None = None
        self._error: RunbundleError | None = None
        self._lost = 0
        self._is_at_rest = False

    @property
    def has_begun(self) -> bool:
        """Whether there is a run that was not ended here."""
        return self._run is not None

    @property
    def run(self) -> RunIO:
        """The handle of the run, which is begun with it.

        Raises:
            RunbundleError: it cannot be begun, or could not when it was tried.
        """
        return self.begin(None) if self._run is None else self._run

    def begin(self, config: Any) -> RunIO:
        """A run with that configuration; where one is open, that one.

        Raises:
            RunbundleError: as ``ranks.start``. Where errors are to be warned of, it is tried once.
        """
        if self._run is not None and not self._run.is_finished:
            return self._run
        if self._error is not None and self._on_error == "warn":
            raise self._error
        is_ours = not os.environ.get(RUN_DIR_VARIABLE)
        try:
            self._run = ranks.start(self.project, config)
        except RunbundleError as error:
            self._error = error
            raise
        self._lost, self._is_at_rest = 0, False
        self._owner_pid = os.getpid() if is_ours else None
        if is_ours:
            atexit.register(self._end_with_process)
        return self._run

    def begin_anew(self, config: Any) -> RunIO:
        """A run with that configuration. One of ours that is open ends before: completed, if it is at rest."""
        self.end(None if self._is_at_rest else SystemExit("The training was left, and another begun"))
        return self.begin(config)

    @contextmanager
    def heeding(self) -> Iterator[None]:
        """Errors of the library inside are raised, or warned of and counted, as the user chose."""
        try:
            yield
        except RunbundleError as error:
            if self._on_error == "raise":
                raise
            self._lost += 1
            warnings.warn(f"Not recorded: {error}", RuntimeWarning, stacklevel=4)

    def rest(self) -> None:
        """The training ended well: a power cut loses nothing of it. More may follow."""
        self._is_at_rest = True
        if self._run is not None and not self._run.is_finished:
            self._run.flush()

    def wake(self) -> None:
        """There is more: until it rests again, an end of the process is no good end."""
        self._is_at_rest = False

    def end(self, error: BaseException | None) -> None:
        """End the run, if it is ours and open: completed, failed by an error, aborted by Ctrl-C."""
        run, is_ours = self._run, self._owner_pid == os.getpid()
        if run is None or not is_ours or run.is_finished:
            return
        try:
            if self._lost:
                run.summary[LOST] = self._lost
            run.finish(*outcome(run.path, error))
        finally:
            if run.is_finished:  # else it is tried again when the process ends
                atexit.unregister(self._end_with_process)
                self._run = None

    def fail(self, error: BaseException) -> None:
        """``end`` by an exception that is on its way: an error of the library is noted on it, and does not hide it."""
        try:
            self.end(error)
        except RunbundleError as found:
            error.add_note(f"Its run could not be ended: {found}")

    def _end_with_process(self) -> None:
        """Complete what is at rest, unless an exception ends the process. All else the run does by itself."""
        if self._is_at_rest and (hasattr(sys, "ps1") or getattr(sys, "last_value", None) is None):
            self.end(None)
