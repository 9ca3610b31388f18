"""Artifacts written while the program goes on: the value is copied, and one thread does the rest.

At most one write is being done and one waits. A write that replaces what waits takes its place; another waits until
there is room: so memory holds four copies at most, and a slow disk slows the program down instead of filling memory.
The memory of a copy that was written is kept for the next one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from runbundle.base.errors import RunbundleError, UnavailableError
from runbundle.contract.record import label
from runbundle.contract.spec import ArtifactSpec
from runbundle.io.formats import get_format
from runbundle.run.artifacts import Offer, declared_spec, extra_spec, put_declared, put_extra
from runbundle.run.session import Session


@dataclass(frozen=True, slots=True)
class _Job:
    """A write that is to be done.

    Attributes:
        target: the artifact. value: the copy that is written. replaces: whether it may take the place of another.
        write: does it. hold: keeps the run from ending before it is done.
    """

    target: tuple[str, str | None]
    value: Any
    replaces: bool
    write: Callable[[], object]
    hold: AbstractContextManager[None]


class Background:
    """``RunIO.background``: ``write`` and ``save`` that return when the value is copied. Threads may share it.

    What goes wrong later is raised by the next call here, by ``flush``, at the end of the stage, or by ``finish``,
    which ends the run as failed then; all of these wait for what is being written. Nothing is promised of a write
    before one of them has returned, but that what was there before is whole.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._failures: list[RunbundleError] = []
        self._begin()
        session.background = self

    def _begin(self) -> None:
        self._changed = threading.Condition()
        self._waiting: _Job | None = None
        self._spare: Any = None
        self._is_busy = False

    def write(
        self,
        spec: ArtifactSpec | str,
        value: Any,
        *,
        variant: str | None = None,
        meta: Mapping[str, Any] | None = None,
        description: str | None = None,
        replace: bool = False,
        **options: Any,
    ) -> None:
        """``RunIO.write``, of a copy of the value; arguments as there.

        Raises:
            ContractError: it is not declared. InvalidType: the value cannot be copied.
            RunbundleError: what went wrong with an earlier write in the background; then this one is not done.
        """
        with self._session.blamed():
            found = declared_spec(self._session, spec)
        with self._session.blamed(found.artifact_id):
            copied = get_format(found.format).snapshot(value, self._take_spare())
        offer = Offer(
            value=copied, variant=variant, meta=meta, description=description, replace=replace, options=options
        )
        self._submit((found.artifact_id, variant), offer, lambda: put_declared(self._session, found, offer))

    def save(
        self,
        name: str,
        value: Any,
        *,
        meta: Mapping[str, Any] | None = None,
        description: str = "",
        replace: bool = False,
        **options: Any,
    ) -> None:
        """``RunIO.save``, of a copy of the value; arguments as there, errors as ``write``."""
        with self._session.blamed(str(name)):
            spec, _ = extra_spec(self._session, name, value)
            copied = get_format(spec.format).snapshot(value, self._take_spare())
        offer = Offer(value=copied, meta=meta, description=description, replace=replace, options=options)
        self._submit((name, None), offer, lambda: put_extra(self._session, name, offer))

    def wait(self) -> None:
        """When this returns, all is written that was given before.

        Raises:
            RunbundleError: what went wrong with one of the writes; the others were done.
        """
        with self._changed:
            while self._is_busy:
                self._changed.wait()
        self._raise_failure()

    def failure(self) -> RunbundleError | None:
        """What went wrong and was not told yet, further failures in its notes; it counts as told now."""
        with self._changed:
            failures, self._failures = self._failures, []
        for other in failures[1:]:
            failures[0].add_note(f"Another write in the background failed: {other}")
        return failures[0] if failures else None

    def close(self) -> None:
        """The run is finished: the memory that was kept for the next copy is not needed."""
        self._spare = None

    def forget(self) -> None:
        """In a forked child: the thread and its work are the parent's."""
        self._failures = []
        self._begin()

    def _raise_failure(self) -> None:
        failure = self.failure()
        if failure is not None:
            raise failure

    def _take_spare(self) -> Any:
        """The memory of a copy that is not needed any more."""
        self._raise_failure()
        with self._changed:
            spare, self._spare = self._spare, None
            return spare

    def _submit(self, target: tuple[str, str | None], offer: Offer, write: Callable[[], object]) -> None:
        hold = self._session.acting(elsewhere=True)
        hold.__enter__()
        try:
            passed = self._put(_Job(target, offer.value, offer.replace, write, hold))
        except BaseException:
            hold.__exit__(None, None, None)
            raise
        if passed is not None:
            self._let_go(passed)

    def _as_ours(self, error: BaseException, job: _Job) -> RunbundleError:
        if isinstance(error, RunbundleError):
            return error
        found = UnavailableError(
            f"A write in the background failed: {type(error).__name__}: {error}",
            hint="Write the artifact again",
            run=self._session.run_id,
            artifact=label(*job.target),
            path=self._session.run_dir,
        )
        found.__cause__ = error
        return found

    def _put(self, job: _Job) -> _Job | None:
        """Let a write wait for the thread, which is started if need be; returns the one whose place it took."""
        with self._changed:
            while self._waiting is not None and not (job.replaces and self._waiting.target == job.target):
                self._changed.wait()
            passed = self._waiting
            if not self._is_busy:
                thread = threading.Thread(target=self._work, name="runbundle-background")
                try:
                    thread.start()  # it waits for the condition
                except RuntimeError as error:
                    raise UnavailableError(
                        f"No thread could be started: {error}", hint="Use save() or write() of the run itself"
                    ) from error
                self._is_busy = True
            self._waiting = job
            return passed

    def _work(self) -> None:
        """The thread: writes what waits, until nothing does."""
        while True:
            with self._changed:
                job, self._waiting = self._waiting, None
                self._is_busy = job is not None
                self._changed.notify_all()
            if job is None:
                return
            try:
                job.write()
            except BaseException as error:  # the thread's outermost loop; raised where someone hears it
                with self._changed:
                    self._failures.append(self._as_ours(error, job))
                if not threading.main_thread().is_alive():
                    raise  # nobody will ask any more: the interpreter prints it
            finally:
                self._let_go(job)

    def _let_go(self, job: _Job) -> None:
        with self._changed:
            self._spare = job.value
        job.hold.__exit__(None, None, None)
