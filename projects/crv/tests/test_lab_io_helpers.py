"""What the lab leaves, by its place in the bundle."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from crv.io.artifacts import artifacts_root, lab_dir, write_text_atomic
from crv.io.config import IoSettings
from crv.io.errors import IoManifestError, IoSchemaError
from crv.lab.io_helpers import read_lab, write_audit, write_policy, write_probes, write_tidy

RUN = "20250101-000000"
FRAME = pl.DataFrame({"context": ["owner", "peer"], "mean": [0.5, 0.25], "n": [3, 4]})


@pytest.fixture
def settings(tmp_path: Path) -> IoSettings:
    return IoSettings(root_dir=str(tmp_path))


@pytest.mark.parametrize(
    ("write", "subdir", "default"),
    [
        (write_tidy, "tidy", "tidy.parquet"),
        (write_probes, "probes", "probes.parquet"),
        (write_policy, "policy", "policy.parquet"),
    ],
)
def test_frames_lie_in_their_folder_and_are_read_back(
    settings: IoSettings, write: Any, subdir: Any, default: str
) -> None:
    for name, more in ((default, {}), ("demo.parquet", {"filename": "demo.parquet"})):
        told = write(settings, RUN, FRAME, **more)
        assert told["path"] == f"{artifacts_root(settings, RUN)}/lab/{subdir}/{name}"
        assert (told["rows"], told["bytes"]) == (2, Path(told["path"]).stat().st_size)
        found = read_lab(settings, RUN, subdir, name)
        assert isinstance(found, pl.DataFrame)
        assert found.equals(FRAME)


def test_an_audit_is_json_of_a_mapping_and_parquet_of_a_frame(settings: IoSettings) -> None:
    told = write_audit(settings, RUN, {"mae": 0.25, "by": {"b": 1, "a": "é"}})
    assert told["wrote_text"] is True
    text = Path(told["path"]).read_text(encoding="utf-8")
    assert text == json.dumps({"by": {"a": "é", "b": 1}, "mae": 0.25}, indent=2, ensure_ascii=False) + "\n"
    assert read_lab(settings, RUN, "audit", "audit.json") == {"mae": 0.25, "by": {"b": 1, "a": "é"}}
    assert write_audit(settings, RUN, FRAME, filename="mae.parquet")["rows"] == 2
    for found, name in ((FRAME, "mae.json"), ({"mae": 1}, "mae.parquet")):
        with pytest.raises(IoSchemaError, match=f"{name} holds a"):
            write_audit(settings, RUN, found, filename=name)


def test_what_another_wrote_into_the_lab_is_read_as_well(settings: IoSettings) -> None:
    write_text_atomic(f"{lab_dir(settings, RUN, 'probes')}/probe_000100.json", '{"tick": 100}')
    assert read_lab(settings, RUN, "probes", "probe_000100.json") == {"tick": 100}


@pytest.mark.parametrize("found", [{"mae": float("inf")}, {"mae": object()}, {"mae": {1: 2, "a": 3}}])
def test_an_audit_that_is_no_json_is_refused(settings: IoSettings, found: Any) -> None:
    with pytest.raises(IoSchemaError, match=r"The audit for audit\.json is no JSON"):
        write_audit(settings, RUN, found)
    assert not Path(artifacts_root(settings, RUN), "lab/audit/audit.json").exists()


@pytest.mark.parametrize(
    "name",
    ["", ".parquet", "../a.parquet", "a/b.parquet", "a\\b.parquet", "a.csv", "a.json", "a\0.parquet", "a\n.parquet"],
)
def test_a_name_that_is_no_plain_one_is_refused_and_nothing_is_made(settings: IoSettings, name: str) -> None:
    for write in (write_tidy, write_policy, write_probes):
        with pytest.raises(IoSchemaError, match="is no name of a file"):
            write(settings, RUN, FRAME, filename=name)
    if name != "a.json":  # which others may have written
        with pytest.raises(IoSchemaError, match="is no name of a file in tidy"):
            read_lab(settings, RUN, "tidy", name)
    assert list(Path(settings.root_dir).iterdir()) == []


def test_what_is_no_frame_is_a_type_error(settings: IoSettings) -> None:
    with pytest.raises(TypeError, match=r"a polars\.DataFrame, not dict"):
        write_tidy(settings, RUN, {"a": [1]})  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "data"), [("a.json", b"{"), ("a.json", b"\xff"), ("a.parquet", b"PAR1")])
def test_a_file_that_is_not_whole_is_named(settings: IoSettings, name: str, data: bytes) -> None:
    with pytest.raises(IoManifestError, match=f"has no audit/{name}"):
        read_lab(settings, RUN, "audit", name)
    folder = Path(artifacts_root(settings, RUN), "lab/audit")
    folder.mkdir(parents=True)
    (folder / name).write_bytes(data)
    with pytest.raises(IoManifestError, match=f"{name} cannot be read as"):
        read_lab(settings, RUN, "audit", name)
    with pytest.raises(ValueError, match="The lab has no 'plots'"):
        read_lab(settings, RUN, "plots", name)  # type: ignore[arg-type]
