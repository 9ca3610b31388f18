"""One photo, one run."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import runbundle as rb
from gridpet import __version__
from gridpet.engine.artifacts import CONTRACT, ArtifactId
from gridpet.engine.config import MeasureConfig
from gridpet.engine.networks import load_network
from gridpet.engine.stages import geom, grid, measurement, preprocess, qc, segmentation

PIPELINE: rb.Pipeline[MeasureConfig] = rb.Pipeline([preprocess, grid, geom, segmentation, measurement, qc])


@dataclass(frozen=True, slots=True)
class PhotoResult:
    """What became of a photo.

    Attributes:
        photo: the file that was measured.
        run_dir: the run's folder. root_digest: the SHA-256 of its seal.
        status: the run's status.
        qc: the QC report. measurement: the measurement, or None where there is none.
    """

    photo: str
    run_dir: str
    root_digest: str
    status: str
    qc: dict[str, Any]
    measurement: dict[str, Any] | None

    def to_json(self) -> dict[str, Any]:
        """The result as a JSON object."""
        return dataclasses.asdict(self)


def project(store: str | Path | None = None) -> rb.Project:
    """GridPET as a project of a store."""
    return rb.Project("gridpet", store=store, contract=CONTRACT, facts={"gridpet_version": __version__})


def measure_photo(photo: Path, config: MeasureConfig, store: str | Path | None = None) -> PhotoResult:
    """Measure a photo into a run of its own: complete, checked against its contract, hashed and sealed.

    A photo that cannot be measured gives a completed run whose QC says ``fail``, and why.

    Raises:
        InputNotFound: there is no such file. UnavailableError: it cannot be read, or the store not be written.
        InvalidName: the file's name is too long to name artifacts after.
        ModelNotFound, UnsupportedFormat, DigestMismatch: the network of ``config`` cannot be used.
    """
    source = _readable(photo)
    if config.segmentation_model is not None:  # what cannot be found, or was changed, should leave no run either
        load_network(rb.models.resolve(config.segmentation_model, store=store))
    with project(store).start(config) as run_io:
        run_io.ingest(source)
        outcomes = PIPELINE.run(run_io, config)
    is_measured = outcomes.get(measurement.name) is rb.Outcome.COMMITTED
    return PhotoResult(
        photo=str(photo),
        run_dir=str(run_io.path),
        root_digest=str(run_io.root_digest),
        status="completed",
        qc=run_io.read(ArtifactId.QC_REPORT),
        measurement=run_io.read(ArtifactId.MEASUREMENT) if is_measured else None,
    )


def _readable(photo: Path) -> Path:
    """The absolute path of a file that can be opened: a wrong path should leave no run behind."""
    source = photo.expanduser().absolute()
    if not source.is_file():
        raise rb.errors.InputNotFound(f"There is no file {photo}", hint="Check the path", path=photo)
    try:
        with source.open("rb"):
            return source
    except OSError as error:
        raise rb.errors.UnavailableError(
            f"{photo} cannot be read: {error.strerror}", hint="Check its permissions", path=photo
        ) from error
