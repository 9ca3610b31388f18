"""Settings: environment over TOML over defaults, and every fault named."""

from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest

import runbundle as rb
from crv.io import IoSettings
from crv.io.config import VARIABLES
from crv.io.errors import IoConfigError, IoError


def test_the_defaults_are_these() -> None:
    assert IoSettings() == IoSettings(
        root_dir="out",
        partitioning="tick_buckets",
        tick_bucket_size=100,
        row_group_size=131_072,
        compression="zstd",
        strict_schema=True,
        write_manifest_every_n=1,
        fs_protocol="file",
        fs_options={},
    )


def test_settings_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        IoSettings().root_dir = "elsewhere"  # type: ignore[misc]
    assert len({IoSettings(), IoSettings(), replace(IoSettings(), root_dir="a")}) == 2


def test_without_environment_and_file_the_defaults_hold(tmp_path: Path) -> None:
    assert IoSettings.load(environ={"PATH": "/bin"}, folder=tmp_path) == IoSettings()


def test_load_looks_at_the_environment_of_the_process_and_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "crv.toml").write_text("[io]\ntick_bucket_size = 50\ncompression = 'lz4'\n")
    monkeypatch.setenv("CRV_IO_COMPRESSION", "snappy")
    assert IoSettings.load() == IoSettings(tick_bucket_size=50, compression="snappy")


def test_the_environment_is_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.crv.io]\nroot_dir = 'filed'\nrow_group_size = 7\nfs_options = {}\n")
    environ = {
        "CRV_IO_ROOT_DIR": "given",
        "CRV_IO_TICK_BUCKET_SIZE": "10",
        "CRV_IO_COMPRESSION": "lz4",
        "CRV_IO_STRICT_SCHEMA": "no",
        "CRV_IO_FS_PROTOCOL": "file",
        "CRV_IO_WRITE_MANIFEST_EVERY_N": "5",
    }
    assert IoSettings.load(environ=environ, folder=tmp_path) == IoSettings(
        "given", tick_bucket_size=10, row_group_size=7, compression="lz4", strict_schema=False, write_manifest_every_n=5
    )
    assert set(environ) < set(VARIABLES)


def test_crv_toml_is_over_pyproject(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.crv.io]\nroot_dir = 'project'\n")
    (tmp_path / "crv.toml").write_text("[other]\nx = 1\n")
    assert IoSettings.load(environ={}, folder=tmp_path).root_dir == "project"  # it says nothing of io
    (tmp_path / "crv.toml").write_text("[io]\ntick_bucket_size = 9\n")
    assert IoSettings.load(environ={}, folder=tmp_path) == IoSettings(tick_bucket_size=9)


@pytest.mark.parametrize("text", ["1", "true", "YES", " on ", "True"])
def test_a_truth_of_the_environment(text: str, tmp_path: Path) -> None:
    environ = {"CRV_IO_STRICT_SCHEMA": text}
    assert IoSettings.load(environ=environ, folder=tmp_path).strict_schema is True


@pytest.mark.parametrize("text", ["0", "false", "No", "OFF"])
def test_an_untruth_of_the_environment(text: str, tmp_path: Path) -> None:
    environ = {"CRV_IO_STRICT_SCHEMA": text}
    assert IoSettings.load(environ=environ, folder=tmp_path).strict_schema is False


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("CRV_IO_ROOT_DIR", ""),
        ("CRV_IO_TICK_BUCKET_SIZE", "0"),
        ("CRV_IO_TICK_BUCKET_SIZE", "ten"),
        ("CRV_IO_TICK_BUCKET_SIZE", "-5"),
        ("CRV_IO_ROW_GROUP_SIZE", "1.5"),
        ("CRV_IO_ROW_GROUP_SIZE", str(2**63)),
        ("CRV_IO_ROW_GROUP_SIZE", "٣"),
        ("CRV_IO_COMPRESSION", "gzip"),
        ("CRV_IO_STRICT_SCHEMA", "maybe"),
        ("CRV_IO_FS_PROTOCOL", "s3"),
        ("CRV_IO_WRITE_MANIFEST_EVERY_N", ""),
        ("CRV_IO_COMPRESION", "zstd"),
    ],
)
def test_a_variable_that_is_wrong_is_named(variable: str, text: str, tmp_path: Path) -> None:
    with pytest.raises(IoConfigError, match=variable):
        IoSettings.load(environ={variable: text}, folder=tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[io]\ntick_bucket_size = '100'\n", r"crv\.toml: io\.tick_bucket_size is a whole number"),
        ("[io]\ntick_bucket_size = true\n", r"io\.tick_bucket_size is a whole number of at least 1, not True"),
        ("[io]\nstrict_schema = 1\n", r"io\.strict_schema is true or false, not 1"),
        ("[io]\nroot_dir = 3\n", r"io\.root_dir is the path of a folder"),
        ("[io]\npartitioning = 'hive'\n", r"io\.partitioning is tick_buckets, not 'hive'"),
        ("[io]\ncompression = ['zstd']\n", r"io\.compression is zstd or lz4 or snappy"),
        ("[io]\nfs_options = {anon = true}\n", r"io\.fs_options is empty"),
        ("[io]\ntick_size = 5\n", r"crv\.toml: io\.tick_size: no setting has that name"),
        ("io = 5\n", r"crv\.toml: io is a table, not 5"),
        ("[io\n", r"crv\.toml cannot be read"),
    ],
)
def test_an_entry_that_is_wrong_is_named_with_its_file(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "crv.toml").write_text(text)
    with pytest.raises(IoConfigError, match=said) as caught:
        IoSettings.load(environ={}, folder=tmp_path)
    assert isinstance(caught.value, (IoError, rb.errors.InvalidConfig, ValueError))


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    environ = {"CRV_IO_COMPRESSION": "gzip", "CRV_IO_FS_PROTOCOL": "s3"}
    with pytest.raises(IoConfigError, match=r"CRV_IO_COMPRESSION is .*; CRV_IO_FS_PROTOCOL is file, not 's3'"):
        IoSettings.load(environ=environ, folder=tmp_path)


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(IoConfigError, match=r"pyproject\.toml cannot be read"):
        IoSettings.load(environ={}, folder=tmp_path)


def test_settings_made_by_hand_are_held_to_the_same() -> None:
    with pytest.raises(IoConfigError, match=r"tick_bucket_size is .* not 0; compression is .* not 'gzip'"):
        IoSettings(tick_bucket_size=0, compression="gzip")  # type: ignore[arg-type]
