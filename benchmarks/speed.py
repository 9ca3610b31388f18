"""What runbundle costs against bare programs that do the least for the same work, and what its peers cost.

    uv run python benchmarks/speed.py [--row NAME ...] [--repeat N] [--folder DIR] [--peers PYTHON] [--json]

Each side does the work in a child process; the sides take turns. The clock runs inside the process, after its imports
and after the same work was done once on a small scale. A figure is the median, over the turns, of the ratio to the
limit row's time in the same turn: figures of different commands are not to be compared. Rows that need fsync run on the
disk of the current folder, the others on a tmpfs; ``--folder`` runs all in one place. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
LIMIT, OURS, HASHLIB, FLOOR = "limit", "runbundle", "hashlib", "floor"
PEERS = ("mlflow", "trackio", "aim", "sacred", "dvclive", "tensorboardX", "signac", "wandb")
TIMEOUT_S = 1800
PEER_TIMEOUT_S = 180
ENVIRONMENT = {  # nothing calls home: telemetry off, offline modes, and a proxy that is not there
    "AIM_UI_TELEMETRY_ENABLED": "0",
    "DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    "GIT_PYTHON_REFRESH": "quiet",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "ITERATIVE_DO_NOT_TRACK": "1",
    "MLFLOW_ALLOW_FILE_STORE": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PYTHONWARNINGS": "ignore",
    "WANDB_MODE": "offline",
    "WANDB_SILENT": "true",
    "http_proxy": "http://127.0.0.1:9",
    "https_proxy": "http://127.0.0.1:9",
    "no_proxy": "localhost,127.0.0.1",
}


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a row.

    Attributes:
        title: what people read.
        key: which figure of the child.
        of_limit: divide by the limit row's.
        goal, must: what the issue asks of ours.
        is_more_better: so that goal and must are lower bounds; a ratio is then that of speeds, not of times.
    """

    title: str
    key: str = "seconds"
    of_limit: bool = True
    goal: float | None = None
    must: float | None = None
    is_more_better: bool = False

    def value(self, mine: Mapping[str, float], limit: Mapping[str, float]) -> float:
        """The figure of one turn; NaN if the side does not give it."""
        own = mine.get(self.key, math.nan)
        if not self.of_limit:
            return own
        base = limit.get(self.key, math.nan)
        return base / own if self.is_more_better else own / base

    def verdict(self, value: float) -> str:
        """How a figure of ours stands."""
        if self.must is None and self.goal is None:
            return ""
        if self._meets(value, self.goal):
            return "goal"
        return "must" if self._meets(value, self.must) and self.must is not None else "MISSED"

    def verdict_of(self, value: float, turns: Sequence[float]) -> str:
        """The same, with a question mark where single turns would have it otherwise: noise decides there."""
        agreed = {self.verdict(turn) for turn in turns} == {self.verdict(value)}
        return self.verdict(value) + ("" if agreed else "?")

    def _meets(self, value: float, bound: float | None) -> bool:
        return bound is not None and (value >= bound if self.is_more_better else value <= bound)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table.

    Attributes:
        name: for ``--row``.
        title: the work.
        work: its name in the sides' tables.
        sizes: how much of it, for the limit and ours.
        unit: of what there are so many.
        figures: what is shown.
        peer_size: how much of it for peers, who are slow; None: they are not asked.
        needs_disk: fsync is what it measures.
        limit: which side it is held against; None: there is nothing to hold it against.
        also: another bare program, told beside it.
        repeat: never more turns than this.
        is_scaled: ``--scale`` applies.
    """

    name: str
    title: str
    work: str
    sizes: tuple[int, ...]
    unit: str
    figures: tuple[Figure, ...]
    peer_size: int | None = None
    needs_disk: bool = False
    limit: str | None = LIMIT
    also: tuple[str, ...] = ()
    repeat: int = 1000
    is_scaled: bool = True


def time_ratio(title: str, goal: float, must: float) -> Figure:
    """The usual figure."""
    return Figure(f"time / {title}", goal=goal, must=must)


PEAK = Figure("peak memory over start, MiB", "peak_mib", of_limit=False, goal=64)
ROWS = (
    Row(
        name="log",
        title="log 10 metrics a step, kill-safe, create to finish",
        work="log",
        sizes=(1_000, 100_000),
        unit="steps",
        figures=(time_ratio("raw", 1.3, 2),),
        also=(FLOOR,),
        peer_size=1_000,
    ),
    Row(
        name="kill",
        title="SIGKILL after the last acknowledged step: read back",
        work="kill",
        sizes=(1_000,),
        unit="steps",
        figures=(Figure("read back / acknowledged", "read_back", of_limit=False, must=1, is_more_better=True),),
        peer_size=1_000,
        limit=None,
        repeat=3,
        is_scaled=False,
    ),
    Row(
        name="power",
        title="log 10 metrics a step, power-safe every step",
        work="power",
        sizes=(1_000,),
        unit="steps",
        figures=(time_ratio("fsync", 1.1, 1.3),),
        peer_size=1_000,
        needs_disk=True,
    ),
    Row(
        name="flat",
        title="cost per step at 10 million points against the first 10,000",
        work="flat",
        sizes=(1_000_000,),
        unit="steps",
        figures=(
            Figure("last / first", "last_over_first", of_limit=False, goal=1.05, must=1.2),
            Figure("time / raw"),
            Figure("memory growth while logging, MiB", "growth_mib", of_limit=False, goal=50),
            Figure("peak memory with finish, MiB", "peak_mib", of_limit=False, goal=50),
        ),
        peer_size=5_000,
    ),
    Row(
        name="json",
        title="4 KiB JSON artifacts, kill-safe, logged and hashed",
        work="json",
        sizes=(1_000,),
        unit="files",
        figures=(time_ratio("sha256", 2, 3),),
        also=(FLOOR,),
        peer_size=1_000,
    ),
    Row(
        name="stage",
        title="4 KiB JSON artifacts in one stage, power-safe at commit",
        work="stage",
        sizes=(1_000,),
        unit="files",
        figures=(time_ratio("fsync", 0.5, 0.7),),
        peer_size=1_000,
        needs_disk=True,
    ),
    Row(
        name="mib",
        title="files of 1 MiB",
        work="mib",
        sizes=(32,),
        unit="files",
        figures=(time_ratio("sha256", 1.05, 1.15), PEAK),
        peer_size=32,
    ),
    Row(
        name="gib",
        title="one file of 1 GiB",
        work="gib",
        sizes=(1_024,),
        unit="MiB",
        figures=(time_ratio("sha256", 1.05, 1.15), PEAK),
        peer_size=1_024,
    ),
    Row(
        name="adopt",
        title="adopt a file of 1 GiB by a link",
        work="adopt",
        sizes=(1_024,),
        unit="MiB",
        figures=(time_ratio("its hash", 1.05, 1.15), PEAK),
    ),
    Row(
        name="create",
        title="create + 10 params + 10 metrics + finish",
        work="create",
        sizes=(200,),
        unit="runs",
        figures=(time_ratio("raw", 8, 12),),
        also=(FLOOR,),
        peer_size=50,
    ),
    Row(
        name="files",
        title="files and bytes of such a run",
        work="files",
        sizes=(1,),
        unit="run",
        figures=(
            Figure("files", "files", of_limit=False, goal=9),
            Figure("bytes without provenance/", "bytes", of_limit=False, goal=6 * 1024),
            Figure("bytes in provenance/", "bytes_apart", of_limit=False),
        ),
        peer_size=1,
        repeat=1,
        is_scaled=False,
    ),
    Row(
        name="verify-one",
        title="verify a run with one file of 1 GiB",
        work="verify_one",
        sizes=(1_024,),
        unit="MiB",
        figures=(Figure("throughput / sha256sum", goal=1, must=0.9, is_more_better=True), PEAK),
        also=(HASHLIB,),
    ),
    Row(
        name="verify-many",
        title="verify a run of 4 KiB files",
        work="verify_many",
        sizes=(10_000,),
        unit="files",
        figures=(Figure("throughput / sha256sum", goal=1, must=0.9, is_more_better=True),),
        also=(HASHLIB,),
    ),
    Row(
        name="read",
        title="read 20 series of 1,000 points out of each run",
        work="read",
        sizes=(50,),
        unit="runs",
        figures=(Figure("time / orjson.loads of raw lines"),),
        peer_size=2,
    ),
    Row(
        name="join",
        title="processes that write records and metrics into one run, against each into its own",
        work="join",
        sizes=(200,),
        unit="a process",
        figures=(Figure("time / separate runs", must=2),),
        limit="separate",
    ),
)


@dataclass(frozen=True, slots=True)
class Bench:
    """How the command was called."""

    repeat: int
    peer_repeat: int
    folder: Path | None
    peers: str | None
    only_peers: tuple[str, ...]

    def place(self, row: Row) -> Path:
        """The folder that a row runs in."""
        if self.folder:
            return self.folder
        return disk_folder() if row.needs_disk else memory_folder()

    def child(self, row: Row, side: str, size: int) -> dict[str, Any]:
        """One side does the work once."""
        with tempfile.TemporaryDirectory(prefix="speed-", dir=self.place(row)) as scratch:
            home, reply = Path(scratch, "home"), Path(scratch, "reply.json")
            home.mkdir()
            command = [self._python(side), str(HERE / _module(side)), side, row.work, str(size)]
            try:
                ran = subprocess.run(
                    [*command, str(Path(scratch, "work")), str(reply)],
                    cwd=home,
                    env=_environment(home),
                    capture_output=True,
                    text=True,
                    timeout=PEER_TIMEOUT_S if side in PEERS else TIMEOUT_S,
                    check=False,
                )
            except subprocess.TimeoutExpired as late:
                return {"cannot": f"took more than {late.timeout:.0f} s"}
            if ran.returncode or not reply.exists():
                return {"broke": (ran.stderr.strip() or "no reply").splitlines()[-1]}
            return dict(json.loads(reply.read_text(encoding="utf-8")))

    def _python(self, side: str) -> str:
        return self.peers or sys.executable if side in PEERS else sys.executable


def _module(side: str) -> str:
    if side in PEERS:
        return "peers.py"
    return "limits.py" if side in {LIMIT, HASHLIB} else "floors.py" if side == FLOOR else "ours.py"


def _environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    homes = {"HOME": str(home), "TMPDIR": str(home), "WANDB_CACHE_DIR": str(home), "WANDB_DATA_DIR": str(home)}
    return kept | ENVIRONMENT | homes


def memory_folder() -> Path:
    """A tmpfs, where there is one."""
    shm = Path("/dev/shm")  # noqa: S108 - temporary folders of random names are made in it
    return shm if os.access(shm, os.W_OK) else disk_folder()


def disk_folder() -> Path:
    """The folder for temporary files, if it lies on the disk of the current folder; else the current folder."""
    temporary = Path(tempfile.gettempdir())
    return temporary if temporary.stat().st_dev == Path.cwd().stat().st_dev else Path.cwd()


def file_system(folder: Path) -> str:
    """The type of the file system that holds a folder."""
    asked = subprocess.run(["stat", "-f", "-c", "%T", folder], capture_output=True, text=True, check=False)
    return asked.stdout.strip() or "unknown"


# -- running ---------------------------------------------------------------------------------------


def groups(row: Row, bench: Bench) -> Iterator[tuple[int, list[str], int]]:
    """What runs side by side: a size, the sides, the turns."""
    turns = min(row.repeat, bench.repeat)
    limit = [row.limit] if row.limit else []
    for size in row.sizes:
        yield size, [*limit, *row.also, OURS], turns
    if bench.peers and row.peer_size:
        yield row.peer_size, [*limit, *bench.only_peers], min(turns, bench.peer_repeat)


def take_turns(row: Row, size: int, sides: Sequence[str], turns: int, bench: Bench) -> dict[str, list[dict[str, Any]]]:
    """All sides, over and over. A side that cannot, breaks or is absent is not asked again."""
    replies: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
    for turn in range(turns):
        for side in sides:
            if turn and not _is_measured(replies[side][0]):
                continue
            show_progress(f"{row.name}, {size:,} {row.unit}: turn {turn + 1} of {turns}, {side}")
            replies[side].append(bench.child(row, side, size))
    show_progress("")
    return replies


def _is_measured(reply: Mapping[str, Any]) -> bool:
    return not reply.keys() & {"absent", "cannot", "broke"}


def show_progress(text: str) -> None:
    """A line that is overwritten, if someone is looking."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def results(row: Row, size: int, replies: Mapping[str, list[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    """What is told of each side, as plain data."""
    for side, mine in replies.items():
        limits = replies[row.limit] if row.limit else mine
        entry: dict[str, Any] = {"row": row.name, "size": size, "unit": row.unit, "side": side}
        measured = [(reply, limit) for reply, limit in zip(mine, limits, strict=False) if _is_measured(reply)]
        if not measured:
            yield entry | mine[0]
            continue
        seconds = [reply["seconds"] for reply, _ in measured if "seconds" in reply]
        entry["ms_each"] = 1000 * statistics.median(seconds) / size if seconds else None
        entry["figures"] = list(_figures(row, side, measured))
        entry["turns"] = [reply for reply, _ in measured]
        yield entry


def _figures(row: Row, side: str, turns: Sequence[tuple[Any, Any]]) -> Iterator[dict[str, Any]]:
    for figure in row.figures:
        values = [value for mine, limit in turns if not math.isnan(value := figure.value(mine, limit))]
        if not values or (side == row.limit and figure.of_limit):
            continue
        value = statistics.median(values)
        told = {"title": figure.title, "value": value, "low": min(values), "high": max(values)}
        if side == OURS:
            told |= {"goal": figure.goal, "must": figure.must, "verdict": figure.verdict_of(value, values)}
            told["is_more_better"] = figure.is_more_better
        yield told


# -- telling ---------------------------------------------------------------------------------------


def print_head(row: Row, size: int, turns: int, where: str) -> None:
    """The title of a group."""
    print(f"\n{row.name}: {row.title}\n  {size:,} {row.unit}, {where}, median of {turns}")


def print_result(result: Mapping[str, Any]) -> None:
    """The lines of a side."""
    side = f"  {result['side']:<13}"
    for reason in ("absent", "cannot", "broke"):
        if reason in result:
            print(f"{side}{'-':>12}  {reason}: {result[reason][:100]}")
            return
    each = result["ms_each"]
    side += f"{each:12.4f} ms each" if each is not None else " " * 20
    if not result["figures"]:
        print(side)
    for figure in result["figures"]:
        print(f"{side}  {figure['title']:<34}{_number(figure['value']):>10}  {_spread(figure):<18}{_asked(figure)}")
        side = " " * len(side)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.2f}"


def _spread(figure: Mapping[str, Any]) -> str:
    low, high = _number(figure["low"]), _number(figure["high"])
    return f"({low} to {high})" if low != high else ""


def _asked(figure: Mapping[str, Any]) -> str:
    sign = ">=" if figure.get("is_more_better") else "<="
    bounds = [f"{name} {sign} {_number(figure[name])}" for name in ("goal", "must") if figure.get(name) is not None]
    return f"{', '.join(bounds)}: {figure['verdict']}" if bounds else ""


def machine() -> dict[str, Any]:
    """What the figures hang on; nothing that names the machine."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "kernel": platform.release().partition("-")[0],
        "memory": file_system(memory_folder()),
        "disk": file_system(disk_folder()),
    }


def run_rows(rows: Iterable[Row], bench: Bench, *, is_json: bool) -> list[dict[str, Any]]:
    """Run and tell, row by row."""
    told = []
    for row in rows:
        where = file_system(bench.place(row))
        for size, sides, turns in groups(row, bench):
            if row.needs_disk and where in {"tmpfs", "ramfs"}:
                found = [{"row": row.name, "size": size, "side": OURS, "cannot": f"fsync says nothing on a {where}"}]
            else:
                found = list(results(row, size, take_turns(row, size, sides, turns, bench)))
            told += [entry | {"file_system": where} for entry in found]
            if not is_json:
                print_head(row, size, turns, where)
                for entry in found:
                    print_result(entry)
                sys.stdout.flush()
    return told


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--row", action="append", choices=[row.name for row in ROWS], help="only this row; repeatable")
    parser.add_argument("--repeat", type=int, default=5, help="turns; fewer than 5 are a trial")
    parser.add_argument("--peer-repeat", type=int, default=3, help="turns of the peers")
    parser.add_argument("--scale", type=float, default=1.0, help="do only this share of the work: 0.01 for a trial")
    parser.add_argument("--processes", type=int, default=8, help="processes of the row join; the issue asks for 64")
    parser.add_argument("--folder", type=Path, help="run all rows here, such as on a certain disk")
    parser.add_argument("--peers", metavar="PYTHON", help="a Python in whose environment peers are installed")
    parser.add_argument("--peer", action="append", choices=PEERS, help="only this peer; repeatable")
    parser.add_argument("--json", action="store_true", help="all figures of all turns")
    return parser.parse_args(arguments)


def scaled(row: Row, scale: float) -> Row:
    """A row with a share of its work."""
    if not row.is_scaled or scale == 1:
        return row
    sizes = tuple(dict.fromkeys(max(2, round(size * scale)) for size in row.sizes))
    return replace(row, sizes=sizes, peer_size=row.peer_size and max(2, round(row.peer_size * scale)))


def find_python(program: str) -> str:
    """The peers' Python as an absolute path, links kept: it is by its own name that it finds its environment."""
    found = shutil.which(program)
    if not found:
        raise SystemExit(f"There is no program {program}")
    return str(Path(found).absolute())


def main() -> None:
    """Run the rows that were asked for."""
    options = parse()
    os.environ["BENCHMARK_PROCESSES"] = str(options.processes)
    if options.folder:
        options.folder.mkdir(parents=True, exist_ok=True)
    bench = Bench(
        repeat=options.repeat,
        peer_repeat=options.peer_repeat,
        folder=options.folder.absolute() if options.folder else None,
        peers=find_python(options.peers) if options.peers else None,
        only_peers=tuple(options.peer or PEERS),
    )
    rows = [scaled(row, options.scale) for row in ROWS if not options.row or row.name in options.row]
    told = run_rows(rows, bench, is_json=options.json)
    if options.json:
        json.dump({"machine": machine(), "scale": options.scale, "results": told}, sys.stdout, indent=1)
        print()
    elif options.repeat < 5:
        print("\nA trial: figures are told from 5 turns on.")


if __name__ == "__main__":
    main()
