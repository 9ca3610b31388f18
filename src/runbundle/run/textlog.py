"""The text log of a run: for people, through the standard library's logging."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable

from runbundle.contract.layout import LOGS_FOLDER
from runbundle.io.atomic import drop, os_errors, write_all
from runbundle.io.confine import inside
from runbundle.io.journal import refuse_second_name
from runbundle.run.session import Session
from runbundle.run.settings.secrets import mask_text


class TextLog(logging.Handler):
    """Appends lines to a run's text log until it is closed; what comes later goes to stderr, never into the run.

    Nothing is buffered: so a forked child has nothing of the parent's to write, and no lock of its stream to wait for.
    """

    def __init__(self, fd: int, hide: Callable[[str], str]) -> None:
        super().__init__()
        self._fd = fd
        self._hide = hide

    @classmethod
    def open(cls, session: Session) -> TextLog:
        """The text log of a writer.

        Raises:
            InvalidName: a link leads out of the run. UnavailableError: the file cannot be opened.
        """
        name = f"{LOGS_FOLDER}/run.{session.writer}.log" if session.writer else f"{LOGS_FOLDER}/run.log"
        place = inside(session.run_dir, name)
        session.folder(LOGS_FOLDER)
        with os_errors("Opening the text log", place):
            fd = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        try:
            refuse_second_name(fd, place)
        except BaseException:
            drop(fd)
            raise
        # not a method of the session, which ends with its handle
        log = cls(fd, session.shown.hide if session.shown else mask_text)
        formatter = logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S+00:00")
        formatter.converter = time.gmtime
        log.setFormatter(formatter)
        return log

    def close(self) -> None:
        """What comes later goes to stderr; again does nothing."""
        self.acquire()
        try:
            fd, self._fd = self._fd, -1
            if fd >= 0:
                with os_errors("Closing the text log", f"{LOGS_FOLDER}/"):
                    os.close(fd)
        finally:
            self.release()
        super().close()

    def forget(self) -> None:
        """In a forked child: the file is the parent's; what comes through this handler goes to stderr."""
        self.createLock()  # another thread of the parent may have held it
        self.close()

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line; what cannot be written is told as the standard library's handlers tell it."""
        if self._fd >= 0:
            try:
                write_all(self._fd, f"{self._hide(self.format(record))}\n".encode("utf-8", "backslashreplace"))
            except Exception:  # noqa: BLE001 - what a message or its arguments raise is not the caller's to handle
                self.handleError(record)
        elif logging.lastResort is not None:
            logging.lastResort.handle(record)
