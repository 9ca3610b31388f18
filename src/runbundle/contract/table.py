"""Tables that grow: how the rows of an artifact are cut into parts (docs/format.md, section 3.6)."""

from __future__ import annotations

from dataclasses import dataclass

from runbundle.base.errors import ContractError
from runbundle.base.ids import plain

COMPRESSIONS = ("zstd", "lz4", "snappy")
DTYPES = frozenset(
    {
        *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "int128", "uint128"),
        *("float16", "float32", "float64", "decimal", "boolean", "string", "binary", "categorical", "enum"),
        *("date", "time", "datetime", "duration", "list", "array", "struct"),
    }
)  # of Polars, in lower case and without their parameters


@dataclass(frozen=True, slots=True)
class TableSpec:
    """How a table grows: rows are only ever appended, and each append makes new parts, never a longer file.

    Attributes:
        bucket_by: the integer column by which rows go into buckets: ``bucket = value // bucket_size``. It is never
            null, never below zero, and never falls within a frame. None: the table has no buckets.
        bucket_size: how many values of it make a bucket; at least 1.
        is_strict: whether a column that the schema does not name is refused.
        schema_version: of the rows; stands in the metadata of every part.
        compression: ``zstd``, ``lz4`` or ``snappy``.
        row_group_rows: the most rows of a row group of a part.

    Raises:
        ContractError: a field is not as it must be.
    """

    bucket_by: str | None = None
    bucket_size: int = 100
    is_strict: bool = True
    schema_version: str = "1"
    compression: str = "zstd"
    row_group_rows: int = 131_072

    def __post_init__(self) -> None:
        for name in ("bucket_by", "schema_version", "compression"):
            object.__setattr__(self, name, plain(getattr(self, name)))
        if not (self.bucket_by is None or (isinstance(self.bucket_by, str) and self.bucket_by)):
            raise ContractError(f"bucket_by names a column, or is None, not {self.bucket_by!r}")
        for name in ("bucket_size", "row_group_rows"):
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value < 2**63:
                raise ContractError(f"{name} is a whole number of at least 1, not {value!r}")
        if not isinstance(self.schema_version, str) or not self.schema_version:
            raise ContractError(f"schema_version is text, not {self.schema_version!r}", hint="Put it in quotes")
        if self.compression not in COMPRESSIONS:
            raise ContractError(f"compression is one of {', '.join(COMPRESSIONS)}, not {self.compression!r}")
