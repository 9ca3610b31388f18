"""The journal of points: here a few hundred nanoseconds a line decide (benchmarks/speed.py, row steps)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from zlib import crc32

from orjson import dumps

from runbundle.io.journal import Journal, Link


class PointJournal(Journal):
    """A journal chained by CRC-32, of which most lines are points. Make one with ``create`` or ``reopen``."""

    def put_point(self, attempt: int, step: int, ts_ms: int, values: Mapping[str, Any], sync: bool) -> None:  # noqa: FBT001
        """``put`` a point of plain numbers, for one who holds ``lock``.

        Raises:
            TypeError: an integer beyond 64 bits, or a key that is no text; nothing was written.
            RunClosed, UnavailableError: as ``append``.
        """
        seq, link, size = self.end
        head = dumps(
            {"attempt": attempt, "record": "point", "seq": seq, "step": step, "ts_ms": ts_ms, "values": values}
        )[:-1]
        crc = crc32(head, link[0])
        data, after = b'%b,"crc32":%d}\n' % (head, crc), Link(crc, "")
        if sync or self.needs_care:
            self.put(data, after, sync)
            return
        self.is_synced = False
        try:
            written = os.write(self.fd, data)
            if written == len(data):
                self.end = (seq + 1, after, size + written)
            else:
                self.put_rest(data, after, written)
        except BaseException as error:  # noqa: BLE001 - it is raised again; Ctrl-C as well: the next line must follow
            self.take_back(error)
