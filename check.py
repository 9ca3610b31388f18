"""All checks of the project, the same here and in CI: ``uv run check.py``. The tests come last.

``uv run check.py --fast`` leaves out the tests marked slow.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CHECKS = {
    "format": ["ruff", "format", "--check", "--quiet", "."],
    "lint": ["ruff", "check", "--quiet", "."],
    "imports": ["lint-imports", "--no-logo"],
    "types": ["mypy"],
    "tests": ["pytest", "-n", "2", "--dist", "worksteal"],
}


def main(arguments: list[str]) -> int:
    """Run every check, also after one failed; returns 1 if any did."""
    tools = Path(sys.executable).parent
    failed = []
    for name, (tool, *options) in CHECKS.items():
        extra = ["-m", "not slow"] if name == "tests" and "--fast" in arguments else []
        print(f"== {name}", flush=True)
        if subprocess.run([tools / tool, *options, *extra], cwd=Path(__file__).parent, check=False).returncode:
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
