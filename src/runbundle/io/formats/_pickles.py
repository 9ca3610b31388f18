"""Telling pickles from other bytes by their content: reading a pickle can run any code, so none is kept by mistake.

What counts as one, wherever its extension says otherwise:

- a stream that begins with the mark of protocols 2 to 5 (``0x80``, the protocol) and goes on with an opcode, be it
  whole or not: what torch wrote before its ZIP files and what joblib writes are such streams;
- a stream of protocol 0 or 1, which have no mark: its opcodes are followed as an unpickler would, with its stack, and
  it is one if they come to a call of something imported, or to the end, by a container and not by scalars alone;
- an array of objects in NumPy's ``.npy``, whose content is a pickle, by the dtype that its header tells; an array of
  numbers is none, whatever its bytes look like;
- any of these behind gzip, zlib, bzip2 or xz, and a ZIP with a member of any of these kinds (a PyTorch checkpoint, an
  NPZ of objects, a ZIP of joblib's files), also in a ZIP within a ZIP, four deep and of at most 64 MiB each. A tar is
  not looked into.

Only the first 4 KiB of a file or member are looked at (of an array, its header), so a text is not taken for a pickle
because of what stands far behind, and a large file costs no more than a small one. A member that cannot be read is
taken for none: whoever unpickles it cannot read it either.
"""

from __future__ import annotations

import ast
import bz2
import io
import lzma
import pickletools
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any, BinaryIO

_HEAD_BYTES = 4096
_PROTO = 0x80
_NPY = b"\x93NUMPY"
_LOCAL_HEADER = b"PK\x03\x04"
_OPCODES = {ord(opcode.code): opcode for opcode in pickletools.opcodes}
_LENGTHS = {-2: "<B", -3: "<i", -4: "<I", -5: "<Q"}  # how pickletools says where the length of an argument stands
_DOTTED = re.compile(rb"[A-Za-z_][\w.]*\Z")
_DECIMAL = re.compile(rb"-?[0-9]+L?\Z")
_IMPORTS = frozenset(("GLOBAL", "STACK_GLOBAL", "INST"))  # an EXT names nothing where no program has registered it
_CALLS = frozenset(("REDUCE", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "BUILD"))
_PUTS = frozenset(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"))
_GETS = frozenset(("GET", "BINGET", "LONG_BINGET"))
_BUILDS = frozenset(("APPEND", "APPENDS", "SETITEM", "SETITEMS", "TUPLE", "LIST", "DICT"))
_LARGEST_XZ = 100 << 20  # bytes of memory that an xz stream may ask for
_LARGEST_ARGUMENT = 1 << 28  # four letters read as a length are more
_LARGEST_NPY_HEADER = 1 << 20
_DEEPEST, _LARGEST_INNER, _MOST_INNER = 4, 64 << 20, 256 << 20  # ZIPs within ZIPs: levels, bytes of one, of all
_OBJECT = re.compile(r"[|<>=]?O\d*\Z")
_OBJECT_IN_TEXT = re.compile(rb"['\"][|<>=]?O\d*['\"]")
_DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error)
_UNREADABLE = (OSError, EOFError, ValueError, RuntimeError, MemoryError, *_DAMAGE)


def holds_pickle(stream: BinaryIO) -> bool:
    """Whether a file is a pickle, or holds one; the stream is left anywhere."""
    if _holds_pickle(_head(stream)):
        return True
    try:
        return zipfile.is_zipfile(stream) and _Archives().hold_pickle(stream)
    except _UNREADABLE:
        return False


class _Archives:
    """A ZIP, and the ZIPs within it, of which no more is unpacked than one may take."""

    def __init__(self) -> None:
        self._left = _MOST_INNER

    def hold_pickle(self, stream: IO[bytes], depth: int = 1) -> bool:
        with zipfile.ZipFile(stream) as archive:
            for member in archive.infolist():
                head = _member_head(archive, member)
                if _holds_pickle(head):
                    return True
                if head.startswith(_LOCAL_HEADER) and depth < _DEEPEST and self._holds(archive, member, depth):
                    return True
        return False

    def _holds(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo, depth: int) -> bool:
        if member.file_size > min(_LARGEST_INNER, self._left):
            return False
        self._left -= member.file_size
        try:
            return self.hold_pickle(io.BytesIO(archive.read(member)), depth + 1)
        except _UNREADABLE:
            return False


def _holds_pickle(head: bytes) -> bool:
    return _is_pickle(head) or any(map(_is_pickle, _unpacked(head)))


def _member_head(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    try:
        with archive.open(member) as opened:
            return _head(opened)
    except _UNREADABLE:
        return b""


def _head(stream: IO[bytes]) -> bytes:
    """The beginning of a file: of an array, its whole header."""
    head = stream.read(_HEAD_BYTES)
    if head.startswith(_NPY):
        start, length = _npy_header(head)
        head += stream.read(max(0, min(start + length, _LARGEST_NPY_HEADER) - len(head)))
    return head


def _unpacked(head: bytes) -> Iterator[bytes]:
    """What a compressed file begins with, no more than is looked at."""
    unpackers: dict[bytes, Callable[[], Any]] = {
        b"\x1f\x8b": lambda: zlib.decompressobj(31),
        b"\x78": zlib.decompressobj,
        b"BZh": bz2.BZ2Decompressor,
        b"\xfd7zXZ\0": lambda: lzma.LZMADecompressor(memlimit=_LARGEST_XZ),
        b"\x5d\0\0": lambda: lzma.LZMADecompressor(memlimit=_LARGEST_XZ),
    }
    for start, unpacker in unpackers.items():
        if head.startswith(start):
            try:
                yield unpacker().decompress(head, _HEAD_BYTES)
            except _UNREADABLE:
                continue


def _is_pickle(head: bytes) -> bool:
    if head.startswith(_NPY):
        return _tells_objects(head)
    if len(head) > 2 and head[0] == _PROTO and 2 <= head[1] <= 5:
        return head[2] in _OPCODES
    try:
        return _is_unmarked_pickle(head)
    except (ValueError, LookupError):  # no opcode, an argument without sense, or an empty stack
        return False


def _tells_objects(head: bytes) -> bool:
    """Whether the header of an array tells a dtype with objects; one that cannot be read is believed to the letter."""
    start, length = _npy_header(head)
    text = head[start : start + length]
    try:
        header = ast.literal_eval(text.decode("latin1").strip())
        return _has_objects(header["descr"])
    except (SyntaxError, ValueError, TypeError, LookupError, MemoryError, RecursionError):
        return _OBJECT_IN_TEXT.search(text) is not None


def _npy_header(head: bytes) -> tuple[int, int]:
    """Where the header of an array begins, and how long it says it is."""
    size, start = ("<H", 10) if head[6:7] == b"\x01" else ("<I", 12)
    return (start, struct.unpack_from(size, head, 8)[0]) if len(head) >= start else (start, 0)


def _has_objects(descr: Any) -> bool:
    """Whether a dtype, as NumPy spells it, has objects: text, a list of fields, or a pair of a dtype and a shape."""
    if isinstance(descr, list):
        return any(_has_objects(field[1]) for field in descr)
    if isinstance(descr, tuple):
        return _has_objects(descr[0])
    return _OBJECT.match(descr) is not None


def _is_unmarked_pickle(head: bytes) -> bool:
    """Follow the opcodes with the depth of the stack, and of each mark on it."""
    stack: list[int] = [0]
    at, has_import, has_built, has_put = 0, False, False, False
    while at < len(head):
        opcode = _OPCODES[head[at]]
        try:
            at = _after_argument(head, at + 1, opcode)
        except EOFError:
            break
        _move(stack, opcode)
        if opcode.name in _GETS and not has_put:
            return False
        has_put |= opcode.name in _PUTS
        has_import |= opcode.name in _IMPORTS
        has_built |= opcode.name in _BUILDS
        if opcode.name in _CALLS and has_import:
            return True
        if opcode.name == "STOP":
            return has_built and stack == [0]
    return (has_built or has_import or has_put) and len(head) == _HEAD_BYTES


def _after_argument(head: bytes, at: int, opcode: pickletools.OpcodeInfo) -> int:
    """Where the next opcode stands.

    Raises:
        ValueError: no unpickler would take the argument. EOFError: its end is not seen.
    """
    argument = opcode.arg
    if argument is None:
        return at
    if argument.n >= 0:
        return at + argument.n
    if argument.n in _LENGTHS:
        return _after_length(head, at, _LENGTHS[argument.n])
    if argument.name == "stringnl" and head[at : at + 1] not in (b"'", b'"'):
        raise ValueError("no quote")
    shape = {"decimalnl_short": _DECIMAL, "decimalnl_long": _DECIMAL, "stringnl_noescape_pair": _DOTTED}
    for _ in range(2 if argument.name == "stringnl_noescape_pair" else 1):
        end = head.find(b"\n", at)
        if end < 0:
            raise EOFError
        if argument.name in shape and not shape[argument.name].match(head[at:end]):
            raise ValueError("not an argument of this opcode")
        if argument.name == "floatnl":
            float(head[at:end])
        at = end + 1
    return at


def _after_length(head: bytes, at: int, shape: str) -> int:
    """The same, of an argument that begins with its length; errors as there."""
    width = struct.calcsize(shape)
    if at + width > len(head):
        raise EOFError
    (length,) = struct.unpack_from(shape, head, at)
    if not 0 <= length <= _LARGEST_ARGUMENT:
        raise ValueError("no length that a pickle has")
    return int(at + width + length)


def _move(stack: list[int], opcode: pickletools.OpcodeInfo) -> None:
    """What an opcode does to the stack, which is kept as the number of objects above each mark.

    Raises:
        ValueError, IndexError: it takes more than is there.
    """
    before, after = opcode.stack_before, opcode.stack_after
    if opcode.name == "MARK":
        stack.append(0)
        return
    if pickletools.markobject in before:
        stack.pop()  # with all that stands above the mark
        before = before[: before.index(pickletools.markobject)]
        if not stack:
            raise ValueError("no mark")
    needed = 1 if opcode.name in _PUTS else len(before)
    if stack[-1] < needed:
        raise ValueError("an empty stack")
    stack[-1] += len(after) - len(before)
