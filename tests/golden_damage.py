"""The golden runs, and what can be done to them: damage by name, and the findings that it must give.

``GOLDEN`` (``demo``) has a contract, two attempts and a writer that joined; ``golden_maker`` tells of the others.
"""

import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import golden_demo
import golden_maker

VERSION_1 = Path(__file__).parent / "golden" / "v1"
GOLDEN, HALFWAY = VERSION_1 / golden_demo.DEMO, VERSION_1 / golden_maker.HALFWAY
JOINED, INTERRUPTED = VERSION_1 / golden_maker.JOINED, VERSION_1 / golden_maker.INTERRUPTED
ROOT_DIGEST = "510f2bfa27cd4220be6b63937857692a7808e431c8418d6053abfa16378c721e"
# SHA-256 of what `sha256sum` prints of all files, sorted by path: golden runs are never changed once a version is out
FROZEN = {
    GOLDEN: "afc5082e408034cd0a0241963661e3e76bacf31c552e8f64d622e642b8413f2b",
    JOINED: "b7c2df17160c981029ab5780dad6144b5e6df9a625ae4bb271b7b32b2a1f7cb5",
    HALFWAY: "6170136b50d2146bd84f8b29cd7976c048dfc23037ac3c34dbe071e29e696c57",
    INTERRUPTED: "9ad4dfda6193dd23312b9f31d8c945a06586a2f14a2d5cb42baef369dea1019b",
}
LOG, POINTS, HELPER = "artifacts.jsonl", "metrics.jsonl", "artifacts.helper.jsonl"
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


def listing(run: Path) -> str:
    """What ``sha256sum`` prints of all files of a run, sorted by path."""
    paths = sorted(path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file())
    return "".join(f"{hashlib.sha256((run / path).read_bytes()).hexdigest()}  {path}\n" for path in paths)


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


def drop_line(name: str, number: int) -> Damage:
    def damage(run: Path) -> None:
        lines = (run / name).read_bytes().splitlines(keepends=True)
        (run / name).write_bytes(b"".join(lines[:number] + lines[number + 1 :]))

    return damage


def edit_line(name: str, number: int, old: bytes, new: bytes) -> Damage:
    """A line of a log is edited by hand, and nothing is chained anew."""

    def damage(run: Path) -> None:
        lines = (run / name).read_bytes().splitlines(keepends=True)
        assert lines[number] != lines[number].replace(old, new, 1)
        lines[number] = lines[number].replace(old, new, 1)
        (run / name).write_bytes(b"".join(lines))

    return damage


def respell(name: str, number: int, spelling: bytes) -> Damage:
    """A line is written otherwise: ``%s`` is what stood before its crc32 (``%r``: without the brace), ``%d`` that."""

    def damage(run: Path) -> None:
        lines = (run / name).read_bytes().splitlines(keepends=True)
        head, crc = lines[number].removesuffix(b"}\n").rsplit(b',"crc32":', 1)
        now = spelling.replace(b"%d", crc).replace(b"%r", head.removeprefix(b"{")).replace(b"%s", head)
        assert isinstance(json.loads(now), dict)  # it is JSON still
        lines[number] = now + b"\n"
        (run / name).write_bytes(b"".join(lines))

    return damage


def append(name: str, data: bytes) -> Damage:
    def damage(run: Path) -> None:
        with (run / name).open("ab") as file:
            file.write(data)

    return damage


def copy(source: str, target: str) -> Damage:
    def damage(run: Path) -> None:
        shutil.copyfile(run / source, run / target)

    return damage


def seal_anew(damage: Damage) -> Damage:
    """Do damage, and bring the seal up to it: only a root digest kept elsewhere tells."""

    def sealed(run: Path) -> None:
        damage(run)
        paths = [line[66:] for line in (run / SEAL).read_text().splitlines()]
        lines = [f"{hashlib.sha256((run / path).read_bytes()).hexdigest()}  {path}\n" for path in paths]
        (run / SEAL).write_text("".join(lines))

    return sealed


def spell(record: dict[str, Any], crc: int) -> tuple[bytes, int]:
    """A line as I6 and I10 say, and its crc32, which goes on from that of the line before."""
    is_point = record["record"] == "point"  # its values keep their order
    ordered = {key: record[key] for key in sorted(record.keys() - {"crc32"})}
    text = json.dumps(ordered, ensure_ascii=False, sort_keys=not is_point, separators=(",", ":"))
    head = text[:-1].encode()
    crc = zlib.crc32(head, crc)
    return head + b',"crc32":%d}\n' % crc, crc


def rewrite(run: Path, change: Callable[[dict[str, Any]], None], name: str = LOG) -> None:
    """Edit the records of a log and chain them again, as no writer would."""
    lines: list[bytes] = []
    crc = 0
    for line in (run / name).read_bytes().splitlines():
        record = json.loads(line)
        change(record)
        if name.startswith("artifacts"):
            record["prev_sha256"] = hashlib.sha256(lines[-1]).hexdigest() if lines else "0" * 64
        line_now, crc = spell(record, crc)
        lines.append(line_now)
    (run / name).write_bytes(b"".join(lines))


def set_record(which: str, *, log: str = LOG, **fields: object) -> Damage:
    def change(record: dict[str, Any]) -> None:
        if record.get("artifact_id") == which and record["record"] in ("artifact", "input"):
            record |= fields

    return lambda run: rewrite(run, change, log)


def list_profile(*variants: str) -> Damage:
    """Verdict becomes the roster of the profiles, and lists these variants; ``middle`` as it is recorded."""
    roster = {"artifact_id": "verdict", "filename": VERDICT, "entries": "list", "key": "where", "contract_version": "1"}

    def damage(run: Path) -> None:
        records = [json.loads(line) for line in (run / LOG).read_bytes().splitlines()]
        meta = next(record["meta"] for record in records if record.get("artifact_id") == "profile")
        entries = [{**meta, "where": v, "file": "profile_middle.json", "contract_version": "1"} for v in variants]
        data = json.dumps({"schema_version": 1, "contract_version": "1", "list": entries}).encode()
        (run / VERDICT).write_bytes(data)
        for log in (LOG, HELPER):
            set_record("verdict", log=log, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))(run)
        set_record("profile", roster=roster)(run)

    return damage


def set_point(log: str, at: int, /, **fields: object) -> Damage:
    def change(record: dict[str, Any]) -> None:
        if record.get("step") == at:
            record |= fields

    return lambda run: rewrite(run, change, log)


def lose(which: str, field: str, *, log: str = LOG) -> Damage:
    """Records of a type lose a field."""

    def change(record: dict[str, Any]) -> None:
        if record["record"] == which:
            record.pop(field, None)

    return lambda run: rewrite(run, change, log)


def set_commit(stage: str, **fields: object) -> Damage:
    def change(record: dict[str, Any]) -> None:
        if record["record"] == "commit" and record["stage"] == stage:
            record |= fields

    return lambda run: rewrite(run, change)


def crc_anew(damage: Damage, name: str) -> Damage:
    """Do damage, and write each crc32 of a log anew, but no prev_sha256."""

    def done(run: Path) -> None:
        damage(run)
        lines, crc = [], 0
        for line in (run / name).read_bytes().splitlines():
            head = line.rpartition(b',"crc32":')[0]
            crc = zlib.crc32(head, crc)
            lines.append(head + b',"crc32":%d}\n' % crc)
        (run / name).write_bytes(b"".join(lines))

    return done


CRC_SPELT = {  # I10: it stands last, as plain digits
    "missing": b"%s}",
    "first": b'{"crc32":%d,%r}',
    "not last": b'%s,"crc32":%d,"later":1}',
    "twice": b'%s,"crc32":%d,"crc32":%d}',
    "of another name": b'%s,"prev_crc32":%d}',
    "a text": b'%s,"crc32":"%d"}',
    "a float": b'%s,"crc32":%d.0}',
    "after a space": b'%s,"crc32": %d}',
    "before a space": b'%s,"crc32":%d }',
    "before a return": b'%s,"crc32":%d}\r',
    "zero": b'%s,"crc32":0}',
    "negative": b'%s,"crc32":-%d}',
}


def edits(log: str, points: str, last: tuple[bytes, bytes], last_point: tuple[bytes, bytes]) -> list[Any]:
    """What ``crc32`` finds, be the run sealed or not."""
    return [
        pytest.param(edit_line(log, -1, *last), [("log_damaged", log)], id="last-line-edited"),
        pytest.param(edit_line(points, -1, *last_point), [("log_damaged", points)], id="last-point-edited"),
        *[
            pytest.param(respell(name, at, spelling), [("log_damaged", name)], id=f"crc32 {how} {at} {name}")
            for how, spelling in CRC_SPELT.items()
            for name, at in ((log, -1), (points, -1), (points, 1))
        ],
    ]


ENDED, TOLD = (b'"completed"', b'"complated"'), (b"0.75", b"0.76")
SEALED = [
    *edits(LOG, POINTS, ENDED, TOLD),
    pytest.param(edit_line(HELPER, -1, b'"points":0', b'"points":1'), [("log_damaged", HELPER)], id="last-of-helper"),
    pytest.param(crc_anew(edit(LOG, b"probe", b"Probe"), LOG), [("log_damaged", LOG)], id="crc32-anew"),
    pytest.param(crc_anew(edit_line(LOG, -1, *ENDED), LOG), [("log_edited", LOG)], id="last-line-anew"),
    pytest.param(crc_anew(edit_line(POINTS, -1, *TOLD), POINTS), [("log_edited", POINTS)], id="last-point-anew"),
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
    pytest.param(drop_lines(HELPER, 1), [("log_edited", HELPER)], id="helper-shortened"),
    pytest.param(drop_lines(POINTS, 1), [("log_edited", POINTS)], id="points-shortened"),
    pytest.param(set_point(POINTS, 2, values={"loss": 0.4}), [("log_edited", POINTS)], id="points-edited"),
    pytest.param(set_point(POINTS, 2, step=True), [("log_damaged", POINTS)], id="step-is-no-integer"),
    pytest.param(lose("header", "durability", log=HELPER), [("log_damaged", HELPER)], id="no-durability"),
    *[
        pytest.param(lose(which, field), [("log_damaged", LOG)], id=f"no {field} of {which}")
        for which, field in [("attempt", "durability"), ("attempt", "points"), ("commit", "points")]
    ],
    pytest.param(edit("metrics.json", b"2.5", b"2.4"), [("changed", "metrics.json")], id="metrics"),
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
    *edits(LOG, POINTS, ENDED, TOLD),
    pytest.param(edit_line(HELPER, -1, b'"points":0', b'"points":1'), [("log_damaged", HELPER)], id="last-of-helper"),
    pytest.param(crc_anew(edit(LOG, b"probe", b"Probe"), LOG), [("log_damaged", LOG)], id="crc32-anew"),
    pytest.param(crc_anew(edit_line(POINTS, -1, *TOLD), POINTS), [], id="no-seal-no-chain-missed"),
    pytest.param(write("logs/more.log", b"x"), [], id="text-log"),
    pytest.param(write("artifacts/more.txt", b"x"), [("stray", "artifacts/more.txt")], id="stray"),
    pytest.param(edit(HEIGHTS, b"0.75", b"0.76"), [("changed", HEIGHTS)], id="edited"),
    pytest.param(cut(PREVIEW, 5), [("truncated", PREVIEW)], id="truncated"),
    pytest.param(remove(SET_ASIDE), [("missing", SET_ASIDE)], id="set-aside"),
    pytest.param(edit("contract.json", b"heights", b"weights"), [("changed", "contract.json")], id="contract"),
    pytest.param(set_commit("report", ts_utc="2026-11-22T00:00:00.000+00:00"), [], id="no-seal-no-edit-found"),
    pytest.param(drop_lines(LOG, 1), [("manifest_differs", MANIFEST)], id="no-end"),
    pytest.param(drop_lines(HELPER, 1), [], id="no-seal-no-tail-missed"),
    pytest.param(write(LOG, b""), [("log_damaged", LOG)], id="no-header"),
    pytest.param(write(HELPER, b""), [("stray", VERDICT), ("stray", PREVIEW)], id="no-helper"),
    pytest.param(edit(LOG, b"probe", b"Probe"), [("log_damaged", LOG)], id="log-damaged"),
    pytest.param(link("metrics.jsonl"), [("not_a_file", "metrics.jsonl")], id="log-is-a-link"),
    pytest.param(edit(MANIFEST, b'"platform"', b'"odd": 1, "platform"'), [], id="unknown-field"),
    pytest.param(remove(MANIFEST), [("missing", MANIFEST)], id="manifest-missing"),
    pytest.param(set_record("verdict", log=HELPER, replaces=None), [("log_damaged", LOG)], id="two-in-force"),
    pytest.param(write("artifacts.late.jsonl", b'{"for'), [], id="torn-header"),
    pytest.param(edit(POINTS, b"9.5", b"9.6"), [("log_damaged", POINTS)], id="point-edited"),
    pytest.param(drop_line(POINTS, 2), [("log_damaged", POINTS)], id="point-removed"),
    pytest.param(drop_lines(POINTS, 1), [], id="no-seal-no-point-missed"),
    pytest.param(cut(POINTS, 5), [], id="torn-point"),
    *[
        pytest.param(set_point(POINTS, 2, **{name: value}), [("log_damaged", POINTS)], id=f"{name} {value}")
        for name, value in [
            ("step", "2"),
            ("step", 2.0),
            ("step", None),
            ("ts_ms", "1795255200483"),
            ("ts_ms", 1.5),
            ("values", {}),
            ("values", [0.5]),
            ("values", None),
            ("values", {"loss": None}),
            ("values", {"loss": "0.5"}),
            ("values", {"loss": [0.5]}),
        ]
    ],
    *[
        pytest.param(lose(which, field, log=HELPER), [("log_damaged", HELPER)], id=f"no {field} of joined {which}")
        for which, field in [("header", "attempt"), ("header", "durability"), ("flush", "points")]
    ],
    pytest.param(append("metrics.helper.jsonl", b'{"for'), [], id="torn-journal"),
    pytest.param(cut(VERDICT, 5), [("truncated", VERDICT)], id="replacement-truncated"),
]

DEAD, DEAD_POINTS, HELPING_POINTS = "artifacts.z9y8x7w6.jsonl", "metrics.z9y8x7w6.jsonl", "metrics.a1b2c3d4.jsonl"
STATE, SHARD, LOGBOOK = "artifacts/data/state.json", "artifacts/data/shard_1.json", "artifacts/log/målt bok.txt"

LAST_POINTS = [
    pytest.param(edit_line(HELPING_POINTS, -1, b"99.0", b"99.5"), [("log_damaged", HELPING_POINTS)], id="last-point"),
    pytest.param(edit_line(DEAD_POINTS, -1, b"77.0", b"77.5"), [("log_damaged", DEAD_POINTS)], id="only-point"),
    pytest.param(edit_line(DEAD_POINTS, 0, b"bench-2", b"bench-3"), [("log_damaged", DEAD_POINTS)], id="its-header"),
]
JOINED_SEALED = [
    *LAST_POINTS,
    pytest.param(append(DEAD, b'{"artifact_id":'), [("log_damaged", DEAD)], id="torn-tail"),
    pytest.param(append(DEAD_POINTS, b'{"attempt":1'), [("log_damaged", DEAD_POINTS)], id="torn-point"),
    # what the creator replaced is not said any more, and what that replaced is in force again
    pytest.param(drop_lines(DEAD, 1), [("log_damaged", LOG), ("log_edited", DEAD)], id="joined-shortened"),
    pytest.param(remove(DEAD), [("missing", DEAD)], id="joined-missing"),
    pytest.param(remove(HELPING_POINTS), [("missing", HELPING_POINTS)], id="journal-missing"),
    pytest.param(edit(HELPING_POINTS, b"88.0", b"88.5"), [("log_damaged", HELPING_POINTS)], id="point-edited"),
    pytest.param(set_point(HELPING_POINTS, 9, step=8), [("log_edited", HELPING_POINTS)], id="points-chained-anew"),
    pytest.param(
        exchange(STATE, f"attempts/fit.1/{STATE}"),
        [("swapped", STATE), ("swapped", f"attempts/fit.1/{STATE}")],
        id="attempts-swapped",
    ),
    pytest.param(
        edit("provenance/1.config.yaml", b"0.01", b"0.02"), [("changed", "provenance/1.config.yaml")], id="old"
    ),
]

JOINED_UNSEALED = [
    *LAST_POINTS,
    # as where it is cut off: what the creator replaced is not said any more, and what that replaced is in force again
    pytest.param(
        edit_line(DEAD, -1, b'"bytes":7', b'"bytes":8'),
        [("changed", LOGBOOK), ("log_damaged", LOG), ("log_damaged", DEAD)],
        id="last-line-of-the-dead",
    ),
    pytest.param(append(DEAD, b'{"artifact_id":'), [], id="torn-tail"),
    pytest.param(append(DEAD_POINTS, b'{"attempt":1'), [], id="torn-point"),
    pytest.param(append(DEAD, b"\0\0\0\0"), [], id="torn-to-zeros"),
    pytest.param(append(DEAD, b"\0\0\n"), [("log_damaged", DEAD)], id="a-line-of-zeros"),
    pytest.param(edit(LOGBOOK, b"third", b"firsd"), [("changed", LOGBOOK)], id="edited"),
    pytest.param(write(LOGBOOK, b"second\n"), [("changed", LOGBOOK)], id="as-before-the-replacement"),
    pytest.param(remove("artifacts.a1b2c3d4.jsonl"), [("stray", SHARD), ("stray", STATE)], id="joined-missing"),
    pytest.param(copy("provenance/1.config.yaml", "config.yaml"), [("changed", "config.yaml")], id="former"),
    pytest.param(set_point(POINTS, 7, step=8), [], id="no-seal-no-chain-missed"),
    pytest.param(drop_line(HELPING_POINTS, 1), [("log_damaged", HELPING_POINTS)], id="point-removed"),
]

BESIDE = "quality/prøve 7__remark__{}.txt"
READING_GONE = ("missing", "quality/prøve 7__reading.json")  # that it was set aside is in the line not read
INTERRUPTED_DAMAGE = [
    pytest.param(edit_line(POINTS, -2, b"0.25", b"0.26"), [("log_damaged", POINTS)], id="point-before-a-torn-tail"),
    pytest.param(
        edit_line(LOG, -1, b"quality", b"Quality"), [("log_damaged", LOG), READING_GONE], id="last-line-edited"
    ),
    pytest.param(write(BESIDE.format("k3"), b"before\n"), [], id="not-yet-replaced"),
    pytest.param(write(BESIDE.format("b8"), b"after, and longer\n"), [], id="replaced"),
    pytest.param(cut(BESIDE.format("b8"), 1), [("changed", BESIDE.format("b8"))], id="neither"),
    pytest.param(remove(BESIDE.format("k3")), [("missing", BESIDE.format("k3"))], id="gone"),
    pytest.param(
        edit("quality/prøve 7__curve.csv", b"1,2", b"1,3"), [("changed", "quality/prøve 7__curve.csv")], id="not-moved"
    ),
    pytest.param(
        remove("quality/prøve 7__curve.csv"),
        [("missing", "attempts/measure.1/quality/prøve 7__curve.csv")],
        id="moved-and-gone",
    ),
    pytest.param(write("artifacts.late.jsonl", b'{"for'), [], id="torn-header"),
    pytest.param(append("artifacts.k3.jsonl", b"\n"), [("log_damaged", "artifacts.k3.jsonl")], id="tail-ended"),
    pytest.param(write("quality/more.txt", b"x"), [("stray", "quality/more.txt")], id="stray"),
    pytest.param(edit(MANIFEST, b'"inputs": [', b'"inputs": [{}, '), [], id="the-log-runs-ahead"),
    pytest.param(
        edit(MANIFEST, b'"project_name": "', b'"project_name": "x'), [("manifest_differs", MANIFEST)], id="name"
    ),
]

FORMER, NEXT = "provenance/1.config.yaml", ".tmp-5e4d3c2b1a09-1"
HALFWAY_DAMAGE = [
    *edits(LOG, POINTS, (b'"bytes":61', b'"bytes":62'), (b"2.5", b"2.6")),
    pytest.param(copy(FORMER, "config.yaml"), [], id="neither-replaced"),
    pytest.param(edit("config_resolved.yaml", b"0.5", b"0.75"), [], id="both-replaced"),
    pytest.param(edit("config.yaml", b"0.75", b"0.76"), [("changed", "config.yaml")], id="neither-digest"),
    pytest.param(edit("config_resolved.yaml", b"0.5", b"0.6"), [("changed", "config_resolved.yaml")], id="resolved"),
    pytest.param(remove("config.yaml"), [("missing", "config.yaml")], id="gone"),
    pytest.param(remove(FORMER), [], id="no-copy"),
    pytest.param(drop_lines(LOG, 1), [], id="said-of-one"),
    pytest.param(drop_lines(LOG, 2), [("changed", "config.yaml")], id="not-announced"),
    pytest.param(write("attempts/_unflushed.1/artifacts/half.json", b""), [], id="quarantined"),
    pytest.param(cut("artifacts/whole.json", 1), [("truncated", "artifacts/whole.json")], id="kept"),
    pytest.param(write("artifacts/gone.json", b"x"), [("stray", "artifacts/gone.json")], id="back-again"),
]

UNMET = [
    pytest.param(drop_lines(LOG, 1), [("run_not_finished", GOLDEN.name)], id="running"),
    pytest.param(set_record("source", record="remark"), [("input_missing", "source")], id="input"),
    pytest.param(set_record("heights", record="remark"), [("artifact_missing", "heights")], id="artifact"),
    pytest.param(set_record("profile", record="remark"), [("artifact_missing", "profile")], id="if-passed"),
    pytest.param(set_record("preview", log=HELPER, record="remark"), [], id="optional"),
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

# one for each code of section 7: damage to GOLDEN that gives it and nothing else, and its subject
BY_VERIFY = {
    "changed": (edit(HEIGHTS, b"0.75", b"0.76"), HEIGHTS),
    "truncated": (cut(PREVIEW, 5), PREVIEW),
    "missing": (remove(SUMMARY), SUMMARY),
    "stray": (write("logs/more.log", b"x"), "logs/more.log"),
    "swapped": (copy(SET_ASIDE, HEIGHTS), HEIGHTS),
    "not_a_file": (link(HEIGHTS), HEIGHTS),
    "log_damaged": (edit(POINTS, b"9.5", b"9.6"), POINTS),
    "log_shortened": (drop_lines(LOG, 1), LOG),
    "log_edited": (set_record("summary", bytes=50), LOG),
    "manifest_damaged": (write(MANIFEST, b"{"), MANIFEST),
    "manifest_differs": (edit(MANIFEST, b'"operator": "', b'"operator": "B'), MANIFEST),
    "seal_damaged": (cut(SEAL, 5), SEAL),
    "root_digest_differs": (seal_anew(edit("logs/run.log", b"gone", b"here")), SEAL),
}
BY_CHECK = {
    "artifact_missing": (set_record("heights", record="remark"), "heights"),
    "input_missing": (set_record("source", record="remark"), "source"),
    "stage_missing": (set_commit("report", record="remark"), "report"),
    "stage_failed": (set_commit("report", outcome="failed"), "report"),
    "artifact_undeclared": (set_record("preview", log=HELPER, artifact_id="memo", variant="a"), "memo[a]"),
    "format_not_allowed": (set_record("profile", format="pickle"), "profile[middle]"),
    "run_not_finished": (drop_lines(LOG, 1), GOLDEN.name),
    "entry_missing": (list_profile(), "profile[middle]"),
    "entry_stray": (list_profile("middle", "left"), "profile[left]"),
}
