"""Arguments that more than one command takes."""

from __future__ import annotations

import argparse


def seed(text: str) -> int:
    """A whole number, 0 or more."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative; give 0 or more")
    return number
