"""The manifest of a table that is in no run: a line for each append, each with a digest of its own (I32).

What it does not say, or says in a line that is damaged, the parts say themselves.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zlib import crc32

from runbundle.base import jsontext
from runbundle.base.errors import DecodeError, UnavailableError, UnsupportedVersion
from runbundle.io.atomic import drop, os_errors, sync_fd, sync_folder, write_all
from runbundle.io.table.parts import Part, is_part_path

MANIFEST = "manifest.jsonl"
FORMAT, FORMAT_VERSION = "runbundle-table", 1

Buckets = tuple[str | None, int]


def header_line(table: str, buckets: Buckets) -> bytes:
    """The first line: what the table was begun with."""
    told = {"format": FORMAT, "format_version": FORMAT_VERSION, "table": table}
    return _sealed({**told, "bucket_by": buckets[0], "bucket_size": buckets[1]})


def append_line(parts: Iterable[Part], ts_utc: str) -> bytes:
    """The line of an append."""
    return _sealed({"parts": [asdict(part) for part in parts], "ts_utc": ts_utc})


def begun_with(folder: Path) -> Buckets | None:
    """The buckets that the table was begun with; None where the manifest does not say.

    Raises:
        UnsupportedVersion: a later version of the library wrote it.
    """
    header = next(_lines(folder), {})
    return _buckets(header, folder)


def parts_told(folder: Path) -> dict[str, Part]:
    """The parts that the manifest tells of, by path; none where it does not say what the table was begun with."""
    lines = _lines(folder)
    if _buckets(next(lines, {}), folder) is None:
        return {}
    found = [_parts(line) for line in lines]
    return {part.path: part for parts in found for part in parts}


def add_line(folder: Path, header: bytes, line: bytes) -> None:
    """Append the line of an append; what a killed process left of one is cut off first. Whoever calls has the lock."""
    place = folder / MANIFEST
    with os_errors("Writing", place):
        fd = _opened(place, os.O_RDWR | os.O_CREAT)
        try:
            end = _whole_lines(fd)
            os.ftruncate(fd, end)
            os.lseek(fd, end, os.SEEK_SET)
            if end == 0:
                write_all(fd, header)
                sync_fd(fd)
                end = len(header)
            if end <= len(header):
                sync_folder(folder)
            try:
                write_all(fd, line)
                sync_fd(fd)
            except BaseException:
                os.ftruncate(fd, end)
                raise
        finally:
            drop(fd)


def ends_with(folder: Path, line: bytes) -> bool:
    """Whether the last line is this one; where that cannot be told, it may be."""
    try:
        fd = _opened(folder / MANIFEST, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        return os.pread(fd, len(line) + 1, max(0, os.fstat(fd).st_size - len(line))) == line
    except OSError:
        return True
    finally:
        drop(fd)


def _sealed(told: Mapping[str, Any]) -> bytes:
    head = jsontext.line(told).removesuffix(b"}\n")
    return b'%b,"crc32":%d}\n' % (head, crc32(head))


def _lines(folder: Path) -> Iterator[Mapping[str, Any]]:
    """The lines of the manifest, up to the first that is torn or damaged."""
    place = folder / MANIFEST
    with os_errors("Reading", place):
        try:
            fd = _opened(place, os.O_RDONLY)
        except (FileNotFoundError, NotADirectoryError):
            return
        with open(fd, "rb") as stream:
            for line in stream:
                head, mark, tail = line.rpartition(b',"crc32":')
                if not mark or tail != b"%d}\n" % crc32(head):
                    return
                try:
                    found = jsontext.parse(line)
                except DecodeError:
                    return
                if not isinstance(found, dict):
                    return
                yield found


def _opened(place: Path, flags: int) -> int:
    """An open regular file: a link is not followed, a pipe not waited for."""
    fd = os.open(place, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        drop(fd)
        raise UnavailableError("Opening failed: no regular file is there", hint="Move it away", path=place)
    return fd


def _buckets(header: Mapping[str, Any], folder: Path) -> Buckets | None:
    if header.get("format") != FORMAT:
        return None
    if header.get("format_version") != FORMAT_VERSION:
        raise UnsupportedVersion(
            f"The manifest of the table {folder.name} has version {header.get('format_version')!r}",
            hint="Read it with a newer version of runbundle",
            path=folder / MANIFEST,
        )
    by, size = header.get("bucket_by"), header.get("bucket_size")
    if not isinstance(by, str | None) or type(size) is not int or size < 1:
        return None
    return by, size


def _parts(line: Mapping[str, Any]) -> list[Part]:
    """The parts of an append, all of them; none where the line does not say what they are."""
    try:
        parts = [Part(**each) for each in line["parts"]]
    except (KeyError, TypeError):
        return []
    is_whole = all(map(_is_sound, parts)) and all(part.of == len(parts) for part in parts)
    return parts if is_whole and len({part.append for part in parts}) == 1 else []


def _is_sound(part: Part) -> bool:
    """Whether the fields of a part are what they are to be."""
    numbers, texts = (part.rows, part.bytes, part.of), (part.sha256, part.columns, part.append)
    ranges = (part.bucket, part.low, part.high)
    is_typed = all(type(each) is int for each in numbers) and all(type(each) is str for each in texts)
    is_ranged = ranges == (None, None, None) or all(type(each) is int for each in ranges)
    return is_typed and is_ranged and isinstance(part.path, str) and is_part_path(part.path)


def _whole_lines(fd: int) -> int:
    """Where the last whole line of an open file ends."""
    end = os.fstat(fd).st_size
    while end:
        start = max(0, end - 4096)
        data = os.pread(fd, end - start, start)
        found = data.rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
