"""What Hydra starts: one training. The run is made by the callback that ``conf/config.yaml`` names."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig

import runbundle as rb
from segment.engine.promotion import Trained, promoted
from segment.engine.training import Progress, train
from segment.settings import Settings, settings_of

_FULL_ERROR = "HYDRA_FULL_ERROR"


def run_jobs(arguments: list[str], progress: Progress) -> list[Trained]:
    """Train as Hydra's command line says: ``train.epochs=5``, ``--multirun train.peak_lr=0.003,0.01`` ...

    Returns:
        What came of each job.

    Raises:
        InvalidConfig, and what else ``train`` raises; the first job that fails ends a multirun.
    """
    done: list[tuple[Path, Settings]] = []

    @hydra.main(version_base=None, config_path="pkg://segment.conf", config_name="config")
    def job(config: DictConfig) -> None:
        run = rb.join()
        settings = settings_of(config)
        done.append((run.path, settings))
        train(run, settings, progress)

    with _as_program(arguments):
        try:
            job()
        except HydraException as error:
            said = " ".join(str(error).split())
            raise rb.errors.InvalidConfig(f"Hydra refuses: {said}", hint="segment train --help") from error
    return [promoted(place, settings) for place, settings in done]


@contextmanager
def _as_program(arguments: list[str]) -> Iterator[None]:
    """While the jobs run, the arguments that Hydra reads, and its word to let errors through: it takes neither else."""
    before, full = sys.argv, os.environ.get(_FULL_ERROR)
    sys.argv, os.environ[_FULL_ERROR] = ["segment train", *arguments], "1"
    try:
        yield
    finally:
        sys.argv = before
        if full is None:
            del os.environ[_FULL_ERROR]
        else:
            os.environ[_FULL_ERROR] = full
