"""What a format is: it checks a value, writes it as bytes, and reads it back."""

from __future__ import annotations

import copy
import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, ClassVar

from runbundle.base.errors import InvalidType, MissingExtra
from runbundle.io.atomic import Sink


def _no_facts() -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, slots=True)
class Encoded:
    """A value that passed its format's checks and is ready to be written.

    Attributes:
        write: writes the bytes into a sink; called once.
        meta: facts for the artifact's record, such as an image's shape and dtype.
        facts: what a schema is checked against, computed when asked for: ``document`` (JSON), ``arrays``
            (name to dtype, shape, min, max) or ``columns`` (name to dtype, nulls, min, max) with ``rows``.
        is_durable: the bytes are to be safe from a power cut before the file has its name.
    """

    write: Callable[[Sink], object]
    meta: Mapping[str, Any] = field(default_factory=dict)
    facts: Callable[[], Mapping[str, Any]] = _no_facts
    is_durable: bool = False


class Format(ABC):
    """One way to turn values into bytes. Stateless; safe to share between threads.

    Attributes:
        name: what a contract calls it.
        extensions: with their dot, the usual one first; empty for any.
        content_type: the media type.
        folder: the folder that its files must lie in, at any depth; empty for any.
    """

    name: ClassVar[str]
    extensions: ClassVar[tuple[str, ...]] = ()
    content_type: ClassVar[str]
    folder: ClassVar[str] = ""

    @abstractmethod
    def encode(self, value: Any, *args: Any, **options: Any) -> Encoded:
        """Check a value; each format names the options it takes, and refuses others.

        Raises:
            InvalidType, InvalidValue: the format cannot hold the value exactly; nothing was written.
            MissingExtra: the library that the format needs is not installed.
        """

    @abstractmethod
    def decode(self, data: bytes, meta: Mapping[str, Any]) -> Any:
        """The value of bytes that ``encode`` wrote, in the shape it was written.

        Raises:
            DecodeError: the bytes are not of this format.
            MissingExtra: the library that the format needs is not installed.
        """

    def snapshot(self, value: Any) -> Any:
        """A copy of a value that no later change of the original reaches, for ``encode`` by another thread.

        Raises:
            InvalidType: it cannot be copied.
        """
        try:
            return copy.deepcopy(value)
        except (TypeError, copy.Error, RuntimeError, RecursionError) as error:
            raise InvalidType(f"A value of the type {type(value).__name__} cannot be copied: {error}") from error


def need(module: str, extra: str) -> ModuleType:
    """Import an optional library where it is used.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(
            f"{module} is needed here and is not installed",
            hint=f'Install it: pip install "runbundle[{extra}]"',
        ) from error
