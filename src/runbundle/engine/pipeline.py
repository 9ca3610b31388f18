"""Pipelines: stages in order, each committed against the run's contract."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from runbundle.base.errors import ContractError
from runbundle.contract.spec import Outcome, StageSpec
from runbundle.run.given import given_name
from runbundle.run.runio import RunIO
from runbundle.run.stages import Stage

ConfigT = TypeVar("ConfigT")
ValueT = TypeVar("ValueT")


@dataclass(slots=True)
class StageContext(Generic[ConfigT]):
    """What a stage gets.

    Attributes:
        config: the pipeline's typed configuration.
        run_io: writes into the run.
        stage: the open stage.
        memory: values that stages of this process hand on; never the only place of a result.
    """

    config: ConfigT
    run_io: RunIO
    stage: Stage
    memory: dict[str, Any] = field(default_factory=dict)

    def read(self, artifact_id: str, variant: str | None = None) -> Any:
        """An artifact of an earlier stage, from the run, its bytes checked."""
        return self.run_io.read(artifact_id, variant)

    def recall(self, name: str, make: Callable[[], ValueT]) -> ValueT:
        """The value that was remembered under ``name`` in this process, else what ``make`` gives, remembered.

        A resumed run has no memory: ``make`` must build the value from the run's artifacts.
        """
        if name not in self.memory:
            self.memory[name] = make()
        value: ValueT = self.memory[name]
        return value

    def outcome(self, stage: str) -> Outcome | None:
        """How an earlier stage ended; None if it has not."""
        return self.run_io.outcome(stage)

    def reasons(self, stage: str) -> tuple[str, ...]:
        """Why an earlier stage ended as it did; empty for one that simply committed."""
        return self.run_io.reasons(stage)

    def decline(self, *reasons: str) -> None:
        """This stage worked, and has nothing to give."""
        self.stage.decline(*reasons)


class PipelineStage(Protocol[ConfigT]):
    """A step: any object, or module, with a ``name`` and a ``run``."""

    @property
    def name(self) -> str:
        """The stage's name in the contract."""

    @property
    def run(self) -> Callable[[StageContext[ConfigT]], None]:
        """Does the work, through the context."""


class Pipeline(Generic[ConfigT]):
    """Stages in order. Running it again on a resumed run skips what has committed.

    A stage is skipped unless each stage that it needs has committed; one marked ``always`` runs all the same. In a
    run without a contract each stage needs the one before it.
    """

    def __init__(self, stages: Sequence[PipelineStage[ConfigT]]) -> None:
        names = [given_name(stage.name, what="The name of a stage") for stage in stages]
        if len(set(names)) != len(names):
            raise ContractError(f"A pipeline has each stage once, not {names}")
        self._stages = dict(zip(names, stages, strict=True))

    def run(self, run_io: RunIO, config: ConfigT) -> dict[str, Outcome]:
        """Run what has not committed yet.

        Returns:
            How each stage ended.

        Raises:
            ContractError: the contract declares other stages, or another order.
            ContractUnmet: a stage ended without what it owes; the message names both.
            Exception: what a stage raised; the stage is recorded as failed, and no later one runs.
        """
        specs = self._specs(run_io)
        memory: dict[str, Any] = {}
        for spec in specs:
            if not run_io.needs(spec.stage):
                continue
            blocking = [need for need in spec.needs if run_io.outcome(need) is not Outcome.COMMITTED]
            if blocking and not spec.always:
                run_io.skip(spec.stage, *(f"{need} {run_io.outcome(need)}" for need in blocking))
                continue
            with run_io.stage(spec.stage) as stage:
                self._stages[spec.stage].run(StageContext(config, run_io, stage, memory))
        return {spec.stage: outcome for spec in specs if (outcome := run_io.outcome(spec.stage)) is not None}

    def _specs(self, run_io: RunIO) -> tuple[StageSpec, ...]:
        names = list(self._stages)
        if run_io.contract is None:
            return tuple(StageSpec(name, tuple(names[max(0, i - 1) : i])) for i, name in enumerate(names))
        declared = [spec.stage for spec in run_io.contract.stages]
        if declared != names:
            raise ContractError(
                f"The pipeline has the stages {names}, and the contract {declared}",
                hint="Give the pipeline the contract's stages in its order",
            )
        return run_io.contract.stages
