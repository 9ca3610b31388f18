"""``runbundle ls``: the runs of a store."""

from __future__ import annotations

import argparse

from runbundle.cli.common import add_store, print_json, print_table, store_of
from runbundle.cli.exits import GOOD
from runbundle.store.listing import list_runs


def add(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    add_store(parser)


def run(options: argparse.Namespace) -> int:
    """List, newest first."""
    rows = list_runs(store_of(options))
    if options.json:
        print_json({"store": str(store_of(options)), "runs": [row.to_json() for row in rows]})
    else:
        print_table(
            ("RUN", "PROJECT", "STATUS", "SEALED", "CREATED (UTC)"),
            (
                (
                    row.run_id,
                    row.project_name or "-",
                    row.status,
                    "yes" if row.is_sealed else "no",
                    (row.created_at_utc or "-").partition(".")[0].replace("T", " "),
                )
                for row in rows
            ),
        )
    return GOOD
