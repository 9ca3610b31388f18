"""``verify``: each way to tamper with a run is found and named, and nothing is found where nothing was done."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import independent_reader
import runbundle as rb
from runbundle import errors
from runbundle.io.atomic import Staged
from sample_runs import (
    CONTRACT,
    FACT,
    LOG,
    MANIFEST,
    REPORT,
    SEAL,
    TABLE,
    abandon,
    codes,
    finished_run,
    project,
    write_all,
)

Damage = Callable[[Path], object]
Findings = list[tuple[str, str]]
INPUT, METRICS, TEXT_LOG = "input/source.bin", "metrics.jsonl", "logs/run.log"


@pytest.fixture(scope="module")
def sealed_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("sealed")
        patch.chdir(folder)
        return finished_run(folder)


@pytest.fixture(scope="module")
def open_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose process died after its second stage."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("open")
        patch.chdir(folder)
        (folder / "source.bin").write_bytes(b"what was measured")
        run = project(folder / "store", CONTRACT).start({"rate": 0.5})
        run.ingest(folder / "source.bin")
        write_all(run)
        run.log({"loss": 0.25})
        run.logger.info("done")
        return abandon(run)


@pytest.fixture
def sealed(sealed_template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sealed_template, tmp_path / "runs" / sealed_template.name))


@pytest.fixture
def unsealed(open_template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(open_template, tmp_path / "unsealed" / open_template.name))


def findings(run_dir: Path, **options: Any) -> Findings:
    return codes(rb.open_run(run_dir).verify(**options))


def verify(run_dir: Path) -> Findings:
    """As ``findings``, for runs of which not even the manifest can be read."""
    from runbundle.run.verify import verify as verify_folder  # noqa: PLC0415

    return codes(verify_folder(run_dir))


# --- ways to tamper -------------------------------------------------------------------------------


def flip(name: str) -> Damage:
    def damage(run: Path) -> None:
        data = bytearray((run / name).read_bytes())
        data[len(data) // 2] ^= 1
        (run / name).write_bytes(data)

    return damage


def edit(name: str, old: str, new: str) -> Damage:
    def damage(run: Path) -> None:
        text = (run / name).read_text()
        assert old in text
        (run / name).write_text(text.replace(old, new, 1))

    return damage


def edit_last(name: str, old: str, new: str) -> Damage:
    def damage(run: Path) -> None:
        *lines, last = (run / name).read_text().splitlines(keepends=True)
        assert old in last
        (run / name).write_text("".join([*lines, last.replace(old, new)]))

    return damage


def unclosed(name: str) -> Damage:
    """The last line of a log ends without its checksum."""

    def damage(run: Path) -> None:
        head = (run / name).read_bytes().rpartition(b',"crc32":')[0]
        (run / name).write_bytes(head + b"}\n")

    return damage


def cut(name: str, size: int = 3) -> Damage:
    return lambda run: os.truncate(run / name, (run / name).stat().st_size - size)


def empty(name: str) -> Damage:
    return lambda run: os.truncate(run / name, 0)


def remove(name: str) -> Damage:
    return lambda run: (run / name).unlink()


def write(name: str, data: bytes = b"x") -> Damage:
    return lambda run: (run / name).write_bytes(data)


def drop_line(name: str, which: int) -> Damage:
    def damage(run: Path) -> None:
        lines = (run / name).read_bytes().splitlines(keepends=True)
        del lines[which]
        (run / name).write_bytes(b"".join(lines))

    return damage


def swap(one: str, other: str) -> Damage:
    def damage(run: Path) -> None:
        first, second = (run / one).read_bytes(), (run / other).read_bytes()
        (run / one).write_bytes(second)
        (run / other).write_bytes(first)

    return damage


def link(name: str) -> Damage:
    """The same bytes, from elsewhere."""

    def damage(run: Path) -> None:
        (run / name).rename(run.parent / "elsewhere")
        (run / name).symlink_to(run.parent / "elsewhere")

    return damage


def folder(name: str) -> Damage:
    def damage(run: Path) -> None:
        (run / name).unlink()
        (run / name).mkdir()

    return damage


def pipe(name: str) -> Damage:
    def damage(run: Path) -> None:
        (run / name).unlink()
        os.mkfifo(run / name)

    return damage


def rechain(name: str, change: Callable[[list[dict[str, Any]]], None]) -> Damage:
    """Change records of a log of facts and chain them anew, as a forger who knows the format would."""

    def damage(run: Path) -> None:
        records = [json.loads(line) for line in (run / name).read_bytes().splitlines()]
        change(records)
        data, previous, crc = b"", "0" * 64, 0
        for seq, record in enumerate(records):
            said = record | {"seq": seq, "prev_sha256": previous}
            del said["crc32"]
            head = json.dumps(said, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()[:-1]
            crc = zlib.crc32(head, crc)
            line = head + b',"crc32":%d}\n' % crc
            previous = hashlib.sha256(line).hexdigest()
            data += line
        (run / name).write_bytes(data)

    return damage


def set_fields(record: str, **fields: Any) -> Callable[[list[dict[str, Any]]], None]:
    """A change of the first record of a type."""
    return lambda records: next(r for r in records if r["record"] == record).update(fields)


def say_again(record: str, **fields: Any) -> Callable[[list[dict[str, Any]]], None]:
    """The first record of a type a second time, with other fields."""

    def change(records: list[dict[str, Any]]) -> None:
        index, said = next((index, r) for index, r in enumerate(records) if r["record"] == record)
        records.insert(index + 1, said | fields)

    return change


def reseal(run: Path) -> None:
    lines = []
    for line in (run / SEAL).read_text().splitlines():
        path = line[66:]
        lines.append(f"{hashlib.sha256((run / path).read_bytes()).hexdigest()}  {path}\n")
    (run / SEAL).write_text("".join(lines))


def edit_seal(path: str, start: str | None) -> Damage:
    """Another beginning of a file's line, or no line."""

    def damage(run: Path) -> None:
        lines = (run / SEAL).read_text().splitlines(keepends=True)
        index = next(number for number, line in enumerate(lines) if line[66:-1] == path)
        lines[index : index + 1] = [] if start is None else [f"{start}{path}\n"]
        (run / SEAL).write_text("".join(lines))

    return damage


def both(*damages: Damage) -> Damage:
    return lambda run: [damage(run) for damage in damages]


# name: (what is done, what is found); every finding names the file
TAMPERED: dict[str, tuple[Damage, Findings]] = {
    "flipped byte of an artifact": (flip(TABLE), [("changed", TABLE)]),
    "flipped byte of the input": (flip(INPUT), [("changed", INPUT)]),
    "flipped byte of a text log": (flip(TEXT_LOG), [("changed", TEXT_LOG)]),
    "flipped byte of metrics.json": (flip("metrics.json"), [("changed", "metrics.json")]),
    "truncated artifact": (cut(REPORT), [("truncated", REPORT)]),
    "emptied artifact": (empty(FACT), [("truncated", FACT)]),
    "longer artifact": (edit(REPORT, "All", "Not all"), [("changed", REPORT)]),
    "missing artifact": (remove(TABLE), [("missing", TABLE)]),
    "missing folder": (lambda run: shutil.rmtree(run / "artifacts/tables"), [("missing", TABLE)]),
    "missing input": (remove(INPUT), [("missing", INPUT)]),
    "swapped artifacts": (swap(TABLE, FACT), [("swapped", FACT), ("swapped", TABLE)]),
    "link in the place of a file": (link(TABLE), [("not_a_file", TABLE)]),
    "link on the way": (link("artifacts/tables"), [("not_a_file", TABLE)]),
    "folder in the place of a file": (folder(TABLE), [("not_a_file", TABLE)]),
    "pipe in the place of a file": (pipe(TABLE), [("not_a_file", TABLE)]),
    "stray artifact": (write("artifacts/facts/more.json"), [("stray", "artifacts/facts/more.json")]),
    "stray file at the top": (write("more.txt"), [("stray", "more.txt")]),
    "stray input": (write("input/more.bin"), [("stray", "input/more.bin")]),
    "stray log": (write("artifacts.UPPER.jsonl"), [("stray", "artifacts.UPPER.jsonl")]),
    "stray link": (lambda run: (run / "artifacts/l").symlink_to("/etc"), [("stray", "artifacts/l")]),
    "temporary file": (write("artifacts/.tmp-0123"), []),
    "times only": (lambda run: os.utime(run / TABLE, (0, 0)), []),
    "changed, time restored": (
        both(flip(TABLE), lambda run: os.utime(run / TABLE, (1, 1))),
        [("changed", TABLE)],
    ),
    "edited contract": (edit("contract.json", '"sample"', '"simple"'), [("changed", "contract.json")]),
    "edited configuration": (edit("config.yaml", "0.5", "0.6"), [("changed", "config.yaml")]),
    "edited resolved configuration": (
        edit("config_resolved.yaml", "0.5", "0.6"),
        [("changed", "config_resolved.yaml")],
    ),
    "missing log": (remove(LOG), [("missing", LOG)]),
    "log as a folder": (folder(LOG), [("not_a_file", LOG)]),
    "log as a link": (link(LOG), [("not_a_file", LOG)]),
    "log as a pipe": (pipe(LOG), [("not_a_file", LOG)]),
    "edited log": (edit(LOG, "What is known", "What is unknown"), [("log_damaged", LOG)]),
    "line removed from the log": (drop_line(LOG, 3), [("log_damaged", LOG)]),
    "first line removed from the log": (drop_line(LOG, 0), [("log_damaged", LOG)]),
    "edited journal of points": (edit(METRICS, "0.25", "0.05"), [("log_damaged", METRICS)]),  # its last line
    "last line of the log edited": (edit_last(LOG, '"ts_utc":"2', '"ts_utc":"3'), [("log_damaged", LOG)]),
    "last line of the log without its crc32": (unclosed(LOG), [("log_damaged", LOG)]),
    "last point without its crc32": (unclosed(METRICS), [("log_damaged", METRICS)]),
    "crc32 that is not last": (edit_last(METRICS, "}\n", ',"x":1}\n'), [("log_damaged", METRICS)]),
    "journal of points as a link": (link(METRICS), [("not_a_file", METRICS)]),
    "record that leads out": (
        rechain(LOG, set_fields("artifact", filename="../../../../etc/passwd")),
        [("log_damaged", LOG)],
    ),
    "record that lacks a field": (rechain(LOG, lambda records: records[3].pop("try")), [("log_damaged", LOG)]),
    "two records of one artifact": (rechain(LOG, say_again("artifact")), [("log_damaged", LOG)]),
    "two artifacts of one file": (rechain(LOG, say_again("artifact", artifact_id="other")), [("log_damaged", LOG)]),
    "missing manifest": (remove(MANIFEST), [("missing", MANIFEST)]),
    "manifest as a folder": (folder(MANIFEST), [("not_a_file", MANIFEST)]),
    "manifest as a link": (link(MANIFEST), [("not_a_file", MANIFEST)]),
    "cut manifest": (cut(MANIFEST), [("manifest_damaged", MANIFEST)]),
    "manifest without a field": (edit(MANIFEST, '"python"', '"pyhton"'), [("manifest_damaged", MANIFEST)]),
    "manifest of another run": (edit(MANIFEST, '"demo"', '"tome"'), [("manifest_differs", MANIFEST)]),
    "two at once": (both(flip(TABLE), remove(REPORT)), [("changed", TABLE), ("missing", REPORT)]),
}

# what a seal shows besides, or otherwise
SEALED: dict[str, tuple[Damage, Findings]] = {
    "shortened log": (drop_line(LOG, -1), [("log_shortened", LOG)]),
    "emptied log": (empty(LOG), [("log_shortened", LOG)]),
    "torn log": (cut(LOG), [("log_damaged", LOG)]),
    "log edited and chained anew": (
        rechain(LOG, set_fields("artifact", description="What is believed")),
        [("log_edited", LOG)],
    ),
    "edited manifest": (edit(MANIFEST, '"completed"', '"failed"'), [("manifest_differs", MANIFEST)]),
    "manifest with a field of nobody": (edit(MANIFEST, "{", '{"odd": 1, '), [("changed", MANIFEST)]),
    "stray text log": (write("logs/more.log"), [("stray", "logs/more.log")]),
    "stray provenance": (write("provenance/x"), [("stray", "provenance/x")]),
    "digest of a recorded file edited in the seal": (edit_seal(FACT, "0" * 64 + "  "), [("seal_damaged", SEAL)]),
    "digest of another file edited in the seal": (edit_seal(TEXT_LOG, "0" * 64 + "  "), [("changed", TEXT_LOG)]),
    "recorded file left out of the seal": (edit_seal(FACT, None), [("seal_damaged", SEAL)]),
    "other file left out of the seal": (edit_seal(TEXT_LOG, None), [("stray", TEXT_LOG)]),
    "line of the seal that is none": (edit_seal(FACT, "x  "), [("seal_damaged", SEAL)]),
    "line of the seal that leads out": (write(SEAL, b"0" * 64 + b"  ../x\n"), [("seal_damaged", SEAL)]),
    "emptied seal": (empty(SEAL), [("seal_damaged", SEAL)]),
    "seal as a folder": (folder(SEAL), [("not_a_file", SEAL)]),
    "seal as a link": (link(SEAL), [("not_a_file", SEAL)]),
    "artifact changed and sealed anew": (both(flip(TABLE), reseal), [("changed", TABLE), ("seal_damaged", SEAL)]),
    "artifact changed and recorded anew": (
        both(
            write(FACT, b"{}\n"),
            rechain(LOG, set_fields("artifact", bytes=3, sha256=hashlib.sha256(b"{}\n").hexdigest())),
        ),
        [("changed", FACT), ("log_edited", LOG)],
    ),
}

UNSEALED: dict[str, tuple[Damage, Findings]] = {
    "flipped byte of a text log": (flip(TEXT_LOG), []),  # nothing recorded it
    "stray text log": (write("logs/more.log"), []),
    "torn log": (cut(LOG), []),
    "emptied log": (empty(LOG), [("log_damaged", LOG)]),
    "two primary inputs": (
        both(
            write("input/other.bin", b"what was measured"),
            rechain(LOG, say_again("input", filename="input/other.bin")),
        ),
        [("log_damaged", LOG)],
    ),
    "manifest that says it ended": (
        edit(MANIFEST, '1,\n  "status": "running"', '1,\n  "status": "completed"'),
        [("manifest_differs", MANIFEST)],
    ),
}
UNSEALED_SKIPPED = {"flipped byte of metrics.json"}  # it is written at the end


@pytest.mark.parametrize("name", [*(TAMPERED | SEALED)])
def test_tampering_with_a_sealed_run_is_named(sealed: Path, name: str) -> None:
    damage, expected = (TAMPERED | SEALED)[name]
    damage(sealed)
    assert verify(sealed) == sorted(expected)
    assert independent_reader.verify(sealed) == sorted(expected)


@pytest.mark.parametrize("name", sorted((TAMPERED | UNSEALED).keys() - UNSEALED_SKIPPED))
def test_tampering_with_an_unsealed_run_is_named(unsealed: Path, name: str) -> None:
    damage, expected = (TAMPERED | UNSEALED)[name]
    damage(unsealed)
    assert verify(unsealed) == sorted(expected)
    assert independent_reader.verify(unsealed) == sorted(expected)


# --- every byte -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [LOG, SEAL, MANIFEST, "contract.json", METRICS, FACT])
def test_any_flipped_byte_is_found_in_its_file(sealed: Path, name: str) -> None:
    data = (sealed / name).read_bytes()
    for offset in range(0, len(data), max(1, len(data) // 25)):
        changed = bytearray(data)
        changed[offset] ^= 0x20
        (sealed / name).write_bytes(changed)
        try:
            found = verify(sealed)
        except errors.UnsupportedVersion:
            continue  # the byte was one of a version or a required feature
        assert name in [subject for _, subject in found] or (name == SEAL and found), (offset, found)


@pytest.mark.parametrize("name", [LOG, SEAL, MANIFEST, METRICS, REPORT])
def test_any_cut_is_found_in_its_file(sealed: Path, name: str) -> None:
    data = (sealed / name).read_bytes()
    for size in range(0, len(data), max(1, len(data) // 25)):
        (sealed / name).write_bytes(data[:size])
        assert name in [subject for _, subject in verify(sealed)], size


# --- no false alarm -------------------------------------------------------------------------------


def test_clean_runs_are_intact(sealed: Path, unsealed: Path) -> None:
    assert (findings(sealed), findings(unsealed)) == ([], [])
    assert rb.open_run(sealed).verify().notes == ()
    assert rb.open_run(unsealed).verify().notes == ("the run is not sealed: it was checked against its log",)
    assert independent_reader.verify(sealed) == independent_reader.verify(unsealed) == []


def test_a_torn_tail_of_a_dead_writer_is_said_not_found(unsealed: Path) -> None:
    with (unsealed / LOG).open("ab") as stream:
        stream.write(b'{"record":"artifact","ar')
    report = rb.open_run(unsealed).verify()
    assert codes(report) == []
    assert f"{LOG} ends in an unfinished line, which no writer acknowledged" in report.notes


def test_a_damaged_log_calls_nothing_stray(unsealed: Path) -> None:
    drop_line(LOG, 2)(unsealed)
    report = rb.open_run(unsealed).verify()
    assert codes(report) == [("log_damaged", LOG)]
    assert "what it does not account for was not looked at" in report.notes[-1]


def test_a_live_run_may_be_verified_while_it_is_written(tmp_path: Path) -> None:
    run = project(tmp_path).start()
    stop = threading.Event()

    def write_on() -> None:
        number = 0
        while not stop.is_set():
            run.save(f"{number}.json", number)
            run.save("same.json", number, replace=True)
            number += 1

    writer = threading.Thread(target=write_on)
    writer.start()
    try:
        found = [findings(run.path) for _ in range(15)]
    finally:
        stop.set()
        writer.join()
    assert found == [[]] * 15


# --- root digest, versions, what is no run --------------------------------------------------------


def test_a_run_rewritten_as_a_whole_is_found_by_its_root_digest(sealed: Path) -> None:
    digest = rb.open_run(sealed).root_digest
    assert digest is not None
    assert findings(sealed, root_digest=digest.upper()) == []
    both(edit(TEXT_LOG, "done", "gone"), reseal)(sealed)
    assert findings(sealed) == []
    assert findings(sealed, root_digest=digest) == [("root_digest_differs", SEAL)]
    (sealed / SEAL).unlink()
    assert findings(sealed, root_digest=digest) == [("root_digest_differs", SEAL)]


@pytest.mark.parametrize(
    "damage",
    [
        rechain(LOG, set_fields("header", format_version=2)),
        edit(MANIFEST, '"schema_version": 1', '"schema_version": 2'),
        edit(MANIFEST, '"requires": []', '"requires": ["chunks"]'),
    ],
)
def test_a_later_version_is_an_error_not_a_finding(sealed: Path, damage: Damage) -> None:
    damage(sealed)
    with pytest.raises(errors.UnsupportedVersion, match="newer runbundle"):
        verify(sealed)


def test_a_version_that_was_edited_by_hand_is_damage(sealed: Path) -> None:
    edit(LOG, '"format_version":1', '"format_version":2')(sealed)
    assert verify(sealed) == independent_reader.verify(sealed) == [("log_damaged", LOG)]


def test_what_is_no_run_is_an_error(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(errors.RunNotFound):
            verify(place)


def test_progress_counts_the_bytes(sealed: Path) -> None:
    seen: list[int] = []
    rb.open_run(sealed).verify(progress=seen.append)
    assert sum(seen) >= sum((sealed / name).stat().st_size for name in (INPUT, FACT, TABLE, REPORT))


def test_a_replacement_that_was_cut_short_leaves_no_second_truth_in_a_sealed_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log allows both; the seal says which of them the run had when it was finished."""
    run = project(tmp_path / "store").start()
    run.save("a.json", 1)
    replace = Staged.replace

    def interrupted(staged: Staged) -> None:
        replace(staged)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Staged, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run.save("a.json", 2, replace=True)
    root = run.finish()
    assert root is not None
    done = rb.open_run(run.path)
    assert codes(done.verify(root_digest=root)) == []
    (run.path / "artifacts" / "a.json").write_text("1\n")
    assert codes(done.verify()) == codes(done.verify(root_digest=root)) == [("changed", "artifacts/a.json")]
