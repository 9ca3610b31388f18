"""A table in a folder that is no run's: its parts, and a manifest that only grows (docs/format.md, section 10).

The parts are what counts. The manifest tells at once what is in them; what it lacks is read from the parts themselves.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from runbundle.base import jsontext
from runbundle.base.clock import Clock, stamp
from runbundle.base.errors import ContractError, DecodeError, UnavailableError
from runbundle.io.atomic import Staged, make_folder, os_errors, replace_file, sync_fd, sync_folder, write_all
from runbundle.io.confine import refuse_links
from runbundle.io.folderlock import folder_lock
from runbundle.io.table.parts import Appended, Cutting, Part, complete, cut, part_paths, read_part
from runbundle.io.table.rows import Rows

MANIFEST = "manifest.jsonl"
FORMAT, FORMAT_VERSION = "runbundle-table", 1
_PATIENCE_S = 30.0


class FolderTable:
    """A table by its folder. Any number of processes may append at once.

    Args:
        folder: of the table; made by the first append.
        cutting: how rows are cut. rows: what they must be. clock: where times and random bytes come from.
    """

    def __init__(self, folder: Path, cutting: Cutting, rows: Rows, clock: Clock) -> None:
        self.folder = folder
        self._cutting = cutting
        self._rows = rows
        self._clock = clock

    def append(self, frame: Any) -> Appended:
        """Append rows, all or nothing; when this returns, a power cut loses none of them.

        Raises:
            InvalidValue, InvalidType: as ``Rows.checked``. UnavailableError: the disk refused; nothing was appended.
            ContractError: the table was begun with other buckets.
        """
        self._refuse_other_buckets()
        cuts = cut(self._rows.checked(frame), self._cutting, self._clock)
        places: list[str] = []
        try:
            parts = []
            for each in cuts:
                self._make_folder_of(each.path)
                place = refuse_links(str(self.folder), each.path, what="part")
                with Staged(place) as staged:
                    staged.write(each.data)
                    written = staged.seal(sync=True)
                    staged.create()
                places.append(place)
                parts.append(each.written(each.path, written.size, written.sha256))
            for folder in sorted({place.rpartition("/")[0] for place in places}):
                sync_folder(folder)
            with self._lock():
                self._say(parts)
        except BaseException:
            for place in places:
                with suppress(OSError):  # the error on its way out says more; what is left does not count
                    os.unlink(place)
            raise
        return Appended(sum(part.rows for part in parts), tuple(parts))

    def parts(self) -> tuple[Part, ...]:
        """The parts of appends that are whole, in the order of the rows; none where there is no table.

        Raises:
            CorruptError: a part that the manifest does not know cannot be read.
        """
        told = self._told()
        there = part_paths(self.folder)
        unknown = [read_part(self.folder, path) for path in there if path not in told]
        return tuple(complete([*told.values(), *unknown]))

    def rebuild(self) -> tuple[Part, ...]:
        """Write the manifest anew from the parts that are there; returns them.

        Raises:
            CorruptError: a part cannot be read: the manifest is left as it was.
        """
        with self._lock():
            parts = tuple(complete([read_part(self.folder, path) for path in part_paths(self.folder)]))
            lines = [self._header(), *(self._line([part]) for part in parts)]
            replace_file(self.folder / MANIFEST, b"".join(lines), sync=True)
        return parts

    def _refuse_other_buckets(self) -> None:
        header = next(self._lines(), {})
        for name in ("bucket_by", "bucket_size"):
            wanted = getattr(self._cutting, name)
            if header.get("format") == FORMAT and header.get(name) != wanted:
                raise ContractError(
                    f"The table {self._cutting.table} has {name} {header.get(name)!r}, not {wanted!r}",
                    hint="A table keeps the buckets that it was begun with",
                )

    def _told(self) -> dict[str, Part]:
        """What the manifest says, by path; nothing where it is damaged, and the parts say it themselves."""
        lines = self._lines()
        if next(lines, {}).get("format") != FORMAT:
            return {}
        try:
            parts = [Part(**each) for line in lines for each in line["parts"]]
        except (KeyError, TypeError):
            return {}
        return {part.path: part for part in parts}

    def _lines(self) -> Iterator[Mapping[str, Any]]:
        """The whole lines of the manifest, up to the first that is none."""
        try:
            with os_errors("Reading", self.folder / MANIFEST), open(self.folder / MANIFEST, "rb") as stream:
                for line in stream:
                    if not line.endswith(b"\n"):
                        return
                    found = jsontext.parse(line)
                    if not isinstance(found, dict):
                        return
                    yield found
        except (FileNotFoundError, DecodeError):
            return
        except UnavailableError as error:
            if not isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
                raise

    def _say(self, parts: Iterable[Part]) -> None:
        """Append the line of an append; what a killed process left of a line is cut off first."""
        place = self.folder / MANIFEST
        is_new = not place.exists()
        with os_errors("Writing", place):
            fd = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                end = _whole_lines(fd)
                os.ftruncate(fd, end)
                os.lseek(fd, end, os.SEEK_SET)
                line = self._line(parts)
                try:
                    write_all(fd, line if end else self._header() + line)
                    sync_fd(fd)
                except BaseException:
                    os.ftruncate(fd, end)
                    raise
            finally:
                os.close(fd)
        if is_new:
            sync_folder(self.folder)

    def _header(self) -> bytes:
        by, size = self._cutting.bucket_by, self._cutting.bucket_size
        told = {"format": FORMAT, "format_version": FORMAT_VERSION, "table": self._cutting.table}
        return jsontext.line({**told, "bucket_by": by, "bucket_size": size})

    def _line(self, parts: Iterable[Part]) -> bytes:
        return jsontext.line({"parts": [asdict(part) for part in parts], "ts_utc": stamp(self._clock.nanoseconds())})

    def _make_folder_of(self, path: str) -> None:
        folder = (self.folder / path).parent
        missing = []
        while not folder.is_dir():
            missing.append(folder)
            folder = folder.parent
        for each in reversed(missing):
            make_folder(each)
            sync_folder(each.parent)

    def _lock(self) -> AbstractContextManager[None]:
        make_folder(self.folder)
        busy = UnavailableError(
            f"The table {self.folder.name} is being written by another process", hint="Try again", path=self.folder
        )
        return folder_lock(self.folder, fcntl.LOCK_EX, patience_s=_PATIENCE_S, busy=busy)


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
