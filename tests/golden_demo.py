"""What the golden run ``demo`` holds: a contract with every kind of stage, two attempts, and a writer that joined."""

from typing import Any

Json = dict[str, Any]

DEMO = "runs/demo/2026-11-21_10-00-00_0123456789ab"
UUID = "01a1fd8c-6aa1-7abc-8def-0123456789ab"
FACTS = {"demo_version": "3.1", "operator": "Åse"}
CODE: Json = {
    "git_hash": "0123456789abcdef0718293a4b5c6d7e8f901234",
    "command": ["python", "-m", "demo", "heights.csv"],
    "package_versions": {"numpy": "2.3.4", "runbundle": "0.3.0"},
    "python": "CPython 3.12.7",
}
CONFIG = r""""dataset":
  "country": "no"
  "label": "Høyde ≈ 3 µm — 高さ"
"grid":
  -
    - 0
    - 1
  - []
"odd \"text\"": "a\x7f\u2028\\x7f\tb"
"output": "{}-heights"
"seed": 7
"stages":
  - "prepare"
  - "analyse"
"threshold": 0.25
"tolerance": 1.0e-05
"verbose": false
"""
PREVIEW = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000003000000020800000000b81f39c6000000134944415478010108"
    "00f7ff0040bf800040bf800b8002ff2981920a0000000049454e44ae426082"
)
TRACEBACK = """Traceback (most recent call last):
  File "/srv/demo/prepare.py", line 12, in prepare
ValueError: one of 3 rows is gone
"""
REASON = "the range is above the threshold"
SUMMARY = "Høyder: 3 verdier, 0.25 til 0.75 µm. Ikke brukt.\n"


def _spec(row: tuple[str, str, str, str, str | None, str, bool, str]) -> Json:
    artifact_id, kind, ext, form, stage, required, is_deliverable, description = row
    told: Json = {"artifact_id": artifact_id, "kind": kind, "suffix": artifact_id if ext else "", "ext": ext}
    told |= {"format": form, "stage": stage, "required": required, "is_deliverable": is_deliverable}
    return told | {"description": description, "schema": COLUMNS if artifact_id == "heights" else None}


COLUMNS = {"columns": {"height": {"nullable": False}, "x": {}}}
SPECS: list[tuple[str, str, str, str, str | None, str, bool, str]] = [
    ("source", "input", "", "file", None, "always", False, "The heights as measured."),
    ("heights", "table", ".csv", "csv", "prepare", "always", True, "The heights, sorted."),
    (
        "profile",
        "data",
        ".json",
        "json",
        "prepare",
        "if_passed",
        False,
        "The profile along a line; one variant for each line.",
    ),
    ("preview", "image", ".png", "png", "prepare", "optional", False, "The heights as grey values."),
    ("verdict", "data", ".json", "json", "analyse", "always", True, "Whether the heights can be used, and why."),
    ("roughness", "data", ".json", "json", "analyse", "if_passed", False, "Roughness parameters."),
    ("bundle", "text", ".txt", "text", "publish", "always", False, "What was published."),
    ("summary", "text", ".txt", "text", "report", "always", True, "One page for people."),
]
DESCRIPTIONS = {row[0]: row[7] for row in SPECS}
CONTRACT: Json = {
    "schema_version": 1,
    "name": "heights",
    "version": "1.0.0",
    "allow_extras": False,
    "formats": ["csv", "json", "png", "text"],
    "layout": {
        "name": "standard",
        "run_folder": "runs/{project}/{run_id}",
        "run_id": "%Y-%m-%d_%H-%M-%S_{git_hash}",
        "folders": {},
        "default_folder": "artifacts/{kind}",
        "file_name": "{suffix}[_{variant}]{ext}",
        "extras_folder": "artifacts",
        "precreate": ["artifacts", "logs"],
    },
    "stages": [
        {"stage": "prepare", "needs": [], "always": False},
        {"stage": "analyse", "needs": ["prepare"], "always": False},
        {"stage": "publish", "needs": ["analyse"], "always": False},
        {"stage": "report", "needs": [], "always": True},
    ],
    "artifacts": [_spec(row) for row in SPECS],
}
