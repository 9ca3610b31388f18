"""Names as a file system keeps them: a folder maps names to inodes, and an inode may have several names."""

import itertools
from dataclasses import dataclass, field

TOP = 0  # the inode of the folder under watch


@dataclass
class Tree:
    """What stands where below a folder. Paths are relative to it; the folder itself is ``""``."""

    folders: dict[int, dict[str, int]] = field(default_factory=lambda: {TOP: {}})
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(TOP + 1))

    def new_inode(self, *, is_folder: bool = False) -> int:
        """A number never used before, as real inode numbers are not."""
        inode = next(self._numbers)
        if is_folder:
            self.folders[inode] = {}
        return inode

    def find(self, path: str) -> int | None:
        inode = TOP
        for part in path.split("/") if path else ():
            below = self.folders.get(inode, {}).get(part)
            if below is None:
                return None
            inode = below
        return inode

    def entry(self, path: str) -> tuple[int, str]:
        """The inode of the folder that holds a name, and the name in it."""
        above, _, name = path.rpartition("/")
        folder = self.find(above)
        assert folder is not None, f"no folder {above!r} was seen to be made"
        return folder, name

    def put(self, path: str, inode: int) -> None:
        folder, name = self.entry(path)
        self.folders[folder][name] = inode

    def drop(self, path: str) -> None:
        folder, name = self.entry(path)
        self.folders[folder].pop(name, None)

    def path_of(self, inode: int) -> str | None:
        """A name of an inode; that of a temporary file only if it has no other; None if it has none."""
        names = sorted(self.paths_of(inode), key=lambda path: path.rpartition("/")[2].startswith(".tmp-"))
        return names[0] if names else None

    def paths_of(self, inode: int) -> list[str]:
        if inode == TOP:
            return [""]
        return [path for path, other in self.walk() if other == inode]

    def walk(self, folder: int = TOP, above: str = "") -> list[tuple[str, int]]:
        """Every path with its inode, folders before what they hold."""
        found = []
        for name, inode in self.folders[folder].items():
            found.append((above + name, inode))
            if inode in self.folders:
                found += self.walk(inode, f"{above}{name}/")
        return found
