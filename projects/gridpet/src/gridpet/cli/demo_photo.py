"""``gridpet demo-photo``: a synthetic photo whose truth is known."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import runbundle as rb
from gridpet.cli.arguments import seed
from gridpet.demo import FAMILIES, encode_jpeg, render


def add(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("out", metavar="OUT.jpg", type=Path, help="where to write the photo (JPEG)")
    parser.add_argument("--seed", metavar="N", type=seed, default=0, help="which photo; the same seed gives the same")
    parser.add_argument("--family", choices=sorted(FAMILIES), default="plain", help="what kind of scene")
    parser.add_argument("--truth", metavar="FILE", type=Path, help="write what is true about it as JSON")


def run(options: argparse.Namespace) -> int:
    """Render and write."""
    if options.out.suffix.lower() not in (".jpg", ".jpeg"):
        raise rb.errors.InvalidValue(f"{options.out} is no name of a JPEG", hint="Give one that ends with .jpg")
    taken = [str(place) for place in (options.out, options.truth) if place and place.exists()]
    if taken:
        raise rb.errors.InvalidValue(f"{taken[0]} is there already", hint="It was kept: give another name")
    scene = render(options.seed, family=options.family)
    try:
        options.out.write_bytes(encode_jpeg(scene))
        if options.truth:
            text = json.dumps(scene.truth, indent=2, sort_keys=True, ensure_ascii=False)
            options.truth.write_text(f"{text}\n", encoding="utf-8")
    except OSError as error:
        raise rb.errors.UnavailableError(
            f"{error.filename} cannot be written: {error.strerror}", hint="Give another place"
        ) from error
    hint = scene.truth["hint"]
    print(options.out)
    print(f"measure it: gridpet measure {options.out} --pitch-mm {hint['pitch_mm']:g}", file=sys.stderr)
    return 0
