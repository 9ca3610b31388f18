"""Settings: where bundles lie, and how tables are cut and written.

Each setting comes from the environment, else from ``[io]`` in ``crv.toml`` or ``[tool.crv.io]`` in ``pyproject.toml``
of the current folder, else it is the default.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, Self

from crv.io.errors import IoConfigError

PREFIX: Final = "CRV_IO_"
VARIABLES: Final = {
    f"{PREFIX}ROOT_DIR": "root_dir",
    f"{PREFIX}TICK_BUCKET_SIZE": "tick_bucket_size",
    f"{PREFIX}ROW_GROUP_SIZE": "row_group_size",
    f"{PREFIX}COMPRESSION": "compression",
    f"{PREFIX}STRICT_SCHEMA": "strict_schema",
    f"{PREFIX}FS_PROTOCOL": "fs_protocol",
    f"{PREFIX}WRITE_MANIFEST_EVERY_N": "write_manifest_every_n",
}
_TRUTHS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
_COUNTS = ("tick_bucket_size", "row_group_size", "write_manifest_every_n")
_CHOICES = {"partitioning": ("tick_buckets",), "compression": ("zstd", "lz4", "snappy"), "fs_protocol": ("file",)}


@dataclass(frozen=True, slots=True)
class IoSettings:
    """Where bundles lie, and how tables are cut and written.

    Attributes:
        root_dir: the folder that holds ``runs/``; a store.
        partitioning: always ``tick_buckets``.
        tick_bucket_size: ticks of a bucket, at least 1.
        row_group_size: the most rows of a row group of a part.
        compression: of parts: ``zstd``, ``lz4`` or ``snappy``.
        strict_schema: whether a column that the table does not have is refused.
        write_manifest_every_n: at which appends of a dataset ``manifest.json`` is written: the first, and each n-th
            after it. 1: as often as costs little, which is each of the first 16, and later whenever an eighth was
            added. Readers look at the parts, so they miss nothing in between.
        fs_protocol: always ``file``.
        fs_options: always empty; the protocol ``file`` has no options.

    Raises:
        IoConfigError: a value that cannot be.
    """

    root_dir: str = "out"
    partitioning: Literal["tick_buckets"] = "tick_buckets"
    tick_bucket_size: int = 100
    row_group_size: int = 131_072
    compression: Literal["zstd", "lz4", "snappy"] = "zstd"
    strict_schema: bool = True
    write_manifest_every_n: int = 1
    fs_protocol: Literal["file"] = "file"
    fs_options: dict[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        faults = {name: fault for name in _NAMES if (fault := _fault(name, getattr(self, name)))}
        if faults:
            raise IoConfigError(
                "; ".join(f"{name} {fault}" for name, fault in faults.items()), hint="Give another value"
            )

    @classmethod
    def load(cls, *, environ: Mapping[str, str] | None = None, folder: str | Path = ".") -> Self:
        """The settings in force.

        Args:
            environ: the environment; that of this process if left out.
            folder: where ``crv.toml`` or ``pyproject.toml`` lies.

        Raises:
            IoConfigError: a variable or an entry is unknown or wrong, or the file cannot be read. The message names
                the variable, or the file and its key.
        """
        given = {**_from_file(Path(folder)), **_from_environment(os.environ if environ is None else environ)}
        faults = [f"{at.place} {fault}" for name, at in given.items() if (fault := _fault(name, at.value))]
        if faults:
            raise IoConfigError("; ".join(faults), hint="Give another value, or leave it out")
        return cls(**{name: at.value for name, at in given.items()})


_NAMES = tuple(entry.name for entry in fields(IoSettings))


class _Given(NamedTuple):
    value: Any
    place: str


def _fault(name: str, value: Any) -> str:
    """What is wrong with a value, or nothing."""
    if name in _COUNTS:
        return "" if type(value) is int and 1 <= value < 2**63 else f"is a whole number of at least 1, not {value!r}"
    if name in _CHOICES:
        return "" if value in _CHOICES[name] else f"is {' or '.join(_CHOICES[name])}, not {value!r}"
    if name == "strict_schema":
        return "" if isinstance(value, bool) else f"is true or false, not {value!r}"
    if name == "fs_options":
        return "" if value == {} else f"is empty, as the protocol file has no options, not {value!r}"
    is_path = isinstance(value, str) and value and "\0" not in value
    return "" if is_path else f"is the path of a folder, as text, not {value!r}"


def _from_environment(environ: Mapping[str, str]) -> dict[str, _Given]:
    unknown = sorted(variable for variable in environ if variable.startswith(PREFIX) and variable not in VARIABLES)
    if unknown:
        raise IoConfigError(f"{', '.join(unknown)}: no setting has that name", hint=f"There are {', '.join(VARIABLES)}")
    there = {variable: environ[variable] for variable in VARIABLES if variable in environ}
    return {VARIABLES[variable]: _Given(_read(VARIABLES[variable], text), variable) for variable, text in there.items()}


def _read(name: str, text: str) -> Any:
    """A variable's text as a value; text that is none stays text, which is then refused."""
    if name in _COUNTS:
        return int(text) if text.strip().isdecimal() and text.isascii() else text
    return _TRUTHS.get(text.strip().lower(), text) if name == "strict_schema" else text


def _from_file(folder: Path) -> dict[str, _Given]:
    for path, keys in ((folder / "crv.toml", ("io",)), (folder / "pyproject.toml", ("tool", "crv", "io"))):
        if path.exists():
            table = _table(path, keys)
            if table is not None:
                return dict(_entries(table, f"{path}: {'.'.join(keys)}"))
    return {}


def _table(path: Path, keys: tuple[str, ...]) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise IoConfigError(f"{path} cannot be read: {error}", hint="It must be TOML", path=path) from error
    for at, key in enumerate(keys, 1):
        if key not in found:
            return None
        found = found[key]
        if not isinstance(found, dict):
            raise IoConfigError(f"{path}: {'.'.join(keys[:at])} is a table, not {found!r}", path=path)
    return found


def _entries(table: dict[str, Any], place: str) -> Iterator[tuple[str, _Given]]:
    for key, value in table.items():
        if key not in _NAMES:
            raise IoConfigError(f"{place}.{key}: no setting has that name", hint=f"There are {', '.join(_NAMES)}")
        yield key, _Given(value, f"{place}.{key}")
