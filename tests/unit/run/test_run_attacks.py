"""Attacks: names and links that lead out, disks that are full or read-only, arguments of a wrong type.

Every error is one of ours, nothing outside of the run is touched, and what was there before is whole.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import runbundle as rb
from runbundle import errors
from sample_runs import CONTRACT, LOG, ROWS, SEED_CONTRACT, SPEC, abandon, codes, files, project, run_child, write_all

BAD_NAMES = [
    "../x.json",
    "a/../../x.json",
    "/etc/x.json",
    "a//x.json",
    "./x.json",
    "a\\..\\x.json",
    "a\0.json",
    "a\n.json",
    "a\x7f.json",
    "x" * 300 + ".json",
    "\ud800.json",
    ".tmp-x.json",
    "a/.new-x/x.json",
    "con.json",
    "trailing ./x.json",
    "",
    "/",
    None,
    5,
    b"x.json",
    Path("x.json"),
]
ANY: Any = 5  # of a type that no signature takes
BAD_TOKENS = ["", "..", "../x", "A", "é", "e\u0301", "a b", "a/b", "a\0", "-a", "a.", "x" * 300, 5, b"a", "\u0430"]


@pytest.fixture
def run(tmp_path: Path) -> rb.RunIO:
    return project(tmp_path / "store").start()


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A folder outside of every run, in which nothing may change."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "kept.txt").write_text("kept")
    yield folder
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"kept.txt": "kept"}


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BAD_NAMES, ids=lambda name: repr(name)[:20])
def test_a_name_stays_inside_the_run(run: rb.RunIO, name: Any) -> None:
    everything = sorted(run.path.parents[3].rglob("*"))
    with pytest.raises(errors.InvalidInputError):
        run.save(name, {})
    assert sorted(run.path.parents[3].rglob("*")) == everything


@pytest.mark.parametrize("variant", BAD_TOKENS, ids=lambda name: repr(name)[:20])
def test_a_variant_is_a_plain_token(run: rb.RunIO, variant: Any) -> None:
    before = files(run.path)
    with pytest.raises(errors.InvalidInputError):
        run.write(SPEC("a", "k", "a", ".json", "json"), 1, variant=variant)
    assert files(run.path) == before


@pytest.mark.parametrize("name", [b"leaf\xff.jpg", b"a\nb.jpg", b"con.jpg", b".tmp-a.jpg", b"leaf .jpg ", b"a\\b.jpg"])
def test_an_input_with_a_name_that_not_every_disk_takes_is_refused(run: rb.RunIO, tmp_path: Path, name: bytes) -> None:
    place = os.path.join(os.fsencode(tmp_path), name)  # noqa: PTH118 - bytes
    with open(place, "wb"):  # noqa: PTH123
        pass
    with pytest.raises(errors.InvalidName):
        run.ingest(os.fsdecode(place))
    assert not (run.path / "input").exists()


def test_an_input_from_a_folder_whose_name_is_no_unicode_is_taken(run: rb.RunIO, tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/photos\xff"))
    folder.mkdir()
    (folder / "leaf.jpg").write_bytes(b"x")
    run.ingest(folder / "leaf.jpg")
    run.finish()
    done = rb.open_run(run.path)
    assert done.manifest["input_original_path"].endswith("photos\\udcff/leaf.jpg")
    assert codes(done.verify()) == []


def test_a_command_line_that_is_no_unicode_is_no_hindrance(tmp_path: Path) -> None:
    code = b"import runbundle as rb; rb.start('demo', store='store', run_id='r').finish()"
    done = subprocess.run([os.fsencode(sys.executable), b"-c", code, b"leaf\xff"], cwd=tmp_path, check=False)
    assert done.returncode == 0
    attempts = rb.open_run(tmp_path / "store" / "runs" / "demo" / "r").manifest["attempts"]
    assert attempts[0]["command"][-1] == "leaf\\udcff"


@pytest.mark.parametrize(
    "call",
    [
        lambda run: run.ingest("/a\0b/x"),
        lambda run: run.ingest("/" + "x" * 300 + "/leaf.jpg"),
        lambda run: run.ingest("~nobody-here/leaf.jpg"),
        lambda run: run.ingest(5),
        lambda run: run.ingest(b"/etc/passwd"),
        lambda run: run.ingest("/etc/passwd", collision_policy=[1]),
        lambda run: run.read_input("~nobody-here/leaf.jpg"),
        lambda run: run.read_input("a\0b"),
        lambda run: run.read_input("x" * 300),
        lambda run: run.read_input(5),
        lambda run: run.write(5, 1),
        lambda run: run.write(None, 1),
        lambda run: run.stage(None),
        lambda _: rb.open_run("a\0b"),
        lambda _: rb.open_run("x" * 300),
        lambda _: rb.open_run(ANY),
        lambda run: project(run.path.parents[2]).resume(ANY),
    ],
)
def test_odd_arguments_are_our_errors(run: rb.RunIO, call: Callable[[Any], object]) -> None:
    with pytest.raises(rb.RunbundleError):
        call(run)
    assert codes(rb.open_run(run.path).verify()) == []


# --- links ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "call"),
    [
        ("artifacts", lambda run: run.save("x.json", 1)),
        ("artifacts/below", lambda run: run.save("below/x.json", 1)),
        ("artifacts/x.json", lambda run: run.save("x.json", 1)),
        ("artifacts/x.json", lambda run: run.save("x.json", 1, replace=True)),
        ("input", lambda run: run.ingest("/etc/passwd")),
        ("input", lambda run: run.read_input("kept.txt")),
        ("logs", lambda run: run.logger.info("x")),
        ("logs", lambda run: run.finish("failed", ValueError())),
        ("metrics.jsonl", lambda run: run.log({"x": 1})),
    ],
)
@pytest.mark.parametrize("kind", ["folder", "file", "nothing"])
def test_a_link_in_the_run_leads_nowhere(
    run: rb.RunIO, outside: Path, place: str, call: Callable[[rb.RunIO], object], kind: str
) -> None:
    target = {"folder": outside, "file": outside / "kept.txt", "nothing": outside / "new"}[kind]
    if (run.path / place).is_dir():
        (run.path / place).rmdir()
    (run.path / place).symlink_to(target)
    with pytest.raises(rb.RunbundleError):
        call(run)


def test_a_recorded_file_that_became_a_link_is_not_read(run: rb.RunIO, outside: Path) -> None:
    record = run.save("x.txt", "kept")
    (run.path / record.filename).unlink()
    (run.path / record.filename).symlink_to(outside / "kept.txt")
    for reader in (run, rb.open_run(run.path)):
        with pytest.raises(errors.InvalidName, match="symbolic link"):
            reader.read("x.txt")


def test_a_log_that_is_a_link_is_neither_read_nor_written(run: rb.RunIO, outside: Path) -> None:
    run.finish("failed")
    shutil.move(run.path / LOG, outside.parent / "log")
    (run.path / LOG).symlink_to(outside.parent / "log")
    with pytest.raises(errors.InvalidName):
        project(run.path.parents[2]).resume(run.run_id)
    with pytest.raises(errors.RunNotFound):
        rb.open_run(run.path).read("x")


def test_a_store_reached_through_a_link_is_no_attack(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with project(tmp_path / "link").start() as run:
        run.save("x.json", 1)
    assert codes(rb.open_run(tmp_path / "link" / "runs" / "demo" / run.run_id).verify()) == []


# --- things in the way ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "call"),
    [
        ("artifacts/k", lambda run: run.write(SPEC("a", "k", "a", ".json", "json"), 1)),
        ("logs", lambda run: run.logger),
        ("input", lambda run: run.ingest("/etc/passwd")),
    ],
)
def test_a_file_in_the_place_of_a_folder_is_kept(run: rb.RunIO, place: str, call: Callable[[rb.RunIO], object]) -> None:
    if (run.path / place).is_dir():
        (run.path / place).rmdir()
    (run.path / place).write_text("kept")
    with pytest.raises(errors.UnavailableError):
        call(run)
    assert (run.path / place).read_text() == "kept"


@pytest.mark.parametrize("place", ["artifacts/x.json", "metrics.jsonl", "logs/run.log"])
def test_a_folder_in_the_place_of_a_file_is_our_error(run: rb.RunIO, place: str) -> None:
    (run.path / place).mkdir()

    def call() -> None:
        run.save("x.json", 1)
        run.log({"x": 1})
        run.logger.info("x")

    with pytest.raises(rb.RunbundleError):
        call()


@pytest.mark.parametrize("place", ["", "runs", "runs/demo"])
def test_a_store_in_which_nothing_can_be_made_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """As in a read-only store; root may write anywhere, so the refusal is played."""
    real, barred = os.mkdir, tmp_path / "store" / place

    def mkdir(path: Any, *args: Any, **options: Any) -> None:
        if Path(path) == barred or Path(path).parent == barred:
            raise PermissionError(13, "Permission denied")
        real(path, *args, **options)

    monkeypatch.setattr(os, "mkdir", mkdir)
    with pytest.raises(errors.UnavailableError, match="Permission denied") as caught:
        project(tmp_path / "store").start()
    assert caught.value.path is not None


def test_a_run_folder_that_was_removed_is_our_error(run: rb.RunIO) -> None:
    shutil.rmtree(run.path)
    calls: list[Callable[[], object]] = [
        lambda: run.save("x.json", 1),
        lambda: run.log({"x": 1}),
        lambda: run.ingest("/etc/passwd"),
        run.finish,
    ]
    for call in calls:
        with pytest.raises(rb.RunbundleError):
            call()


# --- a disk that is full --------------------------------------------------------------------------


FULL = """
import sys
from pathlib import Path
import runbundle as rb
from runbundle import errors

store = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("small")
run = rb.Project("demo", store=store).start(run_id="r")
run.save("first.txt", "kept")
refused = []
for number in range(64):
    for call in (
        lambda: run.save(f"{number}.txt", "x" * 20_000),
        lambda: run.log({"x": number}),
        lambda: run.save("first.txt", "y" * 20_000, replace=True),
    ):
        try:
            call()
        except errors.UnavailableError as error:
            refused.append(str(error))
assert refused and all("No space left" in text for text in refused), refused
try:
    run.finish()
    print("sealed")
except errors.UnavailableError:
    print("not sealed")
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no small disk can be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_takes_nothing_that_was_there(small_disk: Path, tmp_path: Path) -> None:
    done = run_child(FULL, tmp_path)
    assert done.returncode == 0, done.stderr
    run = rb.open_run(small_disk / "runs" / "demo" / "r")
    assert codes(run.verify()) == []
    assert run.read("first.txt") in ("kept", "y" * 20_000)
    assert len(run.series("x").values) == len(set(run.series("x").steps))


# --- what hostile hands put into a run ------------------------------------------------------------


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"schema_version": "0"}',
        b'{"schema_version": 0, "requires": 5}',
        b'{"schema_version": 0, "requires": [["x"]]}',
        b"\xff",
        b"[" * 100_000,
        b'{"schema_version": 0, "schema_version": 0}',
    ],
    ids=range(10),
)
def test_a_manifest_of_anything_is_our_error(run: rb.RunIO, manifest: bytes) -> None:
    run.finish()
    (run.path / "run_manifest.json").write_bytes(manifest)
    with pytest.raises((errors.ManifestCorrupt, errors.UnsupportedVersion)):
        rb.open_run(run.path)


@pytest.mark.parametrize("name", ["contract.json", LOG, "metrics.jsonl", "SHA256SUMS", "config_resolved.yaml"])
@pytest.mark.parametrize("data", [b"", b"\xff\n", b"null\n", b"[]\n", b"{}\n", b'{"record":"header"}\n', b"[" * 9999])
def test_files_of_anything_are_our_errors(tmp_path: Path, name: str, data: bytes) -> None:
    with project(tmp_path, CONTRACT).start({"rate": 0.5}) as run:
        write_all(run)
        run.log({"x": 1})
    (run.path / name).write_bytes(data)
    done = rb.open_run(run.path)
    for look in (done.verify, done.check, lambda: done.series("x"), lambda: done.read("fact"), lambda: done.contract):
        try:
            look()
        except rb.RunbundleError:
            continue
    assert name in [subject for _, subject in codes(done.verify())]


@pytest.mark.parametrize("end", ["from", "to"])
def test_a_log_that_moves_a_file_out_or_in_is_damaged(tmp_path: Path, outside: Path, end: str) -> None:
    """Its chain is whole: somebody wrote it so. A resume, which finishes moves, must not follow it."""
    run = project(tmp_path / "store", CONTRACT).start({}, run_id="r")
    run.stage("prepare").__enter__()
    pointer = run.write("fact", {}).pointer
    assert pointer is not None
    way = os.path.relpath(outside, run.path)
    move = {"from": "artifacts/other.txt", "to": "attempts/prepare.1/x", "artifact": pointer.to_json()}
    move[end] = f"{way}/kept.txt" if end == "from" else f"{way}/new.txt"
    (run.path / "artifacts/other.txt").write_text("kept")
    told = {"stage": "prepare", "event": "set_aside", "attempt": 1, "try": 1, "moved": [move]}
    run._session.log.append({"record": "stage", "ts_utc": run._session.now(), **told})
    abandon(run)
    with pytest.raises(errors.LogCorrupt, match="not paths in a run"):
        project(tmp_path / "store", CONTRACT).resume("r")
    assert codes(rb.open_run(run.path).verify()) == [("log_damaged", LOG)]
    assert [path.name for path in outside.iterdir()] == ["kept.txt"]


def test_a_contract_of_the_seeds_layout_confines_as_well(tmp_path: Path) -> None:
    run = project(tmp_path / "store", SEED_CONTRACT).start()
    (tmp_path / "leaf.v1 é.jpg").write_bytes(b"x")
    run.ingest(tmp_path / "leaf.v1 é.jpg")
    assert run.write("tile", ROWS, variant="0.1").filename == "grid/leaf.v1 é__tile__0.1.json"
    with pytest.raises(errors.ContractError, match="allows no extras"):
        run.save("x.json", 1)
    run.finish()
    assert codes(rb.open_run(run.path).verify()) == []


def test_an_input_name_so_long_that_no_artifact_can_be_named_after_it(tmp_path: Path) -> None:
    run = project(tmp_path / "store", SEED_CONTRACT).start()
    source = tmp_path / ("x" * 250 + ".jpg")
    source.write_bytes(b"x")
    run.ingest(source)
    with pytest.raises(errors.InvalidName, match="longer than 255 bytes"):
        run.write("tile", ROWS)


# -- names that are text, and spell themselves otherwise --------------------------------------------


class Sly(str):
    """Text that is an innocent name, and leads out where it is put into other text."""

    __slots__ = ()

    def __str__(self) -> str:
        return "../../../outside"

    def split(self, *_: Any) -> list[Any]:
        return ["ok"]


class Member(str, Enum):  # noqa: UP042 - of this older kind
    """As enums of text were before ``StrEnum``: put into other text, they give the member's name."""

    NAME = "a.json"
    RUN = "r1"
    PROJECT = "demo"


SLY: dict[str, Callable[[rb.RunIO, Path], object]] = {
    "save": lambda run, _: run.save(Sly("ok.json"), {}),
    "background": lambda run, _: run.background.save(Sly("ok2.json"), {}),
    "run id": lambda _, store: rb.start("demo", store=store, run_id=Sly("r2")).finish(),
    "project": lambda _, store: rb.Project(Sly("other"), store=store).start().finish(),
    "stage": lambda run, _: run.stage(Sly("measure")).__enter__(),
    "variant": lambda run, _: run.write(SPEC("x", "k", "x", ".json", "json"), {}, variant=Sly("v")),
    "table": lambda run, _: run.append(Sly("t"), pl.DataFrame({"n": [1]})),
    "log": lambda run, _: run.log({Sly("m"): 1}),
}


@pytest.mark.parametrize("name", SLY)
def test_text_that_spells_itself_otherwise_leads_nowhere(tmp_path: Path, name: str) -> None:
    store = tmp_path / "a" / "b" / "c" / "store"
    run = rb.start("demo", store=store, run_id="r")
    SLY[name](run, store)
    run.flush()
    assert list(tmp_path.rglob("*outside*")) == []
    for manifest in store.glob("runs/*/*/run_manifest.json"):
        assert codes(rb.open_run(manifest.parent).verify()) == []


def test_members_of_an_enum_of_text_are_their_text(tmp_path: Path) -> None:
    with rb.Project(Member.PROJECT, store=tmp_path).start(run_id=Member.RUN) as run:
        run.save(Member.NAME, 1)
    assert run.path == tmp_path / "runs" / "demo" / "r1"
    assert rb.open_run(run.path).read("a.json") == 1
    assert (run.path / "artifacts" / "a.json").is_file()


# -- what somebody has put where the library writes -------------------------------------------------


PLANTED: dict[str, Callable[[rb.RunIO], object]] = {
    "metrics.jsonl": lambda run: run.log({"x": 1}),
    "logs/run.log": lambda run: run.logger.info("hello"),
}


@pytest.mark.parametrize("path", PLANTED)
def test_a_hard_link_in_the_place_of_a_log_changes_no_other_file(run: rb.RunIO, outside: Path, path: str) -> None:
    (run.path / path).parent.mkdir(exist_ok=True)
    (run.path / path).hardlink_to(outside / "kept.txt")
    with pytest.raises(errors.InvalidName, match="hard link"):
        PLANTED[path](run)
    assert (outside / "kept.txt").read_text() == "kept"
    (run.path / path).unlink()
    PLANTED[path](run)
    run.finish()
    assert codes(rb.open_run(run.path).verify()) == []


def test_a_pipe_in_the_place_of_a_log_is_not_waited_for(run: rb.RunIO) -> None:
    os.mkfifo(run.path / "metrics.jsonl")
    for act in (lambda: run.summary, lambda: run.log({"x": 1})):
        with pytest.raises(errors.InvalidName, match="pipe"):
            act()


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(run: rb.RunIO) -> None:
    run.save("a.json", 1)
    (run.path / "artifacts" / "a.json").unlink()
    os.mkfifo(run.path / "artifacts" / "a.json")
    with pytest.raises(errors.RunbundleError):
        run.finish()


def test_a_pipe_in_the_place_of_the_seal_is_not_waited_for(run: rb.RunIO) -> None:
    run.finish()
    (run.path / "SHA256SUMS").unlink()
    os.mkfifo(run.path / "SHA256SUMS")
    with pytest.raises(errors.UnavailableError, match="no regular file"):
        rb.open_run(run.path).root_digest  # noqa: B018 - a property that reads


# -- arguments whose methods are their own ----------------------------------------------------------


class OwnPath(type(Path())):  # type: ignore[misc]
    def stat(self, **_: Any) -> Any:
        raise ValueError("mine")


def test_a_path_of_ones_own_class_is_taken_by_its_text(tmp_path: Path) -> None:
    with rb.start("demo", store=OwnPath(tmp_path)) as run:
        run.save("a.json", 1)
    assert type(rb.open_run(OwnPath(run.path)).path) is type(Path())


ARRAY: Any = np.array([1, 2])


@pytest.mark.parametrize(
    "call",
    [
        lambda store: rb.Project("demo", store=store, facts=ARRAY),
        lambda store: rb.Project("demo", store=store, durability=ARRAY),
        lambda _: rb.open_run("\ud800"),
        lambda _: rb.start("demo", store="\ud800"),
        lambda store: rb.start("demo", store=store).write_frame("f", ARRAY, {}, timestamp=0, intrinsics="k"),
    ],
)
def test_arguments_that_compare_or_spell_oddly_are_refused(tmp_path: Path, call: Callable[[Path], object]) -> None:
    with pytest.raises(errors.RunbundleError):
        call(tmp_path)
