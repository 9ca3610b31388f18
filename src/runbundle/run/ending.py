"""How runs end that nobody ends: by SIGTERM, by an error that nobody catches, or with the program.

A run that is used as a context manager is ended by leaving the block. For the others, and for the signal, this module
keeps a list of the runs that this process has started and not finished, and nothing else: a handle that is dropped is
not kept alive. All of it is in place only while there is such a run, and nothing of it goes into a forked child.

- SIGTERM raises ``Terminated`` in the main thread, so that blocks are left as they are by Ctrl-C; when the last run is
  ended, as ``aborted``, the process dies by the signal as it would have. A second SIGTERM kills at once. Where the
  program has a handler of its own, that one decides: it is called, and the run is ``aborted`` when its block ends,
  whatever the handler did. A handler that is set while a run is open takes the place of this one.
- An error that reaches the top of the main thread is recorded, with its traceback, when the program ends.
- A run that is still open when the program ends is ``failed``. Only the program can say that it is completed, and it
  has not; ``aborted`` would say that a signal came. A program that ended in ``sys.exit`` outside of a block looks the
  same from here. What kills a process at once (SIGKILL, ``os._exit``, a power cut) leaves a run that reads as
  ``interrupted``.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Protocol

from runbundle.base.clock import SystemClock
from runbundle.base.errors import RunbundleError, RunClosed
from runbundle.run.disabled import remove_scratch
from runbundle.run.finish import finish
from runbundle.run.log.manifest import ABORTED, COMPLETED, FAILED, MANIFEST
from runbundle.run.metrics.log import MetricLog
from runbundle.run.reopen import take_back
from runbundle.run.session import Session

PATIENCE_S = 5.0  # for processes that joined, when the program ends: whoever stops it waits as well


class Terminated(BaseException):
    """The process got SIGTERM. As KeyboardInterrupt, it is no error that a program should catch."""


class Handle(Protocol):
    """A run's handle, as far as its end is concerned."""

    def finish(self, status: str, error: BaseException | None, *, patience_s: float) -> str | None:
        """End the run."""


@dataclass(slots=True)
class _Open:
    """A run that this process has started and not finished.

    Attributes:
        handle, session: its handle and what that holds, unless they were dropped. attempt: the number of the attempt.
        shown: what may be seen of its configuration. is_signalled: whether SIGTERM came since.
    """

    handle: weakref.ref[Handle]
    session: weakref.ref[Session]
    attempt: int
    shown: Any
    is_signalled: bool = False


_open: dict[Path, _Open] = {}
_uncaught: BaseException | None = None
_is_dying = False
_is_registered = False
_earlier_hook: Callable[[type[BaseException], BaseException, TracebackType | None], Any] | None = None
_earlier_handler: Any = None
_is_hooking = False  # somebody's hook or handler that calls ours, and stands before ours now, would call it for ever
_is_handling = False


def watch(handle: Handle, session: Session) -> None:
    """See to the end of a run that this process has started."""
    global _is_registered  # noqa: PLW0603 - once a process
    _open[session.run_dir] = _Open(weakref.ref(handle), weakref.ref(session), session.attempt, session.shown)
    if not _is_registered:
        _is_registered = True
        atexit.register(_at_exit)
    _install()


def unwatch(run_dir: Path) -> None:
    """The run is ended."""
    _open.pop(run_dir, None)
    if not _open:
        _remove()


def outcome(run_dir: Path, error: BaseException | None) -> tuple[str, BaseException | None]:
    """The status that a run has whose block is left so, and the error to record.

    ``sys.exit()`` and ``sys.exit(0)`` say that all is well; any other exit code, or text, is a failure.
    """
    if error is None or (isinstance(error, SystemExit) and _is_good_exit(error.code)):
        if run_dir in _open and _open[run_dir].is_signalled:
            return ABORTED, Terminated("SIGTERM came, and the program's own handler went on")
        return COMPLETED, None
    is_signal = isinstance(error, KeyboardInterrupt | Terminated) or (run_dir in _open and _open[run_dir].is_signalled)
    return (ABORTED if is_signal else FAILED), error


def _is_good_exit(code: object) -> bool:
    return code is None or (isinstance(code, int) and code == 0)


def die_if_done() -> None:
    """After ``Terminated``: when no run is open any more, the signal has the effect that it would have had."""
    if not any(True for _ in _living()):
        _die()


def _living() -> list[Path]:
    """The runs whose handles are there, and that are not finished."""
    found = []
    for run_dir, run in list(_open.items()):
        session = run.session()
        if session is not None and not session.is_finished:
            found.append(run_dir)
    return found


# -- SIGTERM and uncaught errors ---------------------------------------------------------------------


def _install() -> None:
    global _earlier_hook, _earlier_handler  # noqa: PLW0603 - what was there before
    if sys.excepthook is not _on_uncaught:
        _earlier_hook, sys.excepthook = sys.excepthook, _on_uncaught
    if threading.current_thread() is not threading.main_thread():
        return
    handler = signal.getsignal(signal.SIGTERM)
    if handler is not _on_sigterm and (handler is signal.SIG_DFL or callable(handler)):
        _earlier_handler = handler
        signal.signal(signal.SIGTERM, _on_sigterm)


def _remove() -> None:
    """What others have set since is theirs, and stays."""
    if sys.excepthook is _on_uncaught and _earlier_hook is not None:
        sys.excepthook = _earlier_hook
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is _on_sigterm:
        signal.signal(signal.SIGTERM, _earlier_handler)


def _on_sigterm(number: int, frame: FrameType | None) -> None:
    global _is_dying, _is_handling  # noqa: PLW0603 - told to the end of the program
    signal.signal(signal.SIGTERM, _earlier_handler)  # the next one has its usual effect
    living = _living()
    for run_dir in living:
        _open[run_dir].is_signalled = True
    if callable(_earlier_handler) and not _is_handling:
        _is_handling = True
        try:
            _earlier_handler(number, frame)
        finally:
            _is_handling = False
    elif living:
        _is_dying = True
        raise Terminated("SIGTERM")
    else:
        _die()


def _die() -> None:
    remove_scratch()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTERM)


def _on_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    global _uncaught, _is_hooking  # noqa: PLW0603 - told to the end of the program
    if _is_hooking or _earlier_hook is None:
        sys.__excepthook__(kind, error, trace)
        return
    if not (sys.flags.interactive or hasattr(sys, "ps1")):  # there, the program goes on
        _uncaught = error
    if isinstance(error, Terminated):
        _at_exit()
    _is_hooking = True
    try:
        _earlier_hook(kind, error, trace)
    finally:
        _is_hooking = False


# -- the end of the program --------------------------------------------------------------------------


def _at_exit() -> None:
    """End what is open. What cannot be ended stays as it is, and is told; the others are ended all the same."""
    failed = []
    for run_dir in list(_open):
        run = _open.pop(run_dir)
        try:
            if os.path.lexists(run_dir / MANIFEST):  # else somebody has removed it
                _end(run_dir, run)
        except RunbundleError as error:
            failed.append(error)
    _remove()
    if failed:
        sys.stderr.write("".join(f"runbundle: {error}\n" for error in failed))
    if _is_dying:
        _die()


def _end(run_dir: Path, run: _Open) -> None:
    left = RunClosed("The program ended and had not finished the run", hint="Use `with`, or call finish()")
    status, error = outcome(run_dir, _uncaught or left)
    handle, session = run.handle(), run.session()
    if session is not None and session.is_finished:
        return
    status = ABORTED if run.is_signalled else status
    if handle is not None and session is not None:
        session.stage = None  # it has no commit: that says that it was not done
        handle.finish(status, error, patience_s=PATIENCE_S)
        return
    session = session or take_back(run_dir, run.attempt, clock=SystemClock())
    if session is not None:
        session.stage, session.shown = None, run.shown
        metrics = session.points if isinstance(session.points, MetricLog) else MetricLog(session)
        finish(session, metrics, status, error, PATIENCE_S)


def forget_runs() -> None:
    """See to the end of no run any more: in a forked child, they are the parent's."""
    global _uncaught, _is_dying
    if _open:
        _open.clear()
        _remove()
    _uncaught, _is_dying = None, False


os.register_at_fork(after_in_child=forget_runs)
