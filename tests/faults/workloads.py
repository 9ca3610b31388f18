"""Small programs that write a run by the public face, and the plain model of what they were promised.

A ``Scene`` wraps each public call as an *act*: before it, what it would make true; after it returned, that it did.
``history`` is the model: after any step of the trace it tells which states of the run are lawful.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import runbundle as rb
from faults.facts import NO_RUN, OPEN, SEALED, STATUS, Facts, Key
from runbundle import errors
from stand_ins import written

RUN = "r"
SPEC, STAGE = rb.ArtifactSpec, rb.StageSpec
CONTRACT = rb.Contract(
    "faults",
    "1",
    artifacts=(
        SPEC("fact", "facts", "fact", ".json", "json", stage="prepare"),
        SPEC("tile", "tiles", "tile", ".txt", "text", stage="prepare", required=rb.Required.OPTIONAL),
        SPEC("table", "tables", "table", ".json", "json", stage="measure", required=rb.Required.IF_PASSED),
        SPEC("report", "texts", "report", ".txt", "text", stage="report", is_deliverable=True),
    ),
    stages=(STAGE("prepare"), STAGE("measure", needs=("prepare",)), STAGE("report", always=True)),
    allow_extras=True,
)
FRAMES = rb.predictions()
TABLE = "world/events"
OWED: Mapping[str, Mapping[str, Any]] = {  # what each stage of the contract writes, at least
    "prepare": {"fact": {"known": True}},
    "measure": {"table": [1, 2, 3]},
    "report": {"report": "All is well."},
}
BELONGS = {spec.artifact_id: spec.stage for spec in CONTRACT.artifacts}
Body = Callable[[Any], None]  # what is done in a stage
TRIES = 12  # of an act whose errors are expected


def ignore(*_: object) -> None:
    """Nothing is told to anyone."""


@dataclass
class Act:
    """One public call: when it began and returned, in steps of the trace, and the facts once it is done."""

    name: str
    facts: Facts
    began: int
    ended: int | None = None
    is_power_safe: bool = False


def lawful_after_kill(history: list[Act], acknowledged: int) -> list[Facts]:
    """The states a kill may leave when so many acts had returned: that, or with the next act done as well."""
    states = [NO_RUN, *(act.facts for act in history)]
    return states[acknowledged : acknowledged + 2]


def lawful_after_power_cut(history: list[Act], done: int) -> list[Facts]:
    """The states a power cut may leave after so many steps: from the last act that was power-safe on."""
    returned = [number for number, act in enumerate(history, 1) if act.ended is not None and act.ended <= done]
    floor = max((number for number in returned if history[number - 1].is_power_safe), default=0)
    began = sum(act.began < done for act in history)
    return [NO_RUN, *(act.facts for act in history)][floor : max(began, len(returned)) + 1]


class _Left(Exception):
    """Ends a stage."""


@dataclass
class Scene:
    """Plays acts on one run.

    Attributes:
        store, sources: the store, and a folder for inputs outside of it.
        durability, contract: of the project.
        now: the number of steps done so far; tell: called whenever an act returned.
        is_patient: errors of ours are kept in ``failures``, and the act is tried again.
    """

    store: Path
    sources: Path
    durability: str = "process"
    contract: rb.Contract | None = None
    now: Callable[[], int] = lambda: 0
    tell: Callable[[], None] = ignore
    is_patient: bool = False
    on_failure: Callable[[BaseException, str], None] = ignore
    history: list[Act] = field(default_factory=list)
    facts: dict[Key, Any] = field(default_factory=dict)
    belongs: dict[str, str | None] = field(default_factory=lambda: dict(BELONGS))  # the stage of each artifact
    is_looking: bool = False  # at the run, after an error

    @property
    def project(self) -> rb.Project:
        return rb.Project("faults", store=self.store, contract=self.contract, durability=self.durability)

    @property
    def run_dir(self) -> Path:
        return self.store / "runs" / "faults" / RUN

    def act(
        self,
        name: str,
        call: Callable[[], Any],
        *,
        safe: bool = False,
        again: Callable[[], Any] | None = None,
        **changes: Any,
    ) -> Any:
        """Make a public call. ``changes`` is ``facts``: what it makes true; None for what it ends.

        Args:
            safe: whether it promises safety from power cuts under either durability.
            again: what to call instead where it fails and has to be tried again.
        """
        after = {**self.facts, **changes.get("facts", {})}
        act = Act(name, {key: value for key, value in after.items() if value is not None}, self.now())
        act.is_power_safe = safe or self.durability == "power"
        self.history.append(act)
        result = self._persist(name, call, again or call) if self.is_patient else call()
        act.ended, self.facts = self.now(), dict(act.facts)
        self.tell()
        return result

    def _persist(self, name: str, call: Callable[[], Any], again: Callable[[], Any]) -> Any:
        for number in range(TRIES):
            try:
                return (again if number else call)()
            except (errors.RunbundleError, KeyboardInterrupt) as error:
                failure, self.is_looking = error, True
                self.on_failure(error, name)
                self.is_looking = False
        raise AssertionError(f"{name} fails although nothing is wrong any more: {failure!r}") from failure

    # -- acts --------------------------------------------------------------------------------------------

    def start(self) -> rb.RunIO:
        def go_on() -> rb.RunIO:
            """Once more; where the run came to be before the error, it is another attempt."""
            try:
                return self.project.start({"rate": 0.5}, run_id=RUN)
            except errors.RunExists:
                return self.project.resume(RUN)

        facts = {STATUS: OPEN, SEALED: False}
        run: rb.RunIO = self.act(
            "start", lambda: self.project.start({"rate": 0.5}, run_id=RUN), again=go_on, facts=facts
        )
        return run

    def save(self, run: rb.RunIO, name: str, value: Any, *, replace: bool = False) -> None:
        self._writing(run, lambda: run.save(name, value, replace=replace), (name, None), value)

    def write(self, run: rb.RunIO, spec: str, value: Any, *, variant: str | None = None, replace: bool = False) -> None:
        self._writing(run, lambda: run.write(spec, value, variant=variant, replace=replace), (spec, variant), value)

    def _writing(self, run: rb.RunIO, call: Callable[[], Any], target: tuple[str, str | None], value: Any) -> None:
        facts = {("artifact", *target): stored(value)}

        def once_more() -> None:
            try:
                call()
            except errors.ArtifactExists:  # it was recorded, and then something failed
                found = next(
                    (r for r in rb.open_run(run.path).artifacts() if (r.artifact_id, r.variant) == target), None
                )
                if found is None or (run.path / found.filename).read_bytes() != stored(value):
                    raise

        self.act(f"write {target[0]}", call, again=once_more, facts=facts)

    def ingest(self, run: rb.RunIO, name: str, data: bytes, policy: str = "fail") -> None:
        source = self.sources / f"{policy}-{len(self.history)}" / name
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_bytes(data)

        def once_more() -> None:
            try:
                run.ingest(source, collision_policy=policy)
            except errors.InputExists:
                run.ingest(source, collision_policy="resume")

        facts = {("input", f"input/{name}"): data}
        self.act(f"ingest {name}", lambda: run.ingest(source, collision_policy=policy), again=once_more, facts=facts)

    def frame(self, run: rb.RunIO, number: int, value: Any, *, replace: bool = False) -> None:
        """A frame, which the next flush lists."""
        told = {"timestamp": number, "intrinsics": "camera", "replace": replace}
        self._writing(run, lambda: run.write_frame(FRAMES, number, value, **told), ("frame", f"{number:04d}"), value)

    def save_behind(self, run: rb.RunIO, name: str, value: Any, *, replace: bool = False) -> None:
        """A save in the background, with the wait for it: then the calls of a trace come in one order."""

        def call() -> None:
            run.background.save(name, value, replace=replace)
            run.background.wait()

        self._writing(run, call, (name, None), value)

    def append(self, run: rb.RunIO, tag: str, ticks: list[int]) -> None:
        """Rows with a tag of their own: all of them are there, or none."""
        frame = pl.DataFrame({"tick": ticks, "tag": [tag] * len(ticks)})

        def call() -> None:
            run.append(TABLE, frame, bucket_by="tick", bucket_size=10)

        def once_more() -> None:
            self.is_looking = True
            found = rb.open_run(run.path)
            is_there = TABLE in found.tables and tag in found.table(TABLE).collect()["tag"]
            self.is_looking = False
            if not is_there:
                call()

        self.act(f"write {tag}", call, again=once_more, facts={("rows", TABLE, tag): len(ticks)})

    def compact(self, run: rb.RunIO) -> None:
        self.act("compact", run.compact)

    def _listing(self) -> dict[Key, Any]:
        """What the roster of frames, if there are any, lists once it is written."""
        frames = sorted(key[2] for key in self.facts if key[:2] == ("artifact", "frame"))
        return {("roster", "frame_metadata"): tuple(frames)} if frames else {}

    def log(self, run: rb.RunIO, step: int, **values: float) -> None:
        facts = {("point", name, step): value for name, value in values.items()}
        self.act(f"log {step}", lambda: run.log(values, step=step), facts=facts)

    def summarize(self, run: rb.RunIO, name: str, value: Any) -> None:
        self.act(f"summary {name}", lambda: run.summary.__setitem__(name, value), facts={("summary", name): value})

    def flush(self, run: rb.RunIO) -> None:
        self.act("flush", run.flush, safe=True, facts=self._listing())

    def stage(self, run: rb.RunIO, name: str, body: Body, outcome: str = "committed") -> None:
        """A whole stage; where it cannot be ended for an error, it is begun again."""
        for _ in range(TRIES):
            self._try_stage(run, name, body, outcome)
            if not self.is_patient:
                return
            ended = run.outcome(name)  # its end may have failed
            self.facts = {key: value for key, value in self.facts.items() if key != ("stage", name)}
            self.facts |= {("stage", name): str(ended)} if ended else {}
            if outcome == "failed" or not run.needs(name):
                return

    def _try_stage(self, run: rb.RunIO, name: str, body: Body, outcome: str) -> None:
        stage = run.stage(name)
        self.begin(name, stage)
        try:
            body(stage)
        except _Left as error:
            left = error
            self._end(name, outcome, lambda: stage.__exit__(_Left, left, None))
        else:
            self._end(name, outcome, lambda: stage.__exit__(None, None, None))

    def begin(self, name: str, stage: Any) -> None:
        """Open a stage; what its last try left uncommitted goes out of force."""
        gone = dict.fromkeys(key for key in self.facts if key[0] == "artifact" and self.belongs.get(key[1]) == name)
        self.act(f"begin {name}", stage.__enter__, facts={("stage", name): None, **gone})

    def _end(self, name: str, outcome: str, call: Callable[[], Any]) -> None:
        def shrug() -> None:
            """An end that failed is not tried again, and promises nothing: the stage is begun anew."""
            self.history[-1].is_power_safe = False

        self.act(f"end {name}", call, again=shrug, safe=True, facts={("stage", name): outcome})

    def skip(self, run: rb.RunIO, name: str) -> None:
        def once_more() -> None:
            if run.outcome(name) is None:
                run.skip(name, "declined")

        self.act(
            f"skip {name}",
            lambda: run.skip(name, "declined"),
            again=once_more,
            safe=True,
            facts={("stage", name): "skipped"},
        )

    def finish(self, run: rb.RunIO, status: str = "completed") -> None:
        def once_more() -> None:
            try:
                run.finish(status)
            except errors.RunSealed:
                if not rb.open_run(run.path).is_sealed:
                    raise

        facts = {STATUS: status, SEALED: True, **self._listing()}
        self.act(f"finish {status}", lambda: run.finish(status), again=once_more, safe=True, facts=facts)

    def resume(self, *, drops: tuple[str, ...] = ()) -> rb.RunIO:
        """Another attempt; ``drops`` are the artifacts that the last one left uncommitted."""
        gone = {("artifact", name, None): None for name in drops}
        run: rb.RunIO = self.act(
            "resume", lambda: self.project.resume(RUN), facts={STATUS: OPEN, SEALED: False, **gone}
        )
        return run

    def fail_stage(self, run: rb.RunIO, name: str, body: Body) -> None:
        def fail(stage: Any) -> None:
            body(stage)
            raise _Left

        self.stage(run, name, fail, "failed")


def stored(value: Any) -> bytes:
    """The bytes that stand for a value in the run: JSON as docs/format.md spells it (I5)."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, dict) and any(isinstance(item, np.ndarray) for item in value.values()):
        return written("safetensors" if "tensor" in value else "npz", value)
    return (json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True) + "\n").encode()


def complete(run: rb.RunIO) -> None:
    """Bring a run that was taken up again to its end: write what it owes, and something new."""
    for stage, owed in OWED.items() if run.contract else ():
        if run.needs(stage):
            with run.stage(stage):
                for spec, value in owed.items():
                    run.write(spec, value)
    run.save("after/all.bin", b"after all")
    run.log({"after": 1.0}, step=0)
    run.finish()


def let_go(folder: Path) -> None:
    """What a kill does to the files this process has open below a folder: locks are gone, no more is said."""
    null = os.open(os.devnull, os.O_RDWR)
    try:
        for fd in _open_below(folder):
            os.dup2(null, fd)  # its number stays taken: an abandoned handle may still close it
    finally:
        os.close(null)


def _open_below(folder: Path) -> Iterator[int]:
    for entry in list(Path("/proc/self/fd").iterdir()):
        try:
            place = entry.readlink()
        except OSError:
            continue  # the listing's own
        if place.is_relative_to(folder.resolve()):
            yield int(entry.name)


# --- the workloads ----------------------------------------------------------------------------------------


def saving(scene: Scene) -> None:
    run = scene.start()
    scene.save(run, "a.bin", b"a" * 100)
    scene.save(run, "deep/er/text.txt", "text")
    scene.log(run, 0, loss=0.5)
    scene.summarize(run, "best", 0.25)
    scene.flush(run)
    scene.save(run, "b.json", {"b": 1})
    scene.finish(run)


def replacing(scene: Scene) -> None:
    run = scene.start()
    for number in range(3):
        scene.save(run, "last.pt.bin", b"%d" % number * 50, replace=number > 0)
    scene.flush(run)
    scene.save(run, "last.pt.bin", b"3" * 70, replace=True)
    scene.save(run, "last.pt.bin", b"4" * 30, replace=True)
    scene.finish(run)


def ingesting(scene: Scene) -> None:
    run = scene.start()
    scene.ingest(run, "in.csv", b"first" * 20)
    scene.ingest(run, "in.csv", b"first" * 20, "resume")
    scene.flush(run)
    scene.ingest(run, "in.csv", b"second" * 30, "overwrite")
    scene.ingest(run, "in.csv", b"third" * 10, "overwrite")
    scene.ingest(run, "other.csv", b"other")
    scene.finish(run)


def staging(scene: Scene) -> None:
    run = scene.start()

    def prepare(_: Any) -> None:
        scene.write(run, "fact", {"known": True})
        scene.write(run, "tile", "one", variant="a")
        scene.write(run, "tile", "two", variant="b")
        scene.write(run, "tile", "three", variant="b", replace=True)

    def report(_: Any) -> None:
        scene.write(run, "report", "declined")

    scene.stage(run, "prepare", prepare)
    scene.stage(run, "measure", lambda stage: stage.decline("nothing is there"), "declined")
    scene.stage(run, "report", report)
    scene.finish(run)


def resuming(scene: Scene) -> None:
    run = scene.start()
    scene.stage(run, "prepare", lambda _: scene.write(run, "fact", {"known": True}))
    scene.log(run, 0, loss=0.5)
    scene.fail_stage(run, "measure", lambda _: scene.write(run, "table", [0]))
    scene.finish(run, "failed")
    again = scene.resume(drops=("table",))
    scene.log(again, 1, loss=0.25)
    scene.stage(again, "measure", lambda _: scene.write(again, "table", [1, 2, 3]))
    scene.stage(again, "report", lambda _: scene.write(again, "report", "done"))
    scene.finish(again)


def abandoning(scene: Scene) -> None:
    """A process dies in a stage, and another goes on."""
    run = scene.start()
    scene.save(run, "kept.bin", b"kept")
    scene.log(run, 0, loss=0.5)
    scene.begin("prepare", run.stage("prepare"))
    scene.write(run, "fact", {"known": False})
    let_go(scene.store)
    again = scene.resume(drops=("fact",))
    scene.log(again, 1, loss=0.25)
    scene.stage(again, "prepare", lambda _: scene.write(again, "fact", {"known": True}))
    scene.skip(again, "measure")
    scene.finish(again, "aborted")


def logging_points(scene: Scene) -> None:
    run = scene.start()
    for step in range(12):
        scene.log(run, step, loss=1 / (step + 1), accuracy=float(step))
        if step in (3, 8):
            scene.flush(run)
    scene.summarize(run, "best", 1)
    scene.summarize(run, "best", "the last")
    scene.finish(run)


def framing(scene: Scene) -> None:
    """Frames, and the roster that is written anew with each flush."""
    run = scene.start()
    scene.frame(run, 0, {"a": np.arange(3)})
    scene.frame(run, 1, {"a": np.arange(4)})
    scene.flush(run)
    scene.frame(run, 2, {"a": np.arange(5)})
    scene.frame(run, 1, {"a": np.arange(6)}, replace=True)
    scene.flush(run)
    scene.frame(run, 3, {"a": np.arange(7)})
    scene.finish(run)


def checkpointing(scene: Scene) -> None:
    """A training that saves its state, in the background and not, in a format whose files are durable."""
    run = scene.start()
    last, best = "checkpoints/last.safetensors", "checkpoints/best.safetensors"
    scene.save_behind(run, last, {"tensor": np.full(9, 1.0)})
    scene.log(run, 0, loss=0.5)
    scene.save_behind(run, last, {"tensor": np.full(10, 2.0)}, replace=True)
    scene.save(run, best, {"tensor": np.full(10, 2.0)})
    scene.flush(run)
    scene.save_behind(run, last, {"tensor": np.full(11, 3.0)}, replace=True)
    scene.save_behind(run, best, {"tensor": np.full(11, 3.0)}, replace=True)
    scene.finish(run)


def appending(scene: Scene) -> None:
    """A table that grows, by one part and by several at once, and is merged."""
    run = scene.start()
    scene.append(run, "one", [0, 1, 1])
    scene.append(run, "three", [5, 12, 31])
    scene.flush(run)
    scene.append(run, "two", [33, 41])
    scene.compact(run)
    scene.append(run, "last", [34, 50])
    scene.compact(run)
    scene.finish(run)


@dataclass(frozen=True)
class Workload:
    """A program, and the project it plays in."""

    play: Callable[[Scene], None]
    durability: str = "process"

    @property
    def contract(self) -> rb.Contract | None:
        return CONTRACT if self.play in (staging, resuming, abandoning) else None

    def __str__(self) -> str:
        return self.play.__name__ + ("-power" if self.durability == "power" else "")

    def scene(self, folder: Path, **options: Any) -> Scene:
        """The stage is set in ``folder``: an empty store, and a place for inputs."""
        for name in ("store", "sources"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        return Scene(folder / "store", folder / "sources", self.durability, self.contract, **options)


PLAYS = (saving, replacing, ingesting, staging, resuming, abandoning, logging_points, framing, checkpointing)
WORKLOADS = tuple(Workload(play) for play in PLAYS)
TABLES = Workload(appending)  # by Polars, which cannot go on in a process that was forked: no part of the others
POWERFUL = tuple(Workload(play, "power") for play in (saving, replacing, ingesting, staging, framing, checkpointing))
