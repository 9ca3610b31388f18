"""Reading a journal: JSON Lines of which each checks itself and hangs on the one before (docs/format.md, section 3).

Reading needs no lock and sees every line that was acknowledged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import orjson

from runbundle.base import jsontext
from runbundle.base.errors import DecodeError, LogCorrupt
from runbundle.io.atomic import os_errors

_BLOCK_BYTES = 1 << 20

Link = tuple[int, str]  # what a line hands on to the next: its CRC-32, and its SHA-256 in a journal that carries it


class Chain(NamedTuple):
    """How lines hang together.

    Attributes:
        has_sha256: whether each line carries the SHA-256 of the line before, besides the CRC-32 that it ends with.
    """

    has_sha256: bool

    def carried(self, link: Link) -> dict[str, str]:
        """What a line says of the line before."""
        return {"prev_sha256": link[1]} if self.has_sha256 else {}

    def closed(self, data: bytes, link: Link) -> tuple[bytes, Link]:
        """A line with its own CRC-32 as its last field, and what it hands on."""
        head = data[:-2]  # all but the brace and the newline
        crc = crc32(head, link[0])
        raw = b'%b,"crc32":%d}\n' % (head, crc)
        return raw, self._link(raw, crc)

    def follow(self, raw: bytes, record: Mapping[str, Any], link: Link) -> Link | str:
        """What a line hands on, or what is wrong with it."""
        head, mark, tail = raw.rpartition(b',"crc32":')
        crc = crc32(head, link[0])
        if not mark or tail != b"%d}\n" % crc or (self.has_sha256 and record.get("prev_sha256") != link[1]):
            return "the line was changed, or does not follow from the line before"
        return self._link(raw, crc)

    def _link(self, raw: bytes, crc: int) -> Link:
        return crc, hashlib.sha256(raw).hexdigest() if self.has_sha256 else ""


SHA256 = Chain(has_sha256=True)
CRC32 = Chain(has_sha256=False)
FIRST_LINK: Link = (0, "0" * 64)

Parse = Callable[[bytes], Any]


def _strictly(raw: bytes) -> Any:
    """The value of a line of strict JSON.

    What is spelt just as we spell it says nothing twice, and holds no number that orjson reads as another.
    """
    try:
        record = orjson.loads(raw)
        crc = record.pop("crc32")
        if raw == b'%b,"crc32":%d}\n' % (orjson.dumps(record, option=orjson.OPT_SORT_KEYS)[:-1], crc):
            record["crc32"] = crc
            return record
    except (AttributeError, KeyError, TypeError, ValueError):
        pass
    return jsontext.parse(raw, what="the line")


@dataclass(frozen=True, slots=True)
class Damage:
    """A line of a journal that is not what its writer appended.

    Attributes:
        line: number of the line, from 1.
        reason: what is wrong with it.
    """

    line: int
    reason: str


@dataclass(slots=True)
class Scan:
    """A walk over the records of a journal, a line at a time; what it met stands here when it has ended.

    A scan can be walked again later: it goes on after the last whole line, with what was appended since.

    Attributes:
        path, chain: which journal. parse: how a line is read; it raises ``DecodeError`` or ``ValueError``.
        seq: how many whole lines were read. good_bytes: their length. link: what the next line would carry.
        torn_bytes: length of an unfinished last line, which no writer acknowledged.
        damage: the first bad line before the end, or None.
    """

    path: Path
    chain: Chain = SHA256
    parse: Parse = _strictly
    seq: int = 0
    good_bytes: int = 0
    link: Link = FIRST_LINK
    torn_bytes: int = 0
    damage: Damage | None = None

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        """The records up to the first damage.

        Raises:
            UnavailableError: the file cannot be read.
        """
        self.torn_bytes = 0
        if self.damage is not None:
            return
        with os_errors("Reading", self.path), open(self.path, "rb", buffering=_BLOCK_BYTES) as stream:
            stream.seek(self.good_bytes)
            for raw in stream:
                if not raw.endswith(b"\n"):
                    self.torn_bytes = len(raw)
                    return
                record = self._checked(raw)
                after = record if isinstance(record, str) else self.chain.follow(raw, record, self.link)
                if isinstance(record, str) or isinstance(after, str):
                    self.damage = Damage(self.seq + 1, str(after))
                    return
                self.seq += 1
                self.good_bytes += len(raw)
                self.link = after
                yield record

    def _checked(self, raw: bytes) -> dict[str, Any] | str:
        """The record of a line, or what is wrong with it."""
        try:
            record = self.parse(raw)
        except DecodeError as error:
            return error.what
        except ValueError as error:
            return str(error)
        if not isinstance(record, dict) or not isinstance(record.get("record"), str):
            return "the line is no record"
        if record.get("seq") != self.seq:
            return f"seq is {record.get('seq')!r} where {self.seq} is due"
        return record

    def run_through(self) -> Scan:
        """Walk to the end and keep no record."""
        for _ in self:
            pass
        return self

    def require_intact(self) -> None:
        """Go on only if no damage was met.

        Raises:
            LogCorrupt: a line before the end is damaged.
        """
        if self.damage:
            raise LogCorrupt(
                f"Line {self.damage.line} of {self.path.name} is damaged: {self.damage.reason}",
                hint="Look at what `runbundle verify` says",
                path=self.path,
            )
