"""Transformers: a training is a run, by one argument of its ``Trainer``.

::

    from runbundle.interop.transformers import RunbundleCallback

    trainer = transformers.Trainer(model, arguments, train_dataset=..., callbacks=[RunbundleCallback("glue")])

What the ``Trainer`` logs are series of the run, its arguments and the model's configuration are the run's, and of each
checkpoint that it saves the safe files are taken in, as ``artifacts/checkpoints/checkpoint-<step>/``: weights in
safetensors, JSON and text, and the states of optimizer and scheduler where they are no more than states. The arguments
and the states of random numbers are saved as pickles, which run code when they are read: they are left where they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runbundle.base.errors import InvalidValue, MissingExtra
from runbundle.interop.plain import plain
from runbundle.interop.recording import OnError, Recording
from runbundle.run.project import Project
from runbundle.run.runio import RunIO

try:
    from transformers import TrainerCallback
except ImportError as error:
    raise MissingExtra(
        "transformers is needed here and is not installed",
        hint="Install PyTorch as its own pages say, then transformers",
    ) from error

_PICKLES = ("training_args.bin", "rng_state*.pth")


class RunbundleCallback(TrainerCallback):
    """Records a training of a ``Trainer`` into a run.

    A training is a run, and begins it; another one begins another. After one that ended well the run stays open for an
    evaluation or a prediction, and is completed when the next one begins, when the process ends, or by
    ``callback.run.finish()``. The ``Trainer`` tells no callback of an exception: it fails the run (Ctrl-C aborts it)
    when the process ends by it, or at once, where ``with rb.start(...) as run`` stands around the training. Only the
    first process of all records.

    Args:
        project: the project or its name; left out, ``RUNBUNDLE_PROJECT``, else ``default``.
        run: a run that is open already, in which to record; whoever began it ends it, and its configuration is its own.
        on_error: what becomes of an error of the library, a full disk, say: ``raise`` (it ends the training), or
            ``warn`` (the training goes on; the run says ``lost_writes`` in its summary).

    Raises:
        InvalidValue: ``on_error`` is neither. InvalidName: no project can have the name.
    """

    def __init__(
        self, project: Project | str | None = None, *, run: RunIO | None = None, on_error: OnError = "raise"
    ) -> None:
        self._recording = Recording(project, run, on_error)

    @property
    def run(self) -> RunIO:
        """The handle of the run; without one, one begins.

        Raises:
            RunbundleError: it cannot be begun.
        """
        return self._recording.run

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:  # noqa: ARG002
        """Begin the run."""
        if state.is_world_process_zero:
            with self._recording.heeding():
                self._recording.begin_anew(_configuration(args, model))

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:  # noqa: ARG002
        """A point of each number; what else was logged is told in the text log."""
        if not state.is_world_process_zero or not logs:
            return
        numbers = {name: value for name, value in logs.items() if isinstance(plain(value), int | float)}
        with self._recording.heeding():
            if numbers:
                self._recording.run.log(numbers, state.global_step)
            for name in logs.keys() - numbers.keys():
                self._recording.run.logger.info("%s: %s", name, logs[name])

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        """Take in the checkpoint that was just saved."""
        if state.is_world_process_zero:
            with self._recording.heeding():
                for path in _safe_files(Path(args.output_dir), state):
                    self._recording.run.save(f"checkpoints/{path.parent.name}/{path.name}", path, replace=True)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        """The training ended well: a power cut loses nothing of it."""
        if state.is_world_process_zero:
            with self._recording.heeding():
                self._recording.rest()


def _configuration(args: Any, model: Any) -> dict[str, Any]:
    found = {"args": plain(args.to_dict())}
    config = getattr(model, "config", None)
    return found if config is None else {**found, "model": plain(config.to_dict())}


def _safe_files(output_dir: Path, state: Any) -> Iterator[Path]:
    """The files of the checkpoint that was just saved which are no pickles; in a search, each trial has a folder."""
    name = f"checkpoint-{state.global_step}"
    found = [folder for folder in (output_dir / name, *output_dir.glob(f"*/{name}")) if folder.is_dir()]
    if not found:
        raise InvalidValue(
            f"There is no {name} in {output_dir} to take in", hint="Let the Trainer save to a local folder"
        )
    for path in sorted(max(found, key=lambda folder: folder.stat().st_mtime_ns).iterdir()):
        if path.is_file() and path.suffix and not any(path.match(pattern) for pattern in _PICKLES):
            yield path
