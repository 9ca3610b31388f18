"""Objects found by a promoted network. The network of these tests is made by hand: it knows colourful from grey."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import runbundle as rb
from gridpet.cli import main
from gridpet.demo import encode_jpeg, render

onnx = pytest.importorskip("onnx", reason="onnx, of which a network is made here, is not installed")
SIZE = (192, 144)
PLACE = "local://perception/segmentation/colours/pretrained/base"


def colours(size: tuple[int, int], gives: str = "probability") -> bytes:
    """A network whose probability grows with how far the colours of a pixel are apart."""
    width, height = size
    channels = 1 if gives == "probability" else 6
    pairs = np.array([(1, -1, 0), (-1, 1, 0), (0, 1, -1), (0, -1, 1), (1, 0, -1), (-1, 0, 1)], np.float32)
    node, tensor = onnx.helper.make_node, onnx.numpy_helper.from_array
    graph = onnx.helper.make_graph(
        [
            node("Conv", ["image", "pairs"], ["apart"]),
            node("Relu", ["apart"], ["far"]),
            node("Conv", ["far", "sum", "least"], ["logit"]),
            node("Sigmoid", ["logit"], ["probability"]),
        ],
        "colours",
        [onnx.helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, [1, 3, height, width])],
        [onnx.helper.make_tensor_value_info(gives, onnx.TensorProto.FLOAT, [1, channels, height, width])],
        [
            tensor(pairs.reshape(6, 3, 1, 1), "pairs"),
            tensor(np.full((1, 6, 1, 1), 0.1, np.float32), "sum"),
            tensor(np.array([-10], np.float32), "least"),
        ],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def add(store: Path, data: bytes, input_spec: dict[str, Any] | None) -> None:
    place = store / "made.onnx"
    place.write_bytes(data)
    spec = rb.models.ModelSpec("perception/segmentation", "colours", input=input_spec)
    rb.models.add(place, spec, source="by hand", store=store)


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    scene = render(4, family="plain_square")
    place = tmp_path_factory.mktemp("photo") / "leaf.jpg"
    place.write_bytes(encode_jpeg(scene))
    return place, scene.truth


def measured(photo: tuple[Path, dict[str, Any]], store: Path, model: str) -> int:
    pitch = str(photo[1]["hint"]["pitch_mm"])
    return main(
        ["measure", str(photo[0]), "--pitch-mm", pitch, "--store", str(store), "--json", "--segmentation-model", model]
    )


def test_the_network_finds_the_objects_and_the_outline_is_as_sharp_as_ever(
    photo: tuple[Path, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add(tmp_path, colours(SIZE), {"size_px": list(SIZE)})
    assert measured(photo, tmp_path, PLACE) == 0
    told = json.loads(capsys.readouterr().out)
    truth = [thing["area_mm2"] for thing in photo[1]["objects"]]
    found = [thing["area_mm2"]["value"] for thing in told["measurement"]["objects"]]
    assert len(found) == len(truth)
    assert sorted(found) == pytest.approx(sorted(truth), rel=0.01)
    run = rb.open_run(told["run_dir"])
    [used] = run.manifest["models"]
    assert used["reference"] == PLACE
    assert run.config["segmentation_model"] == PLACE
    assert not run.verify().findings
    assert not run.check().findings


@pytest.mark.parametrize("kind", ["no size", "odd size", "no network"])
def test_a_model_that_cannot_be_run_leaves_no_run(
    photo: tuple[Path, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    specs: dict[str, dict[str, Any] | None] = {"no size": None, "odd size": {"size_px": [192, "x"]}}
    data = colours(SIZE)
    if kind == "no network":
        data = data.replace(b"Sigmoid", b"Sigmund")
    add(tmp_path, data, specs.get(kind, {"size_px": list(SIZE)}))
    assert measured(photo, tmp_path, PLACE) == 4
    assert "model.onnx" in capsys.readouterr().err
    assert not list(tmp_path.glob("runs/gridpet/*"))


def test_a_network_that_gives_something_else_gives_no_measurement(
    photo: tuple[Path, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add(tmp_path, colours(SIZE, gives="far"), {"size_px": list(SIZE)})
    assert measured(photo, tmp_path, PLACE) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["measurement"] is None
    assert told["qc"]["status"] == "fail"
    assert "the network gives" in json.dumps(told["qc"])
    assert not rb.open_run(told["run_dir"]).check().findings


@pytest.mark.parametrize(
    ("reference", "code"),
    [("model://colours@best", 3), ("local://perception/none", 3), ("local://../out", 2), ("colours", 2)],
)
def test_a_reference_that_leads_nowhere_leaves_no_run(
    photo: tuple[Path, dict[str, Any]], tmp_path: Path, reference: str, code: int
) -> None:
    add(tmp_path, colours(SIZE), {"size_px": list(SIZE)})
    assert measured(photo, tmp_path, reference) == code
    assert not list(tmp_path.glob("runs/gridpet/*"))


def test_a_model_with_a_changed_byte_is_refused(photo: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    add(tmp_path, colours(SIZE), {"size_px": list(SIZE)})
    [place] = tmp_path.glob("models/**/*.onnx")
    data = bytearray(place.read_bytes())
    data[-1] ^= 1
    place.chmod(0o644)
    place.write_bytes(data)
    assert measured(photo, tmp_path, PLACE) == 1
    assert not list(tmp_path.glob("runs/gridpet/*"))
