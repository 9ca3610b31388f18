"""What a power cut may leave of a folder, worked out from the trace of what was done to it.

The model is what POSIX promises and no more, but that a rename happens as a whole, with the folders that lead to it:

- the data of a file is safe as it was at its last fsync; what came later may be lost, in part, or read as zeros;
- a name (made, removed or renamed) is safe once the folder that holds it was fsynced;
- after an fsync of a file failed, no later fsync of it makes anything safe: the kernel has dropped the pages;
- after an fsync of a folder failed, one counts again only when another name was made in it.
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from faults.syscalls import Step
from faults.tree import TOP, Tree

Image = dict[str, bytes | None]  # what stands at each path: the bytes of a file, None for a folder
Entry = tuple[int, str]  # a folder and a name in it


class Change(NamedTuple):
    """What one call did to names: they come to stand for an inode, or for nothing."""

    number: int
    entries: dict[Entry, int | None]


@dataclass
class File:
    """A file as programs see it, and as it is on the disk for certain."""

    live: bytearray = field(default_factory=bytearray)
    safe: bytes = b""
    is_lost: bool = False  # an fsync of it failed


@dataclass
class Disk:
    """The state after some steps. ``take`` goes one step on."""

    tree: Tree = field(default_factory=Tree)
    files: dict[int, File] = field(default_factory=dict)
    safe: dict[Entry, tuple[int, int | None]] = field(default_factory=dict)  # (number of the change, inode)
    pending: list[Change] = field(default_factory=list)
    lost_folders: set[int] = field(default_factory=set)
    _count: int = 0

    @classmethod
    def after(cls, steps: Iterable[Step]) -> "Disk":
        disk = cls()
        for step in steps:
            disk.take(step)
        return disk

    def take(self, step: Step) -> None:
        op, inode = step.op, step.inode
        if step.error:
            if op in ("fsync", "fdatasync") and step.error > 0:
                self._lose(inode)
            return
        if step.is_new:
            self._make(step)
        if op in ("write", "writev", "pwrite"):
            live = self.files[inode].live
            live.extend(bytes(max(0, step.offset - len(live))))
            live[step.offset : step.offset + len(step.data)] = step.data
        elif op in ("ftruncate", "truncate"):
            live = self.files[inode].live
            del live[step.offset :]
            live.extend(bytes(step.offset - len(live)))
        elif op == "copy":
            self.files[inode].live = bytearray(step.data)
        elif op in ("fsync", "fdatasync"):
            self._sync(step)
        elif op in ("link", "rename", "replace", "mkdir", "unlink", "remove", "rmdir") or step.is_new:
            self._name(step)

    def _make(self, step: Step) -> None:
        if step.op == "mkdir":
            self.tree.folders[step.inode] = {}
        else:
            self.files[step.inode] = File(bytearray(step.data))

    def _lose(self, inode: int) -> None:
        if inode in self.files:
            self.files[inode].is_lost = True
        else:
            self.lost_folders.add(inode)

    def _name(self, step: Step) -> None:
        """Put the names as the call left them; when that is safe is another matter."""
        call = step.call
        entries: dict[Entry, int | None] = {}
        if step.op in ("rename", "replace", "unlink", "remove", "rmdir") and call.path:
            entries[self.tree.entry(call.path)] = None
        new = call.target if step.op in ("link", "rename", "replace") else call.path
        if new and step.op not in ("unlink", "remove", "rmdir"):
            entries[self.tree.entry(new)] = step.inode
        for (folder, name), inode in entries.items():
            if inode is None:
                self.tree.folders[folder].pop(name, None)
            else:
                self.tree.folders[folder][name] = inode
            if inode is not None:
                self.lost_folders.discard(folder)
        self._count += 1
        if entries:
            self.pending.append(Change(self._count, entries))

    def _sync(self, step: Step) -> None:
        if step.inode in self.files:
            file = self.files[step.inode]
            file.live = bytearray(step.data)  # also what was written where no one saw it
            if not file.is_lost:
                file.safe = step.data
        elif step.inode not in self.lost_folders:
            touched = [change for change in self.pending if any(folder == step.inode for folder, _ in change.entries)]
            self.pending = [change for change in self.pending if change not in touched]
            for change in touched:
                _settle(self.safe, change)
                self._settle_way(change, self.safe)

    def _settle_way(self, change: Change, names: dict[Entry, tuple[int, int | None]]) -> None:
        """A rename between folders is one transaction, and so are the folders made before it that lead to its end."""
        way = {folder for folder, _ in change.entries} if len({folder for folder, _ in change.entries}) > 1 else set()
        for made in reversed(self.pending):
            for entry, inode in made.entries.items():
                if inode in way and inode in self.tree.folders and made.number < change.number:
                    _settle(names, made)
                    way.add(entry[0])

    # -- what a power cut leaves -------------------------------------------------------------------------

    def live(self) -> Image:
        """What programs see now."""
        found: Image = {path: None for path, inode in self.tree.walk() if inode in self.tree.folders}
        return found | {path: bytes(self.files[i].live) for path, i in self.tree.walk() if i in self.files}

    def worst(self) -> Image:
        """Nothing survives that need not."""
        return self._image(self.safe, {inode: file.safe for inode, file in self.files.items()})

    def random(self, seed: int) -> Image:
        """Each change of a name, and each block of data, survives or not, as the seed has it."""
        chance = random.Random(seed)  # noqa: S311 - the same on every machine
        share = chance.choice((0.2, 0.5, 0.8, 1.0))
        names = dict(self.safe)
        for change in self.pending:
            if chance.random() < share:
                _settle(names, change)
                self._settle_way(change, names)
        return self._image(names, {inode: _torn(file, chance) for inode, file in self.files.items()})

    def _image(self, names: dict[Entry, tuple[int, int | None]], data: dict[int, bytes]) -> Image:
        below: dict[int, dict[str, int]] = {}
        for (folder, name), (_, inode) in names.items():
            if inode is not None:
                below.setdefault(folder, {})[name] = inode

        def walk(folder: int, above: str) -> Iterator[tuple[str, bytes | None]]:
            for name, inode in below.get(folder, {}).items():
                yield above + name, data.get(inode)
                if inode not in data:
                    yield from walk(inode, f"{above}{name}/")

        return dict(walk(TOP, ""))


def _settle(names: dict[Entry, tuple[int, int | None]], change: Change) -> None:
    for entry, inode in change.entries.items():
        if names.get(entry, (0, None))[0] < change.number:
            names[entry] = (change.number, inode)


def _torn(file: File, chance: random.Random) -> bytes:
    """The data of a file, of which what was not synced survives block by block, or reads as zeros."""
    safe, live = file.safe, bytes(file.live)
    if safe == live:
        return safe
    how = chance.choice(("safe", "live", "empty blocks", "mixed blocks", "prefix"))
    if how in ("safe", "live"):
        return safe if how == "safe" else live
    if how == "prefix" and live.startswith(safe):
        return live[: chance.randint(len(safe), len(live))]
    size = chance.choice((16, 64, 512, 4096))
    length = chance.choice((len(live), chance.randint(min(len(safe), len(live)), max(len(safe), len(live)))))
    blocks = []
    for start in range(0, length, size):
        old, new = (text[start : start + size] for text in (safe, live))
        if old == new:
            blocks.append(new)
        elif how == "mixed blocks" and chance.random() < 0.5:
            blocks.append(new.ljust(size, b"\0"))
        else:  # what was synced stays, what follows it is zeros
            blocks.append(old.ljust(size, b"\0"))
    return b"".join(block.ljust(size, b"\0") for block in blocks)[:length]


def power_cuts(steps: Sequence[Step], cuts: Iterable[int], count: int) -> Iterator[tuple[int, str, Image]]:
    """What may be left after each number of steps in ``cuts``: the worst, and ``count`` random states, with a label."""
    wanted = set(cuts)
    disk = Disk()
    for done, step in enumerate((None, *steps)):
        if step is not None:
            disk.take(step)
        if done in wanted:
            yield done, "worst", disk.worst()
            for seed in range(count):
                yield done, f"random {done}.{seed}", disk.random(done * 1000 + seed)


def write_image(image: Image, folder: Path) -> None:
    """Bring a state into being, in an empty folder."""
    for path, data in image.items():
        if data is None:
            (folder / path).mkdir()
        else:
            (folder / path).write_bytes(data)
