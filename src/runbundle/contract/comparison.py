"""When two artifacts of one spec are the same: what a reproduction and a diff hold them to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from runbundle.base.errors import ContractError


class By(StrEnum):
    """What is held against each other.

    Attributes:
        VALUES: what the format reads from the bytes, where it reads values; else the bytes.
        BYTES: the bytes.
        NOTHING: they are not compared: a picture for people that shows the time, say.
    """

    VALUES = "values"
    BYTES = "bytes"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Comparison:
    """The rule by which two artifacts of a spec are the same. Equal bytes always are.

    Numbers ``a``, of the earlier run, and ``b`` are the same if they are equal, and within tolerance if
    ``|a - b| <= atol + rtol * |a|``. NaN equals NaN.

    Attributes:
        by: ``values``, ``bytes`` or ``nothing``.
        rtol, atol: the tolerance; of images in grey levels.
        max_share: the share of an array's or an image's values that may lie beyond the tolerance all the same, 0 to 1.
        ignore: names that do not count, such as those of times: dotted keys of a document (positions in lists are
            left out of them), names of arrays or tensors, columns. ``*`` stands for any text: ``*.elapsed_s``.

    Raises:
        ContractError: the fields contradict each other.
    """

    by: By | str = By.VALUES
    rtol: float = 0.0
    atol: float = 0.0
    max_share: float = 0.0
    ignore: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.by not in tuple(By):
            raise ContractError(f"A comparison is by {self.by!r}, not by one of {', '.join(By)}")
        object.__setattr__(self, "by", By(self.by))
        for name in ("rtol", "atol", "max_share"):
            object.__setattr__(self, name, _amount(name, getattr(self, name)))
        if self.max_share > 1:
            raise ContractError(f"max_share is {self.max_share}, which is more than all")
        if isinstance(self.ignore, str) or not all(isinstance(name, str) and name for name in self.ignore):
            raise ContractError(f"ignore is a list of names, not {self.ignore!r}")
        object.__setattr__(self, "ignore", tuple(str.__str__(name) for name in self.ignore))
        if self.by is not By.VALUES and (self.rtol or self.atol or self.max_share or self.ignore):
            raise ContractError(f"A comparison by {self.by} has no tolerance and ignores no names")

    def ignores(self, name: str) -> bool:
        """Whether a name does not count."""
        return any(fnmatchcase(name, pattern) for pattern in self.ignore)


def _amount(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ContractError(f"{name} is {value!r}, not a number of 0 or more")
    return float(value)


EXACT = Comparison()
