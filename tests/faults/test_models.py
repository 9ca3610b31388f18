"""The registry under kills, failing calls, a power cut and processes at once: a model is there whole, or not at all."""

from __future__ import annotations

import errno
import hashlib
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import runbundle as rb
from faults.aftermath import emptied, folder, in_child, no_real_syncs
from faults.disk import power_cuts, write_image
from faults.mutations import mutated
from faults.seeds import seeds, share
from faults.syscalls import Action, Syscalls, at, fail, interrupt_after, interrupt_before
from faults.syscalls import kill_after as killed_after
from faults.syscalls import kill_before as killed_before
from faults.syscalls import kill_half_way as killed_half_way
from runbundle import errors, models
from runbundle.contract.model import ModelSpec
from runbundle.store.lineage import lineage
from sample_runs import FixedClock, own_folder, trained_run

__all__ = ["folder", "no_real_syncs", "own_folder"]
CLOCK = FixedClock()
NAMED = ModelSpec("s", "theirs")
SAMPLE = 8  # moments of each seed, in CI
SEEDS = 2
WEIGHTS = b"weights" * 1000
MAKING = ("open", "write", "link", "rename", "replace", "mkdir", "fsync")


@dataclass(frozen=True)
class Deed:
    """One thing that changes the registry: what is there before, how it is done, and what is seen once it is."""

    name: str
    prepare: Callable[[Path], None]
    do: Callable[[Path], object]
    before: tuple[str, ...]
    after: tuple[str, ...]

    def __str__(self) -> str:
        return self.name


def trained(store: Path) -> Path:
    return store / "runs" / "segment" / "2026-11-21_10-00-00_nogit"


def promote(store: Path) -> models.Model:
    return models.promote(trained(store), "best.bin", skill="s", name="net", store=store, clock=CLOCK)


def add(store: Path) -> models.Model:
    return models.add(store.parent / "theirs.bin", NAMED, source="a paper", store=store, clock=CLOCK)


def set_best(reference: str) -> Callable[[Path], object]:
    return lambda store: models.alias(reference, "best", store=store, clock=CLOCK)


def two_models(store: Path) -> None:
    promote(store)
    add(store)
    other = trained_run(store, weights=b"other")
    models.promote(other, "best.bin", skill="s", name="net", store=store, clock=CLOCK)


def two_models_one_best(store: Path) -> None:
    two_models(store)
    set_best(FIRST)(store)


FIRST = "local://s/net/trained/base/2026-11-21_nogit"
SECOND = f"{FIRST}-2"
THEIRS = "local://s/theirs/pretrained/base"
DEEDS = (
    Deed("promote", lambda _: None, promote, (), (FIRST,)),
    Deed("add", lambda _: None, add, (), (THEIRS,)),
    Deed("alias", two_models, set_best(FIRST), (FIRST, SECOND, THEIRS), (f"{FIRST} best", SECOND, THEIRS)),
    Deed(
        "move-alias",
        two_models_one_best,
        set_best(SECOND),
        (f"{FIRST} best", SECOND, THEIRS),
        (FIRST, f"{SECOND} best", THEIRS),
    ),
)
every_deed = pytest.mark.parametrize("deed", DEEDS, ids=str)
every_seed = pytest.mark.parametrize("seed", range(SEEDS), ids=lambda seed: f"seed{seed}")


@pytest.fixture
def start(tmp_path: Path) -> Callable[[Deed, Path], Path]:
    """A store as it is before a deed, made once and copied."""
    made: dict[str, Path] = {}

    def begin(deed: Deed, place: Path) -> Path:
        if deed.name not in made:
            store = tmp_path / f"{deed.name}-store"
            trained_run(store, weights=WEIGHTS)
            (tmp_path / "theirs.bin").write_bytes(WEIGHTS)
            deed.prepare(store)
            made[deed.name] = store
        shutil.copytree(made[deed.name], emptied(place) / "store")
        (place / "theirs.bin").write_bytes(WEIGHTS)
        return place / "store"

    return begin


def seen(store: Path) -> tuple[str, ...]:
    """What readers see: each model, whole, and its aliases, which resolve."""
    rows = models.list_models(store)
    assert [row.error for row in rows] == [None] * len(rows)
    for row in rows:
        assert row.model is not None
        row.model.verify(is_fresh=True)
        for alias in row.aliases:
            assert models.resolve(f"model://{row.model.name}@{alias}", store=store) == row.model.file
    return tuple(" ".join((str(row.model.reference), *row.aliases)) for row in rows if row.model)


def assert_comes_home(deed: Deed, store: Path, when: str) -> None:
    """What was cut short can be done again, and then all is as if it had not been."""
    assert seen(store) in (deed.before, deed.after), when
    deed.do(store)
    assert seen(store) == deed.after, when


def rehearsed(deed: Deed, store: Path) -> Syscalls:
    with Syscalls(store / "models") as watch:
        deed.do(store)
    assert seen(store) == deed.after
    return watch


@every_seed
@every_deed
def test_a_kill_at_any_call_leaves_a_model_whole_or_none(
    folder: Path, start: Callable[[Deed, Path], Path], deed: Deed, seed: int
) -> None:
    store = start(deed, folder)
    (store / "models").mkdir(exist_ok=True)
    calls = [step.call for step in rehearsed(deed, store).trace if step.call.is_changing]
    ways: tuple[Action, ...] = (killed_before, killed_after, killed_half_way)
    moments = [(call, way) for call in calls for way in ways if way is not killed_half_way or call.size > 1]
    for call, way in share(moments, seed, SEEDS, sample=SAMPLE):
        store = start(deed, folder)
        (store / "models").mkdir(exist_ok=True)

        def work(store: Path = store, number: int = call.number, way: Action = way) -> None:
            with Syscalls(store / "models", at(number, way)):
                deed.do(store)

        when = f"{way} {call}"
        assert in_child(work) == -signal.SIGKILL, when
        assert_comes_home(deed, store, when)


FAULTS = {
    "full disk": fail(errno.ENOSPC),
    "I/O error": fail(errno.EIO),
    "interrupt before": interrupt_before,
    "interrupt after": interrupt_after,
}


@pytest.mark.parametrize("fault", FAULTS)
@every_deed
def test_a_call_that_fails_is_our_error_and_leaves_nothing_behind(
    folder: Path, start: Callable[[Deed, Path], Path], deed: Deed, fault: str
) -> None:
    store = start(deed, folder)
    (store / "models").mkdir(exist_ok=True)
    calls = [step.call for step in rehearsed(deed, store).trace if step.op in MAKING and not step.error]
    for call in share(calls, 0, 1, sample=2 * SAMPLE):
        store = start(deed, folder)
        (store / "models").mkdir(exist_ok=True)
        with (
            pytest.raises((errors.UnavailableError, KeyboardInterrupt)) as caught,
            Syscalls(store / "models", at(call.number, FAULTS[fault])),
        ):
            deed.do(store)
        when = f"{fault} at {call}"
        if isinstance(caught.value, errors.UnavailableError):
            assert (bool(caught.value.path), bool(caught.value.hint)) == (True, True), when
        left = [place for place in (store / "models").rglob("*") if place.name.startswith((".new-", ".tmp-"))]
        assert left == [] or "after" in fault, when  # Ctrl-C right after a file was opened: nobody knows of it yet
        assert_comes_home(deed, store, when)


@every_deed
def test_a_power_cut_takes_nothing_of_what_was_done_and_leaves_no_half_of_what_was_not(
    folder: Path, start: Callable[[Deed, Path], Path], deed: Deed
) -> None:
    store = start(deed, folder)
    watch = rehearsed_below(deed, store)
    steps = [*watch.before, *watch.trace]
    cuts = share(range(len(watch.before), len(steps) + 1), 0, 1, sample=2 * SAMPLE)
    for done, state, image in power_cuts(steps, {*cuts, len(steps)}, 1):
        again = emptied(folder) / "store"
        again.mkdir()
        (folder / "theirs.bin").write_bytes(WEIGHTS)
        write_image(image, again)
        when = f"{state} state after {done} calls"
        lawful = (deed.after,) if done == len(steps) else (deed.before, deed.after)
        assert seen(again) in lawful, when
        assert_comes_home(deed, again, when)


def rehearsed_below(deed: Deed, store: Path) -> Syscalls:
    """The deed with the whole store under watch: the names of ``models/`` itself must be safe as well."""
    with Syscalls(store) as watch:
        deed.do(store)
    return watch


# --- processes at once ----------------------------------------------------------------------------


PROMOTE = """
import sys
from runbundle import models
print("ready", flush=True)
sys.stdin.readline()
print(models.promote(sys.argv[1], "best.bin", skill="s", name="net").path)
"""


def test_two_promotions_at_once_end_with_one_model(tmp_path: Path) -> None:
    store = tmp_path / "store"
    run = trained_run(store, weights=WEIGHTS * 100)
    command = [sys.executable, "-c", PROMOTE, str(run)]
    workers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    found = {worker.communicate(timeout=60)[0] for worker in workers}
    assert found == {f"{FIRST.replace('local://', 'models/')}\n"}
    assert seen(store) == (FIRST,)
    assert [place.name for place in (store / "models").iterdir()] == ["s"]


# --- bytes that were changed ----------------------------------------------------------------------

NAMES = ("manifest.json", "SHA256SUMS", "metrics.json", "model.bin", "aliases.json")


def resealed(folder: Path) -> None:
    """Make the sums agree with what is there: as somebody would who may write there."""
    names = sorted(place.name for place in folder.iterdir() if place.name != "SHA256SUMS")
    digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
    (folder / "SHA256SUMS").write_text("".join(f"{digests[name]}  {name}\n" for name in names))


def told(reference: str, store: Path) -> bytes | None:
    """The bytes that a reference leads to; None where that is refused by an error of ours."""
    try:
        return models.resolve(reference, store=store).read_bytes()
    except errors.RunbundleError:
        return None


@pytest.mark.parametrize("is_resealed", [False, True], ids=["changed", "changed and summed anew"])
@pytest.mark.parametrize("name", NAMES)
def test_a_changed_model_is_our_error_or_the_right_bytes(tmp_path: Path, name: str, *, is_resealed: bool) -> None:
    store = tmp_path / "store"
    model = models.promote(trained_run(store), "best.bin", skill="s", name="net", clock=CLOCK)
    models.alias(model.reference, "best", store=store, clock=CLOCK)
    with rb.start("measure", store=store) as run:
        run.use_model("model://net@best")
    place = model.folder / name if name != "aliases.json" else store / "models" / "s" / "net" / name
    whole = {path: path.read_bytes() for path in (place, model.folder / "SHA256SUMS")}
    for seed in seeds(12):
        source = random.Random(seed)  # noqa: S311 - the same on every machine
        place.write_bytes(mutated(whole[place], source, others=whole[model.folder / "SHA256SUMS"]))
        if is_resealed and name != "SHA256SUMS":
            resealed(model.folder)
        assert told("model://net@best", store) in (b"weights", None)
        assert len(models.list_models(store)) == 1
        lineage(rb.open_run(run.path)).to_json()
        for path, data in whole.items():
            path.write_bytes(data)
    assert models.resolve("model://net@best", store=store).read_bytes() == b"weights"
