"""Settings of other programs as plain values."""

from __future__ import annotations

import functools
from argparse import Namespace
from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pytest

from runbundle.interop.plain import plain


class Size(Enum):
    SMALL = "small"


@dataclass
class Optimizer:
    lr: float
    size: Size


class Loss:
    pass


HERE = __name__


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, None),
        (True, True),
        (3, 3),
        (0.5, 0.5),
        ("text", "text"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (Optimizer(0.1, Size.SMALL), {"lr": 0.1, "size": "small"}),
        (Namespace(a=1, b=Namespace(c=(2, 3))), {"a": 1, "b": {"c": [2, 3]}}),
        (OrderedDict({0: "zero"}), {"0": "zero"}),
        ({"b", "a"}, ["a", "b"]),
        (PurePosixPath("a/b"), "a/b"),
        (np.float32(0.5), 0.5),
        (np.int64(7), 7),
        (np.array(2.5), 2.5),
        (Loss, f"{HERE}.Loss"),
        (plain, "runbundle.interop.plain.plain"),
        (Loss(), f"{HERE}.Loss"),
        (functools.partial(plain, Loss()), "functools.partial"),
        (complex(1, 2), "(1+2j)"),
        (np.zeros(1000), "numpy.ndarray"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_settings_are_told_as_plain_values_that_are_the_same_in_every_process(value: Any, told: Any) -> None:
    found = plain(value)
    assert found == told
    assert type(found) is type(told)
