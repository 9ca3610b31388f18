"""A table in a folder that is no run's: its parts, and a manifest that only grows (docs/format.md, section 10).

The parts are what counts. The manifest tells at once what is in them; what it lacks is read from the parts themselves.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import AbstractContextManager, suppress
from itertools import groupby
from pathlib import Path
from typing import Any

from runbundle.base.clock import Clock, stamp
from runbundle.base.errors import ContractError, UnavailableError
from runbundle.io.atomic import Staged, make_folder, replace_file, sync_folder
from runbundle.io.confine import refuse_links
from runbundle.io.folderlock import folder_lock
from runbundle.io.safefolders import make_safe_folder
from runbundle.io.table import manifest
from runbundle.io.table.manifest import Buckets
from runbundle.io.table.parts import Appended, Cutting, Part, complete, cut, part_buckets, part_paths, read_part
from runbundle.io.table.rows import Rows
from runbundle.io.table.scan import schema_of

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
        self._agreed: set[str] = set()

    def append(self, frame: Any) -> Appended:
        """Append rows, all or nothing; when this returns, a power cut loses none of them.

        Raises:
            InvalidValue, InvalidType: as ``Rows.checked``. UnavailableError: the disk refused; nothing was appended.
            ContractError: the table was begun with other buckets.
        """
        self._refuse_other_buckets()
        rows = self._rows.checked(frame)
        cuts = cut(rows, self._cutting, self._clock)
        places: list[str] = []
        is_said = False
        try:
            parts = []
            for each in cuts:
                make_safe_folder((self.folder / each.path).parent)
                place = refuse_links(str(self.folder), each.path, what="part")
                with Staged(place) as staged:
                    staged.write(each.data)
                    written = staged.seal(sync=True)
                    places.append(place)
                    staged.create()
                parts.append(each.written(each.path, written.size, written.sha256))
            for folder in sorted({place.rpartition("/")[0] for place in places}):
                sync_folder(folder)
            line = manifest.append_line(parts, stamp(self._clock.nanoseconds()))
            with self._lock():
                self._agree_with_others(rows, parts)
                try:
                    manifest.add_line(self.folder, self._header(), line)
                finally:  # after Ctrl-C it may be there
                    is_said = manifest.ends_with(self.folder, line)
        except BaseException:
            for place in () if is_said else places:
                with suppress(OSError):  # the error on its way out says more
                    os.unlink(place)
            raise
        return Appended(sum(part.rows for part in parts), tuple(parts))

    def parts(self) -> tuple[Part, ...]:
        """The parts of appends that are whole, in the order of the rows; none where there is no table.

        Raises:
            CorruptError: a part that the manifest does not know cannot be read.
        """
        told = manifest.parts_told(self.folder)
        there = part_paths(self.folder)
        unknown = [read_part(self.folder, path) for path in there if path not in told]
        return tuple(complete([*told.values(), *unknown]))

    def buckets(self) -> Buckets | None:
        """The column that rows go into buckets by and the size of a bucket, as the table was begun with them.

        None where there is no table.

        Raises:
            CorruptError: the manifest does not say, and a part cannot be read.
        """
        return manifest.begun_with(self.folder) or self._buckets_of_parts(frozenset())

    def rebuild(self) -> tuple[Part, ...]:
        """Write the manifest anew from the parts that are there; returns them.

        Raises:
            CorruptError: a part cannot be read: the manifest is left as it was.
        """
        with self._lock():
            begun = self.buckets()
            parts = tuple(complete([read_part(self.folder, path) for path in part_paths(self.folder)]))
            now = stamp(self._clock.nanoseconds())
            appends = groupby(sorted(parts, key=_append_of), key=_append_of)
            lines = [self._header(begun), *(manifest.append_line(list(of_one), now) for _, of_one in appends)]
            replace_file(self.folder / manifest.MANIFEST, b"".join(lines), sync=True)
        return parts

    def _refuse_other_buckets(self, own: frozenset[str] = frozenset()) -> None:
        begun = manifest.begun_with(self.folder) or self._buckets_of_parts(own)
        for number, name in enumerate(("bucket_by", "bucket_size") if begun is not None else ()):
            has, wanted = (begun or ())[number], getattr(self._cutting, name)
            if has != wanted and not (name == "bucket_size" and self._cutting.bucket_by is None):
                raise ContractError(
                    f"The table {self._cutting.table} has {name} {has!r}, not {wanted!r}",
                    hint="A table keeps the buckets that it was begun with",
                    path=self.folder,
                )

    def _buckets_of_parts(self, own: frozenset[str]) -> Buckets | None:
        """What a part says of the buckets, where the manifest does not; ``own`` are not asked."""
        path = next((path for path in part_paths(self.folder) if path not in own), None)
        return None if path is None else part_buckets(self.folder, path)

    def _agree_with_others(self, rows: Any, parts: list[Part]) -> None:
        """Whether what is to be said goes with what other writers said since this one looked.

        Raises:
            ContractError: they began the table with other buckets. InvalidValue: they gave it other columns.
        """
        self._refuse_other_buckets(frozenset(part.path for part in parts))
        if parts[0].columns not in self._agreed:  # the first such frame of this writer: afterwards others look
            known = manifest.parts_told(self.folder).values()
            for columns in {part.columns: part for part in known if part.columns not in self._agreed}.values():
                self._rows.take(schema_of(self.folder, [columns]))
                self._agreed.add(columns.columns)
        self._rows.take(rows.schema, own=True)
        self._agreed.add(parts[0].columns)

    def _header(self, begun: Buckets | None = None) -> bytes:
        own = self._cutting.bucket_by, self._cutting.bucket_size
        return manifest.header_line(self._cutting.table, begun or own)

    def _lock(self) -> AbstractContextManager[None]:
        make_folder(self.folder)
        busy = UnavailableError(
            f"The table {self.folder.name} is being written by another process", hint="Try again", path=self.folder
        )
        return folder_lock(self.folder, fcntl.LOCK_EX, patience_s=_PATIENCE_S, busy=busy)


def _append_of(part: Part) -> str:
    return part.append
