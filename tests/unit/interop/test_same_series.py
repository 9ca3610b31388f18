"""The same numbers, logged by a plain loop and through each integration, give the same series."""

from __future__ import annotations

import sys
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import runbundle as rb

STEPS = 3
needs_training = pytest.mark.skipif(
    not all(map(find_spec, ("torch", "lightning", "transformers", "accelerate"))),
    reason="torch, lightning, transformers or accelerate is not installed",
)


def by_plain_loop() -> None:
    with rb.start("sample") as run:
        for step in range(STEPS):
            run.log({"loss": 0.5**step}, step=step)


def by_hydra() -> None:
    import hydra  # noqa: PLC0415 - each world where it is used

    def job(_: Any) -> None:
        for step in range(STEPS):
            rb.join().log({"loss": 0.5**step}, step=step)

    Path("conf").mkdir()
    target = "_target_: runbundle.interop.hydra.RunbundleCallback, project: sample"
    Path("conf/config.yaml").write_text(f"hydra: {{callbacks: {{runbundle: {{{target}}}}}}}")
    words = ["job.py", "hydra/job_logging=none", "hydra/hydra_logging=none"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", words)
        hydra.main(version_base=None, config_path=str(Path("conf").resolve()), config_name="config")(job)()


def by_lightning() -> None:
    import sample_lightning as world  # noqa: PLC0415
    from runbundle.interop.lightning import RunbundleLogger  # noqa: PLC0415

    logger = RunbundleLogger("sample")
    with warnings.catch_warnings():
        world.be_quiet()
        world.trainer(logger, max_epochs=1).fit(world.Model(), world.data())
    logger.experiment.finish()


def by_transformers() -> None:
    import sample_transformers as world  # noqa: PLC0415
    from runbundle.interop.transformers import RunbundleCallback  # noqa: PLC0415

    callback = RunbundleCallback("sample")
    world.trainer(callback, max_steps=STEPS).train()
    callback.run.finish()


@pytest.mark.parametrize(
    "record",
    [
        by_plain_loop,
        by_hydra,
        pytest.param(by_lightning, marks=needs_training),
        pytest.param(by_transformers, marks=needs_training),
    ],
)
def test_the_same_metrics_give_the_same_series(record: Any) -> None:
    record()
    (place,) = Path("runs/sample").iterdir()
    run = rb.open_run(place)
    steps, values = run.series("loss")
    first = 1 if record is by_transformers else 0  # a Trainer counts the steps that are done
    assert (list(steps), list(values)) == ([first, first + 1, first + 2], [1.0, 0.5, 0.25])
    assert (run.status, run.verify().findings) == ("completed", ())
