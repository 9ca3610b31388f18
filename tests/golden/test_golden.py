"""The golden runs, read by a reader that knows docs/format.md and nothing of the library.

A golden run is made once and never changed: ``FROZEN`` holds it to the byte.
"""

import hashlib
import json
import math
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import golden_maker
import independent_reader as reader
from golden_damage import (
    BESIDE,
    BY_CHECK,
    BY_VERIFY,
    FROZEN,
    GOLDEN,
    HALFWAY,
    HALFWAY_DAMAGE,
    HEIGHTS,
    HELPER,
    INTERRUPTED,
    INTERRUPTED_DAMAGE,
    JOINED,
    JOINED_SEALED,
    JOINED_UNSEALED,
    LOG,
    LOGBOOK,
    MANIFEST,
    NOTES,
    POINTS,
    PREVIEW,
    PROFILE,
    ROOT_DIGEST,
    SEAL,
    SEALED,
    SET_ASIDE,
    SHARD,
    STATE,
    SUMMARY,
    UNMET,
    UNSEALED,
    VERDICT,
    VERSION_1,
    Damage,
    edit,
    listing,
    remove,
    rewrite,
    spell,
)

FORMAT = Path(__file__).parents[2] / "docs" / "format.md"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A copy of the golden run, to be damaged."""
    return Path(shutil.copytree(GOLDEN, tmp_path / "runs" / "demo" / GOLDEN.name))


@pytest.fixture
def joined(tmp_path: Path) -> Path:
    """A copy of the golden run of several writers, to be damaged."""
    return Path(shutil.copytree(JOINED, tmp_path / JOINED.name))


# --- what the golden runs say -----------------------------------------------------------------------------


@pytest.mark.parametrize("path", FROZEN, ids=lambda path: path.name)
def test_the_bytes_are_those_once_written(path: Path) -> None:
    """Who changes a run of a version that is out makes others unreadable: write another run instead."""
    assert hashlib.sha256(listing(path).encode()).hexdigest() == FROZEN[path], listing(path)


def test_no_golden_run_is_without_its_sum() -> None:
    assert {path.parent for path in VERSION_1.rglob(MANIFEST)} == FROZEN.keys()


def test_the_maker_still_makes_the_same_runs(tmp_path: Path) -> None:
    assert {VERSION_1 / path for path in golden_maker.MAKERS} == FROZEN.keys()
    for path, make in golden_maker.MAKERS.items():
        assert listing(make(tmp_path)) == listing(VERSION_1 / path)


def test_they_are_intact() -> None:
    assert reader.verify(GOLDEN, ROOT_DIGEST) == []
    assert reader.verify(JOINED) == []
    assert reader.verify(INTERRUPTED) == reader.verify(HALFWAY) == []


def test_they_are_complete_but_for_those_that_were_killed() -> None:
    assert reader.check(GOLDEN) == []
    assert reader.check(JOINED) == []
    assert reader.check(INTERRUPTED) == [("run_not_finished", INTERRUPTED.name), ("stage_failed", "measure")]
    assert reader.check(HALFWAY) == [("run_not_finished", HALFWAY.name)]


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="no sha256sum here")
@pytest.mark.parametrize("path", [GOLDEN, JOINED], ids=lambda path: path.name)
def test_plain_tools_check_the_seal(path: Path) -> None:
    done = subprocess.run(["sha256sum", "--strict", "-c", SEAL], cwd=path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_json_is_spelt_as_i5_says() -> None:
    places = [place for path in FROZEN for place in path.rglob("*.json") if place.name != "half.json"]
    assert len(places) == 20
    for place in places:
        spelling = (
            json.dumps(reader.parse_json(place.read_bytes()), ensure_ascii=False, indent=2, sort_keys=True) + "\n"
        )
        assert place.read_bytes() == spelling.encode()


def test_lines_are_spelt_as_i6_says() -> None:
    for place in VERSION_1.rglob("*.jsonl"):
        *lines, _ = place.read_bytes().split(b"\n")
        crc = 0
        for line in lines:
            spelt, crc = spell(reader.parse_object(line), crc)
            assert line + b"\n" == spelt


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
    told = reader.describe_metrics(run)
    assert run.metrics["scalars"] == told["scalars"]
    assert run.metrics["scalars"] == {"grade": None, "height_max_um": 0.75, "loss": 0.5, "rate": "steady", "rows": 3}
    told["series"]["loss"]["values"][1] = "NaN"
    assert run.metrics["series"] == told["series"]


def test_series_are_the_creators_by_the_latest_attempt() -> None:
    run = reader.IndependentRun(JOINED)
    assert run.series == {
        "loss": {0: 4.0, 1: 3.5, 2: 2.25, 3: -math.inf, 5: math.inf, 7: 1.5},
        "acc": {0: 0, 1: 1, 2: 2**63 - 1, 3: -(2**63)},
        "ok": {0: True, 1: False, 2: True, 3: True},
        "val/Genauigkeit ≈": {-1: -0.0, 7: 0.25},
        "none": {5: pytest.approx(math.nan, nan_ok=True)},
    }
    assert [type(value) for value in run.series["acc"].values()] == [int] * 4
    assert [type(value) for value in run.series["ok"].values()] == [bool] * 4
    assert repr(run.summary) == "{'grade': 'B', 'loss': nan, 'rows': 4, 'best': None}"
    assert run.metrics == json.loads(json.dumps(reader.describe_metrics(run)), parse_constant=str)


def test_raw_points_are_those_of_all_writers_and_attempts() -> None:
    points = [point for point in reader.IndependentRun(JOINED).points if point.name == "loss"]
    by_writer = {
        writer: [(p.attempt, p.step, p.value) for p in points if p.writer == writer]
        for writer in ("", "a1b2c3d4", "z9y8x7w6")
    }
    assert repr(by_writer[""][:5]) == "[(1, 0, 4.0), (1, 1, 3.5), (1, 2, nan), (1, 3, 9.5), (2, 2, 2.25)]"
    assert by_writer["a1b2c3d4"] == [(2, 0, 88.0), (2, 9, 99.0)]
    assert by_writer["z9y8x7w6"] == [(1, 0, 77.0)]
    assert points[-1].ts_ms == 1_795_425_300_084


def test_writers_that_joined_and_what_replaced_what() -> None:
    run = reader.IndependentRun(JOINED)
    headers = {log.name: log.records[0] for log in run.journal.logs.values()}
    assert {name: header["attempt"] for name, header in headers.items() if "attempt" in header} == {
        "artifacts.a1b2c3d4.jsonl": 2,
        "artifacts.z9y8x7w6.jsonl": 1,
    }
    assert {(r["artifact_id"], r["variant"]): (JOINED / r["filename"]).read_text() for r in run.journal.artifacts} == {
        ("best.json", None): '{\n  "loss": 1.5\n}\n',
        ("log/målt bok.txt", None): "third\n",
        ("shard", "1"): "[\n  1,\n  2,\n  3\n]\n",
        ("split", None): (JOINED / "artifacts/data/split.json").read_text(),
        ("state", None): '{\n  "weights": [\n    0.75\n  ]\n}\n',
    }
    assert [move["to"] for move in run.journal.moves] == [f"attempts/fit.1/{path}" for path in (STATE, SHARD)]
    assert [attempt["status"] for attempt in run.manifest["attempts"]] == ["interrupted", "completed"]
    assert run.config["lr"] == 0.005
    assert reader.parse_yaml((JOINED / "provenance/1.config.yaml").read_bytes())["lr"] == 0.01
    assert reader.pointer(next(r for r in run.journal.artifacts if r["filename"] == LOGBOOK)["replaces"]) == (
        "z9y8x7w6",
        5,
    )


def test_an_interrupted_run_tells_all_that_was_said() -> None:
    run = reader.IndependentRun(INTERRUPTED)
    assert run.journal.status == "running"
    assert run.journal.outcomes() == {"scan": "committed", "measure": "failed"}
    assert sorted((r["artifact_id"], r["variant"]) for r in run.journal.artifacts if r["variant"]) == [
        ("remark", "b8"),
        ("remark", "k3"),
    ]
    assert run.series == {"rate": {0: 0.5, 1: 0.25}}
    assert [(point.writer, point.value) for point in run.points if point.step == 0] == [("", 0.5), ("k3", 9.5)]
    torn = sorted(log.name for log in run.journal.logs.values() if log.torn_tail)
    assert torn == ["artifacts.k3.jsonl", "metrics.b8.jsonl", "metrics.jsonl", "metrics.k3.jsonl"]
    assert run.journal.logs["artifacts.q0.jsonl"].records == []
    assert [(INTERRUPTED / BESIDE.format(name)).read_text() for name in ("b8", "k3")] == ["before\n", "after\n"]


def test_a_run_that_was_repaired_and_then_half_resumed() -> None:
    run = reader.IndependentRun(HALFWAY)
    assert {record["artifact_id"] for record in run.journal.artifacts} == {"safe.json", "whole.json"}
    lost = [move for record in run.journal.of("quarantine") for move in record["moved"]]
    assert [(move["from"], move["to"]) for move in lost] == [
        ("artifacts/half.json", "attempts/_unflushed.1/artifacts/half.json"),
        ("artifacts/gone.json", None),
    ]
    assert (run.config["lr"], run.config_resolved["lr"], run.manifest["status"]) == (0.75, 0.5, "running")
    assert run.journal.announced.keys() == {"config.yaml", "config_resolved.yaml"}
    assert run.series == {"loss": {0: 2.5}}


def test_each_writer_says_how_durable_it_is() -> None:
    told = {path: reader.IndependentRun(path).journal for path in FROZEN}
    assert [start["durability"] for start in told[JOINED].starts] == ["process", "power"]
    headers = {log.name: log.records[0] for log in told[JOINED].logs.values() if log.name.startswith("artifacts.")}
    assert {name: header.get("durability") for name, header in headers.items()} == {
        "artifacts.a1b2c3d4.jsonl": "process",
        "artifacts.jsonl": None,
        "artifacts.z9y8x7w6.jsonl": "power",
    }


def test_plain_json_and_hashlib_read_it() -> None:
    manifest = json.loads((GOLDEN / MANIFEST).read_text())
    assert manifest["status"] == "completed"
    lines = [json.loads(line) for name in (LOG, HELPER) for line in (GOLDEN / name).read_text().splitlines()]
    found = {line["filename"]: line["sha256"] for line in lines if line["record"] == "artifact"}
    for name, digest in found.items():  # the last record of a name: here nothing is replaced across logs
        assert hashlib.sha256((GOLDEN / name).read_bytes()).hexdigest() == digest
    for line in (GOLDEN / SEAL).read_text().splitlines():
        digest, name = line.split("  ", 1)
        assert hashlib.sha256((GOLDEN / name).read_bytes()).hexdigest() == digest


def test_any_bit_of_any_line_is_watched_over() -> None:
    """Of an unsealed run as well, and of the last line: its own crc32 tells."""
    for path in (GOLDEN / LOG, JOINED / "metrics.a1b2c3d4.jsonl", HALFWAY / POINTS):
        data = path.read_bytes()
        whole = data.count(b"\n")
        for at in range(data.rindex(b"\n", 0, -1) + 1, len(data) - 1):
            for bit in range(8):
                changed = data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]
                assert reader.read_log(path.name, changed).damaged_line == whole


# --- damage ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("damage", "expected"), SEALED)
def test_damage_of_a_sealed_run(run: Path, damage: Damage, expected: list[tuple[str, str]]) -> None:
    damage(run)
    assert reader.verify(run) == expected


@pytest.mark.parametrize("code", BY_VERIFY)
def test_each_code_of_verify_is_given_alone(run: Path, code: str) -> None:
    damage, subject = BY_VERIFY[code]
    damage(run)
    assert reader.verify(run, ROOT_DIGEST if code == "root_digest_differs" else None) == [(code, subject)]


@pytest.mark.parametrize("code", BY_CHECK)
def test_each_code_of_check_is_given_alone(run: Path, code: str) -> None:
    damage, subject = BY_CHECK[code]
    damage(run)
    assert reader.check(run) == [(code, subject)]


def test_a_run_sealed_anew_is_found_by_its_root_digest_alone(run: Path) -> None:
    BY_VERIFY["root_digest_differs"][0](run)
    assert reader.verify(run) == []


def test_the_page_lists_the_codes_that_have_a_fixture() -> None:
    table = re.findall(r"^\| `(\w+)` \| (verify|check) \|", FORMAT.read_text(), re.MULTILINE)
    assert table == [*((code, "verify") for code in BY_VERIFY), *((code, "check") for code in BY_CHECK)]


@pytest.mark.parametrize(("damage", "expected"), JOINED_SEALED)
def test_damage_of_a_sealed_run_of_several_writers(
    joined: Path, damage: Damage, expected: list[tuple[str, str]]
) -> None:
    damage(joined)
    assert reader.verify(joined) == expected


@pytest.mark.parametrize(("damage", "expected"), JOINED_UNSEALED)
def test_damage_of_an_unsealed_run_of_several_writers(
    joined: Path, damage: Damage, expected: list[tuple[str, str]]
) -> None:
    remove(SEAL)(joined)
    damage(joined)
    assert reader.verify(joined) == expected


@pytest.mark.parametrize(("damage", "expected"), HALFWAY_DAMAGE)
def test_damage_of_a_run_that_was_being_resumed(
    tmp_path: Path, damage: Damage, expected: list[tuple[str, str]]
) -> None:
    run = Path(shutil.copytree(HALFWAY, tmp_path / HALFWAY.name))
    damage(run)
    assert reader.verify(run) == expected


@pytest.mark.parametrize(("damage", "expected"), INTERRUPTED_DAMAGE)
def test_damage_of_an_interrupted_run(tmp_path: Path, damage: Damage, expected: list[tuple[str, str]]) -> None:
    run = Path(shutil.copytree(INTERRUPTED, tmp_path / INTERRUPTED.name))
    damage(run)
    assert reader.verify(run) == expected


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


@pytest.mark.parametrize("version", [0, 2])
@pytest.mark.parametrize("name", [LOG, HELPER, POINTS])
def test_another_format_version_is_refused(run: Path, name: str, version: int) -> None:
    rewrite(run, lambda record: record.update({"format_version": version}) if record["seq"] == 0 else None, name)
    with pytest.raises(reader.Unsupported):
        reader.verify(run)


def test_an_unknown_requirement_is_refused(run: Path) -> None:
    edit(MANIFEST, b'"requires": []', b'"requires": ["chunks"]')(run)
    with pytest.raises(reader.Unsupported):
        reader.IndependentRun(run)


@pytest.mark.parametrize("version", [b"0", b"2", b'"1"'])
def test_a_contract_of_another_version_is_refused(run: Path, version: bytes) -> None:
    edit("contract.json", b'"schema_version": 1', b'"schema_version": ' + version)(run)
    for read in (reader.IndependentRun, reader.check):
        with pytest.raises(reader.Unsupported):
            read(run)


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
    lines = (run / HELPER).read_bytes().splitlines(keepends=True)
    intent = max(number for number, line in enumerate(lines) if b'"record":"intent"' in line)
    (run / HELPER).write_bytes(b"".join(lines[: intent + 1]))  # killed just after the intent
    (run / VERDICT).write_bytes(data)
    assert [found for found, name in reader.verify(run) if name == VERDICT] == ([code] if code else [])


def test_a_file_set_aside_may_still_be_where_it_was(run: Path) -> None:
    remove(SEAL)(run)
    lines = (run / LOG).read_bytes().splitlines(keepends=True)
    move = next(number for number, line in enumerate(lines) if b"set_aside" in line)
    (run / LOG).write_bytes(b"".join(lines[: move + 1]))  # killed before the move
    (run / SET_ASIDE).replace(run / HEIGHTS)
    assert HEIGHTS not in {name for _, name in reader.verify(run)}


def test_a_quarantine_takes_records_out_of_force(joined: Path) -> None:
    remove(SEAL)(joined)
    (joined / LOGBOOK).write_bytes(b"thi")
    assert reader.verify(joined) == [("truncated", LOGBOOK)]
    held = next(r for r in reader.IndependentRun(joined).journal.artifacts if r["filename"] == LOGBOOK)
    to = f"attempts/_unflushed.2/{LOGBOOK}"
    moved = [{"from": LOGBOOK, "to": to, "artifact": {"writer": "", "seq": held["seq"]}}]
    lines = (joined / LOG).read_bytes().splitlines(keepends=True)
    record = {"record": "quarantine", "attempt": 2, "moved": moved, "reason": "a power cut", "seq": len(lines)}
    record |= {"ts_utc": held["ts_utc"], "prev_sha256": hashlib.sha256(lines[-1]).hexdigest()}
    (joined / LOG).write_bytes(b"".join([*lines, spell(record, json.loads(lines[-1])["crc32"])[0]]))
    (joined / to).parent.mkdir(parents=True)
    (joined / LOGBOOK).rename(joined / to)
    assert reader.verify(joined) == []
    assert LOGBOOK not in {r["filename"] for r in reader.IndependentRun(joined).journal.artifacts}


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
