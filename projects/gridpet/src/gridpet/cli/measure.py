"""``gridpet measure``: photos in, runs and tables out."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import runbundle as rb
from gridpet.cli.arguments import seed
from gridpet.cli.table import photo_table
from gridpet.engine.config import GRIDS, MeasureConfig

if TYPE_CHECKING:
    from gridpet.engine.measure_photo import PhotoResult

_SETTINGS = ("pitch_mm", "grid", "object_height_mm", "segmentation_model")


def add(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("photos", metavar="IMG", nargs="*", type=Path, help="photos to measure, one run each")
    parser.add_argument("--pitch-mm", metavar="X", type=float, help="distance of the printed lines, mm (a ruler tells)")
    parser.add_argument("--grid", choices=GRIDS, help="the printed pattern (default: auto); a cutting mat is square")
    parser.add_argument("--object-height-mm", metavar="H", type=float, help="height of the objects above the sheet, mm")
    parser.add_argument(
        "--segmentation-model",
        metavar="REF",
        help="a promoted network of the store finds the objects: local://..., model://NAME@ALIAS",
    )
    parser.add_argument(
        "--store",
        metavar="DIR",
        help="folder for runs/ (default: $RUNBUNDLE_STORE, else the repository, else the current folder)",
    )
    parser.add_argument("--jobs", metavar="N", type=int, default=1, help="photos at the same time (default: 1)")
    parser.add_argument("--config", metavar="FILE", type=Path, help="YAML or JSON file with these settings")
    parser.add_argument("--json", action="store_true", help="print one JSON object a photo and line")
    parser.add_argument("--demo", action="store_true", help="measure a rendered photo, and show the truth beside it")
    parser.add_argument("--seed", metavar="N", type=seed, default=7, help="which photo --demo renders (default: 7)")


def run(options: argparse.Namespace) -> int:
    """Measure, print, and say by the exit code whether all went well."""
    if options.demo:
        return _demo(options)
    if not options.photos:
        raise rb.errors.InvalidValue("No photo was given", hint="gridpet measure IMG --pitch-mm X, or --demo")
    return _measure(options, options.photos, _config(options))


def _config(options: argparse.Namespace) -> MeasureConfig:
    """The settings: the command line over the file over the defaults."""
    settings = _read_config(options.config) if options.config else {}
    given = {name: getattr(options, name) for name in _SETTINGS if getattr(options, name) is not None}
    return MeasureConfig.from_mapping({**settings, **given})


def _read_config(path: Path) -> dict[str, Any]:
    from ruamel.yaml import YAML  # noqa: PLC0415 - only for those who give a file
    from ruamel.yaml.error import YAMLError  # noqa: PLC0415

    try:
        found = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise rb.errors.InputNotFound(f"There is no file {path}", hint="Check --config", path=path) from error
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise rb.errors.InvalidConfig(f"{path} is no configuration: {' '.join(str(error).split())}") from error
    if not isinstance(found, dict):
        raise rb.errors.InvalidConfig(f"{path} is no configuration: it holds no settings")
    return found


@dataclass(frozen=True, slots=True)
class Task:
    """What a worker does with a photo."""

    config: MeasureConfig
    store: str | None

    def __call__(self, photo: Path) -> PhotoResult:
        """Measure one photo into a run of its own."""
        from gridpet.engine.measure_photo import measure_photo  # noqa: PLC0415 - vision loads where it works

        return measure_photo(photo, self.config, self.store)


def _measure(
    options: argparse.Namespace, photos: list[Path], config: MeasureConfig, truth: dict[str, Any] | None = None
) -> int:
    if options.jobs < 1:
        raise rb.errors.InvalidValue(f"--jobs is {options.jobs}", hint="Give 1 or more")
    codes = [0]

    def show(done: rb.Done[Path, PhotoResult]) -> None:
        codes.append(_show(options, done, truth))

    workers = min(options.jobs, len(photos))
    executor = partial(_pool, workers) if workers > 1 else None
    report = rb.batch(Task(config, options.store), photos, executor=executor, on_done=show, label="measuring")
    if len(photos) > 1:
        passed = sum(done.value is not None and done.value.qc["status"] != "fail" for done in report.items)
        print(f"{passed} of {len(photos)} photos measured, {report.summary}", file=sys.stderr)
    return max(codes)


def _pool(workers: int) -> Executor:
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))


def _show(options: argparse.Namespace, done: rb.Done[Path, PhotoResult], truth: dict[str, Any] | None) -> int:
    """Print what became of one photo; returns its exit code."""
    error = done.error
    if error is not None and not isinstance(error, rb.RunbundleError):
        raise error
    if error is not None:
        if options.json:
            print(json.dumps({"photo": str(done.item), "status": "error", "error": error.to_json()}, sort_keys=True))
        return rb.report_error(error, prog="gridpet")
    result = done.value
    if result is None:
        raise RuntimeError("a task gave neither a result nor an error")
    if options.json:
        print(json.dumps(result.to_json(), ensure_ascii=False, sort_keys=True), flush=True)
    else:
        print(photo_table(result, truth), flush=True)
    return 1 if result.qc["status"] == "fail" else 0


def _demo(options: argparse.Namespace) -> int:
    from gridpet.demo import encode_jpeg, render  # noqa: PLC0415 - the renderer is for demos only

    if options.photos:
        raise rb.errors.InvalidValue("--demo measures a photo of its own", hint="Leave the photos out")
    if options.pitch_mm is not None or options.grid or options.config:
        raise rb.errors.InvalidValue("--demo knows its own grid", hint="Leave --pitch-mm, --grid and --config out")
    scene = render(options.seed)
    hint = scene.truth["hint"]
    config = MeasureConfig(hint["pitch_mm"], hint["grid_kind"], segmentation_model=options.segmentation_model)
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / f"demo_{options.seed}.jpg"
        photo.write_bytes(encode_jpeg(scene))
        return _measure(options, [photo], config, scene.truth)
