"""What a format is: it checks a value, writes it as bytes, and reads it back."""

from __future__ import annotations

import copy
import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, ClassVar

from runbundle.base.errors import InvalidType, MissingExtra, UnsupportedError
from runbundle.io.atomic import Sink
from runbundle.io.threads import lost


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

    def snapshot(self, value: Any, spare: Any = None) -> Any:  # noqa: ARG002 - for formats of arrays
        """A copy of a value that no later change of the original reaches, for ``encode`` by another thread.

        Args:
            value: what is to be written.
            spare: an earlier copy, of any value, that nobody needs any more. Its memory is used again where it fits,
                which is several times as fast as memory that the process has not touched yet.

        Raises:
            InvalidType: it cannot be copied.
        """
        return _deep_copy(value)


def _deep_copy(value: Any) -> Any:
    try:
        return copy.deepcopy(value)
    except (TypeError, copy.Error, RuntimeError, RecursionError) as error:
        raise InvalidType(
            f"A value of the type {type(value).__name__} cannot be copied: {error}", hint="Write it without background"
        ) from error


def copied_array(array: Any, spare: Any) -> Any:
    """A copy of an array; in the place of ``spare``, where that is an array of the same dtype and shape.

    Raises:
        InvalidType: it is no array, and cannot be copied.
    """
    np = need("numpy", "arrays")
    if type(array) is not np.ndarray:
        return _deep_copy(array)
    fits = type(spare) is np.ndarray and (spare.dtype, spare.shape) == (array.dtype, array.shape)
    if not fits or array.dtype.hasobject or not spare.flags.writeable:
        return _deep_copy(array)
    np.copyto(spare, array)
    return spare


def need(module: str, extra: str) -> ModuleType:
    """Import an optional library where it is used.

    Raises:
        MissingExtra: it is not installed. UnsupportedError: it had threads when this process was forked, which are not
            here: it would wait for them forever.
    """
    if module in lost:
        raise UnsupportedError(
            f"{module} was at work when this process was forked, and cannot go on in it",
            hint='Start processes by spawn: multiprocessing.get_context("spawn")',
        )
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(
            f"{module} is needed here and is not installed",
            hint=f'Install it: pip install "runbundle[{extra}]"',
        ) from error
