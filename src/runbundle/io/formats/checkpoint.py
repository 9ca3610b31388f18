"""PyTorch checkpoints: state dicts, written by ``torch.save`` and read by its safe reader alone.

What torch writes is a ZIP with a pickle in it. It is kept from being more than data at both ends: what is written is
plain values and tensors, and what is read goes through ``weights_only=True``, which makes nothing else.
"""

from __future__ import annotations

import io
import os
import pickle
import struct
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from runbundle.base.errors import DecodeError, InputNotFound, InvalidType, InvalidValue
from runbundle.io.atomic import Buffer, Sink, Staged, copy_into, os_errors
from runbundle.io.formats._tensors import copied_tensor, is_tensor, torch
from runbundle.io.formats.base import Encoded, Format

_SCALARS = (bool, int, float, str, type(None))
_DEEPEST = 100
_ADVICE = "Give state dicts: model.state_dict(), optimizer.state_dict(), numbers, text and tensors"
_DAMAGE = (zipfile.BadZipFile, struct.error, EOFError, OSError, MemoryError, RecursionError)
_UNREADABLE = (RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError, *_DAMAGE)


class CheckpointFormat(Format):
    """Nested dicts, lists and tuples of tensors, numbers, text, booleans and None, with a dict on the outside.

    Tensors come back on the CPU. The same state gives the same bytes with one version of torch.
    """

    name = "checkpoint"
    extensions = (".pt",)
    content_type = "application/octet-stream"
    folder = "checkpoints"

    def encode(self, value: Any) -> Encoded:
        """Takes a state, or the bytes or the path of a file that ``torch.save`` wrote of one."""
        if isinstance(value, str | os.PathLike):
            return _encode_file(Path(value))
        if isinstance(value, bytes | bytearray | memoryview):
            data = bytes(value)
            _refuse_objects(io.BytesIO(data))
            return Encoded(lambda sink: sink.write(data), _facts(), is_durable=True)
        copier = _Copier(is_deep=False)
        state, library = copier.state(value), torch()

        def write(sink: Sink) -> None:
            stream = _Stream(sink)
            library.save(state, stream)
            stream.raise_failure()

        return Encoded(write, {**_facts(), "tensors": copier.count}, is_durable=True)

    def decode(self, data: bytes, meta: Mapping[str, Any]) -> dict[Any, Any]:  # noqa: ARG002 - a format may need its meta
        """The state, its tensors on the CPU."""
        torch()
        return _load(io.BytesIO(data))

    def snapshot(self, value: Any, spare: Any = None) -> Any:
        """The state with its tensors copied to memory of the CPU; a file or bytes as they are."""
        if isinstance(value, str | os.PathLike | bytes):
            return value
        return _Copier(is_deep=True, spare=spare).state(value)


class _Stream:
    """A sink as ``torch.save`` wants it. No error may pass through the C++ between: the first is kept for later."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._failure: BaseException | None = None

    def write(self, data: Buffer) -> int:
        if self._failure is None:
            try:
                self._sink.write(data)
            except BaseException as error:  # noqa: BLE001 - raised as soon as torch has returned
                self._failure = error
        return len(data)

    def flush(self) -> None:
        """Nothing is kept back."""

    def raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure


class _Copier:
    """Walks a state and makes it anew of plain parts; tensors that are one stay one."""

    def __init__(self, *, is_deep: bool, spare: Any = None) -> None:
        self._is_deep = is_deep
        self._spares = iter({id(tensor): tensor for tensor in _tensors(spare)}.values())  # in the same order, mostly
        self._known: dict[tuple[Any, ...], Any] = {}
        self.count = 0

    def state(self, value: Any) -> Any:
        if type(value) not in (dict, OrderedDict):
            raise InvalidType(f"A checkpoint is a dict of states, not {type(value).__name__}", hint=_ADVICE)
        return self._part(value, "the state", 0)

    def _part(self, value: Any, place: str, depth: int) -> Any:
        kind = type(value)
        if kind in _SCALARS:
            return value
        if is_tensor(value):
            return self._tensor(value)
        if depth > _DEEPEST:
            raise InvalidValue(f"The state is nested too deeply, or holds itself, at {place[:200]}", hint=_ADVICE)
        if kind in (list, tuple):
            return kind(self._part(item, f"{place}[{number}]", depth + 1) for number, item in enumerate(value))
        if kind not in (dict, OrderedDict):
            raise InvalidType(
                f"{place[:200]} is of the type {kind.__module__}.{kind.__qualname__}, which only pickle could hold",
                hint=f"{_ADVICE}; float(x) of a scalar, torch.from_numpy(x) of an array",
            )
        for key in value:
            if type(key) not in (str, int):
                raise InvalidType(f"{place[:200]} has the key {str(key)[:80]!r}", hint="Keys are text or integers")
        found: Any = kind((key, self._part(item, f"{place}[{key!r}]", depth + 1)) for key, item in value.items())
        if "_metadata" in getattr(value, "__dict__", {}):  # of a module's state dict: the versions of its parts
            found._metadata = self._part(value._metadata, f"{place}._metadata", depth + 1)  # noqa: SLF001 - torch's own
        return found

    def _tensor(self, tensor: Any) -> Any:
        self.count += 1
        if tensor.is_meta or tensor.layout is not torch().strided:
            return copied_tensor(tensor)
        storage = tensor.untyped_storage()
        key = (storage.data_ptr(), tensor.storage_offset(), tensor.shape, tensor.stride(), tensor.dtype)
        if key not in self._known or not storage.data_ptr():
            is_part = storage.nbytes() > tensor.numel() * tensor.element_size()
            must_copy = self._is_deep or is_part  # torch would write all that a part is taken from
            self._known[key] = (
                copied_tensor(tensor, next(self._spares, None)) if must_copy else tensor.detach().to("cpu")
            )
        return self._known[key]


def _tensors(state: Any) -> Iterator[Any]:
    """The tensors of a state that was copied."""
    if is_tensor(state):
        yield state
    elif isinstance(state, dict | list | tuple):
        for part in state.values() if isinstance(state, dict) else state:
            yield from _tensors(part)


def _facts() -> dict[str, Any]:
    return {"torch": str(torch().__version__)}


def _encode_file(path: Path) -> Encoded:
    if not path.is_file():
        raise InputNotFound(f"There is no file {path}", hint="Look at the path", path=path)
    _refuse_objects(str(path))

    def write(sink: Sink) -> None:
        if isinstance(sink, Staged):
            sink.take(path)
        else:
            copy_into(path, sink)

    return Encoded(write, _facts(), is_durable=True)


def _refuse_objects(source: io.BytesIO | str) -> None:
    torch()
    try:
        _load(source)
    except DecodeError as error:
        raise InvalidValue(error.what, hint=_ADVICE) from error


def _load(source: io.BytesIO | str) -> dict[Any, Any]:
    """The state of a file.

    Raises:
        DecodeError: it is cut, none, or holds more than a state.
    """
    try:
        with os_errors("Reading", source if isinstance(source, str) else ""), zipfile.ZipFile(source) as archive:
            _check_archive(archive)
        if isinstance(source, io.BytesIO):
            source.seek(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickle protocols that torch does not write
            state = torch().load(source, map_location="cpu", weights_only=True, mmap=isinstance(source, str) or None)
    except pickle.UnpicklingError as error:
        raise DecodeError(
            "The checkpoint holds a pickled object, which could run any code: it was not read",
            hint="Whoever trusts it can load it with torch and save its state_dict() anew",
        ) from error
    except _UNREADABLE as error:
        raise DecodeError(f"The checkpoint is not readable: {str(error)[:200] or type(error).__name__}") from error
    if not isinstance(state, dict):
        raise DecodeError(f"The checkpoint holds a {type(state).__name__}, not a dict of states")
    return state


def _check_archive(archive: zipfile.ZipFile) -> None:
    """Whether the members are stored as torch stores them: one that is packed could unpack to any length."""
    for member in archive.infolist():
        if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
            raise ValueError(f"{member.filename[:80]!r} is packed")


FORMAT = CheckpointFormat()
