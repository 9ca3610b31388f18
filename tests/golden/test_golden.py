"""The golden runs, read by a reader that knows docs/format.md and nothing of the library.

A golden run is made once and never changed: ``ROOT_DIGEST`` holds it to the byte.
"""

import hashlib
import json
import math
import shutil
import subprocess
from pathlib import Path

import pytest

import independent_reader as reader
from golden_damage import (
    GOLDEN,
    HEIGHTS,
    LOG,
    MANIFEST,
    NOTES,
    PREVIEW,
    PROFILE,
    ROOT_DIGEST,
    SEAL,
    SEALED,
    SET_ASIDE,
    SUMMARY,
    UNMET,
    UNSEALED,
    VERDICT,
    Damage,
    edit,
    remove,
    rewrite,
    spell,
)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A copy of the golden run, to be damaged."""
    return Path(shutil.copytree(GOLDEN, tmp_path / "runs" / "demo" / GOLDEN.name))


# --- what the golden run says -----------------------------------------------------------------------------


def test_the_bytes_are_those_once_written() -> None:
    assert hashlib.sha256((GOLDEN / SEAL).read_bytes()).hexdigest() == ROOT_DIGEST
    assert reader.verify(GOLDEN, ROOT_DIGEST) == []


def test_it_is_complete() -> None:
    assert reader.check(GOLDEN) == []


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="no sha256sum here")
def test_plain_tools_check_the_seal() -> None:
    done = subprocess.run(["sha256sum", "--strict", "-c", SEAL], cwd=GOLDEN, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["run_manifest.json", "contract.json", "metrics.json", PROFILE, VERDICT])
def test_json_is_spelt_as_i5_says(name: str) -> None:
    data = (GOLDEN / name).read_bytes()
    spelling = json.dumps(reader.parse_json(data), ensure_ascii=False, indent=2, sort_keys=True) + "\n"
    assert data == spelling.encode()


@pytest.mark.parametrize("name", [LOG, "artifacts.helper.jsonl", "metrics.jsonl"])
def test_lines_are_spelt_as_i6_says(name: str) -> None:
    for line in (GOLDEN / name).read_bytes().splitlines(keepends=True):
        assert line == spell(reader.parse_object(line))


def test_manifest_and_configuration() -> None:
    run = reader.IndependentRun(GOLDEN)
    assert run.manifest["run_id"] == GOLDEN.name
    assert run.manifest["run_uuid"] == "01a1fd8c-6aa1-7abc-8def-0123456789ab"
    assert run.manifest["status"] == "completed"
    assert (run.manifest["demo_version"], run.manifest["operator"]) == ("3.1", "Åse")
    assert run.manifest["input_copied_path"] == "input/heights.csv"
    assert run.config["output"] == "${dataset.country}-heights"
    assert run.config_resolved == {
        "dataset": {"country": "no", "label": "Høyde ≈ 3 µm — 高さ"},
        "grid": [[0, 1], []],
        'odd "text"': "a\x7f\u2028\\x7f\tb",
        "output": "no-heights",
        "seed": 7,
        "stages": ["prepare", "analyse"],
        "threshold": 0.25,
        "tolerance": 1e-05,
        "verbose": False,
    }


def test_records_in_force() -> None:
    run = reader.IndependentRun(GOLDEN)
    assert [(r["filename"], r["is_primary"]) for r in run.journal.inputs] == [
        ("input/heights.csv", True),
        (NOTES, False),
    ]
    assert {(r["artifact_id"], r["variant"]): r["filename"] for r in run.journal.artifacts} == {
        ("heights", None): HEIGHTS,
        ("preview", None): PREVIEW,
        ("profile", "middle"): PROFILE,
        ("verdict", None): VERDICT,
        ("summary", None): SUMMARY,
    }
    verdict = next(record for record in run.journal.artifacts if record["artifact_id"] == "verdict")
    replaced = run.journal.records[reader.pointer(verdict["replaces"])]
    assert (replaced["filename"], replaced["bytes"]) == (VERDICT, 39)
    assert verdict["bytes"] == (GOLDEN / VERDICT).stat().st_size == 83


def test_stages_and_what_a_failed_try_left() -> None:
    run = reader.IndependentRun(GOLDEN)
    expected = {"prepare": "committed", "analyse": "declined", "publish": "skipped", "report": "committed"}
    assert run.journal.outcomes() == expected
    assert (GOLDEN / SET_ASIDE).read_text() == "x,height\n2,0.5\n0,0.25\n"
    assert (GOLDEN / HEIGHTS).read_text() == "x,height\n0,0.25\n1,0.75\n2,0.5\n"


def test_attempts() -> None:
    first, second = reader.IndependentRun(GOLDEN).manifest["attempts"]
    assert (first["status"], first["error"]["type"]) == ("failed", "ValueError")
    assert (second["status"], second["error"]) == ("completed", None)
    former = reader.parse_seal((GOLDEN / "provenance/SHA256SUMS.1").read_bytes())
    assert former[HEIGHTS] == hashlib.sha256((GOLDEN / SET_ASIDE).read_bytes()).hexdigest()


def test_points_and_metrics() -> None:
    run = reader.IndependentRun(GOLDEN)
    assert run.series["rate"] == {0: 0.1, 1: 0.1}
    assert (run.series["loss"][0], run.series["loss"][2]) == (2.5, 0.5)  # the first attempt said 9.5
    assert math.isnan(run.series["loss"][1])
    assert run.metrics is not None
    told = reader.describe_metrics(run.series, run.summary)
    assert run.metrics["scalars"] == told["scalars"]
    assert run.metrics["scalars"] == {"grade": None, "height_max_um": 0.75, "loss": 0.5, "rate": "steady", "rows": 3}
    told["series"]["loss"]["values"][1] = "NaN"
    assert run.metrics["series"] == told["series"]


def test_plain_json_and_hashlib_read_it() -> None:
    manifest = json.loads((GOLDEN / MANIFEST).read_text())
    assert manifest["status"] == "completed"
    lines = [json.loads(line) for line in (GOLDEN / LOG).read_text().splitlines()]
    found = {line["filename"]: line["sha256"] for line in lines if line["record"] == "artifact"}
    for name, digest in found.items():  # the last record of a name; one log is enough where nothing was set aside
        assert hashlib.sha256((GOLDEN / name).read_bytes()).hexdigest() == digest
    for line in (GOLDEN / SEAL).read_text().splitlines():
        digest, name = line.split("  ", 1)
        assert hashlib.sha256((GOLDEN / name).read_bytes()).hexdigest() == digest


# --- damage ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("damage", "expected"), SEALED)
def test_damage_of_a_sealed_run(run: Path, damage: Damage, expected: list[tuple[str, str]]) -> None:
    damage(run)
    assert reader.verify(run) == expected


def test_a_seal_written_anew_is_noticed_by_its_digest(run: Path) -> None:
    edit("logs/run.log", b"gone", b"here")(run)
    digest = hashlib.sha256((run / "logs/run.log").read_bytes()).hexdigest()
    lines = (run / SEAL).read_text().splitlines(keepends=True)
    lines = [f"{digest}  logs/run.log\n" if line.endswith("  logs/run.log\n") else line for line in lines]
    (run / SEAL).write_text("".join(lines))
    assert reader.verify(run) == []
    assert reader.verify(run, ROOT_DIGEST) == [("root_digest_differs", SEAL)]


def test_a_seal_must_say_what_the_log_says(run: Path) -> None:
    lines = (run / SEAL).read_text().splitlines(keepends=True)
    lines = ["0" * 64 + line[64:] if line.endswith(f"  {HEIGHTS}\n") else line for line in lines]
    (run / SEAL).write_text("".join(lines))
    assert reader.verify(run) == [("seal_damaged", SEAL)]


@pytest.mark.parametrize(("damage", "expected"), UNSEALED)
def test_damage_of_an_unsealed_run(run: Path, damage: Damage, expected: list[tuple[str, str]]) -> None:
    remove(SEAL)(run)
    damage(run)
    assert reader.verify(run) == expected


def test_damage_is_said_with_its_line(run: Path) -> None:
    lines = (run / LOG).read_bytes().splitlines(keepends=True)
    (run / LOG).write_bytes(b"".join([*lines[:4], lines[5], lines[4], *lines[6:]]))
    assert reader.read_log(LOG, (run / LOG).read_bytes()).damaged_line == 5
    with pytest.raises(reader.Damaged, match=r"^artifacts\.jsonl:5$"):
        reader.IndependentRun(run)


def test_a_torn_tail_is_skipped_wherever_it_is_torn() -> None:
    data = (GOLDEN / LOG).read_bytes()
    whole = reader.read_log(LOG, data).records
    for size in range(data.index(b"\n") + 1, len(data), 41):
        log = reader.read_log(LOG, data[:size])
        assert log.damaged_line is None
        assert log.records == whole[: data[:size].count(b"\n")]
        assert data[:size].endswith(log.torn_tail)


def test_an_unknown_format_version_is_refused(run: Path) -> None:
    rewrite(run, lambda record: record.update({"format_version": 1}) if record["seq"] == 0 else None)
    with pytest.raises(reader.Unsupported):
        reader.verify(run)


def test_an_unknown_requirement_is_refused(run: Path) -> None:
    edit(MANIFEST, b'"requires": []', b'"requires": ["chunks"]')(run)
    with pytest.raises(reader.Unsupported):
        reader.IndependentRun(run)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ((GOLDEN / VERDICT).read_bytes(), None),  # renamed into place, but not recorded yet
        (b'{\n  "reason": null,\n  "usable": null\n}\n', None),  # not yet renamed into place
        (b'{\n  "reason": null,\n  "usable": true\n}\n', "changed"),
    ],
)
def test_an_open_intent_allows_the_bytes_before_and_after(run: Path, data: bytes, code: str | None) -> None:
    remove(SEAL)(run)
    lines = (run / LOG).read_bytes().splitlines(keepends=True)
    intent = max(number for number, line in enumerate(lines) if b'"record":"intent"' in line)
    (run / LOG).write_bytes(b"".join(lines[: intent + 1]))  # killed just after the intent
    (run / VERDICT).write_bytes(data)
    assert [found for found, name in reader.verify(run) if name == VERDICT] == ([code] if code else [])


def test_a_file_set_aside_may_still_be_where_it_was(run: Path) -> None:
    remove(SEAL)(run)
    lines = (run / LOG).read_bytes().splitlines(keepends=True)
    move = next(number for number, line in enumerate(lines) if b"set_aside" in line)
    (run / LOG).write_bytes(b"".join(lines[: move + 1]))  # killed before the move
    (run / SET_ASIDE).replace(run / HEIGHTS)
    assert HEIGHTS not in {name for _, name in reader.verify(run)}


# --- completeness -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("damage", "expected"), UNMET)
def test_what_a_run_owes_its_contract(run: Path, damage: Damage, expected: list[tuple[str, str]]) -> None:
    damage(run)
    assert reader.check(run) == expected


# --- spelling ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ['{"a":1,"a":1}', "[NaN]", "[-Infinity]", '["\\ud800"]', "\ufeff{}", "[1,]", "[" * 100_000]
)
def test_lax_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each of them has its own words
        reader.parse_json(text.encode())


@pytest.mark.parametrize("path", ["", "/a", "a//b", "a/./b", "../a", "a\\b", "a\nb", "a\0", "a/", "a\x7f"])
def test_paths_that_no_log_may_hold(path: str) -> None:
    assert not reader.is_path(path)


def test_the_manifest_follows_from_the_log() -> None:
    journal = reader.Journal(reader.Folder(GOLDEN))
    manifest = reader.parse_manifest((GOLDEN / MANIFEST).read_bytes())
    assert reader.project(journal, manifest["config_snapshot"]) == manifest
