"""The command line: what a person sees, and what a script can rely on."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from gridpet.cli import main
from gridpet.demo import encode_jpeg, render


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for seed in (3, 5):
        scene = render(seed, family="plain_square", size_px=(1000, 750))
        (folder / f"leaf{seed}.jpg").write_bytes(encode_jpeg(scene))
        (folder / f"leaf{seed}.pitch").write_text(str(scene.truth["hint"]["pitch_mm"]))
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing more")
    return folder


def pitch(photos: Path, seed: int) -> str:
    return (photos / f"leaf{seed}.pitch").read_text()


def test_a_photo_gives_a_table_and_the_run(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["measure", str(photos / "leaf3.jpg"), "--pitch-mm", pitch(photos, 3), "--store", str(tmp_path)])
    out, err = capsys.readouterr()
    assert (code, err) == (0, "")
    assert "area (mm²)" in out
    assert " ± " in out
    (run,) = (tmp_path / "runs/gridpet").iterdir()
    assert str(run) in out


def test_many_photos_on_many_processes_and_a_broken_one(
    photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    names = ["leaf3.jpg", "broken.jpg", "leaf5.jpg", "none.jpg"]
    paths = [str(photos / name) for name in names]
    code = main(["measure", *paths, "--pitch-mm", "5", "--store", str(tmp_path), "--json", "--jobs", "2"])
    out, err = capfd.readouterr()
    told = {Path(row["photo"]).name: row for row in map(json.loads, out.splitlines())}
    assert set(told) == set(names)
    assert told["broken.jpg"]["qc"]["status"] == "fail"
    assert told["broken.jpg"]["measurement"] is None
    assert told["none.jpg"]["error"]["code"] == "input_not_found"
    assert {"run_dir", "status", "qc", "measurement"} <= told["leaf3.jpg"].keys()
    assert len(list((tmp_path / "runs/gridpet").iterdir())) == 3
    assert code == 3
    assert "4 photos" in err


def test_a_photo_that_fails_quality_exits_1(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["measure", str(photos / "broken.jpg"), "--pitch-mm", "5", "--store", str(tmp_path)]) == 1
    assert "quality: fail" in capsys.readouterr().out


def test_settings_come_from_a_file_and_the_command_line_wins(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "settings.yaml").write_text("pitch_mm: 1234\ngrid: square\n")
    options = ["--config", str(tmp_path / "settings.yaml"), "--store", str(tmp_path), "--json"]
    main(["measure", str(photos / "leaf3.jpg"), "--pitch-mm", pitch(photos, 3), *options])
    told = json.loads(capsys.readouterr().out)
    assert told["qc"]["params"]["pitch_mm"] == float(pitch(photos, 3))
    assert told["qc"]["params"]["grid"] == "square"


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["measure"], 2, "No photo was given"),
        (["measure", "x.jpg", "--grid", "square"], 2, "pitch"),
        (["measure", "x.jpg", "--pitch-mm", "-1"], 2, "pitch_mm"),
        (["measure", "x.jpg", "--pitch-mm", "5", "--jobs", "0"], 2, "--jobs"),
        (["measure", "missing.jpg", "--pitch-mm", "5"], 3, "There is no file"),
        (["measure", "x\0.jpg", "--pitch-mm", "5"], 3, "There is no file"),
        (["measure", "x.jpg", "--config", "missing.yaml"], 3, "There is no file"),
        (["measure", "x.jpg", "--demo"], 2, "--demo"),
        (["demo-photo", "no/such/folder/a.jpg"], 4, "cannot be written"),
    ],
)
def test_bad_use_is_told_in_two_lines(
    arguments: list[str], code: int, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [*arguments, "--store", str(tmp_path)] if arguments[0] == "measure" else arguments
    assert main(given) == code
    out, err = capsys.readouterr()
    assert told in err
    assert len(err.splitlines()) == 2
    assert out == ""


def test_a_store_that_is_a_file_is_told(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    code = main(["measure", str(photos / "leaf3.jpg"), "--pitch-mm", "5", "--store", str(tmp_path / "file")])
    assert (code, "is a file" in capsys.readouterr().err) == (2, True)


def test_a_name_that_leaves_no_room_for_artifacts_is_refused(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = tmp_path / ("x" * 245 + ".jpg")
    photo.write_bytes((photos / "leaf3.jpg").read_bytes())
    assert main(["measure", str(photo), "--pitch-mm", "5", "--store", str(tmp_path / "store")]) == 2
    assert "longer than 255 bytes" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_photo_that_may_not_be_read_is_told(photos: Path, tmp_path: Path) -> None:
    photo = tmp_path / "secret.jpg"
    photo.write_bytes((photos / "leaf3.jpg").read_bytes())
    photo.chmod(0)
    assert main(["measure", str(photo), "--pitch-mm", "5", "--store", str(tmp_path)]) == 4


def test_a_demo_photo_comes_with_its_truth(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, truth = tmp_path / "scene.jpg", tmp_path / "scene.json"
    assert main(["demo-photo", str(out), "--seed", "4", "--truth", str(truth)]) == 0
    assert out.read_bytes()[:3] == b"\xff\xd8\xff"
    assert json.loads(truth.read_text())["objects"]
    assert capsys.readouterr().out.strip() == str(out)


def test_the_demo_shows_the_truth_beside_the_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["measure", "--demo", "--store", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "true area" in out
    assert "off by" in out
