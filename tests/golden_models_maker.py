"""How the golden store of models came to be: ``python tests/golden_models_maker.py FOLDER``.

The store in ``golden/v1_models`` is the promise, not this: it is kept to the byte, and never made again.
"""

import itertools
import os
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import runbundle as rb
from runbundle.contract.model import ModelSpec
from runbundle.run.origin.code import GitState

HOST = {"name": "bench-2", "boot_id": "9d2c4c1e-0b7a-4e0e-8a53-77aa4cf0b002", "pid": 4242}
STAND_INS: dict[str, Any] = {
    "runbundle.run.origin.provenance.host": HOST,
    "runbundle.run.origin.provenance.command": ["python", "-m", "demo"],
    "runbundle.run.origin.provenance.package_versions": {"runbundle": "0.4.0"},
    "runbundle.run.origin.provenance.installed_packages": {"runbundle": "0.4.0"},
    "runbundle.run.origin.provenance.python": "CPython 3.12.7",
    "runbundle.run.origin.provenance.system": "Linux-6.1-x86_64",
    "runbundle.run.create.code_here": GitState(None, "0123456789abcdef0718293a4b5c6d7e8f901234", is_dirty=False),
}
WEIGHTS = ModelSpec("perception/segmentation", "unet", "small", {"channels": "BGR", "size": [64, 64], "µm": 0.25})


@dataclass(frozen=True)
class Clock:
    """One second later whenever it is asked."""

    seconds: Any = field(default_factory=itertools.count)

    def now(self) -> datetime:
        return datetime.fromtimestamp(1_795_860_000 + next(self.seconds), UTC)

    def nanoseconds(self) -> int:
        return round(self.now().timestamp()) * 1_000_000_000

    def random(self, count: int) -> bytes:
        return bytes((7 * next(self.seconds) + step) % 251 for step in range(count))


def make(store: Path) -> None:
    """A training, two models of it and one made elsewhere, aliases, and a run that used two of them."""
    clock = Clock()
    spec = rb.ArtifactSpec("best", "exports", "best", ".bin", "file", model=WEIGHTS)
    contract = rb.Contract("train", "1", artifacts=(spec,), allow_extras=True)
    with rb.Project("train", store=store, contract=contract, clock=clock).start({"lr": 0.1, "name": "Åse"}) as train:
        train.write("best", b"weights \x00\xff")
        train.save("last.json", {"weights": [0.1, -2.5e-07]})
        train.log({"loss": 0.5}, step=0)
        train.summary["val_iou"] = 0.875
    best = rb.models.promote(train.path, "best", rule="metrics.val_iou > 0.8", clock=clock)
    rb.models.promote(train.path, "last.json", skill="other", clock=clock)
    with tempfile.TemporaryDirectory() as place:
        theirs = Path(place, "Théirs.bin")
        theirs.write_bytes(b"theirs")
        named = ModelSpec("perception/segmentation", "sam")
        rb.models.add(theirs, named, source="https://example.org/sam", licence="MIT", store=store, clock=clock)
    for alias in ("best", "production"):
        rb.models.alias(best.reference, alias, store=store, clock=clock)
    with rb.Project("measure", store=store, clock=clock).start() as run:
        run.use_model("model://unet@production")
        run.use_model("local://perception/segmentation/sam/pretrained/base")
        run.use_model(f"run://train/{train.run_id}/last.json")


def main() -> None:
    """Make the store, with stand-ins for what differs by machine."""
    store = Path(sys.argv[1]).resolve()
    with ExitStack() as stack, tempfile.TemporaryDirectory() as elsewhere:
        for name, value in STAND_INS.items():
            stack.enter_context(patch(name, lambda *_, value=value: value))
        os.chdir(elsewhere)
        make(store)


if __name__ == "__main__":
    main()
