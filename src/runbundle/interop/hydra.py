"""Hydra: each job is a run, by two lines of the configuration and none of the program.

::

    hydra:
      callbacks:
        runbundle:
          _target_: runbundle.interop.hydra.RunbundleCallback

In the job ``rb.join()`` is the run's handle, in the job's own process as in those that it starts::

    @hydra.main(config_path="conf", config_name="config", version_base=None)
    def main(config: DictConfig) -> None:
        run = rb.join()
        run.log({"loss": 0.5}, step=0)

The run holds the composed configuration and what the job logs (``logs/run.log``), says what was asked of Hydra (the
fact ``hydra``), and ends as the job ends. Of a multirun, each job is a run of its own; the fact ``hydra.sweep`` is the
same in all of them and in no other. There is no run of the whole: it would have to stay open for as long as jobs are
queued on other machines.

Hydra turns what a callback raises into a warning and goes on. So that no job goes unrecorded unseen, a run that cannot
be begun ends the program (``SystemExit`` with what happened, before the job has begun; in a multirun the jobs that
come after it are not begun either); and where a run cannot be ended as it should, the job that had completed is
reported as failed, with that error.

Hydra's own folder (``hydra.run.dir``, ``hydra.sweep.dir``) stays where it is and is no part of the run.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
from collections.abc import Iterator
from typing import Any, ClassVar, cast

from runbundle.base.clock import SystemClock
from runbundle.base.errors import MissingExtra
from runbundle.base.ids import uuid7
from runbundle.interop.recording import Recording
from runbundle.run.join import RUN_DIR_VARIABLE
from runbundle.run.project import Project, named_project
from runbundle.run.runio import RunIO
from runbundle.run.settings.secrets import mask_command

try:
    from hydra.core.utils import JobReturn, JobStatus
    from hydra.experimental.callback import Callback
    from hydra.types import RunMode
    from omegaconf import DictConfig, ListConfig, OmegaConf
except ImportError as error:
    raise MissingExtra(
        "hydra-core is needed here and is not installed", hint='Install it: pip install "runbundle[hydra]"'
    ) from error


class RunbundleCallback(Callback):
    """Makes a run of each job of Hydra.

    A job that raises fails its run, with the traceback in ``logs/``; Ctrl-C aborts it, ``sys.exit`` fails it, when the
    process ends. A kill leaves it interrupted. A process that is not the first of its launch (``ranks``) joins the run
    of the first where that can be found, and makes none.

    Args:
        project: the project or its name; left out, ``RUNBUNDLE_PROJECT``, else the name of Hydra's job. A project with
            a contract comes from the configuration: ``project: {_target_: mypackage.runs.project}``.
        store: as ``rb.Project``, for a project given by its name; relative to where the program was started.
    """

    _job: ClassVar[_Job | None] = None  # that of this process: Hydra runs one at a time

    def __init__(self, project: Project | str | None = None, store: str | None = None) -> None:
        self._project, self._store = project, store
        self._sweep: str | None = None

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ARG002 - Hydra's signature
        """The jobs that follow are of one sweep."""
        self._sweep = uuid7(SystemClock())

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ARG002
        """Begin the job's run."""
        try:
            self._end(SystemExit("The job was left before it returned"))  # by Ctrl-C, say, that somebody caught
            RunbundleCallback._job = self._begin(config)
        except Exception as error:  # whatever it is, Hydra would warn of it and go on
            raise SystemExit(f"The job was not begun, because it cannot be recorded: {error}") from error

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:  # noqa: ARG002
        """End the job's run as the job ended."""
        if job_return.status is not JobStatus.COMPLETED:
            self._end(job_return._return_value)  # noqa: SLF001 - the property would raise it
            return
        try:
            self._end(None)
        except Exception as error:  # noqa: BLE001 - as above
            job_return.status, job_return.return_value = JobStatus.FAILED, error

    def _end(self, error: BaseException | None) -> None:
        job, RunbundleCallback._job = RunbundleCallback._job, None
        if job is not None:
            job.end(error)

    def _begin(self, config: DictConfig) -> _Job:
        project = self._project
        if not isinstance(project, Project):
            name = project or os.environ.get("RUNBUNDLE_PROJECT") or str(config.hydra.job.name)
            project = named_project(name, self._store)
        project = dataclasses.replace(project, facts={**project.facts, "hydra": self._asked(config)})
        recording = Recording(project)
        with contextlib.chdir(config.hydra.runtime.cwd):  # Hydra may have gone elsewhere for the job
            run = recording.begin(task_config(config))
        return _Job(recording, run)

    def _asked(self, config: DictConfig) -> dict[str, Any]:
        """What was asked of Hydra: the job, the overrides, and of which sweep it is."""
        hydra = config.hydra
        is_sweep = hydra.mode == RunMode.MULTIRUN
        return {
            "job": str(hydra.job.name),
            "config_name": hydra.job.config_name,
            "overrides": mask_command(_as_given(hydra.overrides.task))[0],
            "sweep": self._sweep,
            "job_num": int(hydra.job.num) if is_sweep else None,
        }


class _Job:
    """A job that runs: its run, and what of this process it has changed for as long."""

    def __init__(self, recording: Recording, run: RunIO) -> None:
        self._recording = recording
        self._until_end = contextlib.ExitStack()
        self._until_end.enter_context(_environment(run))
        self._until_end.enter_context(_logging(run))

    def end(self, error: BaseException | None) -> None:
        """End the run, completed or as the error says."""
        self._until_end.close()
        if error is not None:
            self._recording.fail(error)
        else:
            self._recording.rest()
            self._recording.end(None)


def _as_given(words: ListConfig) -> list[str]:
    """The words of the command line, in which ``${...}`` is text and no reference."""
    given = cast("list[Any]", OmegaConf.to_container(words, resolve=False))
    return [str(word) for word in given]


def task_config(config: DictConfig) -> DictConfig:
    """The configuration that a job is given: all but Hydra's own."""
    return OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])


@contextlib.contextmanager
def _environment(run: RunIO) -> Iterator[None]:
    """While a job runs, this process and those that it starts find its run by ``rb.join()``."""
    before = os.environ.get(RUN_DIR_VARIABLE)
    os.environ[RUN_DIR_VARIABLE] = str(run.path)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(RUN_DIR_VARIABLE, None)
        else:
            os.environ[RUN_DIR_VARIABLE] = before


@contextlib.contextmanager
def _logging(run: RunIO) -> Iterator[None]:
    """While a job runs, what it logs goes to the run's text log as well."""
    handler = _ToRun(run)
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)


class _ToRun(logging.Handler):
    """Hands what is logged in this process to a run's logger."""

    def __init__(self, run: RunIO) -> None:
        super().__init__()
        self._run, self._logger, self._pid = run, run.logger, os.getpid()

    def emit(self, record: logging.LogRecord) -> None:
        """A process that was forked has no part in it: it would become a writer of the run by one line of text."""
        if os.getpid() == self._pid and not self._run.is_finished:
            self._logger.handle(record)
