"""Lightning: a training is a run, by one argument of its ``Trainer``.

::

    from runbundle.interop.lightning import RunbundleLogger

    trainer = lightning.Trainer(logger=RunbundleLogger("mnist"))

The metrics are series of the run, the hyperparameters its configuration, and the checkpoints that ``ModelCheckpoint``
writes are taken into it as ``artifacts/checkpoints/last.pt`` and, where it monitors a metric, ``best.pt``, each
replaced whole.

A checkpoint of Lightning's may hold any Python object (hyperparameters, the state of callbacks), as a pickle that runs
code when it is read. What is taken in is what the format ``checkpoint`` takes: a file that PyTorch reads with
``weights_only=True``, which makes tensors and plain values and nothing else. One that holds more is refused, with
advice, and stays where Lightning put it; so does every file that ``ModelCheckpoint`` keeps, moves or removes, for in a
run nothing is removed. That is why ``save_dir`` is None: Lightning's folder (``default_root_dir``) is not in the run.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from runbundle.base.errors import InvalidType, InvalidValue, MissingExtra
from runbundle.interop.plain import plain
from runbundle.interop.ranks import is_first
from runbundle.interop.recording import OnError, Recording
from runbundle.run.project import Project
from runbundle.run.runio import RunIO
from runbundle.run.settings.config import take_config
from runbundle.run.settings.secrets import shown

try:
    from lightning.pytorch.loggers.logger import DummyExperiment, Logger
    from lightning.pytorch.utilities import rank_zero_only
except ImportError as error:
    raise MissingExtra(
        "lightning is needed here and is not installed", hint="Install PyTorch as its own pages say, then lightning"
    ) from error

LAST, BEST, HPARAMS = "checkpoints/last.pt", "checkpoints/best.pt", "hparams.json"


class RunbundleLogger(Logger):
    """Records a training of Lightning into a run.

    The run begins when the training does, with the hyperparameters as configuration. A training that raises fails it,
    with the traceback in ``logs/``; Ctrl-C aborts it. After one that ended well the run stays open for a test or
    another fit, and is completed when the process ends, or by ``logger.experiment.finish()``. Only the process of rank
    0 records; in the others ``experiment`` does nothing.

    Args:
        project: the project or its name; left out, ``RUNBUNDLE_PROJECT``, else ``default``.
        config: a configuration to begin with; hyperparameters are added to it.
        run: a run that is open already, in which to record; whoever began it ends it. Hyperparameters that its
            configuration does not hold are saved as ``hparams.json``.
        on_error: what becomes of an error of the library, a full disk, say: ``raise`` (it ends the training), or
            ``warn`` (the training goes on; the run says ``lost_writes`` in its summary).

    Raises:
        InvalidValue: ``on_error`` is neither.
    """

    def __init__(
        self,
        project: Project | str | None = None,
        *,
        config: Mapping[str, Any] | None = None,
        run: RunIO | None = None,
        on_error: OnError = "raise",
    ) -> None:
        super().__init__()
        self._recording = Recording(project, run, on_error)
        self._config = dict(config or {})
        self._taken: dict[str, tuple[str, int]] = {}

    # -- which run ---------------------------------------------------------------------------------

    @property
    def experiment(self) -> RunIO:
        """The run's handle. Lightning asks for it before it knows the hyperparameters: the run begins with its use."""
        if rank_zero_only.rank > 0 or not is_first():
            return cast("RunIO", DummyExperiment())
        if self._recording.has_begun:
            return self._recording.run
        return cast("RunIO", _Experiment(self._run))

    @property
    def name(self) -> str:
        """The project's name."""
        return self._recording.project.name

    @property
    def version(self) -> str:
        """The run's id; empty before it has begun, and in processes of other ranks."""
        return self._recording.run.run_id if self._recording.has_begun else ""

    @property
    def save_dir(self) -> None:
        """None: what Lightning writes by itself does not go into the run."""

    def _run(self) -> RunIO:
        """The run, which is begun if it is not."""
        return self._recording.run if self._recording.has_begun else self._recording.begin(self._config)

    # -- what Lightning says -----------------------------------------------------------------------

    @rank_zero_only
    def log_hyperparams(self, params: Mapping[str, Any] | Namespace, *_: Any, **__: Any) -> None:
        """Begin the run with the hyperparameters, or keep those that its configuration does not hold."""
        given = plain(params)
        with self._recording.heeding():
            if not self._recording.has_begun:
                self._config.update(given)
            run = self._run()
            if not _holds(run.config, given):
                run.save(HPARAMS, dict(shown(take_config(given)).resolved), replace=True)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """A point of each metric."""
        self._recording.wake()
        with self._recording.heeding():
            self._run().log(dict(metrics), step)

    @rank_zero_only
    def save(self) -> None:
        """Begin the run, if nothing has: Lightning calls this when the training begins."""
        with self._recording.heeding():
            self._run()

    @rank_zero_only
    def after_save_checkpoint(self, checkpoint_callback: Any) -> None:
        """Take in what ``ModelCheckpoint`` has just saved, and what it holds for the best."""
        with self._recording.heeding():
            saved = _saved(checkpoint_callback)
            if saved is not None:
                self._take(LAST, saved)
            if checkpoint_callback.monitor is not None and checkpoint_callback.best_model_path:
                self._take(BEST, Path(checkpoint_callback.best_model_path))

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Lightning is done for now, or was left by an exception."""
        if status == "success":
            with self._recording.heeding():
                self._recording.rest()
        else:
            self._recording.fail(sys.exception() or RuntimeError(f"Lightning ended the training as {status}"))

    def _take(self, name: str, path: Path) -> None:
        if not path.is_file():
            raise InvalidValue(
                f"The checkpoint {path} is no file of this machine, and only such can be taken in",
                hint="Give ModelCheckpoint a local dirpath, and a strategy that saves one file",
            )
        state = str(path), path.stat().st_mtime_ns
        if self._taken.get(name) == state:
            return
        try:
            self._run().save(name, path, replace=True)
        except (InvalidValue, InvalidType) as error:
            raise InvalidValue(
                f"The checkpoint {path} holds more than tensors and plain values, and is not taken in: {error.what}",
                hint="Leave objects out of it: self.save_hyperparameters(ignore=[...])",
                artifact=name,
            ) from error
        self._taken[name] = state


class _Experiment:
    """Stands for the handle of a run that begins when the handle is first used."""

    def __init__(self, begin: Callable[[], RunIO]) -> None:
        self._begin = begin

    def __getattr__(self, name: str) -> Any:
        return getattr(self._begin(), name)


def _saved(checkpoint_callback: Any) -> Path | None:
    """The file that a ``ModelCheckpoint`` wrote last, of those it tells of."""
    told = {
        checkpoint_callback.best_model_path,
        checkpoint_callback.last_model_path,
        *checkpoint_callback.best_k_models,
    }
    paths = [Path(path) for path in told if path]
    return max(paths, key=lambda path: path.stat().st_mtime_ns if path.exists() else -1, default=None)


def _holds(config: Any, given: Any) -> bool:
    """Whether a configuration says all that is given, at its top or below."""
    if isinstance(config, Mapping) and isinstance(given, Mapping):
        return all(key in config and _holds(config[key], item) for key, item in given.items())
    return bool(config == given)
