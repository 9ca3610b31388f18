"""``crv sweep``: a run of each combination."""

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

import runbundle as rb
from crv.cli.arguments import add_settings, add_store, given, once
from crv.cli.progress import clear

if TYPE_CHECKING:
    from crv.engine.one_run import Simulated
    from crv.engine.settings import Settings


def add(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("--seeds", metavar="N,N", type=_numbers, help="seeds, comma between (7)")
    parser.add_argument("--agents", metavar="N,N", type=_numbers, help="numbers of agents (200)")
    parser.add_argument("--ticks", metavar="N", type=int, help="how long each (1000)")
    parser.add_argument(
        "--vary",
        metavar="NAME=X,Y",
        action="append",
        default=[],
        help="values of any other setting, mind.trend=0,0.5 say; may be given again",
    )
    add_settings(parser)
    add_store(parser)
    parser.add_argument("--jobs", metavar="N", type=int, default=_cores(), help="at the same time (all cores)")
    parser.add_argument("--figures", action="store_true", help="draw each")
    parser.add_argument("--json", action="store_true", help="print one JSON object a run and line")


def run(options: argparse.Namespace) -> int:
    """Simulate all, print a line for each as it ends, and say by the exit code whether all went well."""
    from crv.engine.settings import Settings, described, parsed  # noqa: PLC0415 - NumPy and Polars load where they work
    from crv.engine.sweep import Task, grid, sweep  # noqa: PLC0415

    if options.list_settings:
        print(described())
        return 0
    if options.jobs < 1:
        raise rb.errors.InvalidValue(f"--jobs is {options.jobs}", hint="Give 1 or more")
    fixed = [*map(parsed, options.set), *given(ticks=options.ticks)]
    varied = [
        *given(agents=options.agents),
        *(_varied(text, parsed) for text in options.vary),
        *given(seed=options.seeds),
    ]
    chosen = once([*fixed, *varied])
    base = Settings().changed(dict(fixed))
    shown = {"agents": [base.agents], **{name: chosen[name] for name, _ in varied}}
    shown["seed"] = shown.pop("seed", [base.seed])
    cells = grid(base, shown)
    codes = [0]

    def show(done: rb.Done[Settings, Simulated]) -> None:
        codes.append(_show(options, list(shown), done))

    report = sweep(Task(options.store, options.figures), cells, jobs=options.jobs, on_done=show)
    print(f"{len(report.items) - len(report.failed)} of {len(cells)} simulated and audited", file=sys.stderr)
    return max(codes)


def _varied(text: str, parsed: Callable[[str], tuple[str, int | float]]) -> tuple[str, list[int | float]]:
    """``mind.trend=0,0.5`` as a name and numbers."""
    name, sign, values = text.partition("=")
    if not sign:
        raise rb.errors.InvalidConfig(f"{text!r} varies nothing", hint="Write NAME=X,Y, mind.trend=0,0.5 say")
    return name, [parsed(f"{name}={value}")[1] for value in values.split(",")]


def _show(options: argparse.Namespace, names: list[str], done: rb.Done[Settings, Simulated]) -> int:
    """Print what became of one combination; returns its exit code."""
    from crv.engine.settings import flat  # noqa: PLC0415

    clear()
    asked = {name: flat(done.item)[name] for name in names}
    label = ", ".join(f"{name} {value}" for name, value in asked.items())
    if isinstance(done.error, KeyboardInterrupt):
        raise done.error
    if done.error is not None:
        error = _told(done.error)
        if options.json:
            print(json.dumps({"settings": asked, "error": error.to_json()}, sort_keys=True), flush=True)
        print(f"crv: {label} failed:", file=sys.stderr)
        if options.debug:
            traceback.print_exception(done.error)
        return rb.report_error(error, prog="crv")
    if done.value is None:
        raise RuntimeError("a task gave neither a result nor an error")
    if options.json:
        print(json.dumps(done.value.to_json(), sort_keys=True), flush=True)
    else:
        print(f"{done.value.run_dir}  {label}  off by {100 * done.value.summary['mae_relative']:.1f} %", flush=True)
    return 0


def _told(error: BaseException) -> rb.RunbundleError:
    """The error as one that can be reported; whatever it is, it is that of one combination."""
    if isinstance(error, rb.RunbundleError):
        return error
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return rb.RunbundleError(what, hint="crv --debug sweep ... shows where it comes from")


def _numbers(text: str) -> list[int]:
    numbers = text.split(",")
    if not all(number.strip().isdecimal() for number in numbers):
        raise argparse.ArgumentTypeError(f"{text} is no list of numbers; give some such as 1,2,3")
    return [int(number) for number in numbers]


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
