"""A table by its folder, in an open run or in none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runbundle.base.clock import SystemClock
from runbundle.base.errors import ArtifactNotFound, ContractError
from runbundle.contract.schema import check_schema
from runbundle.contract.table import TableSpec
from runbundle.io.table.folder import FolderTable
from runbundle.io.table.parts import Appended, Part
from runbundle.io.table.rows import Rows
from runbundle.io.table.scan import Between, scan, schema_of
from runbundle.run.bare.files import absolute, enclosing_run, handle_of
from runbundle.run.log.follow import follow
from runbundle.run.runio import RunIO
from runbundle.run.tables.appending import cutting_of
from runbundle.run.tables.members import TableInfo, tables_of
from runbundle.run.tables.reading import content_of, read_table, table_content

if TYPE_CHECKING:
    import polars as pl


class Table:
    """A table by its folder. In the folder of an open run it is a table of that run; elsewhere it stands alone.

    Alone, each append is whole and safe from a power cut when it returns, by any number of processes at once; beside
    the parts lies ``manifest.jsonl``, a line for each append. Where it is lost or lacks some, the parts are asked
    themselves, at each reading; ``rebuild`` writes it anew.

    Args:
        folder: of the table; the first append makes it.
        spec: how it grows. In a run, its contract or who began the table says so.
        columns: the rules of its columns, as a schema's ``columns``; None: the first frame sets them.
        run_id: for the metadata of the parts, where the folder is in no run.

    Raises:
        ContractError: the rules are none.
    """

    def __init__(
        self,
        folder: str | Path,
        spec: TableSpec | None = None,
        *,
        columns: Mapping[str, Any] | None = None,
        run_id: str | None = None,
    ) -> None:
        self.folder = absolute(folder, follow=True)
        self._spec = TableSpec() if spec is None else spec
        if columns is not None:
            check_schema({"columns": columns}, what=self.folder.name)
        self._columns = columns
        self._run_id = run_id
        self._alone: FolderTable | None = None

    def append(self, frame: pl.DataFrame) -> Appended:
        """Append rows, all or nothing.

        Raises:
            InvalidValue, InvalidType, ContractError: as ``RunIO.append``. RunSealed: the folder is that of a finished
            run. UnavailableError: the disk refused; nothing was appended.
        """
        run_dir = enclosing_run(self.folder)
        if run_dir is None:
            return self._standing_alone().append(frame)
        run = handle_of(run_dir)
        wanted, more = self._in_run(run, run_dir)
        done = run.append(wanted, frame, **more)
        run.flush()
        return done

    def parts(self) -> tuple[Part, ...]:
        """The parts that count, in the order of the rows; none where there is no table. Paths are from its folder.

        Raises:
            CorruptError: a part that no manifest knows cannot be read.
        """
        found = self._info()
        if found is None:
            return self._standing_alone().parts()
        cut = len(found.folder) + 1
        return tuple(replace(part, path=part.path[cut:]) for part in found.parts)

    def scan(self, between: Between | None = None, *, check: bool = True) -> pl.LazyFrame:
        """The rows as a LazyFrame; arguments and errors as ``Run.table``."""
        found = self._info()
        parts = self._standing_alone().parts() if found is None else found.parts
        if not parts:
            raise ArtifactNotFound(f"There is no table in {self.folder}", hint="Append rows first", path=self.folder)
        if found is None:
            return scan(self.folder, parts, bucket_by=self._bucket_by(), between=between, check=check)
        return read_table(self._run_dir(found), found, self._info_again, between=between, check=check)

    def rebuild(self) -> tuple[Part, ...]:
        """Make the manifest anew from the parts that are there; in a run its log is the manifest, and nothing is done.

        Raises:
            CorruptError: a part cannot be read: the manifest is left as it was.
        """
        return self._standing_alone().rebuild() if enclosing_run(self.folder) is None else self.parts()

    def content_sha256(self) -> str:
        """The hash of what the table holds; as ``Run.content_sha256``."""
        found = self._info()
        if found is not None:
            return table_content(self._run_dir(found), found, self._info_again)
        return content_of(self.folder, self.parts(), self._bucket_by())

    def _run_dir(self, found: TableInfo) -> Path:
        """The folder of the run that tells of the table."""
        return self.folder.parents[found.folder.count("/")]

    def _info_again(self) -> TableInfo:
        found = self._info()
        if found is None:
            raise ArtifactNotFound(
                f"There is no table in {self.folder} any more",
                hint="It was removed meanwhile: append rows again, or restore it",
                path=self.folder,
            )
        return found

    def _bucket_by(self) -> str | None:
        begun = self._standing_alone().buckets()
        return self._spec.bucket_by if begun is None else begun[0]

    def _info(self) -> TableInfo | None:
        """What the run tells of the table; None in no run. A table of a run that has no rows yet has no parts."""
        run_dir = enclosing_run(self.folder)
        if run_dir is None:
            return None
        folder = self.folder.relative_to(run_dir).as_posix()
        for table in tables_of(follow(run_dir)[1]).values():
            if table.folder == folder:
                return table
        return TableInfo(folder, folder, folder, self._spec.bucket_by, self._spec.bucket_size, ())

    def _in_run(self, run: RunIO, run_dir: Path) -> tuple[Any, dict[str, Any]]:
        """What the run calls the table; and its buckets, where no contract declares it."""
        folder = self.folder.relative_to(run_dir).as_posix()
        contract = run.contract
        layout = run._session.layout  # noqa: SLF001 - the library's own
        for spec in contract.artifacts if contract else ():
            if spec.table is not None and layout.table_folder(spec.kind, spec.suffix) == folder:
                return spec, {}
        extras = layout.extras_folder
        if not folder.startswith(f"{extras}/"):
            raise ContractError(
                f"The run declares no table in {folder}",
                hint=f"Declare it in the contract, or put it below {extras}/",
                run=run.run_id,
            )
        by = self._spec.bucket_by
        return folder.removeprefix(f"{extras}/"), {
            "bucket_by": by,
            "bucket_size": None if by is None else self._spec.bucket_size,
        }

    def _standing_alone(self) -> FolderTable:
        if self._alone is None:
            how, clock = self._spec, SystemClock()
            cutting = cutting_of(how, self.folder.name, self._run_id)
            there = FolderTable(self.folder, cutting, Rows(None, how.bucket_by), clock).parts()
            known = schema_of(self.folder, there) if there else None
            rows = Rows(self._columns, how.bucket_by, is_strict=how.is_strict, known=known)
            self._alone = FolderTable(self.folder, cutting, rows, clock)
        return self._alone
