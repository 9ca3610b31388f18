"""The golden run, and what can be done to it: damage by name, and the findings that it must give."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

GOLDEN = Path(__file__).parent / "golden" / "v0" / "runs" / "demo" / "2026-11-21_10-00-00_0123456789ab"
ROOT_DIGEST = "46aa8b327d3f695d7e0ec8e98f570797a911a2349ae00f541d0def64b9165d07"
LOG = "artifacts.jsonl"
NOTES = "input/notes.txt"
HEIGHTS = "artifacts/table/heights.csv"
PREVIEW = "artifacts/image/preview.png"
PROFILE = "artifacts/data/profile_middle.json"
VERDICT = "artifacts/data/verdict.json"
SUMMARY = "artifacts/text/summary.txt"
SET_ASIDE = "attempts/prepare.1/artifacts/table/heights.csv"
MANIFEST = "run_manifest.json"
SEAL = "SHA256SUMS"

Damage = Callable[[Path], None]


def edit(name: str, old: bytes, new: bytes) -> Damage:
    def damage(run: Path) -> None:
        data = (run / name).read_bytes()
        assert old in data
        (run / name).write_bytes(data.replace(old, new, 1))

    return damage


def cut(name: str, size: int) -> Damage:
    return lambda run: os.truncate(run / name, (run / name).stat().st_size - size)


def remove(name: str) -> Damage:
    return lambda run: (run / name).unlink()


def write(name: str, data: bytes) -> Damage:
    def damage(run: Path) -> None:
        (run / name).write_bytes(data)

    return damage


def exchange(one: str, other: str) -> Damage:
    def damage(run: Path) -> None:
        bytes_of_one = (run / one).read_bytes()
        shutil.copyfile(run / other, run / one)
        (run / other).write_bytes(bytes_of_one)

    return damage


def link(name: str) -> Damage:
    def damage(run: Path) -> None:
        elsewhere = run.parent / "elsewhere"
        (run / name).rename(elsewhere)
        (run / name).symlink_to(elsewhere)

    return damage


def folder(name: str) -> Damage:
    def damage(run: Path) -> None:
        (run / name).unlink()
        (run / name).mkdir()

    return damage


def drop_lines(name: str, count: int) -> Damage:
    def damage(run: Path) -> None:
        lines = (run / name).read_bytes().splitlines(keepends=True)
        (run / name).write_bytes(b"".join(lines[:-count]))

    return damage


def spell(record: dict[str, Any]) -> bytes:
    text = json.dumps(record, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return f"{text}\n".encode()


def rewrite(run: Path, change: Callable[[dict[str, Any]], None], name: str = LOG) -> None:
    """Edit the records of a log and chain them again, as no writer would."""
    previous, lines = "0" * 64, []
    for line in (run / name).read_bytes().splitlines():
        record = json.loads(line)
        change(record)
        lines.append(spell(record | {"prev_sha256": previous}))
        previous = hashlib.sha256(lines[-1]).hexdigest()
    (run / name).write_bytes(b"".join(lines))


def set_record(which: str, **fields: object) -> Damage:
    def change(record: dict[str, Any]) -> None:
        if record.get("artifact_id") == which and record["record"] in ("artifact", "input"):
            record |= fields

    return lambda run: rewrite(run, change)


def set_commit(stage: str, **fields: object) -> Damage:
    def change(record: dict[str, Any]) -> None:
        if record["record"] == "commit" and record["stage"] == stage:
            record |= fields

    return lambda run: rewrite(run, change)


SEALED = [
    pytest.param(edit(HEIGHTS, b"0.75", b"0.76"), [("changed", HEIGHTS)], id="edited"),
    pytest.param(edit("config.yaml", b"0.25", b"0.35"), [("changed", "config.yaml")], id="config"),
    pytest.param(edit("logs/run.log", b"gone", b"here"), [("changed", "logs/run.log")], id="text-log"),
    pytest.param(edit(SET_ASIDE, b"0.5", b"0.6"), [("changed", SET_ASIDE)], id="set-aside"),
    pytest.param(cut(PREVIEW, 5), [("truncated", PREVIEW)], id="truncated"),
    pytest.param(write(HEIGHTS, b""), [("truncated", HEIGHTS)], id="emptied"),
    pytest.param(cut(LOG, 5), [("log_damaged", LOG)], id="log-cut-in-a-line"),
    pytest.param(remove(SUMMARY), [("missing", SUMMARY)], id="missing"),
    pytest.param(remove(LOG), [("missing", LOG)], id="log-missing"),
    pytest.param(remove(MANIFEST), [("missing", MANIFEST)], id="manifest-missing"),
    pytest.param(write("logs/more.log", b"x"), [("stray", "logs/more.log")], id="stray"),
    pytest.param(write("artifacts/.tmp-1", b"x"), [], id="temporary"),
    pytest.param(exchange(HEIGHTS, PROFILE), [("swapped", PROFILE), ("swapped", HEIGHTS)], id="swapped"),
    pytest.param(exchange(HEIGHTS, SET_ASIDE), [("swapped", HEIGHTS), ("swapped", SET_ASIDE)], id="tries"),
    pytest.param(link(HEIGHTS), [("not_a_file", HEIGHTS)], id="link"),
    pytest.param(link("artifacts/table"), [("not_a_file", HEIGHTS)], id="link-on-the-way"),
    pytest.param(folder(HEIGHTS), [("not_a_file", HEIGHTS)], id="folder"),
    pytest.param(edit(LOG, b"probe", b"Probe"), [("log_damaged", LOG)], id="log-damaged"),
    pytest.param(drop_lines(LOG, 1), [("log_shortened", LOG)], id="log-shortened"),
    pytest.param(
        drop_lines("artifacts.helper.jsonl", 1),
        [("log_edited", "artifacts.helper.jsonl")],
        id="helper-shortened",
    ),
    pytest.param(set_record("summary", bytes=50), [("log_edited", LOG)], id="log-edited"),
    pytest.param(write(MANIFEST, b"{"), [("manifest_damaged", MANIFEST)], id="manifest-damaged"),
    pytest.param(
        edit(MANIFEST, b'"schema_version"', b'"status": "failed", "schema_version"'),
        [("manifest_damaged", MANIFEST)],
        id="manifest-says-it-twice",
    ),
    pytest.param(edit(MANIFEST, b'"operator": "', b'"operator": "B'), [("manifest_differs", MANIFEST)], id="facts"),
    pytest.param(
        edit(MANIFEST, b'"no-heights"', b'"se-heights"'),
        [("manifest_differs", MANIFEST)],
        id="snapshot",
    ),
    pytest.param(edit(MANIFEST, b'"platform"', b'"odd": 1, "platform"'), [("changed", MANIFEST)], id="unknown"),
    pytest.param(cut(SEAL, 5), [("seal_damaged", SEAL)], id="seal-cut"),
    pytest.param(edit(SEAL, b"  ", b" "), [("seal_damaged", SEAL)], id="seal-damaged"),
    pytest.param(drop_lines(SEAL, 1), [("stray", MANIFEST)], id="seal-shortened"),
    pytest.param(
        write(SEAL, (GOLDEN / SEAL).read_bytes().replace(b"\n", b"\n" + b"0" * 64 + b"  ../x\n", 1)),
        [("seal_damaged", SEAL)],
        id="seal-leads-out",
    ),
]

UNSEALED = [
    pytest.param(write("logs/more.log", b"x"), [], id="text-log"),
    pytest.param(write("artifacts/more.txt", b"x"), [("stray", "artifacts/more.txt")], id="stray"),
    pytest.param(edit(HEIGHTS, b"0.75", b"0.76"), [("changed", HEIGHTS)], id="edited"),
    pytest.param(cut(PREVIEW, 5), [("truncated", PREVIEW)], id="truncated"),
    pytest.param(remove(SET_ASIDE), [("missing", SET_ASIDE)], id="set-aside"),
    pytest.param(edit("contract.json", b"heights", b"weights"), [("changed", "contract.json")], id="contract"),
    pytest.param(set_commit("report", ts_utc="2026-11-22T00:00:00.000+00:00"), [], id="no-seal-no-edit-found"),
    pytest.param(drop_lines(LOG, 1), [("manifest_differs", MANIFEST)], id="no-end"),
    pytest.param(drop_lines("artifacts.helper.jsonl", 1), [], id="no-seal-no-tail-missed"),
    # the helper's log still tells of the verdict that the creator's replaced
    pytest.param(write(LOG, b""), [("changed", VERDICT), ("log_damaged", LOG)], id="no-header"),
    pytest.param(edit(LOG, b"probe", b"Probe"), [("log_damaged", LOG)], id="log-damaged"),
    pytest.param(link("metrics.jsonl"), [("not_a_file", "metrics.jsonl")], id="log-is-a-link"),
    pytest.param(edit(MANIFEST, b'"platform"', b'"odd": 1, "platform"'), [], id="unknown-field"),
    pytest.param(remove(MANIFEST), [("missing", MANIFEST)], id="manifest-missing"),
    pytest.param(set_record("verdict", replaces=None), [("log_damaged", LOG)], id="two-in-force"),
    pytest.param(write("artifacts.late.jsonl", b'{"for'), [], id="torn-header"),
]

UNMET = [
    pytest.param(drop_lines(LOG, 1), [("run_not_finished", GOLDEN.name)], id="running"),
    pytest.param(set_record("source", record="remark"), [("input_missing", "source")], id="input"),
    pytest.param(set_record("heights", record="remark"), [("artifact_missing", "heights")], id="artifact"),
    pytest.param(set_record("profile", record="remark"), [("artifact_missing", "profile")], id="if-passed"),
    pytest.param(set_record("preview", record="remark"), [], id="optional"),
    pytest.param(set_commit("analyse", outcome="committed"), [("artifact_missing", "roughness")], id="not-declined"),
    pytest.param(set_commit("report", outcome="failed"), [("stage_failed", "report")], id="failed"),
    pytest.param(set_commit("report", record="remark"), [("stage_missing", "report")], id="no-commit"),
    pytest.param(
        set_record("summary", artifact_id="memo"),
        [("artifact_missing", "summary"), ("artifact_undeclared", "memo")],
        id="undeclared",
    ),
    pytest.param(set_record("summary", format="pickle"), [("format_not_allowed", "summary")], id="format"),
]
