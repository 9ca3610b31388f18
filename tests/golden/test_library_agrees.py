"""The library and the independent reader say the same of every run: of the golden one, of damaged ones, and of
runs that the library wrote.

The reader follows docs/format.md alone and shares no code with the library.
"""

import ast
import hashlib
import itertools
import json
import math
import re
import shutil
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import golden_maker
import independent_reader as reader
import runbundle as rb
from golden_damage import (
    BY_CHECK,
    BY_VERIFY,
    GOLDEN,
    HALFWAY,
    HALFWAY_DAMAGE,
    HEIGHTS,
    INTERRUPTED,
    INTERRUPTED_DAMAGE,
    JOINED,
    JOINED_SEALED,
    JOINED_UNSEALED,
    LOG,
    MANIFEST,
    ROOT_DIGEST,
    SEAL,
    SEALED,
    UNMET,
    UNSEALED,
    Damage,
    folder,
    link,
    remove,
)
from runbundle.base import jsontext
from runbundle.contract.declaration import from_mapping, to_mapping
from runbundle.io.formats import yaml
from runbundle.run.check import check
from runbundle.run.repair import repair
from runbundle.run.verify import verify
from sample_runs import abandon

Findings = list[tuple[str, str]]
ROOT = Path(__file__).parents[2]


def found_by_library(report: rb.Report) -> Findings:
    return sorted((finding.code, finding.subject) for finding in report)


# --- the golden run ---------------------------------------------------------------------------------------


def test_the_library_reads_the_golden_run() -> None:
    run, told = rb.open_run(GOLDEN), reader.IndependentRun(GOLDEN)
    assert (run.run_id, run.status, run.is_sealed, run.root_digest) == (GOLDEN.name, "completed", True, ROOT_DIGEST)
    assert run.config == told.config_resolved
    assert run.verify(root_digest=ROOT_DIGEST).findings == ()
    assert run.check().findings == ()
    assert_same_facts(GOLDEN)


def test_the_library_reads_the_golden_run_of_several_writers() -> None:
    run = rb.open_run(JOINED)
    assert (run.status, run.verify().findings, run.check().findings) == ("completed", (), ())
    assert_same_facts(JOINED)
    assert run.read("state") == {"weights": [0.75]}
    assert run.read("shard", "1") == [1, 2, 3]
    assert run.read("log/målt bok.txt") == "third\n"
    assert repr(run.series("val/Genauigkeit ≈")) == "Series(steps=[-1, 7], values=[-0.0, 0.25])"


def test_the_library_reads_the_golden_run_that_was_interrupted() -> None:
    run = rb.open_run(INTERRUPTED)
    assert (run.status, run.is_sealed, run.verify().findings) == ("unknown", False, ())  # it ran on another machine
    assert found_by_library(run.check()) == reader.check(INTERRUPTED)
    assert_same_facts(INTERRUPTED)
    assert [run.read("remark", name) for name in ("b8", "k3")] == ["before\n", "after\n"]


def test_the_library_resumes_the_golden_run_that_was_half_resumed(tmp_path: Path) -> None:
    path = Path(shutil.copytree(HALFWAY, tmp_path / golden_maker.HALFWAY))
    assert rb.open_run(path).verify().findings == ()
    with rb.Project("train", tmp_path).resume(path.name, {"lr": 0.25}, allow_changed=True) as run:
        run.save("more.json", 1)
    assert reader.verify(path) == found_by_library(verify(path)) == []
    assert_same_facts(path)
    assert reader.parse_yaml((path / "provenance/1.config.yaml").read_bytes())["lr"] == 0.5


def test_the_library_reads_the_golden_artifacts() -> None:
    run = rb.open_run(GOLDEN)
    assert run.read("heights")[1] == {"x": "1", "height": "0.75"}
    assert run.read("profile", "middle") == {"line": "middle", "values": [0.25, 0.75, 0.5]}
    assert run.read("verdict")["usable"] is False
    assert run.read("summary").startswith("Høyder")
    np.testing.assert_array_equal(run.read("preview"), np.array([[64, 191, 128]] * 2, np.uint8))


def test_the_library_would_spell_the_golden_run_as_it_is() -> None:
    told = reader.IndependentRun(GOLDEN)
    assert told.contract is not None
    assert to_mapping(from_mapping(told.contract)) == told.contract
    for name, value in ((MANIFEST, told.manifest), ("contract.json", told.contract), ("metrics.json", told.metrics)):
        assert jsontext.pretty(value) == (GOLDEN / name).read_bytes()
    assert yaml.dump(told.config) == (GOLDEN / "config.yaml").read_bytes()
    assert yaml.dump(told.config_resolved) == (GOLDEN / "config_resolved.yaml").read_bytes()
    for record in told.journal.of("artifact"):
        name = rb.open_run(GOLDEN).contract.path_of(  # type: ignore[union-attr]  # it has one
            from_mapping(told.contract).spec(record["artifact_id"]), variant=record["variant"], input_stem="heights"
        )
        assert name == record["filename"]


# --- damage -----------------------------------------------------------------------------------------------


def _cases(kind: str, params: list[Any]) -> list[Any]:
    return [pytest.param(kind, param.values[0], id=f"{kind} {param.id}") for param in params]


DAMAGED = [
    *_cases("golden sealed", SEALED),
    *_cases("golden unsealed", UNSEALED),
    *_cases("joined sealed", JOINED_SEALED),
    *_cases("joined unsealed", JOINED_UNSEALED),
    *_cases("interrupted", INTERRUPTED_DAMAGE),
    *_cases("halfway", HALFWAY_DAMAGE),
]


@pytest.mark.parametrize(("kind", "damage"), DAMAGED)
def test_damage_is_found_alike(tmp_path: Path, kind: str, damage: Damage) -> None:
    goldens = {"golden": GOLDEN, "joined": JOINED, "interrupted": INTERRUPTED, "halfway": HALFWAY}
    golden = goldens[kind.split(maxsplit=1)[0]]
    run = Path(shutil.copytree(golden, tmp_path / "runs" / "demo" / golden.name))
    if kind.endswith("unsealed"):
        (run / SEAL).unlink()
    damage(run)
    assert found_by_library(verify(run)) == reader.verify(run)


@pytest.mark.parametrize("code", BY_VERIFY)
def test_each_code_of_verify_is_given_alone(tmp_path: Path, code: str) -> None:
    run = Path(shutil.copytree(GOLDEN, tmp_path / GOLDEN.name))
    damage, subject = BY_VERIFY[code]
    damage(run)
    root_digest = ROOT_DIGEST if code == "root_digest_differs" else None
    assert found_by_library(verify(run, root_digest=root_digest)) == [(code, subject)]


@pytest.mark.parametrize("code", BY_CHECK)
def test_each_code_of_check_is_given_alone(tmp_path: Path, code: str) -> None:
    run = Path(shutil.copytree(GOLDEN, tmp_path / GOLDEN.name))
    damage, subject = BY_CHECK[code]
    damage(run)
    assert found_by_library(check(run)) == [(code, subject)]


def test_the_source_gives_the_codes_that_the_page_lists() -> None:
    """The first argument of each ``Finding(...)`` and ``run.find(...)``, and of what is handed on to them."""
    listed = re.findall(
        r"^\| `(\w+)` \| (?:verify|check|warning) \|", (ROOT / "docs" / "format.md").read_text(), re.MULTILINE
    )
    given = set()
    for source in (ROOT / "src" / "runbundle").rglob("*.py"):
        for node in ast.walk(ast.parse(source.read_text())):
            first: ast.expr | None = None
            if isinstance(node, ast.Call) and node.args:
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                first = node.args[0] if name in ("Finding", "find") else None
            elif isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple) and len(node.value.elts) == 3:
                first = node.value.elts[0]  # (code, subject, message)
            if isinstance(first, ast.Constant) and isinstance(first.value, str) and first.value.isidentifier():
                given.add(first.value)
    assert sorted(given) == sorted(listed)


@pytest.mark.parametrize(("kind", "damage"), _cases("unmet", UNMET))
def test_what_is_owed_is_found_alike(tmp_path: Path, kind: str, damage: Damage) -> None:
    assert kind == "unmet"
    run = Path(shutil.copytree(GOLDEN, tmp_path / "runs" / "demo" / GOLDEN.name))
    damage(run)
    assert found_by_library(check(run)) == reader.check(run)


PLACES = [
    f"{what} {name} {kind}"
    for name in (LOG, "metrics.jsonl", MANIFEST, SEAL, "config_resolved.yaml", HEIGHTS)
    for what in ("folder", "link", "gone")
    for kind in ("sealed", "unsealed")
    if (name, kind) != (SEAL, "unsealed")
]


@pytest.mark.parametrize("place", PLACES)
def test_what_stands_in_the_place_of_a_file_is_found_alike(tmp_path: Path, place: str) -> None:
    run = Path(shutil.copytree(GOLDEN, tmp_path / GOLDEN.name))
    what, name, kind = place.split()
    if kind == "unsealed":
        (run / SEAL).unlink()
    {"folder": folder, "link": link, "gone": remove}[what](name)(run)
    assert found_by_library(verify(run)) == reader.verify(run)


def test_a_wrong_root_digest_is_found_alike() -> None:
    assert found_by_library(verify(GOLDEN, root_digest="0" * 64)) == reader.verify(GOLDEN, "0" * 64)


# --- runs that the library wrote --------------------------------------------------------------------------


def _spec(
    artifact_id: str, ext: str, form: str, stage: str | None, required: rb.Required, **more: Any
) -> rb.ArtifactSpec:
    return rb.ArtifactSpec(artifact_id, form, artifact_id, ext, form, stage, required, **more)


CONTRACT = rb.Contract(
    "demo",
    "2",
    artifacts=(
        rb.ArtifactSpec("source", "input", "", "", "file"),
        _spec("table", ".csv", "csv", "prepare", rb.Required.ALWAYS),
        _spec("line", ".json", "json", "prepare", rb.Required.IF_PASSED, schema={"document": {"type": "object"}}),
        _spec("picture", ".png", "png", "prepare", rb.Required.OPTIONAL),
        _spec("area", ".png", "mask", "prepare", rb.Required.OPTIONAL),
        _spec("verdict", ".json", "json", "analyse", rb.Required.ALWAYS),
        _spec("model", ".npz", "npz", "analyse", rb.Required.IF_PASSED),
        _spec("offer", ".txt", "text", "publish", rb.Required.ALWAYS),
        _spec("report", ".html", "html", "report", rb.Required.ALWAYS, is_deliverable=True, description="For people."),
    ),
    stages=(
        rb.StageSpec("prepare"),
        rb.StageSpec("analyse", ("prepare",)),
        rb.StageSpec("publish", ("analyse",)),
        rb.StageSpec("report", always=True),
    ),
    allow_extras=True,
)
CONFIG = {
    "rate": 1e-7,
    "big": 1e22,
    "whole": 10**20,
    "name": "ø \u2028 ${ no",
    "of": [[], {}, [1, [2]], {"a": None}],
    "": "",
}


def _sources(folder: Path) -> tuple[Path, Path]:
    folder.mkdir(parents=True)
    (folder / "målt verdi.csv").write_text("x,y\n1,2\n")
    (folder / "notes.txt").write_text("first")
    return folder / "målt verdi.csv", folder / "notes.txt"


def _prepare(run: rb.RunIO) -> None:
    with run.stage("prepare"):
        run.write("table", [{"x": 1, "y": "a,b"}, {"x": 2, "y": ""}])
        for variant in ("left", "right.2"):
            run.write("line", {"at": variant}, variant=variant, meta={"n": 1})
        run.write("line", {"at": "new"}, variant="left", replace=True)
        run.write("picture", np.zeros((2, 3, 3), np.uint8))
        run.write("area", np.eye(3, dtype=bool), true_value=1)


def resumed(store: Path) -> Path:
    """All that a run with a contract can hold, over two attempts."""
    source, notes = _sources(store / "sources")
    project = rb.Project("demo", store, CONTRACT, {"demo_version": "3", "om": ["ø"]})
    with pytest.raises(ZeroDivisionError), project.start({**CONFIG, "name": "a"}, run_id="resumed") as run:  # noqa: PT012
        run.ingest(source)
        run.ingest(notes)
        notes.write_text("second")
        run.ingest(notes, collision_policy="overwrite")
        run.ingest(notes, collision_policy="resume")
        _prepare(run)
        run.log({"loss": 4.0, "rate": 1}, step=0)
        run.log({"loss": 3.0}, step=1)
        with run.stage("analyse"):
            run.write("verdict", {"usable": None})
            run.write("verdict", {"usable": 0}, replace=True)
            raise ZeroDivisionError("nothing to divide")
    with project.resume("resumed", allow_changed=True) as run:
        run.log({"loss": math.nan}, step=1)
        run.log({"loss": -math.inf, "even": math.nan}, step=5)
        run.log({"loss": 0.5}, step=3)
        run.summary["grade"] = "B"
        run.summary["loss"] = math.inf
        with run.stage("analyse") as stage:
            run.write("verdict", {"usable": False})
            stage.decline("not usable", "ø")
        run.skip("publish", "analyse declined")
        with run.stage("report"):
            run.write("report", "<p>ø</p>")
        run.save("notes/more.json", [1, 2])
        run.save("notes/more.json", [3], replace=True)
        run.save("Numbers.npz", {"a": np.arange(3)})
        run.logger.info("done")
    return run.path


def committed(store: Path) -> Path:
    with rb.Project("demo", store, CONTRACT).start(CONFIG | {"name": "b"}) as run:
        run.ingest(_sources(store / "sources")[0])
        _prepare(run)
        with run.stage("analyse"):
            run.write("verdict", {"usable": True})
            run.write("model", {"weights": np.ones((2, 2))})
        with run.stage("publish"):
            run.write("offer", "as agreed\n")
        with run.stage("report"):
            run.write("report", "<p></p>")
    return run.path


def plain(store: Path) -> Path:
    """A run without a contract."""
    with rb.start("plain", {"lr": 0.5}, store=store) as run:
        for step in range(3):
            run.log({"loss": 1 / (step + 1)})
        run.save("a.txt", "x")
        run.save("b.yaml", {"x": [1, {"y": 2}]})
        run.save("c.csv", [{"a": 1}])
    return run.path


def failed(store: Path) -> Path:
    with pytest.raises(ValueError, match="lone"), rb.start("plain", store=store) as run:
        raise ValueError("lone \ud800 surrogate")
    return run.path


def unmet(store: Path) -> Path:
    with (
        pytest.raises(rb.errors.ContractUnmet),
        rb.Project("demo", store, CONTRACT).start() as run,
        run.stage("prepare"),
    ):
        run.write("table", [{"x": 1}])
    return run.path


KILLED = """
import os, sys, numpy as np
sys.path[:0] = sys.argv[2:]
import test_library_agrees as here, runbundle as rb
run = rb.Project("demo", sys.argv[1], here.CONTRACT).start(run_id="killed")
run.ingest(sys.argv[1] + "/sources/notes.txt")
run.log({"loss": 1.0})
with run.stage("prepare"):
    run.write("table", [{"x": 1}])
    run.write("table", [{"x": 2}], replace=True)
    os._exit(9)
"""


JOINING = """
import os, sys
import runbundle as rb
run = rb.join(os.environ["RUNBUNDLE_RUN_DIR"])
state = rb.ArtifactSpec("state", "data", "state", ".json", "json")
run.write(state, {"by": "joined"})
run.write(state, {"by": "joined", "again": True}, replace=True)
run.log({"loss": 9.0}, step=0)
run.log({"only here": True, "loss": 8.0})
run.save("of the joined.txt", "x")
if sys.argv[1] == "killed":
    os._exit(9)
run.finish()
"""


def several(store: Path) -> Path:
    """The run of several processes, of which one was killed: two that joined, and a forked one."""
    with rb.start("several", {"lr": 0.5}, store=store) as run:
        run.log({"loss": 4, "b": True, "a": math.inf}, step=0)
        done = subprocess.run([sys.executable, "-c", JOINING, "left"], env=run.environment(), check=False)
        assert done.returncode == 0
        run.save("more/notes.txt", "first")
        run.flush()
        run.save("more/notes.txt", "second", replace=True)
        run.log({"loss": 3, "b": False}, step=1)
    return run.path


def rejoined(store: Path) -> Path:
    """A run that failed, with a writer that was killed; another attempt replaces what that one left."""
    project = rb.Project("several", store)
    with pytest.raises(ZeroDivisionError), project.start(run_id="rejoined") as run:  # noqa: PT012
        done = subprocess.run([sys.executable, "-c", JOINING, "killed"], env=run.environment(), check=False)
        assert done.returncode == 9
        raise ZeroDivisionError
    with project.resume("rejoined") as run:
        state = rb.ArtifactSpec("state", "data", "state", ".json", "json")
        run.write(state, {"by": "the creator"}, replace=True)
        run.log({"loss": 1.5}, step=0)
    return run.path


def reconfigured(store: Path) -> Path:
    """A run each line of which is safe from a power cut; its second attempt has another configuration."""
    project = rb.Project("several", store, durability="power")
    with pytest.raises(ZeroDivisionError), project.start({"lr": 0.5}, run_id="reconfigured") as run:  # noqa: PT012
        run.log({"loss": 1.0})
        run.save("a.json", 1)
        raise ZeroDivisionError
    with project.resume("reconfigured", {"lr": 0.25}, allow_changed=True) as run:
        done = subprocess.run([sys.executable, "-c", JOINING, "left"], env=run.environment(), check=False)
        assert done.returncode == 0
        run.log({"loss": 0.5})
        run.save("a.json", 2, replace=True)
    said = [record for record in reader.IndependentRun(run.path).journal.of("intent") if record["replaces"] is None]
    assert [(record["artifact_id"], record["filename"]) for record in said] == [
        (None, "config.yaml"),
        (None, "config_resolved.yaml"),
    ]
    return run.path


def killed(store: Path) -> Path:
    """The run of a process that was killed in a stage."""
    _sources(store / "sources")
    tests = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
    done = subprocess.run([sys.executable, "-c", KILLED, str(store), *tests], capture_output=True, check=False)
    assert done.returncode == 9, done.stderr.decode()
    return store / "runs" / "demo" / "killed"


def revived(store: Path) -> Path:
    """The run of a killed process, which also left a file that it had no time to record, and half a line."""
    path = killed(store)
    (path / "artifacts" / "json").mkdir()
    (path / "artifacts" / "json" / "half.json").write_text("{")
    with (path / LOG).open("a") as log:
        log.write('{"record":')
    with pytest.raises(rb.errors.ContractUnmet), rb.Project("demo", store).resume("killed", allow_changed=True) as run:
        _prepare(run)
    return path


def assert_same_facts(path: Path) -> None:
    run, told = rb.open_run(path), reader.IndependentRun(path)
    fields = ("artifact_id", "variant", "stage", "attempt", "kind", "format", "filename", "bytes", "sha256", "meta")
    by_path = sorted(told.journal.artifacts, key=lambda record: str(record["filename"]))
    assert [record.to_json() for record in run.artifacts()] == [
        {key: r[key] for key in (*fields, "content_type", "description", "replaces", "ts_utc")} for r in by_path
    ]
    assert list(run.state.inputs.values()) == told.journal.inputs
    assert run.state.outcomes == told.journal.outcomes()
    assert run.config == told.config_resolved == told.config or path == GOLDEN
    assert reader.project(told.journal, told.config_resolved) == told.manifest
    described = reader.describe_metrics(told)
    assert repr(run.summary) == repr(described["scalars"])  # repr, for NaN is not itself
    for name, points in told.series.items():
        assert repr(run.series(name)) == f"Series(steps={list(points)}, values={list(points.values())})"
    for name in {point.name for point in told.points}:
        raw = [tuple(point) for point in told.points if point.name == name]
        assert repr([tuple(point) for point in run.series(name, raw=True)]) == repr(raw)
    if told.metrics is not None and told.seal is not None:
        spelled = json.loads(json.dumps(described), parse_constant=str)
        assert told.metrics == spelled


@pytest.mark.parametrize(
    "make", [resumed, committed, plain, failed, unmet, several, rejoined, reconfigured, killed, revived]
)
def test_what_the_library_wrote_reads_by_the_page(tmp_path: Path, make: Any) -> None:
    path = make(tmp_path)
    assert reader.verify(path) == []
    assert rb.open_run(path).verify().findings == ()
    assert reader.check(path) == found_by_library(rb.open_run(path).check())
    assert_same_facts(path)
    for place in path.rglob("*.json*"):
        assert_spelled(place)
    if make is not killed:
        _assert_plain_tools_agree(path)


def assert_spelled(place: Path) -> None:
    """Whether JSON is written as I5 and I6 say, but for the spelling of numbers."""
    lines = place.read_bytes().splitlines(keepends=True) if place.suffix == ".jsonl" else [place.read_bytes()]
    for line in lines if place.name != "half.json" else []:
        value = reader.parse_json(line)
        style: dict[str, Any] = {"indent": 2, "sort_keys": True}
        if place.suffix == ".jsonl":
            is_point = value["record"] == "point"
            crc = value.pop("crc32")
            value = {key: value[key] for key in sorted(value)} if is_point else value
            style = {"separators": (",", ":"), "sort_keys": not is_point}
        text = json.dumps(value, ensure_ascii=False, **style)
        if place.suffix == ".jsonl":
            text = f'{text[:-1]},"crc32":{crc}}}'
        assert _plain_numbers(line.decode()) == _plain_numbers(f"{text}\n")


def _plain_numbers(text: str) -> str:
    """JSON with each float spelt as Python does."""
    token = re.compile(r'"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+|(?=[eE]))(?:[eE][-+]?\d+)?')
    return token.sub(lambda match: match[0] if match[0].startswith('"') else repr(float(match[0])), text)


def _assert_plain_tools_agree(path: Path) -> None:
    """The run reads with json and hashlib, and its seal with sha256sum."""
    manifest = json.loads((path / MANIFEST).read_text())
    assert manifest["status"] in ("completed", "failed")
    assert manifest["run_id"] == path.name
    for log in path.glob("*.jsonl"):
        for before, line in itertools.pairwise(log.read_bytes().splitlines(keepends=True)):
            head, crc = line.rsplit(b',"crc32":', 1)
            assert int(crc[:-2]) == zlib.crc32(head, json.loads(before)["crc32"])
            if log.name.startswith("artifacts"):
                assert json.loads(line)["prev_sha256"] == hashlib.sha256(before).hexdigest()
    for digest, name in (line.split("  ", 1) for line in (path / SEAL).read_text().splitlines()):
        assert hashlib.sha256((path / name).read_bytes()).hexdigest() == digest
    if shutil.which("sha256sum"):
        done = subprocess.run(["sha256sum", "--strict", "-c", SEAL], cwd=path, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr


def test_what_repair_leaves_of_a_power_cut_reads_by_the_page(tmp_path: Path) -> None:
    run = rb.start("cut", store=tmp_path)
    run.save("safe.txt", "safe")
    run.log({"loss": 2.0})
    run.flush()
    for name in ("half.txt", "gone.txt", "whole.txt"):
        run.save(name, "not yet safe")
    run.log({"loss": 1.0})
    path = abandon(run)
    (path / "artifacts/half.txt").write_text("not")
    (path / "artifacts/gone.txt").unlink()
    (path / "artifacts/never said.txt").write_text("x")
    (path / "artifacts/.tmp-1").write_text("x")
    with (path / "metrics.jsonl").open("r+b") as points:
        points.seek(-9, 2)
        points.write(b"\0\0\0\0\0\0\0\0\n")
    repair(path)
    assert reader.verify(path) == found_by_library(verify(path)) == []
    assert_same_facts(path)
    told = reader.IndependentRun(path)
    assert {record["artifact_id"] for record in told.journal.artifacts} == {"safe.txt", "whole.txt"}
    assert told.series == {"loss": {0: 2.0}}
    assert sorted(
        place.relative_to(path).as_posix() for place in (path / "attempts").rglob("*") if place.is_file()
    ) == [
        "attempts/_damaged.1/metrics.jsonl.from-" + str((path / "metrics.jsonl").stat().st_size),
        "attempts/_unflushed.1/artifacts/half.txt",
        "attempts/_unrecorded.1/artifacts/never said.txt",
        "attempts/_unrecorded.1/artifacts/unfinished.tmp-1",
    ]


def test_the_golden_run_that_was_interrupted_can_be_repaired_and_told_the_same(tmp_path: Path) -> None:
    path = Path(shutil.copytree(INTERRUPTED, tmp_path / INTERRUPTED.name))
    repair(path)
    assert reader.verify(path) == found_by_library(verify(path)) == []
    before, after = reader.IndependentRun(INTERRUPTED), reader.IndependentRun(path)
    assert (after.journal.artifacts, after.points) == (before.journal.artifacts, before.points)
    assert not any(log.torn_tail for log in after.journal.logs.values())
    assert_same_facts(path)


def test_what_ended_how(tmp_path: Path) -> None:
    told = reader.IndependentRun(resumed(tmp_path))
    outcomes = {"prepare": "committed", "analyse": "declined", "publish": "skipped", "report": "committed"}
    assert told.journal.outcomes() == outcomes
    assert [attempt["status"] for attempt in told.manifest["attempts"]] == ["failed", "completed"]
    assert [move["to"] for move in told.journal.moves] == ["attempts/analyse.1/artifacts/json/verdict.json"]
    assert [record["filename"] for record in told.journal.inputs] == ["input/målt verdi.csv", "input/notes.txt"]
    assert list(told.series["loss"]) == [0, 1, 3, 5]
    assert reader.IndependentRun(revived(tmp_path / "more")).manifest["attempts"][0]["status"] == "interrupted"


# --- damage by chance -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return resumed(tmp_path_factory.mktemp("sealed"))


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_by_chance_is_found_by_both(sealed: Path, data: st.DataObject) -> None:
    names = sorted(path.relative_to(sealed).as_posix() for path in sealed.rglob("*") if path.is_file())
    with tempfile.TemporaryDirectory() as place:
        run = Path(shutil.copytree(sealed, Path(place) / sealed.name))
        victim = run / data.draw(st.sampled_from(names), label="file")
        content = victim.read_bytes()
        at = data.draw(st.integers(0, max(len(content) - 1, 0)), label="at")
        how = data.draw(st.sampled_from(["flip", "cut", "remove", "insert"]), label="how")
        if how == "remove":
            victim.unlink()
        elif how == "cut":
            victim.write_bytes(content[:at])
        elif how == "insert" or not content:
            victim.write_bytes(content[:at] + b"x" + content[at:])
        else:
            bit = 1 << data.draw(st.integers(0, 7), label="bit")
            victim.write_bytes(content[:at] + bytes([content[at] ^ bit]) + content[at + 1 :])
        root_digest = rb.open_run(sealed).root_digest
        try:
            by_reader = reader.verify(run, root_digest)
        except reader.Unsupported:  # a version number was hit
            with pytest.raises(rb.errors.UnsupportedVersion):
                verify(run, root_digest=root_digest)
            return
        by_library = found_by_library(verify(run, root_digest=root_digest))
        assert by_reader
        assert by_library
        if victim.name != SEAL:  # of a seal that is not right, the two may name different paths
            assert by_library == by_reader


def test_a_file_changed_and_sealed_anew_is_found_by_its_digest(tmp_path: Path, sealed: Path) -> None:
    run = Path(shutil.copytree(sealed, tmp_path / "run"))
    root_digest = rb.open_run(run).root_digest
    seal = (run / SEAL).read_text()
    (run / "logs" / "run.log").write_text("nothing to see")
    old = hashlib.sha256((sealed / "logs" / "run.log").read_bytes()).hexdigest()
    (run / SEAL).write_text(seal.replace(old, hashlib.sha256(b"nothing to see").hexdigest()))
    assert reader.verify(run) == found_by_library(verify(run)) == []
    expected = [("root_digest_differs", SEAL)]
    assert reader.verify(run, root_digest) == found_by_library(verify(run, root_digest=root_digest)) == expected
