"""The journal of points: here a few hundred nanoseconds a line decide (benchmarks/speed.py, row log)."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any
from zlib import crc32

from orjson import dumps

from runbundle.io.journal import Journal


class PointJournal(Journal):
    """A journal chained by CRC-32, of which most lines are points. Make one with ``create`` or ``reopen``.

    Call ``is_for`` before the first point.
    """

    def is_for(self, attempt: int, nanoseconds: Callable[[], int], *, sync: bool) -> None:
        """What all points have in common: the attempt, the clock, and whether each is to be safe from a power cut."""
        self._head = b'{"attempt":%d,"record":"point","seq":%%d,"step":%%d,"ts_ms":%%d,"values":%%b' % attempt
        self._nanoseconds = nanoseconds
        self._is_power = sync

    def put_point(self, step: int, values: Mapping[str, Any]) -> None:
        """``put`` a point of plain numbers, for one who holds ``lock``.

        Raises:
            TypeError: an integer beyond 64 bits, or a key that is no text; nothing was written.
            RunClosed, UnavailableError: as ``append``.
        """
        seq, (crc, _), size = self.end
        head = self._head % (seq, step, self._nanoseconds() // 1_000_000, dumps(values))
        crc = crc32(head, crc)
        data = b'%b,"crc32":%d}\n' % (head, crc)
        if self._is_power or self.needs_care:
            self.put(data, (crc, ""), self._is_power)
            return
        self.is_synced = False
        try:
            written = os.write(self.fd, data)
            if written == len(data):
                self.end = seq + 1, (crc, ""), size + written
            else:
                self.put_rest(data, (crc, ""), written)
        except BaseException as error:  # noqa: BLE001 - it is raised again; Ctrl-C as well: the next line must follow
            self.take_back(error)
