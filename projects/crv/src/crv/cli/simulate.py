"""``crv simulate``: one simulation, one run."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from crv.cli.arguments import add_settings, add_store, given, once
from crv.cli.progress import shown

if TYPE_CHECKING:
    from crv.engine.one_run import Simulated


def add(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("--agents", metavar="N", type=int, help="how many agents (200)")
    parser.add_argument("--ticks", metavar="N", type=int, help="how long (1000)")
    parser.add_argument("--seed", metavar="N", type=int, help="of all chance; the same seed gives the same (7)")
    add_settings(parser)
    add_store(parser)
    parser.add_argument("--no-figure", action="store_true", help="leave the picture out")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Simulate, and print where the run lies and what came of it."""
    from crv.engine.one_run import simulate  # noqa: PLC0415 - NumPy and Polars load where they work
    from crv.engine.settings import Settings, described, parsed  # noqa: PLC0415

    if options.list_settings:
        print(described())
        return 0
    named = given(agents=options.agents, ticks=options.ticks, seed=options.seed)
    settings = Settings().changed(once([*map(parsed, options.set), *named]))
    with shown() as progress:
        done = simulate(settings, options.store, is_drawn=not options.no_figure, progress=progress)
    print(json.dumps(done.to_json(), sort_keys=True) if options.json else text_of(done))
    return 0


def text_of(done: Simulated) -> str:
    """The result for people."""
    tokens = [name.removeprefix("mae_relative_") for name in sorted(done.summary) if name.startswith("mae_relative_")]
    errors = ", ".join(f"{token} {100 * done.summary[f'mae_relative_{token}']:.1f} %" for token in tokens)
    return "\n".join(
        [
            done.run_dir,
            f"  {done.settings.agents} agents, {done.settings.ticks} ticks, seed {done.settings.seed}",
            f"  minds are off the oracle by {errors}",
            "  audits: tokens and money are conserved, valuations are in their range",
        ]
    )
