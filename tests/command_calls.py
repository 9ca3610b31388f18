"""The command line, called in this process."""

import json
from pathlib import Path
from typing import Any

import pytest

from runbundle import cli

Captured = pytest.CaptureFixture[str]


def call(capsys: Captured, *arguments: str | Path) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    try:
        code = cli.main([str(argument) for argument in arguments])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def call_json(capsys: Captured, *arguments: str | Path) -> tuple[int, dict[str, Any]]:
    code, out, _ = call(capsys, *arguments, "--json")
    told: dict[str, Any] = json.loads(out)
    assert told.pop("json_version") == 0
    return code, told
