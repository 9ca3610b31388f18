"""``runbundle models`` and ``runbundle show --lineage``: for people and as JSON, and their exit codes."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

import runbundle as rb
from command_calls import Captured, call, call_json
from runbundle.cli.models import ACTIONS
from sample_runs import trained_run

PATH = "models/s/net/trained/base/2026-11-21_nogit"
LOCAL = f"local://{PATH.partition('/')[2]}"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "store"
    trained_run(place)
    monkeypatch.setenv("RUNBUNDLE_STORE", str(place))
    return place


def promote(capsys: Captured, *more: str) -> tuple[int, str, str]:
    return call(capsys, "models", "promote", "2026-", "best.bin", "--skill", "s", "--name", "net", *more)


def test_promote_prints_the_reference_and_does_so_again(capsys: Captured, store: Path) -> None:
    assert promote(capsys, "--if", "metrics.val_iou > 0.8") == (0, f"{LOCAL}\n", "")
    assert promote(capsys) == (0, f"{LOCAL}\n", "")
    assert (store / PATH / "model.bin").read_bytes() == b"weights"


def test_promote_as_json_tells_the_manifest(capsys: Captured, store: Path, tmp_path: Path) -> None:
    (tmp_path / "input.json").write_text('{"size": [64, 64]}')
    arguments = ("models", "promote", store / "runs/segment/2026-11-21_10-00-00_nogit", "best.bin", "--skill", "s")
    code, told = call_json(capsys, *arguments, "--input", tmp_path / "input.json", "--variant", "small")
    assert (code, told["path"]) == (0, "models/s/segment/trained/small/2026-11-21_nogit")
    assert told["manifest"]["input_spec"] == {"size": [64, 64]}


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (("--if", "metrics.val_iou > 0.95"), 1, "does not hold"),
        (("--if", "metrics.iou > 0.95"), 2, "names metrics.iou"),
        (("--variant", "A B"), 2, "the variant of the model"),
        (("--artifact-variant", "x"), 3, "best.bin"),
        (("--input", "nothing.json"), 3, "nothing.json"),
        (("--input", __file__), 2, "not strict JSON"),
        (("--no-such-option",), 2, "unrecognized"),
    ],
)
def test_promotions_that_are_refused_say_so_by_their_code(
    capsys: Captured, store: Path, more: tuple[str, ...], code: int, said: str
) -> None:
    found, out, err = promote(capsys, *more)
    assert (found, out, said in err) == (code, "", True)
    assert not (store / PATH).exists()


def test_a_run_that_is_gone_is_not_found(capsys: Captured, store: Path) -> None:
    shutil.rmtree(store / "runs" / "segment")
    assert promote(capsys)[0] == 3


def test_add_alias_resolve_and_ls(capsys: Captured, store: Path, tmp_path: Path) -> None:
    promote(capsys)
    (tmp_path / "Sam.bin").write_bytes(b"theirs")
    arguments = ("models", "add", tmp_path / "Sam.bin", "--skill", "s", "--source", "a paper", "--license", "MIT")
    assert call(capsys, *arguments) == (0, "local://s/sam/pretrained/base\n", "")
    assert call(capsys, "models", "alias", LOCAL, "best") == (0, f"{LOCAL}\n", "")
    file = store / PATH / "model.bin"
    assert call(capsys, "models", "resolve", "model://net@best") == (0, f"{file}\n", "")
    code, told = call_json(capsys, "models", "resolve", "model://net@best")
    assert (code, told["file"], told["path"], told["reference"]) == (0, str(file), PATH, "model://net@best")
    _, out, _ = call(capsys, "models", "ls")
    assert [re.split(r"  +", line) for line in out.splitlines()] == [
        ["MODEL", "ALIASES", "FORMAT", "BYTES", "FROM"],
        [LOCAL, "@best", "file", "7", "2026-11-21_10-00-00_nogit"],
        ["local://s/sam/pretrained/base", "-", "file", "6", "a paper"],
    ]
    code, told = call_json(capsys, "models", "ls")
    assert [(row["path"], row["aliases"], row["error"]) for row in told["models"]] == [
        (PATH, ["best"], None),
        ("models/s/sam/pretrained/base", [], None),
    ]
    (store / PATH / "manifest.json").write_text("{")
    code, out, _ = call(capsys, "models", "ls")
    assert (code, "damaged: " in out, "local://s/sam" in out) == (0, True, True)


@pytest.mark.usefixtures("store")
def test_an_empty_store_lists_no_model(capsys: Captured) -> None:
    assert call(capsys, "models", "ls") == (0, "MODEL  ALIASES  FORMAT  BYTES  FROM\n", "")


@pytest.mark.parametrize(
    ("reference", "code"),
    [
        ("local://../runs", 2),
        ("net", 2),
        ("local://nothing", 3),
        ("model://net@worst", 3),
        ("run://segment/nothing/best.bin", 3),
    ],
)
def test_references_that_lead_nowhere_say_so_by_their_code(
    capsys: Captured, store: Path, reference: str, code: int
) -> None:
    promote(capsys)
    assert store.is_dir()
    found, out, err = call(capsys, "models", "resolve", reference)
    assert (found, out, len(err.splitlines())) == (code, "", 2)
    assert call(capsys, "models", "alias", reference, "best")[0] == code


def test_a_model_that_was_changed_is_refused_with_code_1(capsys: Captured, store: Path) -> None:
    promote(capsys)
    (store / PATH / "model.bin").write_bytes(b"WEIGHTS")
    code, out, err = call(capsys, "models", "resolve", LOCAL)
    assert (code, out, "model.bin" in err) == (1, "", True)


def test_add_says_what_it_lacks(capsys: Captured, store: Path, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"x")
    assert call(capsys, "models", "add", tmp_path / "a.bin", "--skill", "s")[0] == 2
    code, _, err = call(capsys, "models", "add", tmp_path / "a.bin", "--source", "x")
    assert (code, "--skill" in err) == (2, True)
    assert call(capsys, "models", "add", tmp_path / "b.bin", "--skill", "s", "--source", "x")[0] == 3
    assert not (store / "models").exists()


def test_help_names_each_action_with_examples(capsys: Captured) -> None:
    code, out, _ = call(capsys, "models", "--help")
    assert code == 0
    assert [name for name in ACTIONS if f"runbundle models {name}" not in out] == []
    assert "exit codes" in out
    for name in ACTIONS:
        code, out, _ = call(capsys, "models", name, "--help")
        assert (code, "--json" in out, "examples:" in out) == (0, True, True)
    assert call(capsys, "models")[0] == 2


# --- show -----------------------------------------------------------------------------------------


@pytest.fixture
def measured(capsys: Captured, store: Path) -> Path:
    promote(capsys)
    call(capsys, "models", "alias", LOCAL, "best")
    source = store.parent / "photo.bin"
    source.write_bytes(b"seen")
    with rb.start("measure", store=store) as run:
        run.ingest(source)
        run.use_model("model://net@best")
    return run.path


def test_lineage_for_people(capsys: Captured, measured: Path, store: Path) -> None:
    (trained,) = (store / "runs" / "segment").iterdir()
    code, out, err = call(capsys, "show", measured, "--lineage")
    assert (code, err) == (0, "")
    lines = [line.split("  sha256")[0].rstrip() for line in out.splitlines()]
    assert [lines[0].partition(":")[0], *lines[1:5], lines[5].partition(":")[0], *lines[6:]] == [
        f"run {measured.name} of measure",
        "  code  no git",
        "  input input/photo.bin",
        "  model model://net@best",
        f"    file  {PATH}",
        f"    run {trained.name} of segment",
        "      code  no git",
    ]
    assert "models       model://net@best\n" in call(capsys, "show", measured)[1]


def test_lineage_as_json_and_exit_code_1_where_it_is_broken(capsys: Captured, measured: Path, store: Path) -> None:
    code, told = call_json(capsys, "show", measured, "--lineage")
    assert (code, told["is_whole"]) == (0, True)
    assert told["lineage"]["models"][0]["run"]["project_name"] == "segment"
    shutil.rmtree(store / "runs" / "segment")
    code, told = call_json(capsys, "show", measured, "--lineage")
    assert (code, told["is_whole"], told["lineage"]["models"][0]["fault"]["code"]) == (1, False, "gone")
    code, out, _ = call(capsys, "show", measured, "--lineage")
    assert (code, "the chain stops here (gone)" in out) == (1, True)
