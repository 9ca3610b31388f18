"""What other libraries take for the works. Runs in their own environment; needs neither runbundle nor orjson.

One class a peer says how it starts, logs, keeps a file, ends and reads; the works at the end are the same for all.
Each is used as its documentation shows, with what only costs (Git, host statistics, reports, uploads) switched off.
"""

# ruff: noqa: D102 - what the methods do is said once, in Peer

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from work import (
    PARAMS,
    CannotError,
    Watch,
    Works,
    count_files,
    documents,
    load,
    make_source,
    many_metrics,
    mebibytes,
    metrics,
    serve,
    time_windows,
    work_for,
)

WORKS: Works = {}
Body = Callable[["Peer"], None]
Series = Mapping[str, list[float]]


class Peer:
    """One run of one peer. ``prepare`` makes the store, which is not timed; ``session`` is a run from begin to end."""

    cannot: ClassVar[Mapping[str, str]] = {}

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.given = folder.with_name(f"{folder.name}_given")  # files that the program made, to be kept
        self.given.mkdir(exist_ok=True)
        self.prepare()

    def prepare(self) -> None:
        """Load the library and make its store."""

    def session(self, body: Body, params: Mapping[str, Any] | None = None) -> None:
        """Start a run, let the body write into it, finish it."""
        self.start(params or {})
        body(self)
        self.finish()

    def start(self, params: Mapping[str, Any]) -> None:
        """Make a run."""

    def log(self, values: Mapping[str, float], step: int) -> None:
        """One step."""

    def keep(self, place: Path) -> None:
        """Take a file into the run."""

    def keep_document(self, name: str, value: Any) -> None:
        """Take a JSON document into the run: where a peer takes files only, one is written for it."""
        place = self.given / name
        place.write_text(json.dumps(value), encoding="utf-8")
        self.keep(place)

    def settle(self) -> None:
        """What must be called before files that were kept are there."""

    def finish(self) -> None:
        """End the run."""

    def read(self, names: Iterable[str]) -> Sequence[Series]:
        """The series of all runs in the store."""
        raise CannotError(f"it gives no series of {len(list(names))} names to read")


class MLflow(Peer):
    """MLflow, file store. It hashes nothing."""

    def prepare(self) -> None:
        self.mlflow = load("mlflow")
        self.mlflow.set_tracking_uri((self.folder / "mlruns").as_uri())
        self.mlflow.set_experiment("bench")

    def start(self, params: Mapping[str, Any]) -> None:
        self.mlflow.start_run()
        if params:
            self.mlflow.log_params(params)

    def log(self, values: Mapping[str, float], step: int) -> None:
        self.mlflow.log_metrics(values, step=step)

    def keep(self, place: Path) -> None:
        self.mlflow.log_artifact(str(place))

    def keep_document(self, name: str, value: Any) -> None:
        self.mlflow.log_dict(value, name)

    def finish(self) -> None:
        self.mlflow.end_run()

    def read(self, names: Iterable[str]) -> Sequence[Series]:
        client = self.mlflow.MlflowClient()
        runs = self.mlflow.search_runs(output_format="list", search_all_experiments=True)
        return [
            {name: [point.value for point in client.get_metric_history(run.info.run_id, name)] for name in names}
            for run in runs
        ]


class Trackio(Peer):
    """trackio, local SQLite; a thread writes in batches. Its folder is fixed when it is imported."""

    def prepare(self) -> None:
        os.environ.setdefault("TRACKIO_DIR", str(self.folder))
        self.trackio = load("trackio")

    def start(self, params: Mapping[str, Any]) -> None:
        self.run = self.trackio.init(
            project=self.folder.name, config=dict(params), embed=False, auto_log_gpu=False, auto_log_cpu=False
        )

    def log(self, values: Mapping[str, float], step: int) -> None:
        self.trackio.log(dict(values), step=step)

    def keep(self, place: Path) -> None:
        self.trackio.log_artifact(str(place), name=place.stem, type="file")

    def finish(self) -> None:
        self.trackio.finish()

    def read(self, names: Iterable[str]) -> Sequence[Series]:
        storage = self.trackio.SQLiteStorage
        logs = [storage.get_logs(self.folder.name, run) for run in storage.get_runs(self.folder.name)]
        return [{name: [point[name] for point in log] for name in names} for log in logs]


class Aim(Peer):
    """Aim, local repository. It hashes nothing. A run is read once a server of its own has indexed it."""

    cannot: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("read", "kill"), "not measured: a run is indexed before it is read"
    )

    def prepare(self) -> None:
        self.aim = load("aim")
        self.repo = self.aim.Repo.from_path(str(self.folder), init=True)

    def start(self, params: Mapping[str, Any]) -> None:
        self.run = self.aim.Run(repo=self.repo, system_tracking_interval=None, capture_terminal_logs=False)
        self.run.set_artifacts_uri((self.folder / "kept").as_uri())
        if params:
            self.run["hparams"] = dict(params)

    def log(self, values: Mapping[str, float], step: int) -> None:
        self.run.track(values, step=step)

    def keep(self, place: Path) -> None:
        self.run.log_artifact(str(place), name=place.name, block=True)

    def finish(self) -> None:
        self.run.close()


class Sacred(Peer):
    """Sacred, FileStorageObserver. It keeps metrics in memory and writes them every ten seconds and at the end."""

    def prepare(self) -> None:
        self.sacred = load("sacred")
        self.sacred.SETTINGS.CAPTURE_MODE = "no"
        self.observer = load("sacred.observers").FileStorageObserver

    def session(self, body: Body, params: Mapping[str, Any] | None = None) -> None:
        experiment = self.sacred.Experiment("bench", base_dir=str(self.folder), save_git_info=False)
        experiment.observers.append(self.observer(str(self.folder / "runs")))
        experiment.logger = _quiet()
        if params:
            experiment.add_config(dict(params))

        def main(_run: Any) -> None:
            self.run = _run
            body(self)

        experiment.main(main)
        experiment.run()

    def log(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self.run.log_scalar(name, value, step)

    def keep(self, place: Path) -> None:
        self.run.add_artifact(str(place))

    def read(self, names: Iterable[str]) -> Sequence[Series]:
        found = []
        for place in (self.folder / "runs").glob("*/metrics.json"):
            kept = json.loads(place.read_text(encoding="utf-8"))
            found.append({name: kept.get(name, {}).get("values", []) for name in names})
        return found


class DVCLive(Peer):
    """DVCLive, without a Git repository: a table of tab-separated values for each metric."""

    cannot: ClassVar[Mapping[str, str]] = dict.fromkeys(("json", "mib", "gib"), "keeps files in a DVC repository only")

    def prepare(self) -> None:
        self.dvclive = load("dvclive")
        self.count = 0

    def start(self, params: Mapping[str, Any]) -> None:
        self.count += 1
        place = self.folder / "runs" / str(self.count)
        self.live = self.dvclive.Live(str(place), save_dvc_exp=False, dvcyaml=None, report=None)
        if params:
            self.live.log_params(params)

    def log(self, values: Mapping[str, float], step: int) -> None:  # noqa: ARG002 - next_step counts
        for name, value in values.items():
            self.live.log_metric(name, value)
        self.live.next_step()

    def keep(self, place: Path) -> None:
        self.live.log_artifact(str(place), copy=True, cache=False)

    def finish(self) -> None:
        self.live.end()

    def read(self, names: Iterable[str]) -> Sequence[Series]:
        return [
            {name: _tsv(place / "plots" / "metrics" / f"{name}.tsv") for name in names}
            for place in (self.folder / "runs").iterdir()
        ]


class TensorboardX(Peer):
    """tensorboardX: event files, written by a thread."""

    cannot: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("json", "mib", "gib"), "keeps no files"),
        **dict.fromkeys(("read", "kill"), "does not read what it wrote"),
    }

    def prepare(self) -> None:
        self.tensorboard = load("tensorboardX")
        self.count = 0

    def start(self, params: Mapping[str, Any]) -> None:
        self.count += 1
        self.writer = self.tensorboard.SummaryWriter(logdir=str(self.folder / "runs" / str(self.count)))
        if params:
            self.writer.add_hparams(dict(params), {})

    def log(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def finish(self) -> None:
        self.writer.close()


class Signac(Peer):
    """signac: a folder and a document for each job; files are put there by the program itself, unrecorded."""

    cannot: ClassVar[Mapping[str, str]] = dict.fromkeys(("log", "flat", "read", "kill"), "keeps no series of metrics")

    def prepare(self) -> None:
        self.project = load("signac").init_project(str(self.folder))
        self.count = 0

    def start(self, params: Mapping[str, Any]) -> None:
        self.count += 1
        self.job = self.project.open_job({**params, "replica": self.count}).init()

    def log(self, values: Mapping[str, float], step: int) -> None:  # noqa: ARG002 - one state, no series
        self.job.document.update(values)

    def keep(self, place: Path) -> None:
        shutil.copyfile(place, self.job.fn(place.name))

    def keep_document(self, name: str, value: Any) -> None:
        Path(self.job.fn(name)).write_text(json.dumps(value), encoding="utf-8")


class Wandb(Peer):
    """Weights & Biases, offline: a service process writes the log; files go into one artifact."""

    cannot: ClassVar[Mapping[str, str]] = dict.fromkeys(("read", "kill"), "reads back from its server only")

    def prepare(self) -> None:
        self.wandb = load("wandb")
        self.settings = self.wandb.Settings(
            silent=True, console="off", disable_git=True, save_code=False, x_disable_stats=True
        )

    def start(self, params: Mapping[str, Any]) -> None:
        self.pending: Any = None
        self.run = self.wandb.init(
            project="bench", dir=str(self.folder), mode="offline", config=dict(params), settings=self.settings
        )

    def log(self, values: Mapping[str, float], step: int) -> None:
        self.run.log(dict(values), step=step)

    def keep(self, place: Path) -> None:
        if self.pending is None:
            self.pending = self.wandb.Artifact("files", type="file")
        self.pending.add_file(str(place))

    def settle(self) -> None:
        self.run.log_artifact(self.pending)

    def finish(self) -> None:
        self.run.finish()


def _tsv(place: Path) -> list[float]:
    with suppress(FileNotFoundError):
        return [float(line.split("\t")[-1]) for line in place.read_text(encoding="utf-8").splitlines()[1:]]
    return []


def _quiet() -> Any:
    logging = load("logging")
    logger = logging.getLogger("sacred-quiet")
    logger.setLevel(logging.ERROR)
    return logger


PEERS: Mapping[str, type[Peer]] = {
    "mlflow": MLflow,
    "trackio": Trackio,
    "aim": Aim,
    "sacred": Sacred,
    "dvclive": DVCLive,
    "tensorboardX": TensorboardX,
    "signac": Signac,
    "wandb": Wandb,
}


# -- the works, for any peer -----------------------------------------------------------------------


def log(peer: Peer, steps: int, watch: Watch) -> None:
    """Start, log, finish."""
    points = many_metrics()
    with watch:
        peer.session(lambda run: log_steps(run, points, steps))


def log_steps(run: Peer, points: list[dict[str, float]], steps: int) -> None:
    """Ten metrics a step."""
    for step in range(steps):
        run.log(points[step % 1000], step)


def kill(peer: Peer, steps: int, watch: Watch) -> None:
    """A process that ends itself by SIGKILL right after its last step was acknowledged; then the points are counted."""
    name = next(name for name, kind in PEERS.items() if kind is type(peer))
    child = multiprocessing.get_context("spawn").Process(target=log_and_die, args=(name, peer.folder, steps))
    with watch:
        child.start()
        child.join()
    read = [series["loss"] for series in peer.read(["loss"])]
    watch.figures["read_back"] = max((len(values) for values in read), default=0) / steps


def log_and_die(name: str, folder: Path, steps: int) -> None:
    """Log, and die at once."""

    def body(run: Peer) -> None:
        log_steps(run, many_metrics(), steps)
        os.kill(os.getpid(), signal.SIGKILL)

    PEERS[name](folder).session(body)


def flat(peer: Peer, steps: int, watch: Watch) -> None:
    """One long run."""
    points = many_metrics()
    with watch:
        peer.session(lambda run: time_windows(lambda step: run.log(points[step % 1000], step), steps, watch))


def json_files(peer: Peer, count: int, watch: Watch) -> None:
    """Documents, each kept."""
    docs = documents(count)

    def keep_all(run: Peer) -> None:
        for number, doc in enumerate(docs):
            run.keep_document(f"doc_{number:05}.json", doc)

    keep(peer, keep_all, count, 3000, watch)


def keep(peer: Peer, keep_all: Body, count: int, least: int, watch: Watch) -> None:
    """Time a body that keeps files; then see that they were kept: some peers log an error and go on."""
    before = count_kept(peer, least)

    def body(run: Peer) -> None:
        with watch:
            keep_all(run)
            run.settle()

    peer.session(body)
    kept = count_kept(peer, least) - before
    if kept < count:
        raise CannotError(f"kept {kept} files of {count}")


def count_kept(peer: Peer, least: int) -> int:
    """How many files of at least so many bytes lie anywhere in this child's folder; not those in ``given``."""
    places = (place for place in peer.folder.parents[1].rglob("*") if place.parent != peer.given)
    return sum(place.is_file() and place.stat().st_size >= least for place in places)


def keep_files(peer: Peer, places: list[Path], watch: Watch) -> None:
    """Files that are there, each kept."""

    def keep_all(run: Peer) -> None:
        for place in places:
            run.keep(place)

    keep(peer, keep_all, len(places), places[0].stat().st_size, watch)


def mebibyte_files(peer: Peer, count: int, watch: Watch) -> None:
    """Files of 1 MiB: peers take files, not bytes; writing those is not timed."""
    places = []
    for number, data in enumerate(mebibytes(count)):
        places.append(peer.given / f"file_{number:03}.bin")
        places[-1].write_bytes(data)
    keep_files(peer, places, watch)


def gibibyte_file(peer: Peer, size: int, watch: Watch) -> None:
    """One large file."""
    keep_files(peer, [make_source(peer.given / "source.bin", size)], watch)


def create(peer: Peer, count: int, watch: Watch) -> None:
    """Small runs, one after the other."""
    point = metrics(0)
    with watch:
        for _ in range(count):
            peer.session(lambda run: run.log(point, 0), PARAMS)


def files(peer: Peer, count: int, watch: Watch) -> None:  # noqa: ARG001 - one run
    """What lies in a new store after one run."""
    create(peer, 1, watch)
    count_files(peer.folder, watch)


def read(peer: Peer, runs: int, watch: Watch) -> None:
    """20 series of 1,000 points out of each run."""
    names = [f"series_{name:02}" for name in range(20)]

    def body(run: Peer) -> None:
        for step in range(1000):
            run.log({name: (step * 0.618 + place * 0.1) % 1 for place, name in enumerate(names)}, step)

    for _ in range(runs):
        peer.session(body)
    with watch:
        found = peer.read(names)
    points = sum(len(values) for series in found for values in series.values())
    if points != runs * 20_000:
        raise CannotError(f"read {points} points of {runs * 20_000}")


GENERIC: Mapping[str, Callable[[Peer, int, Watch], None]] = {
    "log": log,
    "kill": kill,
    "flat": flat,
    "json": json_files,
    "mib": mebibyte_files,
    "gib": gibibyte_file,
    "create": create,
    "files": files,
    "read": read,
}
NOT_OFFERED = {
    "power": "no power-safe mode",
    "stage": "no power-safe commit",
    "adopt": "no adoption of a file with its hash",
    "verify_one": "no verification",
    "verify_many": "no verification",
    "join": "not measured",
}


def _enter(name: str, kind: type[Peer], work: str) -> None:
    @work_for(WORKS, name, work)
    def run(folder: Path, size: int, watch: Watch) -> None:
        warnings.simplefilter("ignore")
        if why := {**NOT_OFFERED, **kind.cannot}.get(work):
            raise CannotError(why)
        GENERIC[work](kind(folder), size, watch)


for _name, _kind in PEERS.items():
    for _work in (*GENERIC, *NOT_OFFERED):
        _enter(_name, _kind, _work)

if __name__ == "__main__":
    serve(WORKS, sys.argv[1:])
