"""CPU time of ``import runbundle`` and ``runbundle --help`` against ``python -c pass``, as ratios in one run.

    uv run benchmarks/import_time.py [--runs N] [--peer MODULE:COMMAND ...]

A peer that is installed in this environment can be timed beside it: ``--peer mlflow:mlflow``.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

BARE = "python -c pass"


def cpu_ms(command: Sequence[str]) -> float:
    """User and system time of one process, ms, as the operating system counts it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def main() -> None:
    """Time all commands in turn, over and over; print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--peer", action="append", default=[], metavar="MODULE:COMMAND")
    options = parser.parse_args()
    tools = Path(sys.executable).parent
    commands = {
        BARE: [sys.executable, "-c", "pass"],
        "import runbundle": [sys.executable, "-c", "import runbundle"],
        "runbundle --help": [str(tools / "runbundle"), "--help"],
        "gridpet --help": [str(tools / "gridpet"), "--help"],
    }
    for peer in options.peer:
        module, _, command = peer.partition(":")
        commands[f"import {module}"] = [sys.executable, "-c", f"import {module}"]
        commands[f"{command} --help"] = [str(tools / command), "--help"]
    times: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(options.runs + 1):
        for name, command_line in commands.items():
            taken = cpu_ms(command_line)
            if turn:  # the first turn fills caches
                times[name].append(taken)
    bare = statistics.median(times[BARE])
    print(f"{'command':<24} {'median cpu ms':>14} {'ratio':>7}")
    for name, taken in times.items():
        print(f"{name:<24} {statistics.median(taken):14.1f} {statistics.median(taken) / bare:7.1f}")


if __name__ == "__main__":
    main()
