"""The command line: ``segment train | render``. Data goes to stdout, everything else to stderr."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import runbundle as rb
from segment import __version__
from segment.cli.progress import shown

__all__ = ["main"]

_EPILOG = """\
example:    segment train
            segment train train.epochs=10 net.width=16
            segment train --config-name sweep --multirun

exit codes: 0 good; 2 wrong usage or configuration; 4 the environment failed; 130 interrupted
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="segment",
        description="Train a small network that finds objects on printed grids.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"segment {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    train = commands.add_parser(
        "train", add_help=False, help="train as the configuration says; takes what Hydra's command line takes"
    )
    train.set_defaults(run=_train)
    render = commands.add_parser("render", help="render frames into a file", allow_abbrev=False)
    render.add_argument("out", metavar="OUT.npz", type=Path, help="where to write them")
    render.add_argument("--count", metavar="N", type=int, default=160, help="how many (160)")
    render.add_argument("--seed", metavar="N", type=int, default=1000, help="of the first; each has the next (1000)")
    render.add_argument("--size", metavar="WxH", type=_size, default=(192, 144), help="of a frame, in pixels (192x144)")
    render.set_defaults(run=_render)
    options, rest = parser.parse_known_args(argv)
    if options.command is None:
        parser.print_help(sys.stderr)
        return 2
    if rest and options.command != "train":
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return rb.run_command(lambda: int(options.run(options, rest)), prog="segment", debug=options.debug)


def _train(options: argparse.Namespace, rest: list[str]) -> int:  # noqa: ARG001 - one shape for all
    try:
        from segment.engine.job import run_jobs  # noqa: PLC0415 - PyTorch and Hydra are loaded by who trains
    except ImportError as error:
        if isinstance(error, rb.RunbundleError) or error.name is None:
            raise
        raise rb.errors.MissingExtra(
            f"{error.name} is needed to train and is not installed",
            hint='Install PyTorch as its own pages say, then "segment[train]"',
        ) from error
    with shown() as progress:
        done = run_jobs(rest, progress)
    for trained in done:
        print(trained.run)
        if trained.model is not None:
            print(f"promoted: {trained.model}", file=sys.stderr)
        if trained.refusal is not None:
            print(f"not promoted: {trained.refusal}", file=sys.stderr)
    return 0


def _render(options: argparse.Namespace, rest: list[str]) -> int:  # noqa: ARG001 - one shape for all
    from segment.frames.dataset import save  # noqa: PLC0415 - OpenCV is loaded by who renders
    from segment.frames.render import render  # noqa: PLC0415

    if options.out.suffix != ".npz" or options.count < 1 or options.seed < 0:
        raise rb.errors.InvalidValue(
            "OUT ends with .npz, and counts and seeds are positive", hint="segment render --help"
        )
    with shown() as progress:
        done = 0

        def more(number: int) -> None:
            nonlocal done
            done += number
            progress("rendering frames", done, options.count)

        save(render(options.count, options.seed, options.size, more), options.out)
    print(options.out)
    return 0


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) > 0 and int(height) > 0):
        raise argparse.ArgumentTypeError(f"{text} is no size; give one such as 160x120")
    return int(width), int(height)
