"""``crv.io.artifacts``, function by function as seed 001 has it; each test names the section that it holds."""

import io
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

import runbundle as rb
from crv.core.ids import RunId
from crv.io.artifacts import artifacts_root, file_stat, lab_dir, write_parquet_atomic, write_text_atomic
from crv.io.config import IoSettings
from crv.io.errors import IoError, IoSchemaError, IoWriteError

RUN = RunId("20250101-000000")
FRAME = pl.DataFrame({"agent_id": ["a", "b"], "value": [0.5, None]})


@pytest.fixture
def settings(tmp_path: Path) -> IoSettings:
    return IoSettings(root_dir=str(tmp_path / "out"))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- crv.io.artifacts.artifacts_root --------------------------------------------------------------


def test_artifacts_root_is_below_the_run_and_is_not_made(settings: IoSettings) -> None:
    assert artifacts_root(settings, RUN) == f"{settings.root_dir}/runs/20250101-000000/artifacts"
    assert not Path(settings.root_dir).exists()


# --- crv.io.artifacts.lab_dir: "One of {"tidy","policy","probes","audit"}." -----------------------


@pytest.mark.parametrize("subdir", ["tidy", "policy", "probes", "audit"])
def test_lab_dir_makes_its_folder_and_no_run(settings: IoSettings, subdir: str) -> None:
    for _ in range(2):
        folder = lab_dir(settings, RUN, subdir)  # type: ignore[arg-type]
        assert folder == f"{settings.root_dir}/runs/20250101-000000/artifacts/lab/{subdir}"
        assert names(Path(folder)) == []
    run = Path(settings.root_dir, "runs", RUN)
    assert names(run) == ["artifacts"]
    with pytest.raises(rb.errors.RunNotFound):
        rb.open_run(run)


@pytest.mark.parametrize("subdir", ["", "tidy/", "../tidy", "Tidy", "plots", None, ["tidy"]])
def test_lab_dir_of_anything_else_is_a_value_error_and_makes_nothing(settings: IoSettings, subdir: str) -> None:
    with pytest.raises(ValueError, match=r"The lab has no .*; it has tidy, policy, probes, audit"):
        lab_dir(settings, RUN, subdir)  # type: ignore[arg-type]
    assert not Path(settings.root_dir).exists()


@pytest.mark.parametrize("run_id", ["", "..", "../../etc", "a/b"])
def test_no_run_id_leads_out_of_the_root(settings: IoSettings, run_id: str) -> None:
    with pytest.raises(ValueError, match="is no run id"):
        artifacts_root(settings, run_id)
    with pytest.raises(ValueError, match="is no run id"):
        lab_dir(settings, run_id, "tidy")
    assert not Path(settings.root_dir).exists()


# --- crv.io.artifacts.file_stat: {"path": path, "bytes": int, "created_at": ISO8601} ---------------


def test_file_stat_tells_path_length_and_the_time_of_asking_in_utc(tmp_path: Path) -> None:
    path = f"{tmp_path}/a.txt"
    Path(path).write_bytes(b"12345")
    os.utime(path, (0, 0))
    told = file_stat(path)
    assert (list(told), told["path"], told["bytes"]) == (["path", "bytes", "created_at"], path, 5)
    moment = datetime.fromisoformat(told["created_at"])
    assert moment.utcoffset() == timedelta(0)
    assert moment > datetime(2025, 1, 1, tzinfo=UTC)  # not the time of the file, which is 1970


def test_file_stat_of_what_is_not_there_has_no_bytes(tmp_path: Path) -> None:
    assert file_stat(f"{tmp_path}/no/such")["bytes"] == 0


# --- crv.io.artifacts.write_text_atomic: file_stat(path) + {"wrote_text": True} --------------------


@pytest.mark.parametrize("text", ["", "one", "é\n\r\n\0 🦔", "x" * 1_000_000])
def test_text_is_written_as_utf_8_and_told(tmp_path: Path, text: str) -> None:
    path = f"{tmp_path}/made/on the way/note.json"
    told = write_text_atomic(path, text)
    assert Path(path).read_bytes() == text.encode()
    assert (told["path"], told["bytes"], told["wrote_text"]) == (path, len(text.encode()), True)
    assert list(told) == ["path", "bytes", "created_at", "wrote_text"]
    assert names(Path(path).parent) == ["note.json"]


def test_the_same_path_again_replaces(tmp_path: Path) -> None:
    for text in ("a long first text", "short"):
        write_text_atomic(f"{tmp_path}/a", text)
        assert (tmp_path / "a").read_text() == text
    assert names(tmp_path) == ["a"]


def test_a_bare_name_lies_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert write_text_atomic("a.txt", "a")["path"] == "a.txt"
    assert (tmp_path / "a.txt").read_text() == "a"


def test_what_is_no_text_is_refused_and_what_was_there_stays(tmp_path: Path) -> None:
    write_text_atomic(f"{tmp_path}/a", "old")
    with pytest.raises(TypeError, match="is bytes"):
        write_text_atomic(f"{tmp_path}/a", b"new")  # type: ignore[arg-type]
    with pytest.raises(IoSchemaError, match="no Unicode at position 2"):
        write_text_atomic(f"{tmp_path}/a", "ab\ud800")
    assert ((tmp_path / "a").read_text(), names(tmp_path)) == ("old", ["a"])


@pytest.mark.parametrize("path", ["", "made/", "a\0b"])
def test_a_path_that_names_no_file_is_refused_and_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(IoSchemaError):
        write_text_atomic(path, "a")
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", ["folder", "n" * 300])
def test_what_cannot_be_a_file_is_refused_and_nothing_is_left(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(IoWriteError):
        write_text_atomic(f"{tmp_path}/{name}", "a")
    assert names(tmp_path) == ["folder"]


def test_a_link_is_replaced_and_what_it_led_to_stays(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("other")
    (tmp_path / "a").symlink_to("other")
    write_text_atomic(f"{tmp_path}/a", "a")
    assert (tmp_path / "a").is_symlink() is False
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "a", "other": "other"}


def test_a_folder_that_cannot_be_is_an_error_of_both_trees(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(IoError) as caught:
        write_text_atomic(f"{tmp_path}/file/a.txt", "a")
    assert isinstance(caught.value, OSError)
    assert isinstance(caught.value, IoWriteError)
    assert isinstance(caught.value.__cause__, rb.RunbundleError)


# --- crv.io.artifacts.write_parquet_atomic: file_stat(path) + {"rows": int} ------------------------


def test_a_frame_is_written_and_told(tmp_path: Path) -> None:
    path = f"{tmp_path}/new/tidy.parquet"
    told = write_parquet_atomic(path, FRAME)
    assert pl.read_parquet(path).equals(FRAME)
    assert (told["path"], told["bytes"], told["rows"]) == (path, Path(path).stat().st_size, 2)
    assert list(told) == ["path", "bytes", "created_at", "rows"]
    assert names(Path(path).parent) == ["tidy.parquet"]


def test_the_bytes_are_those_of_polars_itself(tmp_path: Path) -> None:
    plain = io.BytesIO()
    FRAME.write_parquet(plain)
    for name in ("a", "b"):
        write_parquet_atomic(f"{tmp_path}/{name}", FRAME)
        assert (tmp_path / name).read_bytes() == plain.getvalue()


@pytest.mark.parametrize("frame", [None, {"a": [1]}, [1], FRAME.lazy(), FRAME["value"]])
def test_what_is_no_polars_frame_is_a_type_error(tmp_path: Path, frame: object) -> None:
    with pytest.raises(TypeError, match=r"a polars\.DataFrame, not"):
        write_parquet_atomic(f"{tmp_path}/a", frame)  # type: ignore[arg-type]
    assert names(tmp_path) == []


def test_no_rows_and_many_columns_are_a_frame(tmp_path: Path) -> None:
    wide = pl.DataFrame({f"c{number}": [number] for number in range(10_000)})
    assert write_parquet_atomic(f"{tmp_path}/wide", wide)["rows"] == 1
    assert write_parquet_atomic(f"{tmp_path}/none", FRAME.clear())["rows"] == 0
    assert pl.read_parquet(tmp_path / "none").schema == FRAME.schema


@pytest.mark.parametrize(
    "frame",
    [pl.DataFrame({"a": pl.Series([object()], dtype=pl.Object)}), pl.DataFrame({"a": [{}]})],
    ids=["objects", "struct without fields"],
)
def test_what_parquet_cannot_hold_is_refused_and_what_was_there_stays(tmp_path: Path, frame: pl.DataFrame) -> None:
    write_parquet_atomic(f"{tmp_path}/a", FRAME)
    with pytest.raises(IoSchemaError, match="Parquet cannot hold the frame"):
        write_parquet_atomic(f"{tmp_path}/a", frame)
    assert pl.read_parquet(tmp_path / "a").equals(FRAME)
    assert names(tmp_path) == ["a"]


def test_without_polars_a_runtime_error_names_the_extra(tmp_path: Path) -> None:
    code = """
import sys
sys.modules["polars"] = None
from crv.io.artifacts import write_parquet_atomic, write_text_atomic
write_text_atomic("a.txt", "text needs no Polars")
try:
    write_parquet_atomic("a.parquet", [])
except RuntimeError as error:
    print(error)
try:
    from crv.io import Dataset
except ImportError as error:
    print(error)
from crv.io.config import IoSettings
from crv.io.run_manifest import collect_artifacts_index
open("made/runs/r/artifacts/lab/tidy/a.parquet", "x").close()
print(collect_artifacts_index(IoSettings(root_dir="made"), "r")["lab"]["tidy"][0]["error"])
"""
    (tmp_path / "made/runs/r/artifacts/lab/tidy").mkdir(parents=True)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert [line.endswith('Install it: pip install "crv[tables]"') for line in lines] == [True, True, True]
    assert names(tmp_path) == ["a.txt", "made"]


# --- crv.io.artifacts, Notes: "stdlib-only", "imported inside functions" ---------------------------


def test_importing_it_loads_the_standard_library_and_the_light_core_only() -> None:
    code = "import sys; before = set(sys.modules); import crv.io.artifacts; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert {name.split(".")[0] for name in loaded} - set(sys.stdlib_module_names) == {"crv", "runbundle"}
    assert {name for name in loaded if name.startswith("runbundle")} == {
        *("runbundle", "runbundle._version", "runbundle.base", "runbundle.base.errors"),
    }
    assert loaded.isdisjoint({"subprocess", "logging", "multiprocessing", "asyncio"})


@pytest.mark.parametrize("name", ["crv.io", "crv.io.artifacts", "crv.io.dataset", "crv.io.run_manifest"])
def test_importing_io_loads_nothing_that_stands_above_it(name: str) -> None:
    code = f"import sys, {name}; print(*(name for name in sys.modules if name.startswith('crv.')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {loaded.split(".")[1] for loaded in done.stdout.split()} <= {"core", "io"}


def test_the_names_of_io_are_there_when_they_are_used() -> None:
    import crv.io as package  # noqa: PLC0415 - the package itself is looked at

    assert dir(package) == ["Dataset", "IoSettings"]
    assert [getattr(package, name).__name__ for name in package.__all__] == ["Dataset", "IoSettings"]
    with pytest.raises(AttributeError, match="no attribute 'Bundle'"):
        _ = package.Bundle


# --- crv.io.artifacts, Notes: "Atomicity: tmp write -> fsync -> os.replace (same FS)" --------------


def test_the_steps_of_a_write_are_in_the_order_that_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[tuple[str, str]] = []
    sync, replace = os.fsync, os.replace

    def seen_sync(descriptor: int) -> None:
        steps.append(("fsync", str(Path(f"/proc/self/fd/{descriptor}").readlink())))
        sync(descriptor)

    def seen_replace(source: str, target: str) -> None:
        steps.append(("replace", f"{source} {target}"))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", seen_sync)
    monkeypatch.setattr(os, "replace", seen_replace)
    write_text_atomic(f"{tmp_path}/a.txt", "text")
    (synced, temporary), (replaced, pair), (last, folder) = steps[-3:]
    assert (synced, replaced, last) == ("fsync", "replace", "fsync")
    assert pair == f"{temporary} {tmp_path}/a.txt"
    assert re.fullmatch(rf"{re.escape(str(tmp_path))}/\.tmp-\S+", temporary)
    assert folder == str(tmp_path)


def test_a_failed_sync_is_told_and_what_was_there_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_text_atomic(f"{tmp_path}/a.txt", "old")
    calls = []

    def fail(descriptor: int) -> None:
        calls.append(descriptor)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(IoWriteError, match="Input/output error"):
        write_text_atomic(f"{tmp_path}/a.txt", "new")
    assert len(calls) == 1
    assert ((tmp_path / "a.txt").read_text(), names(tmp_path)) == ("old", ["a.txt"])
