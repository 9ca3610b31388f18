"""Asking git: what it prints, and why it does not answer. Nothing here writes, and nothing waits for ever."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_TIMEOUT_S = 30
_KEPT = ("GIT_CONFIG", "GIT_CEILING_DIRECTORIES", "GIT_DISCOVERY_ACROSS_FILESYSTEM", "GIT_EXEC_PATH")
_FAULTS = (("not a git repository", None), ("dubious ownership", "git does not trust the owner of the repository"))
_MOST_TEXT = 1 << 24


@dataclass(frozen=True, slots=True)
class Answer:
    """What git printed.

    Attributes:
        data: its output; cut off where it was longer than asked for.
        is_whole: whether that is all of it.
        fault: why there is no answer, where git should have one; None where all is well, or there is no repository.
        is_good: whether git did what it was asked.
    """

    data: bytes
    is_whole: bool
    fault: str | None
    is_good: bool

    @property
    def line(self) -> str:
        """The only line of an answer."""
        return os.fsdecode(self.data.removesuffix(b"\n"))


def ask(folder: Path, *arguments: str, most: int = _MOST_TEXT) -> Answer:
    """Ask the git of the user about the repository that holds ``folder``.

    Variables that point git to another repository, index or way of reading paths, as they are set in a hook, do not
    count; what the user has configured does.

    Args:
        folder: where to ask.
        arguments: the command.
        most: how many bytes of output to take.
    """
    command = ["git", "-C", str(folder), "-c", "core.fsmonitor=false", "--no-pager", *arguments]
    try:
        process = subprocess.Popen(  # noqa: S603 - our own arguments
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=own_environment()
        )
    except FileNotFoundError:
        is_there = any((above / ".git").exists() for above in (folder, *folder.parents))
        return Answer(b"", is_whole=False, fault="git is not installed" if is_there else None, is_good=False)
    except (OSError, ValueError):  # ValueError: a NUL in a path
        return Answer(b"", is_whole=False, fault="git cannot be started", is_good=False)
    return _read(process, most)


def own_environment() -> dict[str, str]:
    """This process's environment without what points git elsewhere, for a git that asks nobody anything."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name.startswith(_KEPT)}
    return {**own, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}


def _read(process: subprocess.Popen[bytes], most: int) -> Answer:
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        process.kill()

    errors: list[bytes] = []
    timer = threading.Timer(_TIMEOUT_S, expire)
    timer.daemon = True
    with process:
        assert process.stdout is not None  # noqa: S101 - it was asked for
        assert process.stderr is not None  # noqa: S101 - likewise
        stderr = process.stderr
        reader = threading.Thread(target=lambda: errors.append(stderr.read()), daemon=True)
        timer.start()
        reader.start()
        try:
            data = process.stdout.read(most + 1)
            if len(data) > most:
                process.kill()
        finally:
            process.wait()
            timer.cancel()
            reader.join()
    is_whole = len(data) <= most and not expired.is_set()
    is_good = process.returncode == 0 or len(data) > most
    fault = None if is_good else _fault(errors, has_expired=expired.is_set())
    return Answer(data[:most], is_whole, fault, is_good)


def _fault(errors: Sequence[bytes], *, has_expired: bool) -> str | None:
    if has_expired:
        return f"git did not answer within {_TIMEOUT_S} s"
    said = b"".join(errors).decode("utf-8", "replace")
    return next((fault for text, fault in _FAULTS if text in said), "git failed")
