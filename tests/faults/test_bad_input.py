"""Bad input at the public face: refused with an error of ours, or taken and given back exactly. Nothing escapes."""

import os
import signal
import socket
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import runbundle as rb
from runbundle import errors
from runbundle.store.listing import list_runs
from sample_runs import CONTRACT, LOG, MANIFEST, SEAL, SPEC, codes, finished_run, own_folder, project

__all__ = ["own_folder"]

REFUSED = {
    "above": "../../x.json",
    "above, below a folder": "a/../../x.json",
    "absolute": "/tmp/x.json",  # noqa: S108 - it is refused
    "empty": "",
    "here": ".",
    "parent": "..",
    "folder of nothing": "a/",
    "two slashes": "a//x.json",
    "NUL": "a\0.json",
    "newline": "a\n.json",
    "escape": "\x1b[2J.json",
    "backslash": "..\\x.json",
    "drive": "C:\\x.json",
    "CON": "CON",
    "con.txt": "con.txt",
    "COM with a superscript": "COM¹.txt",
    "device below a folder": "a/nul.json",
    "trailing dot": "x.json.",
    "trailing space": "x.json ",
    "trailing dot in a folder": "a./x.json",
    "300 characters": "x" * 295 + ".json",
    "colon": "a:b.json",
    "stream": "x.json:hidden.json",
    "star": "*.json",
    "question mark": "why?.json",
    "quote": '"a".json',
    "angles": "<a>.json",
    "bar": "a|b.json",
    "bidi override": "a\u202ejson.exe.json",
    "bidi isolate": "\u2066a.json",
    "zero-width space": "a\u200b.json",
    "zero-width joiner": "a\u200d.json",
    "byte order mark": "\ufeffa.json",
    "line separator": "a\u2028.json",
    "lone surrogate": "a\ud800.json",
    "undecodable byte": "a\udcff.json",
    "temporary file": ".tmp-a.json",
    "new run": ".new-a.json",
    "folder of temporary files": ".tmp-a/x.json",
}


def tree(folder: Path) -> dict[str, bytes | None]:
    """All that lies below a folder."""
    found = sorted(folder.rglob("*"))
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in found}


@pytest.fixture
def run(tmp_path: Path) -> rb.RunIO:
    return project(tmp_path / "store").start(run_id="r")


@pytest.mark.parametrize("value", [{"a": 1}, b"bytes"], ids=["value", "bytes"])
@pytest.mark.parametrize("name", REFUSED.values(), ids=REFUSED)
def test_a_name_for_an_artifact_is_refused_and_nothing_is_written(
    run: rb.RunIO, tmp_path: Path, name: str, value: Any
) -> None:
    before = tree(tmp_path)
    with pytest.raises(errors.InvalidInputError) as caught:
        run.save(name, value)
    assert tree(tmp_path) == before
    str(caught.value).encode()
    run.finish()
    assert codes(rb.open_run(run.path).verify()) == []


@pytest.mark.parametrize("name", REFUSED.values(), ids=REFUSED)
def test_no_such_name_is_an_id_or_a_project(run: rb.RunIO, tmp_path: Path, name: str) -> None:
    before = tree(tmp_path)
    calls: list[Callable[[], object]] = [
        lambda: run.write(SPEC(name, "k", "a", ".json", "json"), 1),
        lambda: run.write(SPEC("a", name, "a", ".json", "json"), 1),
        lambda: run.write(SPEC("a", "k", "a", name, "json"), 1),
        lambda: rb.Project(name, store=tmp_path / "store"),
        lambda: rb.Layout(name=name),
        lambda: rb.StageSpec(name),
        lambda: rb.Contract(name, "1"),
    ]
    for call in calls:
        with pytest.raises(errors.InvalidInputError):
            call()
    assert tree(tmp_path) == before


@pytest.mark.parametrize("name", [name for name in REFUSED.values() if name != "con.txt"], ids=ascii)
def test_no_such_name_is_a_variant_or_a_suffix(run: rb.RunIO, tmp_path: Path, name: str) -> None:
    """``con.txt`` may be one: ``a_con.txt.json`` is no device."""
    before = tree(tmp_path)
    with pytest.raises(errors.InvalidInputError):
        run.write(SPEC("a", "k", "a", ".json", "json"), 1, variant=name)
    with pytest.raises(errors.InvalidInputError):
        run.write(SPEC("a", "k", name, ".json", "json"), 1)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("name", [name for name in REFUSED.values() if "/" not in name], ids=ascii)
def test_no_such_name_is_a_folder_of_a_layout(name: str) -> None:
    for given in (name, f"a/{name}"):
        with pytest.raises(errors.InvalidInputError):
            rb.Layout(extras_folder=given)
        with pytest.raises(errors.InvalidInputError):
            rb.Layout(folders={"k": given})


@pytest.mark.parametrize("name", REFUSED.values(), ids=REFUSED)
def test_no_such_name_is_a_run_id(tmp_path: Path, name: str) -> None:
    before = tree(tmp_path)
    if name:  # none was given
        with pytest.raises(errors.InvalidInputError):
            project(tmp_path).start(run_id=name)
    with pytest.raises((errors.InvalidInputError, errors.RunNotFound)):
        project(tmp_path).resume(name)
    assert tree(tmp_path) == before


OWN = [MANIFEST, SEAL, LOG, "metrics.jsonl", "metrics.json", "contract.json", "config.yaml", "config_resolved.yaml"]


@pytest.mark.parametrize("name", [*OWN, f"input/{MANIFEST}", f"attempts/{SEAL}", "logs/run.log", "provenance/x.json"])
def test_an_extra_may_be_called_as_a_file_of_the_librarys(run: rb.RunIO, name: str) -> None:
    """It lies in the folder for extras, and is taken for nothing else."""
    own = {path: (run.path / path).read_bytes() for path in (MANIFEST, "config.yaml")}
    if not Path(name).suffix:
        with pytest.raises(errors.UnsupportedFormat):
            run.save(name, b"mine")
        return
    record = run.save(name, b"mine")
    assert record.filename == f"artifacts/{name}"
    assert all((run.path / path).read_bytes() == data for path, data in own.items())
    run.log({"x": 1})
    run.finish()
    done = rb.open_run(run.path)
    assert (done.read(name), codes(done.verify())) == (b"mine", [])
    assert [found.run_id for found in list_runs(run.path.parents[2])] == ["r"]


@pytest.mark.parametrize(
    ("one", "other"),
    [("größe.json", unicodedata.normalize("NFD", "größe.json")), ("a.json", "A.json"), ("a/x.json", "A/x.json")],
    ids=["Unicode form", "case", "case of the folder"],
)
def test_of_two_names_that_are_one_on_some_disk_the_second_is_refused(run: rb.RunIO, one: str, other: str) -> None:
    assert one != other
    run.save(one, 1)
    with pytest.raises(errors.ArtifactExists, match="one name on some disks"):
        run.save(other, 2)
    run.finish()
    assert rb.open_run(run.path).read(one) == 1


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_name_comes_back_in_the_form_it_was_given(run: rb.RunIO, form: str) -> None:
    name = unicodedata.normalize(form, "größe/ångström.json")  # type: ignore[arg-type]  # one of the two
    assert run.save(name, 1).filename == f"artifacts/{name}"
    run.finish()
    done = rb.open_run(run.path)
    assert [record.artifact_id for record in done.artifacts()] == [name]
    assert (done.read(name), codes(done.verify())) == (1, [])


# --- inputs keep the name that the photo has --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["12:30.jpg", "why?.jpg", "\u200eWhatsApp Image.jpg", "صورة\u200f.jpg", "क्\u200dष.jpg", "a  b.jpg", "-rf", ".jpg"],
    ids=ascii,
)
def test_an_input_keeps_its_name(run: rb.RunIO, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"photo")
    assert run.ingest(tmp_path / name) == run.path / "input" / name
    assert run.read_input() == b"photo"
    run.finish()
    done = rb.open_run(run.path)
    assert done.manifest["input_copied_path"] == f"input/{name}"
    assert codes(done.verify()) == []


# --- what stands in the run and is no file of it ----------------------------------------------------------------------


def test_a_hard_link_to_a_file_that_changes_is_found(tmp_path: Path) -> None:
    with project(tmp_path / "store").start() as run:
        record = run.save("x.txt", "as written")
    place, outside = run.path / record.filename, tmp_path / "outside.txt"
    outside.hardlink_to(place)
    assert codes(rb.open_run(run.path).verify()) == []
    outside.write_text("changed!!!")
    assert codes(rb.open_run(run.path).verify()) == [("changed", record.filename)]
    with pytest.raises(errors.DigestMismatch):
        rb.open_run(run.path).read("x.txt")


@contextmanager
def at_once(seconds: int = 10) -> Iterator[None]:
    """Fail where something waits for ever."""

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _socket(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(place.name)  # a whole path may be too long for a socket


NO_FILES: dict[str, Callable[[Path], object]] = {"pipe": os.mkfifo, "socket": _socket, "folder": os.mkdir}
LOOKS: dict[str, Callable[[Path], object]] = {
    "open": lambda path: rb.open_run(path).status,
    "artifact": lambda path: rb.open_run(path).read("fact"),
    "contract": lambda path: rb.open_run(path).contract,
    "summary": lambda path: rb.open_run(path).summary,
    "check": lambda path: rb.open_run(path).check(),
    "verify": lambda path: rb.open_run(path).verify(),
    "resume": lambda path: project(path.parents[2], CONTRACT).resume(path.name),
}
STANDING = (MANIFEST, LOG, SEAL, "metrics.jsonl", "contract.json", "config_resolved.yaml", "artifacts/facts/fact.json")


@pytest.mark.parametrize("make", NO_FILES.values(), ids=NO_FILES)
@pytest.mark.parametrize("name", STANDING)
def test_what_is_no_file_is_never_waited_for(
    name: str, make: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir = finished_run(tmp_path)
    place = run_dir / name
    place.unlink()
    monkeypatch.chdir(place.parent)
    make(place)
    for look in LOOKS.values():
        with at_once():
            try:
                look(run_dir)
            except rb.RunbundleError:
                continue
    if name != MANIFEST:
        assert name in [subject for _, subject in codes(rb.open_run(run_dir).verify())]


@pytest.mark.parametrize("place", ["artifacts/x.bin", "logs/x", "input/x", "x"])
def test_a_pipe_that_nothing_accounts_for_is_found_and_not_waited_for(tmp_path: Path, place: str) -> None:
    run_dir = finished_run(tmp_path)
    os.mkfifo(run_dir / place)
    with at_once():
        assert codes(rb.open_run(run_dir).verify()) == [("stray", place)]


def test_a_pipe_is_no_input_and_no_artifact(run: rb.RunIO, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with at_once():
        for call in (lambda: run.ingest(tmp_path / "pipe"), lambda: run.save("x.bin", tmp_path / "pipe")):
            with pytest.raises(errors.InputNotFound):
                call()
        with pytest.raises(errors.InputNotFound):
            run.ingest("/dev/zero")
    run.finish()
    assert codes(rb.open_run(run.path).verify()) == []
