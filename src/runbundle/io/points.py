"""The journal of points: here a few hundred nanoseconds a line decide (benchmarks/speed.py, row steps)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from zlib import crc32

from orjson import OPT_APPEND_NEWLINE, dumps

from runbundle.io.journal import Journal


class PointJournal(Journal):
    """A journal chained by CRC-32, of which most lines are points. Make one with ``create`` or ``reopen``."""

    def put_point(self, attempt: int, step: int, ts_ms: int, values: Mapping[str, Any], sync: bool) -> None:  # noqa: FBT001
        """``put`` a point of plain numbers, for one who holds ``lock``.

        Raises:
            TypeError: an integer beyond 64 bits, or a key that is no text; nothing was written.
            RunClosed, UnavailableError: as ``append``.
        """
        seq, link, size = self.end
        data = dumps(
            {
                "attempt": attempt,
                "prev_crc32": link,
                "record": "point",
                "seq": seq,
                "step": step,
                "ts_ms": ts_ms,
                "values": values,
            },
            option=OPT_APPEND_NEWLINE,
        )
        if sync or self.needs_care:
            self.put(data, sync)
            return
        self.is_synced = False
        try:
            written = os.write(self.fd, data)
            if written == len(data):
                self.end = (seq + 1, crc32(data), size + written)
            else:
                self.put_rest(data, written)
        except BaseException as error:  # noqa: BLE001 - it is raised again; Ctrl-C as well: the next line must follow from the last one that was said
            self.take_back(error)
