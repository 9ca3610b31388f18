"""The golden runs, read by a reader that knows docs/format.md and nothing of the library.

A golden run is made once and never changed: ``ROOT_DIGEST`` holds it to the byte.
"""

import copy
import hashlib
import json
import math
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import independent_reader as reader

GOLDEN = Path(__file__).parent / "v0" / "runs" / "demo" / "2026-11-21_10-00-00_0123456789ab"
ROOT_DIGEST = "dbee287404e36c74e74e791d73e53a0ba7a2ea3a641ac69d54c1a40fdcb75f56"
LOG = "artifacts.jsonl"
HEIGHTS = "artifacts/tables/heights.csv"
PREVIEW = "artifacts/images/preview.png"
PROFILE = "artifacts/data/profile_middle.json"
VERDICT = "artifacts/data/verdict.json"
SUMMARY = "artifacts/texts/summary.txt"
SET_ASIDE = "attempts/prepare.1/artifacts/tables/heights.csv"
MANIFEST = "run_manifest.json"
SEAL = "SHA256SUMS"

Damage = Callable[[Path], None]


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
        assert line == _spell(reader.parse_object(line))


def test_manifest_and_configuration() -> None:
    run = reader.read_run(GOLDEN)
    assert run.manifest["run_id"] == GOLDEN.name
    assert run.manifest["run_uuid"] == "01a1fd8c-6aa1-7abc-8def-0123456789ab"
    assert run.manifest["status"] == "completed"
    assert (run.manifest["demo_version"], run.manifest["operator"]) == ("3.1", "Åse")
    assert run.manifest["input_copied_path"] == "input/heights.csv"
    assert run.config["output"] == "${dataset.country}-heights"
    assert run.config_resolved == {
        "dataset": {"country": "no", "label": "Høyde ≈ 3 µm — 高さ"},
        "output": "no-heights",
        "seed": 7,
        "stages": ["prepare", "analyse"],
        "threshold": 0.25,
        "tolerance": 1e-05,
        "verbose": False,
    }


def test_records_in_force() -> None:
    run = reader.read_run(GOLDEN)
    assert [record["filename"] for record in run.inputs] == ["input/heights.csv"]
    assert {(r["artifact_id"], r["variant"]): r["filename"] for r in run.artifacts} == {
        ("heights", None): HEIGHTS,
        ("preview", None): PREVIEW,
        ("profile", "middle"): PROFILE,
        ("verdict", None): VERDICT,
        ("summary", None): SUMMARY,
    }
    verdict = next(record for record in run.artifacts if record["artifact_id"] == "verdict")
    replaced = run.records[reader.pointer(verdict["replaces"])]
    assert (replaced["filename"], replaced["bytes"]) == (VERDICT, 39)
    assert verdict["bytes"] == (GOLDEN / VERDICT).stat().st_size == 83


def test_stages_and_what_a_failed_try_left() -> None:
    run = reader.read_run(GOLDEN)
    expected = {"prepare": "committed", "analyse": "declined", "publish": "skipped", "report": "committed"}
    assert run.stages == expected
    assert (GOLDEN / SET_ASIDE).read_text() == "x,height\n2,0.5\n0,0.25\n"
    assert (GOLDEN / HEIGHTS).read_text() == "x,height\n0,0.25\n1,0.75\n2,0.5\n"


def test_points_and_metrics() -> None:
    run = reader.read_run(GOLDEN)
    assert [(step, sorted(values)) for step, values in run.points] == [
        (0, ["loss", "rate"]),
        (1, ["loss", "rate"]),
        (2, ["loss"]),
    ]
    losses = [values["loss"] for _, values in run.points]
    assert (losses[0], losses[2]) == (2.5, 0.5)
    assert math.isnan(losses[1])
    assert run.metrics is not None
    assert run.metrics["scalars"] == {"height_max_um": 0.75, "rows": 3}
    assert run.metrics["series"]["loss"]["values"] == [2.5, "NaN", 0.5]


# --- damage -----------------------------------------------------------------------------------------------


def _edit(name: str, old: bytes, new: bytes) -> Damage:
    def damage(run: Path) -> None:
        data = (run / name).read_bytes()
        assert old in data
        (run / name).write_bytes(data.replace(old, new, 1))

    return damage


def _cut(name: str, size: int) -> Damage:
    return lambda run: os.truncate(run / name, (run / name).stat().st_size - size)


def _remove(name: str) -> Damage:
    return lambda run: (run / name).unlink()


def _write(name: str, data: bytes) -> Damage:
    def damage(run: Path) -> None:
        (run / name).write_bytes(data)

    return damage


def _exchange(one: str, other: str) -> Damage:
    def damage(run: Path) -> None:
        bytes_of_one = (run / one).read_bytes()
        shutil.copyfile(run / other, run / one)
        (run / other).write_bytes(bytes_of_one)

    return damage


def _link(name: str) -> Damage:
    def damage(run: Path) -> None:
        elsewhere = run.parent / "elsewhere"
        (run / name).rename(elsewhere)
        (run / name).symlink_to(elsewhere)

    return damage


def _folder(name: str) -> Damage:
    def damage(run: Path) -> None:
        (run / name).unlink()
        (run / name).mkdir()

    return damage


def _drop_lines(name: str, count: int) -> Damage:
    def damage(run: Path) -> None:
        lines = (run / name).read_bytes().splitlines(keepends=True)
        (run / name).write_bytes(b"".join(lines[:-count]))

    return damage


def _spell(record: dict[str, Any]) -> bytes:
    text = json.dumps(record, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return f"{text}\n".encode()


def _rewrite(run: Path, edit: Callable[[dict[str, Any]], None], name: str = LOG) -> None:
    """Edit the records of a log and chain them again, as no writer would."""
    previous, lines = "0" * 64, []
    for line in (run / name).read_bytes().splitlines():
        record = json.loads(line)
        edit(record)
        lines.append(_spell(record | {"prev_sha256": previous}))
        previous = hashlib.sha256(lines[-1]).hexdigest()
    (run / name).write_bytes(b"".join(lines))


def _set(which: str, **fields: object) -> Damage:
    def edit(record: dict[str, Any]) -> None:
        if record.get("artifact_id") == which and record["record"] in ("artifact", "input"):
            record |= fields

    return lambda run: _rewrite(run, edit)


def _set_commit(stage: str, **fields: object) -> Damage:
    def edit(record: dict[str, Any]) -> None:
        if record["record"] == "commit" and record["stage"] == stage:
            record |= fields

    return lambda run: _rewrite(run, edit)


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        pytest.param(_edit(HEIGHTS, b"0.75", b"0.76"), [("changed", HEIGHTS)], id="edited"),
        pytest.param(_edit("config.yaml", b"0.25", b"0.35"), [("changed", "config.yaml")], id="config"),
        pytest.param(_edit("logs/run.log", b"gone", b"here"), [("changed", "logs/run.log")], id="text-log"),
        pytest.param(_edit(SET_ASIDE, b"0.5", b"0.6"), [("changed", SET_ASIDE)], id="set-aside"),
        pytest.param(_cut(PREVIEW, 5), [("truncated", PREVIEW)], id="truncated"),
        pytest.param(_write(HEIGHTS, b""), [("truncated", HEIGHTS)], id="emptied"),
        pytest.param(_cut(LOG, 5), [("truncated", LOG)], id="log-cut-in-a-line"),
        pytest.param(_remove(SUMMARY), [("missing", SUMMARY)], id="missing"),
        pytest.param(_remove(LOG), [("missing", LOG)], id="log-missing"),
        pytest.param(_remove(MANIFEST), [("missing", MANIFEST)], id="manifest-missing"),
        pytest.param(_write("logs/more.log", b"x"), [("stray", "logs/more.log")], id="stray"),
        pytest.param(_write("artifacts/.tmp-1", b"x"), [], id="temporary"),
        pytest.param(_exchange(HEIGHTS, PROFILE), [("swapped", PROFILE), ("swapped", HEIGHTS)], id="swapped"),
        pytest.param(_exchange(HEIGHTS, SET_ASIDE), [("swapped", HEIGHTS), ("swapped", SET_ASIDE)], id="tries"),
        pytest.param(_link(HEIGHTS), [("not_a_file", HEIGHTS)], id="link"),
        pytest.param(_link("artifacts/tables"), [("not_a_file", HEIGHTS)], id="link-on-the-way"),
        pytest.param(_folder(HEIGHTS), [("not_a_file", HEIGHTS)], id="folder"),
        pytest.param(_edit(LOG, b"probe", b"Probe"), [("log_damaged", LOG)], id="log-damaged"),
        pytest.param(_drop_lines(LOG, 1), [("log_shortened", LOG)], id="log-shortened"),
        pytest.param(
            _drop_lines("artifacts.helper.jsonl", 1),
            [("log_shortened", "artifacts.helper.jsonl")],
            id="helper-shortened",
        ),
        pytest.param(_set("summary", bytes=50), [("log_edited", LOG)], id="log-edited"),
        pytest.param(_write(MANIFEST, b"{"), [("manifest_damaged", MANIFEST)], id="manifest-damaged"),
        pytest.param(
            _edit(MANIFEST, b'"schema_version"', b'"status": "failed", "schema_version"'),
            [("manifest_damaged", MANIFEST)],
            id="manifest-says-it-twice",
        ),
        pytest.param(
            _edit(MANIFEST, b'"operator": "', b'"operator": "B'), [("manifest_differs", MANIFEST)], id="facts"
        ),
        pytest.param(
            _edit(MANIFEST, b'"no-heights"', b'"se-heights"'),
            [("manifest_differs", MANIFEST)],
            id="snapshot",
        ),
        pytest.param(_edit(MANIFEST, b'"platform"', b'"odd": 1, "platform"'), [("changed", MANIFEST)], id="unknown"),
        pytest.param(_cut(SEAL, 5), [("seal_damaged", SEAL)], id="seal-cut"),
        pytest.param(_edit(SEAL, b"  ", b" "), [("seal_damaged", SEAL)], id="seal-damaged"),
        pytest.param(_drop_lines(SEAL, 1), [("seal_damaged", SEAL)], id="seal-shortened"),
        pytest.param(
            _write(SEAL, (GOLDEN / SEAL).read_bytes().replace(b"\n", b"\n" + b"0" * 64 + b"  ../x\n", 1)),
            [("seal_damaged", SEAL)],
            id="seal-leads-out",
        ),
    ],
)
def test_damage_of_a_sealed_run(run: Path, damage: Damage, expected: list[tuple[str, str]]) -> None:
    damage(run)
    assert reader.verify(run) == expected


def test_a_seal_written_anew_is_noticed_by_its_digest(run: Path) -> None:
    _edit("logs/run.log", b"gone", b"here")(run)
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


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        pytest.param(_write("logs/more.log", b"x"), [], id="text-log"),
        pytest.param(_write("artifacts/more.txt", b"x"), [("stray", "artifacts/more.txt")], id="stray"),
        pytest.param(_edit(HEIGHTS, b"0.75", b"0.76"), [("changed", HEIGHTS)], id="edited"),
        pytest.param(_cut(PREVIEW, 5), [("truncated", PREVIEW)], id="truncated"),
        pytest.param(_remove(SET_ASIDE), [("missing", SET_ASIDE)], id="set-aside"),
        pytest.param(_edit("contract.json", b"heights", b"weights"), [("changed", "contract.json")], id="contract"),
        pytest.param(_set_commit("report", ts_utc="2026-11-22T00:00:00.000+00:00"), [], id="no-seal-no-edit-found"),
        pytest.param(_drop_lines(LOG, 1), [("manifest_differs", MANIFEST)], id="no-end"),
        pytest.param(
            _drop_lines("artifacts.helper.jsonl", 1),
            [("log_shortened", "artifacts.helper.jsonl")],
            id="pointed-to",
        ),
        pytest.param(_set("verdict", replaces=None), [("log_damaged", LOG)], id="two-in-force"),
        pytest.param(_write("artifacts.late.jsonl", b'{"for'), [], id="torn-header"),
    ],
)
def test_damage_of_an_unsealed_run(run: Path, damage: Damage, expected: list[tuple[str, str]]) -> None:
    _remove(SEAL)(run)
    damage(run)
    assert reader.verify(run) == expected


def test_damage_is_said_with_its_line(run: Path) -> None:
    lines = (run / LOG).read_bytes().splitlines(keepends=True)
    (run / LOG).write_bytes(b"".join([*lines[:4], lines[5], lines[4], *lines[6:]]))
    assert reader.read_log(run / LOG).damaged_line == 5
    with pytest.raises(reader.Damaged, match=r"^artifacts\.jsonl:5$"):
        reader.read_run(run)


def test_a_torn_tail_is_skipped_wherever_it_is_torn(run: Path) -> None:
    data = (GOLDEN / LOG).read_bytes()
    whole = reader.read_log(GOLDEN / LOG).records
    for size in range(data.index(b"\n") + 1, len(data), 41):
        (run / LOG).write_bytes(data[:size])
        log = reader.read_log(run / LOG)
        assert log.damaged_line is None
        assert log.records == whole[: data[:size].count(b"\n")]
        assert data[:size].endswith(log.torn_tail)


def test_an_unknown_format_version_is_refused(run: Path) -> None:
    _rewrite(run, lambda record: record.update({"format_version": 1}) if record["seq"] == 0 else None)
    with pytest.raises(reader.Unsupported):
        reader.verify(run)


def test_an_unknown_requirement_is_refused(run: Path) -> None:
    _edit(MANIFEST, b'"requires": []', b'"requires": ["chunks"]')(run)
    with pytest.raises(reader.Unsupported):
        reader.read_run(run)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ((GOLDEN / VERDICT).read_bytes(), None),  # renamed into place, but not recorded yet
        (b'{\n  "reason": null,\n  "usable": null\n}\n', None),  # not yet renamed into place
        (b'{\n  "reason": null,\n  "usable": true\n}\n', "changed"),
    ],
)
def test_an_open_intent_allows_the_bytes_before_and_after(run: Path, data: bytes, code: str | None) -> None:
    _remove(SEAL)(run)
    lines = (run / LOG).read_bytes().splitlines(keepends=True)
    intent = next(number for number, line in enumerate(lines) if b'"record":"intent"' in line)
    (run / LOG).write_bytes(b"".join(lines[: intent + 1]))  # killed just after the intent
    (run / VERDICT).write_bytes(data)
    assert [found for found, name in reader.verify(run) if name == VERDICT] == ([code] if code else [])


def test_a_file_set_aside_may_still_be_where_it_was(run: Path) -> None:
    _remove(SEAL)(run)
    lines = (run / LOG).read_bytes().splitlines(keepends=True)
    move = next(number for number, line in enumerate(lines) if b"set_aside" in line)
    (run / LOG).write_bytes(b"".join(lines[: move + 1]))  # killed before the move
    (run / SET_ASIDE).replace(run / HEIGHTS)
    assert HEIGHTS not in {name for _, name in reader.verify(run)}


# --- completeness -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        pytest.param(_drop_lines(LOG, 1), [("run_not_finished", "running")], id="running"),
        pytest.param(_set("source", record="remark"), [("input_missing", "source")], id="input"),
        pytest.param(_set("heights", record="remark"), [("artifact_missing", "heights")], id="artifact"),
        pytest.param(_set("profile", record="remark"), [("artifact_missing", "profile")], id="if-passed"),
        pytest.param(_set("preview", record="remark"), [], id="optional"),
        pytest.param(
            _set_commit("analyse", outcome="committed"), [("artifact_missing", "roughness")], id="not-declined"
        ),
        pytest.param(_set_commit("report", outcome="failed"), [("stage_failed", "report")], id="failed"),
        pytest.param(_set_commit("report", record="remark"), [("stage_missing", "report")], id="no-commit"),
        pytest.param(
            _set("summary", artifact_id="memo"),
            [("artifact_missing", "summary"), ("artifact_undeclared", "memo")],
            id="undeclared",
        ),
        pytest.param(_set("summary", format="pickle"), [("format_not_allowed", "summary")], id="format"),
    ],
)
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
    journal = reader.Journal(GOLDEN)
    manifest = copy.deepcopy(reader.read_manifest(GOLDEN))
    assert reader.project(journal, manifest["config_snapshot"]) | {"schema_version": 0} == manifest


def test_the_command_line(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert reader.main([str(run)]) == 0
    assert "stage analyse: declined" in capsys.readouterr().out
    _remove(SUMMARY)(run)
    assert reader.main([str(run)]) == 1
    assert f"missing: {SUMMARY}" in capsys.readouterr().out
