"""How much of a random or exhaustive test is done: a sample in CI, all of it under ``RUNBUNDLE_LONG=1``."""

import os
import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

IS_LONG = os.environ.get("RUNBUNDLE_LONG") == "1"
LONG_FACTOR = 50


def seeds(count: int) -> range:
    """``count`` seeds, and 50 times as many in the long form."""
    return range(count * LONG_FACTOR if IS_LONG else count)


def share(things: Sequence[T], seed: int, of: int, *, sample: int) -> list[T]:
    """The share of one seed among ``of``: together they take every thing in the long form, else ``sample`` each."""
    shuffled = random.Random(0).sample(list(things), len(things))  # noqa: S311 - the same on every machine
    mine = shuffled[seed::of]
    return mine if IS_LONG else mine[:sample]
