import json
from typing import Any

import pytest

from runbundle.base import jsontext
from runbundle.base.errors import LogCorrupt
from runbundle.contract.record import ArtifactRecord, Pointer, label

RECORD = ArtifactRecord(
    ts_utc="2026-11-21T10:00:00.417+00:00",
    artifact_id="frame",
    variant="0007",
    stage="render",
    attempt=2,
    kind="frames",
    format="png",
    filename="artifacts/frames/frame_0007.png",
    content_type="image/png",
    bytes=1234,
    sha256="ab" * 32,
    description="größe",
    meta={"shape": [2, 3], "dtype": "uint8"},
    replaces=Pointer("helper", 4),
    pointer=Pointer("", 9),
)


@pytest.mark.parametrize("record", [RECORD, RECORD._replace(variant=None, stage=None, replaces=None)])
def test_a_record_comes_back_from_a_line_of_the_log(record: ArtifactRecord) -> None:
    told = json.loads(jsontext.line({**record.to_json(), "record": "artifact", "seq": 9, "later": 1}))
    assert ArtifactRecord.from_json(told, Pointer("", 9)) == record


def test_a_record_has_the_fields_of_the_format() -> None:
    assert RECORD.to_json() == {
        "ts_utc": "2026-11-21T10:00:00.417+00:00",
        "artifact_id": "frame",
        "variant": "0007",
        "stage": "render",
        "attempt": 2,
        "kind": "frames",
        "format": "png",
        "filename": "artifacts/frames/frame_0007.png",
        "content_type": "image/png",
        "bytes": 1234,
        "sha256": "ab" * 32,
        "description": "größe",
        "meta": {"shape": [2, 3], "dtype": "uint8"},
        "replaces": {"writer": "helper", "seq": 4},
    }


@pytest.mark.parametrize("name", RECORD.to_json())
@pytest.mark.parametrize(("writer", "shown"), [("", "(creator)"), ("helper", "helper")])
def test_a_field_that_is_missing_is_damage_that_names_record_and_field(name: str, writer: str, shown: str) -> None:
    told = {key: value for key, value in RECORD.to_json().items() if key != name}
    with pytest.raises(LogCorrupt) as caught:
        ArtifactRecord.from_json(told, Pointer(writer, 9))
    assert f"The artifact record 9 of the writer {shown} lacks '{name}'" in str(caught.value)


@pytest.mark.parametrize("replaces", [{}, {"writer": ""}, {"seq": 1}, 7, "x", []])
def test_a_pointer_that_points_nowhere_is_damage(replaces: Any) -> None:
    with pytest.raises(LogCorrupt, match="artifact record 9"):
        ArtifactRecord.from_json({**RECORD.to_json(), "replaces": replaces}, Pointer("", 9))


def test_pointers() -> None:
    assert Pointer.from_json(None) is None
    assert Pointer.from_json(Pointer("a", 3).to_json()) == Pointer("a", 3)


@pytest.mark.parametrize(("variant", "text"), [(None, "frame"), ("0007", "frame[0007]"), ("", "frame[]")])
def test_labels(variant: str | None, text: str) -> None:
    assert label("frame", variant) == text
    assert RECORD._replace(variant=variant).label == text
