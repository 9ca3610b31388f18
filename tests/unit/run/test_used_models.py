"""What a run used: found by a reference, checked, and recorded."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

import independent_reader
import runbundle as rb
from runbundle import errors, models
from runbundle.io import atomic, hashcache
from runbundle.io.atomic import Written
from runbundle.run.models.reference import look_up
from sample_runs import LOG, MANIFEST, SEAL, abandon, codes, run_child, trained_run

PATH = "models/perception/segmentation/unet/trained/base/2026-11-21_nogit"
LOCAL = f"local://{PATH.partition('/')[2]}"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with one model, known as ``@best``."""
    place = tmp_path / "store"
    model = models.promote(trained_run(place), "best.bin", skill="perception/segmentation", name="unet")
    assert model.path == PATH
    models.alias(model.reference, "best", store=place)
    return place


@pytest.fixture
def run_reference(store: Path) -> str:
    (run,) = (store / "runs" / "segment").iterdir()
    return f"run://segment/{run.name}/best.bin"


def used(run: rb.RunIO | Path) -> list[dict[str, Any]]:
    path = run if isinstance(run, Path) else run.path
    return list(json.loads((path / MANIFEST).read_bytes()).get("models", []))


# --- recording ------------------------------------------------------------------------------------


def test_what_a_run_used_stands_in_its_log_and_manifest_at_once(store: Path, run_reference: str) -> None:
    run = rb.start("measure", store=store)
    assert run.use_model("model://unet@best").read_bytes() == b"weights"
    assert run.use_model("model://unet@best") == run.use_model(LOCAL)
    assert run.use_model(run_reference) == store / f"runs/segment/{run_reference.split('/')[3]}/artifacts/best.bin"
    source = rb.open_run(next((store / "runs" / "segment").iterdir()))
    told = {
        "sha256": source.record("best.bin").sha256,
        "bytes": 7,
        "source": {
            "project_name": "segment",
            "run_id": source.run_id,
            "run_uuid": source.manifest["run_uuid"],
            "root_digest": source.root_digest,
        },
    }
    expected = [
        {"reference": LOCAL, "path": PATH, **told},
        {"reference": "model://unet@best", "path": PATH, **told},
        {"reference": run_reference, "path": f"runs/segment/{source.run_id}/artifacts/best.bin", **told},
    ]
    key = lambda model: json.dumps(model, sort_keys=True)  # noqa: E731
    assert sorted(used(run), key=key) == sorted(expected, key=key)
    assert used(run) == rb.open_run(run.path).state.models
    lines = [line for line in (run.path / LOG).read_text().splitlines() if '"record":"model"' in line]
    assert len(lines) == 3
    run.finish()
    assert used(run) == rb.open_run(run.path).manifest["models"]
    assert codes(rb.open_run(run.path).verify()) == independent_reader.verify(run.path) == []
    assert rb.open_run(run.path).check().is_good


def test_a_run_that_used_none_says_nothing_of_models(store: Path) -> None:
    with rb.start("measure", store=store) as run:
        pass
    assert "models" not in rb.open_run(run.path).manifest
    with pytest.raises(errors.InvalidName, match="models"):
        rb.Project("demo", facts={"models": []})


def test_a_manifest_that_tells_other_models_is_found(store: Path) -> None:
    with rb.start("measure", store=store) as run:
        run.use_model(LOCAL)
    place = run.path / MANIFEST
    place.write_bytes(place.read_bytes().replace(b'"bytes": 7,', b'"bytes": 8,'))
    assert codes(rb.open_run(run.path).verify()) == independent_reader.verify(run.path)
    assert codes(rb.open_run(run.path).verify()) == [("manifest_differs", MANIFEST)]


def test_another_attempt_tells_what_all_attempts_used(store: Path, run_reference: str) -> None:
    project = rb.Project("measure", store=store)
    run = project.start(run_id="r")
    run.use_model(LOCAL)
    abandon(run)
    with project.resume("r") as again:
        again.use_model(LOCAL)
        again.use_model(run_reference)
    assert [model["reference"] for model in used(again)] == sorted([LOCAL, run_reference])
    assert rb.open_run(again.path).verify().is_good


CHILD = """
import runbundle as rb
with rb.join() as run:
    print(run.use_model("model://unet@best").read_bytes())
"""


def test_processes_that_joined_say_what_they_used_and_the_manifest_lists_it_once(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with rb.start("measure", store=store) as run:
        run.use_model("model://unet@best")
        monkeypatch.setenv("RUNBUNDLE_RUN_DIR", str(run.path))
        done = run_child(CHILD + f"    run.use_model({LOCAL!r})\n", tmp_path)
        assert done.stdout == "b'weights'\n", done.stderr
    assert [model["reference"] for model in used(run)] == [LOCAL, "model://unet@best"]
    assert codes(rb.open_run(run.path).verify()) == independent_reader.verify(run.path) == []


def test_a_process_that_stays_may_say_more_than_the_manifest(store: Path) -> None:
    """A run that one of its writers outlives is not sealed: what that says later is no contradiction."""
    run = rb.start("measure", store=store)
    run.use_model(LOCAL)
    run.finish()
    (run.path / SEAL).unlink()
    place = run.path / MANIFEST
    told = json.loads(place.read_bytes())
    del told["models"]
    place.write_bytes((json.dumps(told, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode())
    assert codes(rb.open_run(run.path).verify()) == independent_reader.verify(run.path) == []


def test_a_finished_run_uses_no_model(store: Path) -> None:
    run = rb.start("measure", store=store)
    run.finish()
    with pytest.raises(errors.RunSealed):
        run.use_model(LOCAL)


@pytest.mark.parametrize(
    "change", [{"path": "../x"}, {"path": None}, {"reference": 5}, {"sha256": None}, {"bytes": "7"}, {"source": "x"}]
)
def test_a_record_of_a_model_that_is_not_as_it_must_be_is_damage(store: Path, change: dict[str, Any]) -> None:
    run = rb.start("measure", store=store)
    record = {"reference": "a", "path": "models/a", "sha256": "0", "bytes": 7, "source": None, "attempt": 1, **change}
    run._session.log.append({"record": "model", "ts_utc": run._session.now(), **record})
    abandon(run)
    assert codes(rb.open_run(run.path).verify()) == independent_reader.verify(run.path) == [("log_damaged", LOG)]


# --- which store ----------------------------------------------------------------------------------


def test_models_are_those_of_the_runs_own_store_wherever_that_lies(tmp_path: Path, store: Path) -> None:
    moved = store.rename(tmp_path / "elsewhere")
    with rb.Project("measure", store=moved).start() as run:
        assert run.use_model("model://unet@best").is_relative_to(moved)
    with rb.start("measure", store=tmp_path / "other") as run:
        with pytest.raises(errors.ModelNotFound):
            run.use_model("model://unet@best")
        assert run.use_model("model://unet@best", store=moved).is_file()


def test_a_run_that_does_not_stay_uses_the_models_of_its_project(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNBUNDLE_DISABLED", "1")
    with rb.start("measure", store=store) as run:
        assert run.use_model("model://unet@best").is_relative_to(store)
        assert not run.path.is_relative_to(store)


def test_runs_of_any_layout_find_their_store(store: Path) -> None:
    flat = rb.Contract("flat", "1", layout=rb.Layout(name="flat", run_folder="runs/{run_id}"), allow_extras=True)
    project = rb.Project("lab", store=store, contract=flat)
    with project.start(run_id="r") as run:
        assert rb.join(run.path).use_model(LOCAL).is_file()
        run._session.home = None
        assert run.use_model(LOCAL).is_file()
        run.save("x.txt", "here")
    assert look_up("run://lab/r/x.txt", store).file.read_text() == "here"


# --- references -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reference", "error"),
    [
        ("", errors.InvalidValue),
        ("unet", errors.InvalidValue),
        ("http://example.org/x", errors.InvalidValue),
        ("local:unet", errors.InvalidValue),
        (5, errors.InvalidType),
        ("local://../runs", errors.InvalidName),
        ("local://perception/../../runs", errors.InvalidName),
        ("local:///etc/passwd", errors.InvalidName),
        ("local://perception//segmentation", errors.InvalidName),
        ("local://perception\\segmentation", errors.InvalidName),
        ("local://perception/./segmentation", errors.InvalidName),
        ("local://a\0b", errors.InvalidName),
        ("local://perception", errors.ModelNotFound),
        ("local://nothing/here", errors.ModelNotFound),
        (f"{LOCAL}/manifest.json", errors.ModelNotFound),
        (f"{LOCAL}/manifest.json/x", errors.ModelNotFound),
        ("model://unet", errors.InvalidValue),
        ("model://unet@", errors.InvalidName),
        ("model://@best", errors.InvalidName),
        ("model://../unet@best", errors.InvalidName),
        ("model://unet@worst", errors.ModelNotFound),
        ("model://net@best", errors.ModelNotFound),
        ("model://other/unet@best", errors.ModelNotFound),
        ("run://segment", errors.InvalidValue),
        ("run://segment/x", errors.InvalidValue),
        ("run://segment/x/", errors.InvalidValue),
        ("run://../x/y", errors.InvalidName),
        ("run://segment/../y", errors.InvalidName),
        ("run://segment/nothing/best.bin", errors.RunNotFound),
    ],
)
def test_what_is_no_reference_or_names_nothing_is_an_error_that_says_what_to_write(
    store: Path, reference: Any, error: type[Exception]
) -> None:
    with pytest.raises(error) as caught:
        models.resolve(reference, store=store)
    assert isinstance(caught.value, errors.RunbundleError)
    assert caught.value.hint or error is errors.InvalidType


def test_an_artifact_that_the_run_has_not_is_not_found(store: Path, run_reference: str) -> None:
    for reference in (f"{run_reference}x", f"{run_reference}[a]", run_reference.replace("segment/", "other/", 1)):
        with pytest.raises(errors.NotFoundError):
            models.resolve(reference, store=store)


def test_a_variant_stands_in_brackets(store: Path) -> None:
    spec = rb.ArtifactSpec("net", "exports", "net", ".txt", "text")
    with rb.Project("p", store=store).start(run_id="r") as run:
        run.write(spec, "two", variant="b")
        run.save("a[b].txt", "an extra")
    assert models.resolve("run://p/r/net[b]", store=store).read_text() == "two"
    assert models.resolve("run://p/r/a[b].txt", store=store).read_text() == "an extra"


def test_the_file_of_a_model_and_a_trailing_slash_are_the_model(store: Path) -> None:
    file = models.resolve(LOCAL, store=store)
    assert models.resolve(f"{LOCAL}/model.bin", store=store) == models.resolve(f"{LOCAL}/", store=store) == file


def test_a_name_in_two_skills_must_be_told_apart(store: Path) -> None:
    (run,) = (store / "runs" / "segment").iterdir()
    models.promote(run, "best.bin", skill="other", name="unet")
    with pytest.raises(errors.InvalidValue, match="may be one of 2 models") as caught:
        models.resolve("model://unet@best", store=store)
    assert "model://other/unet, model://perception/segmentation/unet" in caught.value.hint
    assert models.resolve("model://perception/segmentation/unet@best", store=store).is_file()


@pytest.mark.parametrize("link", ["entry", "skill", "file"])
def test_links_are_not_followed(tmp_path: Path, store: Path, link: str) -> None:
    place = {"entry": store / PATH, "skill": store / "models/perception", "file": store / PATH / "model.bin"}[link]
    place.rename(tmp_path / "outside")
    place.symlink_to(tmp_path / "outside")
    with pytest.raises(errors.InvalidName, match="symbolic link"):
        models.resolve(LOCAL, store=store)


# --- what was changed -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["model.bin", "manifest.json", "metrics.json", "config_resolved.yaml"])
def test_a_changed_byte_anywhere_in_a_model_is_found(store: Path, name: str) -> None:
    place = store / PATH / name
    data = bytearray(place.read_bytes())
    data[len(data) // 2] ^= 1
    place.write_bytes(data)
    for reference in (LOCAL, "model://unet@best"):
        with pytest.raises(errors.DigestMismatch, match=name.replace(".", r"\.")) as caught:
            models.resolve(reference, store=store)
        assert (caught.value.path, caught.value.hint != "") == (str(place), True)
    with rb.start("measure", store=store) as run, pytest.raises(errors.DigestMismatch):
        run.use_model(LOCAL)
    assert used(run) == []


@pytest.mark.parametrize("name", ["model.bin", "metrics.json", SEAL])
def test_a_lost_file_of_a_model_is_found(store: Path, name: str) -> None:
    (store / PATH / name).unlink()
    with pytest.raises(errors.CorruptError, match=name.replace(".", r"\.")):
        models.resolve(LOCAL, store=store)


@pytest.mark.parametrize("damage", [b"", b"x", b"0" * 64 + b"  ../x\n", b"0" * 64 + b"  manifest.json\n"])
def test_sums_that_are_damaged_are_an_error(store: Path, damage: bytes) -> None:
    (store / PATH / SEAL).write_bytes(damage)
    with pytest.raises(errors.CorruptError):
        models.resolve(LOCAL, store=store)


def test_a_changed_artifact_of_a_run_is_found(store: Path, run_reference: str) -> None:
    models.resolve(run_reference, store=store).write_bytes(b"WEIGHTS")
    with pytest.raises(errors.DigestMismatch, match="recorded"):
        models.resolve(run_reference, store=store)


def test_a_model_is_hashed_once_and_again_when_its_file_changes(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = models.resolve(LOCAL, store=store)
    hashed: list[str] = []

    def spy(path: str) -> Written:
        hashed.append(path)
        return atomic.hash_file(path)

    monkeypatch.setattr(hashcache, "hash_file", spy)
    settled = max(file.stat().st_mtime_ns, file.stat().st_ctime_ns) + 10**10
    monkeypatch.setattr(
        "runbundle.run.models.model.cached_hash", lambda path: hashcache.cached_hash(path, now_ns=lambda: settled)
    )
    for _ in range(3):
        models.resolve(LOCAL, store=store)
    assert hashed == [str(file)]
    before = file.stat()
    file.write_bytes(b"WEIGHTS")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(errors.DigestMismatch):
        models.resolve(LOCAL, store=store)
