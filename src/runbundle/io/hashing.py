"""Length and SHA-256 of many files, on all cores.

One thread of Python runs at a time, but for hashing itself. So a few files, or large ones, are hashed by threads; many
files by further interpreters that do nothing else (``_hash_worker``), of which each costs some 15 ms to start.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from runbundle.base.errors import RunbundleError
from runbundle.base.ids import Digest
from runbundle.io import _hash_worker
from runbundle.io.atomic import Written, hash_file
from runbundle.io.threads import pool

Progress = Callable[[int], None]
_FEW, _SMALL_BYTES = 64, 1 << 22  # starting threads takes longer than hashing these
_MANY = 2_000  # hashing these takes longer than starting an interpreter
_BATCH = 64  # files that a thread takes at a time


class Hashing:
    """Hashes files in the background from the moment it is made. Use as a context manager.

    A few small files are hashed when they are asked for.
    """

    def __init__(self, folder: str | Path, paths: Sequence[str], progress: Progress | None = None) -> None:
        self._folder = os.fspath(folder)
        self._progress = progress
        self._tasks: list[Future[dict[str, Written]]] = []
        self._workers: list[subprocess.Popen[bytes]] = []
        self._guard = threading.Lock()
        self._is_over = False
        self._pool: Executor | None = None
        if len(paths) <= _FEW and sum(map(self._size, paths)) < _SMALL_BYTES:
            return
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        if cores < 2:
            return
        self._pool = pool(cores)
        if len(paths) >= _MANY and sys.executable:
            others = cores - 1  # one is left to who asks, who has other things to do meanwhile
            self._tasks = [self._pool.submit(self._by_worker, paths[first::others]) for first in range(others)]
        else:
            size = max(1, min(_BATCH, len(paths) // (4 * cores)))
            batches = (paths[start : start + size] for start in range(0, len(paths), size))
            self._tasks = [self._pool.submit(self._by_thread, batch) for batch in batches]

    def of(self, paths: Iterable[str]) -> dict[str, Written]:
        """What the files hold; waits until all are hashed.

        Raises:
            UnavailableError: one of them cannot be read.
        """
        known: dict[str, Written] = {}
        for task in self._tasks:
            known |= task.result()
        return {path: known[path] if path in known else self._hashed(path) for path in paths}

    def _hashed(self, path: str) -> Written:
        written = hash_file(f"{self._folder}/{path}")
        if self._progress:
            self._progress(written.size)
        return written

    def _by_thread(self, paths: Sequence[str]) -> dict[str, Written]:
        found = {}
        for path in paths:
            with suppress(RunbundleError):  # who asks for it tries again, and is told
                found[path] = self._hashed(path)
        return found

    def _by_worker(self, paths: Sequence[str]) -> dict[str, Written]:
        """What another interpreter can read of the files; none where it cannot be started."""
        command = [sys.executable, "-I", "-S", _hash_worker.__file__]
        with self._guard:
            if self._is_over:
                return {}
            try:
                worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603 - our own
            except OSError:
                return {}
            self._workers.append(worker)
        with worker, worker.stdin as asked, worker.stdout as told:  # type: ignore[union-attr] # both are pipes
            with suppress(OSError):  # it ended early: what it did not say is hashed by who asks
                asked.write(b"".join(os.fsencode(f"{self._folder}/{path}") + b"\0" for path in paths))
                asked.close()
            return dict(self._told(told, paths))

    def _told(self, told: IO[bytes], paths: Sequence[str]) -> Iterator[tuple[str, Written]]:
        """What a worker says, as it says it."""
        for path, line in zip(paths, told, strict=False):
            if line.endswith(b"\n") and line != b"\n":
                digest, _, size = line.decode("ascii").partition(" ")
                written = Written(int(size), Digest(digest))
                if self._progress:
                    self._progress(written.size)
                yield path, written

    def _size(self, path: str) -> int:
        try:
            return os.stat(f"{self._folder}/{path}").st_size
        except OSError:  # reading it will say so
            return 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._guard:
            self._is_over = True
            for worker in self._workers:  # all have ended but where the block was left early
                worker.kill()
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


def hash_files(folder: str | Path, paths: Iterable[str], progress: Progress | None = None) -> dict[str, Written]:
    """Length and digest of files, hashed on all cores.

    Raises:
        UnavailableError: one of them cannot be read.
    """
    todo = list(paths)
    with Hashing(folder, todo, progress) as hashing:
        return hashing.of(todo)
