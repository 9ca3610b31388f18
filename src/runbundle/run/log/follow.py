"""Reading the logs of a run, and reading on where one stopped (docs/format.md, section 3)."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from runbundle.base.collector import uncollected
from runbundle.base.errors import RunNotFound
from runbundle.contract.record import Pointer
from runbundle.io.atomic import refused
from runbundle.io.scan import Scan
from runbundle.run.log.lines import CREATOR, LOG_STEM, is_log, log_name, log_writer, scan_of
from runbundle.run.log.state import RunState


@dataclass(slots=True)
class Followed:
    """The logs of a run, as far as they were read.

    Attributes:
        run_dir: the run.
        own: the writer whose log is not read, because its lines are known as they are said; None for a reader.
        scans: for each writer, how far its log was read.
    """

    run_dir: Path
    own: str | None = None
    scans: dict[str, Scan] = field(default_factory=dict)

    def advance(self, state: RunState) -> bool:
        """Take in what was appended since; tells whether anything was.

        Raises:
            LogCorrupt: a line before a log's end is damaged.
        """
        has_news = False
        for writer, path in log_paths(self.run_dir).items():
            if writer == self.own:
                continue
            scan = self.scans.setdefault(writer, scan_of(path))
            for record in scan:
                state.apply(record, Pointer(writer, scan.seq - 1))
                has_news = True
            scan.require_intact()
        return has_news


def logs_in(run_dir: Path) -> list[str]:
    """The names of a run's logs and journals of points, sorted; a link or a pipe is none."""
    try:
        with os.scandir(run_dir) as entries:
            return sorted(e.name for e in entries if is_log(e.name) and e.is_file(follow_symlinks=False))
    except OSError as error:
        refused("Listing", run_dir, error)


def log_paths(run_dir: Path, stem: str = LOG_STEM) -> dict[str, Path]:
    """The logs of a run (or its metric journals) by writer."""
    return {log_writer(name): run_dir / name for name in logs_in(run_dir) if name.startswith(stem)}


def load_state(run_dir: Path) -> RunState:
    """What a run's logs say.

    Raises:
        RunNotFound: there is no log. LogCorrupt: a line before a log's end is damaged.
    """
    return follow(run_dir)[1]


def follow(run_dir: Path) -> tuple[Followed, RunState]:
    """What a run's logs say, and where to read on; errors as ``load_state``."""
    if CREATOR not in log_paths(run_dir):
        raise RunNotFound(f"{run_dir} has no {log_name(CREATOR)}", hint="Is it a run folder?", path=run_dir)
    followed, state = Followed(run_dir), RunState()
    with uncollected():
        followed.advance(state)
    return followed, state
