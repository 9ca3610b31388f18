"""The text log of a run: for people, through the standard library's logging."""

from __future__ import annotations

import logging
import time

from runbundle.io.atomic import os_errors
from runbundle.io.confine import inside
from runbundle.run.session import Session

TEXT_FOLDER = "logs"


class TextLog(logging.FileHandler):
    """Appends lines to a run's text log until it is closed; what comes later goes to stderr, never into the run."""

    @classmethod
    def open(cls, session: Session) -> TextLog:
        """The text log of a run.

        Raises:
            InvalidName: a link leads out of the run. UnavailableError: the file cannot be opened.
        """
        name = f"{TEXT_FOLDER}/run.{session.writer}.log" if session.writer else f"{TEXT_FOLDER}/run.log"
        place = inside(session.run_dir, name)
        session.folder(TEXT_FOLDER)
        with os_errors("Opening the text log", place):
            log = cls(place, encoding="utf-8", errors="backslashreplace")
        formatter = logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S+00:00")
        formatter.converter = time.gmtime
        log.setFormatter(formatter)
        return log

    def forget(self) -> None:
        """In a forked child: the file is the parent's; what comes through this handler goes to stderr."""
        self.createLock()  # another thread of the parent may have held it
        stream, self.stream = self.stream, None
        if stream is not None:
            stream.close()  # each line was flushed when it was written

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line; a closed handler of the standard library would open its file again."""
        if self.stream is not None:
            super().emit(record)
        elif logging.lastResort is not None:
            logging.lastResort.handle(record)
