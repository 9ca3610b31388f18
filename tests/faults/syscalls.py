"""Every call by which Python code touches a folder, seen from outside: numbered, noted, and failed on demand.

``Syscalls(folder)`` patches the functions of ``os``, ``fcntl`` and ``open`` by name while it is entered. Each call on
something below the folder has a number, from 0. The ``plan`` is asked before it and may return an *action*, which then
stands in for the call: it gets the call and a function that performs it (or, of a write, a part of it). What happened
is in ``trace``: ``trace[n]`` is what came of call ``n``.

Fsyncs are noted and not performed: what a power cut leaves is worked out from the trace (``disk.py``).
"""

import builtins
import errno
import fcntl
import io
import os
import signal
import stat
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self
from unittest.mock import patch

from faults.tree import TOP, Tree

READING = frozenset(("close", "flock", "lockf", "ioctl", "scandir", "listdir", "utime"))


class Call(NamedTuple):
    """A call that is about to be made; paths are relative to the folder, ``""`` for a file without a name."""

    number: int
    op: str
    path: str
    target: str = ""  # the new name, of link and rename
    size: int = 0  # how much is to be written; the new length
    is_changing: bool = True  # not so for opening to read, locks, listings

    def __str__(self) -> str:
        arrow = f" -> {self.target}" if self.target else ""
        return f"call {self.number}: {self.op} {self.path}{arrow}"


class Step(NamedTuple):
    """A call that was made, and what it did."""

    call: Call
    inode: int = TOP
    is_new: bool = False  # the inode was made by this call
    data: bytes = b""  # what was written; what the file holds, where it was synced or changed otherwise
    offset: int = 0  # where; the new length
    error: int = 0  # the errno of a call that failed; -1 for an interrupt before it

    @property
    def op(self) -> str:
        return self.call.op

    def __str__(self) -> str:
        return str(self.call) + (f" ({errno.errorcode.get(self.error, 'interrupted')})" if self.error else "")


Perform = Callable[..., Any]  # perform() or, of a write, perform(how_many_bytes)
Action = Callable[[Call, Perform], Any]
Plan = Callable[[Call], Action | None]


# --- actions ----------------------------------------------------------------------------------------------


def fail(code: int) -> Action:
    """The call fails and does nothing (a close closes all the same, as on Linux)."""

    def act(call: Call, perform: Perform) -> Any:
        if call.op == "close":
            perform()
        raise OSError(code, os.strerror(code), call.path)

    return act


def cut_short(call: Call, perform: Perform) -> Any:
    """A write takes half of the bytes, at least one; any other call is left alone."""
    return perform(max(1, call.size // 2)) if call.op in ("write", "writev", "pwrite") else perform()


def interrupt_before(_: Call, __: Perform) -> Any:
    """Ctrl-C, just before the call."""
    raise KeyboardInterrupt


def interrupt_after(_: Call, perform: Perform) -> Any:
    """Ctrl-C, just after the call."""
    perform()
    raise KeyboardInterrupt


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()


def kill_before(_: Call, __: Perform) -> Any:
    """SIGKILL to the own process, just before the call."""
    _die()


def kill_after(_: Call, perform: Perform) -> Any:
    """SIGKILL to the own process, just after the call."""
    with suppress(OSError):
        perform()
    _die()


def kill_half_way(call: Call, perform: Perform) -> Any:
    """SIGKILL to the own process when half of the bytes are written."""
    if call.size > 1:
        perform(call.size // 2)
    _die()


# --- plans ------------------------------------------------------------------------------------------------


def leave_alone(_: Call) -> Action | None:
    """Nothing fails."""
    return None


def at(number: int, action: Action) -> Plan:
    """``action`` in the place of one call."""
    return lambda call: action if call.number == number else None


def burst(first: int, count: int, ops: Sequence[str], action: Action) -> Plan:
    """``action`` in the place of ``count`` calls of some kinds in a row, from the number ``first`` on."""
    left = count

    def plan(call: Call) -> Action | None:
        nonlocal left
        if call.number < first or call.op not in ops or not left:
            return None
        left -= 1
        return action

    return plan


# --- the watch --------------------------------------------------------------------------------------------

_NAMED = ("link", "rename", "replace", "unlink", "remove", "mkdir", "rmdir", "utime", "truncate", "scandir", "listdir")
_ON_FD = ("close", "write", "pwrite", "writev", "fsync", "fdatasync", "ftruncate", "posix_fallocate")
_COPIES = ("copy_file_range", "sendfile")
_LOCKS = ("flock", "lockf", "ioctl")


@dataclass
class Syscalls:
    """A watch over a folder; see the module. ``before`` are steps that would make what was there already."""

    folder: Path
    plan: Plan = leave_alone
    trace: list[Step] = field(default_factory=list)
    before: list[Step] = field(default_factory=list)
    tree: Tree = field(default_factory=Tree)
    _real: dict[str, Any] = field(default_factory=dict)
    _fds: dict[int, tuple[int, int]] = field(default_factory=dict)  # fd -> real inode number, ours
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _patches: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        self._root = str(self.folder.resolve())
        self._adopt(self.folder)
        for op in (*_NAMED, *_ON_FD, *_COPIES, "open"):
            if hasattr(os, op):
                self._real[op] = getattr(os, op)
        self._real_open = builtins.open
        for op in _NAMED:
            self._patch(os, op, self._by_name(op))
        for op in _ON_FD:
            self._patch(os, op, self._by_fd(op, getattr(os, op, None)))
        for op in _COPIES:
            self._patch(os, op, self._copying(op))
        for op in _LOCKS:
            self._patch(fcntl, op, self._by_fd(op, getattr(fcntl, op)))
        self._patch(os, "open", self._opening)
        self._patch(io, "open", self._opening_a_stream)
        self._patch(builtins, "open", self._opening_a_stream)
        return self

    def __exit__(self, *_: object) -> None:
        self._patches.close()

    def _patch(self, module: Any, op: str, spy: Any) -> None:
        if hasattr(module, op):
            self._patches.enter_context(patch.object(module, op, spy))

    def _adopt(self, folder: Path) -> None:
        """Take in what is there already: as if it had just been made, and synced."""
        for place in sorted(folder.rglob("*")):
            path = place.relative_to(folder).as_posix()
            inode = self.tree.new_inode(is_folder=place.is_dir())
            self.tree.put(path, inode)
            data = b"" if place.is_dir() else place.read_bytes()
            op = "mkdir" if place.is_dir() else "open"
            self.before += [
                Step(Call(-1, op, path), inode, is_new=True),
                Step(Call(-1, "fsync", path), inode, data=data),
            ]
            above = self.tree.entry(path)[0]
            self.before.append(Step(Call(-1, "fsync", path.rpartition("/")[0]), above))

    # -- which file --------------------------------------------------------------------------------------

    def _relative(self, place: Any, dir_fd: int | None = None) -> str | None:
        """A path as seen from the folder; None if it lies elsewhere."""
        text = os.fsdecode(place)
        if not text.startswith("/"):
            above = os.getcwd() if dir_fd is None else os.readlink(f"/proc/self/fd/{dir_fd}")  # noqa: PTH109, PTH115
            text = f"{above}/{text}"
        text = os.path.normpath(text)
        if text == self._root:
            return ""
        return text.removeprefix(f"{self._root}/") if text.startswith(f"{self._root}/") else None

    def _inode(self, fd: int) -> int | None:
        """The inode behind a file descriptor; None if it is not below the folder."""
        try:
            real = os.fstat(fd).st_ino
        except OSError:
            return None
        if fd in self._fds and self._fds[fd][0] == real:
            return self._fds[fd][1]
        path = self._relative(os.readlink(f"/proc/self/fd/{fd}"))  # noqa: PTH115
        return None if path is None else self.tree.find(path)

    def _content(self, fd: int) -> bytes:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            return b""
        with self._real_open(f"/proc/self/fd/{fd}", "rb") as stream:
            return bytes(stream.read())

    # -- one call ----------------------------------------------------------------------------------------

    def _make(self, call: Call, do: Perform, effect: Callable[[Any], Step]) -> Any:
        """Ask the plan, perform the call or what stands in for it, and note what came of it."""

        def perform(*limit: int) -> Any:
            result = do(*limit)
            self.trace.append(effect(result))
            return result

        action = self.plan(call)
        try:
            return perform() if action is None else action(call, perform)
        except BaseException as error:
            if len(self.trace) == call.number:
                failed = (error.errno or errno.EIO) if isinstance(error, OSError) else -1
                inode = self.tree.find(call.path)
                self.trace.append(Step(call, TOP if inode is None else inode, error=failed))
            raise

    def _opening(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        real: Callable[..., int] = self._real["open"]
        name = self._relative(path, dir_fd)
        if name is None:
            return real(path, flags, mode, dir_fd=dir_fd)
        with self._lock:
            is_unnamed = flags & os.O_TMPFILE == os.O_TMPFILE
            known = None if is_unnamed else self.tree.find(name)
            is_new = is_unnamed or (known is None and bool(flags & os.O_CREAT))
            is_emptied = known is not None and bool(flags & os.O_TRUNC)
            call = Call(len(self.trace), "open", "" if is_unnamed else name, is_changing=is_new or is_emptied)

            def effect(fd: int) -> Step:
                inode = self.tree.new_inode() if is_new or known is None else known
                if is_new and not is_unnamed:
                    self.tree.put(name, inode)
                self._fds[fd] = (os.fstat(fd).st_ino, inode)
                if is_emptied:
                    return Step(call._replace(op="ftruncate"), inode)
                return Step(call, inode, is_new=is_new)

            opened: int = self._make(call, lambda: real(path, flags, mode, dir_fd=dir_fd), effect)
            return opened

    def _opening_a_stream(self, file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        """``open``: its opening is seen; what is written through it, in C, only when it is synced."""
        is_ours = not isinstance(file, int) and self._relative(file) is not None
        if is_ours and len(args) < 6 and kwargs.get("opener") is None:  # opener is the sixth
            kwargs["opener"] = lambda path, flags: os.open(path, flags, 0o666)
        return self._real_open(file, mode, *args, **kwargs)

    def _by_fd(self, op: str, real: Any) -> Any:
        def spy(fd: Any, *args: Any) -> Any:
            number = fd if isinstance(fd, int) else fd.fileno()
            with self._lock:
                inode = self._inode(number)
                if inode is None:
                    return real(fd, *args)
                size = len(_joined(op, args)) if op in ("write", "writev", "pwrite") else 0
                size = args[0] if op == "ftruncate" else size
                path = self.tree.path_of(inode) or ""
                call = Call(len(self.trace), op, path, size=size, is_changing=op not in READING)

                def do(*limit: int) -> Any:
                    if op in ("fsync", "fdatasync"):
                        return None
                    if op == "close":
                        self._fds.pop(number, None)
                    if limit:
                        whole = (memoryview(_joined(op, args))[: limit[0]], *args[1:])
                        return self._real["pwrite"](fd, *whole) if op == "pwrite" else self._real["write"](fd, *whole)
                    return real(fd, *args)

                return self._make(call, do, lambda result: self._done(call, inode, number, args, result))

        return spy

    def _done(self, call: Call, inode: int, fd: int, args: Any, result: Any) -> Step:
        """What a call on a file descriptor did."""
        if call.op in ("write", "writev", "pwrite"):
            data = _joined(call.op, args)[:result]
            if call.op == "pwrite":
                offset = args[1]
            elif fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_APPEND:
                offset = os.fstat(fd).st_size - result
            else:
                offset = os.lseek(fd, 0, os.SEEK_CUR) - result
            return Step(call, inode, data=data, offset=offset)
        if call.op == "ftruncate":
            return Step(call, inode, offset=args[0])
        if call.op in ("fsync", "fdatasync"):
            return Step(call, inode, data=self._content(fd))
        if call.op in ("ioctl", "posix_fallocate"):  # a reflink, say
            return Step(call._replace(op="copy"), inode, data=self._content(fd))
        return Step(call, inode)

    def _copying(self, op: str) -> Any:
        def spy(one: int, other: int, *args: Any, **kwargs: Any) -> Any:
            real = self._real[op]
            target = other if op == "copy_file_range" else one
            with self._lock:
                inode = self._inode(target)
                if inode is None:
                    return real(one, other, *args, **kwargs)
                call = Call(len(self.trace), op, self.tree.path_of(inode) or "")
                effect = lambda _: Step(call._replace(op="copy"), inode, data=self._content(target))  # noqa: E731
                return self._make(call, lambda: real(one, other, *args, **kwargs), effect)

        return spy

    def _by_name(self, op: str) -> Any:
        def spy(*args: Any, **kwargs: Any) -> Any:
            real = self._real[op]
            with self._lock:
                two = op in ("link", "rename", "replace")
                path, target = self._names(args, kwargs, two=two)
                if path is None and target is None:
                    return real(*args, **kwargs)
                inode = self._inode_of_name(args[0], path) if two else self.tree.find(path or "")
                size = args[1] if op == "truncate" else 0
                call = Call(len(self.trace), op, path or "", target or "", size, is_changing=op not in READING)
                return self._make(call, lambda: real(*args, **kwargs), lambda _: self._named(call, inode, args))

        return spy

    def _names(self, args: Any, kwargs: Any, *, two: bool) -> tuple[str | None, str | None]:
        if not args or isinstance(args[0], int):
            return None, None
        path = self._relative(args[0], kwargs.get("src_dir_fd", kwargs.get("dir_fd")))
        return path, self._relative(args[1], kwargs.get("dst_dir_fd")) if two else None

    def _inode_of_name(self, given: Any, path: str | None) -> int | None:
        """The inode to be named: by its name, or by ``/proc/self/fd/N`` where it has none."""
        text = os.fsdecode(given)
        if path is None and text.startswith("/proc/self/fd/"):
            return self._inode(int(text.rpartition("/")[2]))
        return None if path is None else self.tree.find(path)

    def _named(self, call: Call, inode: int | None, args: Any) -> Step:
        """What a call on a name did."""
        step = Step(call, TOP if inode is None else inode, offset=call.size)
        if call.op in ("rename", "replace", "link"):
            if inode is None:  # it came from elsewhere: by a link, or moved
                with self._real_open(args[1], "rb") as stream:
                    step = step._replace(inode=self.tree.new_inode(), is_new=True, data=stream.read())
            if call.op != "link" and call.path:
                self.tree.drop(call.path)
            if call.target:
                self.tree.put(call.target, step.inode)
        elif call.op == "mkdir":
            step = step._replace(inode=self.tree.new_inode(is_folder=True), is_new=True)
            self.tree.put(call.path, step.inode)
        elif call.op in ("unlink", "remove", "rmdir"):
            self.tree.drop(call.path)
        return step


def _joined(op: str, args: Any) -> bytes:
    return b"".join(bytes(part) for part in args[0]) if op == "writev" else bytes(memoryview(args[0]).cast("B"))
