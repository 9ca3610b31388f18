"""Handles for skills: a part of what a run's own handle can do (docs/rules.md)."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, SupportsIndex

from runbundle.base.errors import ContractError, InvalidType, OwnershipError
from runbundle.contract.contract import Contract
from runbundle.contract.record import ArtifactRecord
from runbundle.contract.spec import EXTRA_KIND, ArtifactSpec
from runbundle.run.given import given_name

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    from runbundle.io.table.parts import Appended
    from runbundle.run.runio import RunIO


@dataclass(frozen=True, slots=True)
class Scope:
    """What may be written: artifacts of these ids, and of these kinds; None does not limit.

    Attributes:
        ids: artifact ids. kinds: kinds of artifacts; only with ``extra`` among them may what is undeclared be saved.
    """

    ids: frozenset[str] | None = None
    kinds: frozenset[str] | None = None

    @classmethod
    def of(cls, ids: Iterable[str] | None, kinds: Iterable[str] | None, contract: Contract | None) -> Scope:
        """What a caller named.

        Raises:
            InvalidType: text in place of a collection of texts. ContractError: the contract has no such id or kind.
        """
        found = cls(_names(ids, "ids"), _names(kinds, "kinds"))
        if contract is not None:
            known = {spec.kind for spec in contract.artifacts} | {EXTRA_KIND}
            for kind in sorted((found.kinds or frozenset()) - known):
                raise ContractError(f"The contract declares nothing of the kind {kind!r}", hint="See its artifacts")
            if EXTRA_KIND not in (found.kinds or ()):
                for artifact_id in found.ids or ():
                    contract.spec(artifact_id)
        return found

    def narrowed(self, other: Scope) -> Scope:
        """What both allow."""
        return Scope(_both(self.ids, other.ids), _both(self.kinds, other.kinds))

    def allows(self, artifact_id: str, kind: str) -> bool:
        """Whether an artifact may be written."""
        if kind == EXTRA_KIND and self.kinds is None:
            return False
        return (self.ids is None or artifact_id in self.ids) and (self.kinds is None or kind in self.kinds)

    def __str__(self) -> str:
        limits = (("ids", self.ids), ("kinds", self.kinds))
        told = (f"{name} {', '.join(sorted(names)) or '(none)'}" for name, names in limits if names is not None)
        return " of ".join(told) or "what the contract declares"


def _names(given: Iterable[str] | None, what: str) -> frozenset[str] | None:
    if given is None:
        return None
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise InvalidType(f"{what} are a collection of names, not {type(given).__name__}", hint="Give a list")
    return frozenset(given_name(name, what=f"each of {what}") for name in given)


def _both(one: Collection[str] | None, other: Collection[str] | None) -> frozenset[str] | None:
    if one is None or other is None:
        return frozenset(one) if other is None and one is not None else None if other is None else frozenset(other)
    return frozenset(one) & frozenset(other)


class ScopedRunIO:
    """A part of a run's handle, for a skill: it writes the artifacts it was given, logs and reads, and nothing else.

    Stages, inputs, the summary and the end of the run belong to who started it: all that is not named here is
    ``OwnershipError``. The limits keep honest code in its place; they are no sandbox. Guarantees are those of
    ``RunIO``; given to a worker process, it is there the handle of a writer that joined, with the same limits.
    """

    __slots__ = ("_run", "_scope")

    def __init__(self, run: RunIO, scope: Scope) -> None:
        self._run = run
        self._scope = scope

    @property
    def path(self) -> Path:
        """The run's folder."""
        return self._run.path

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self._run.run_id

    @property
    def config(self) -> Mapping[str, Any]:
        """The resolved configuration."""
        return self._run.config

    @property
    def contract(self) -> Contract | None:
        """What the run is held to."""
        return self._run.contract

    @property
    def primary_input(self) -> Mapping[str, Any] | None:
        """The record of the primary input; None until there is one."""
        return self._run.primary_input

    @property
    def is_finished(self) -> bool:
        """Whether the run's handle has ended its part."""
        return self._run.is_finished

    @property
    def logger(self) -> logging.Logger:
        """As ``RunIO.logger``."""
        return self._run.logger

    def write(self, spec: ArtifactSpec | str, value: Any, **more: Any) -> ArtifactRecord:
        """As ``RunIO.write``.

        Raises:
            OwnershipError: the artifact is not among those that this handle was given for.
        """
        self._require(spec)
        return self._run.write(spec, value, **more)

    def write_png(self, spec: ArtifactSpec | str, *, image: Any, **more: Any) -> ArtifactRecord:
        """As ``RunIO.write_png``; errors also as ``write``."""
        self._require(spec)
        return self._run.write_png(spec, image=image, **more)

    def write_mask_png(self, spec: ArtifactSpec | str, *, mask: Any, **more: Any) -> ArtifactRecord:
        """As ``RunIO.write_mask_png``; errors also as ``write``."""
        self._require(spec)
        return self._run.write_mask_png(spec, mask=mask, **more)

    def write_json(self, spec: ArtifactSpec | str, *, data: Any, **more: Any) -> ArtifactRecord:
        """As ``RunIO.write_json``; errors also as ``write``."""
        self._require(spec)
        return self._run.write_json(spec, data=data, **more)

    def write_frame(
        self, spec: ArtifactSpec | str, frame_id: SupportsIndex | str, arrays: Mapping[str, Any], **more: Any
    ) -> ArtifactRecord:
        """As ``RunIO.write_frame``; errors also as ``write``."""
        self._require(spec)
        return self._run.write_frame(spec, frame_id, arrays, **more)

    def append(self, table: ArtifactSpec | str, frame: pl.DataFrame, **more: Any) -> Appended:
        """As ``RunIO.append``; errors also as ``write`` and ``save``."""
        declared = self.contract.table(table) if self.contract is not None and isinstance(table, str) else table
        if isinstance(declared, ArtifactSpec):
            self._require(declared)
        elif not self._scope.allows(given_name(table, what="the table"), EXTRA_KIND):
            self._refuse(f"append to {table!r}", str(table))
        return self._run.append(table, frame, **more)

    def table(self, name: str, *, between: tuple[int | None, int | None] | None = None) -> pl.LazyFrame:
        """As ``RunIO.table``: any table of the run."""
        return self._run.table(name, between=between)

    def save(self, name: str, value: Any, **more: Any) -> ArtifactRecord:
        """As ``RunIO.save``.

        Raises:
            OwnershipError: the handle was not given for the kind ``extra``, or not for this id.
        """
        if not self._scope.allows(given_name(name, what="the name"), EXTRA_KIND):
            self._refuse(f"save {name!r}", name)
        return self._run.save(name, value, **more)

    def read(self, artifact_id: str, variant: str | None = None) -> Any:
        """As ``RunIO.read``: any artifact of the run."""
        return self._run.read(artifact_id, variant)

    def read_input(self) -> bytes:
        """The bytes of the primary input."""
        return self._run.read_input()

    def read_input_bgr(self) -> np.ndarray[Any, Any]:
        """The primary input as an image, as ``RunIO.read_input_bgr``."""
        return self._run.read_input_bgr()

    def log(self, values: Mapping[str, Any], step: int | None = None) -> None:
        """As ``RunIO.log``."""
        self._run.log(values, step)

    def flush(self) -> None:
        """As ``RunIO.flush``."""
        self._run.flush()

    def scoped(self, ids: Iterable[str] | None = None, kinds: Iterable[str] | None = None) -> ScopedRunIO:
        """A handle for less: what this one and the given limits both allow; never for more."""
        return ScopedRunIO(self._run, self._scope.narrowed(Scope.of(ids, kinds, self.contract)))

    def _require(self, spec: ArtifactSpec | str) -> None:
        if not isinstance(spec, ArtifactSpec):
            if self.contract is None:
                return  # an id says nothing without a contract: `write` refuses it
            spec = self.contract.spec(spec)
        if not self._scope.allows(spec.artifact_id, spec.kind):
            self._refuse(f"write {spec.artifact_id} of kind {spec.kind}", spec.artifact_id)

    def _refuse(self, doing: str, artifact: str | None = None) -> NoReturn:
        raise OwnershipError(
            f"A handle for {self._scope} cannot {doing}",
            hint="Leave it to the project that started the run, or ask it for a wider handle",
            run=self.run_id,
            artifact=artifact,
        )

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_") or not hasattr(type(self._run), name):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        self._refuse(f"use {name!r}")

    def __enter__(self) -> NoReturn:
        self._refuse("end the run")

    def __exit__(self, *_: object) -> None:
        """The run goes on: its end is not this handle's."""

    def __reduce__(self) -> tuple[Any, ...]:
        return ScopedRunIO, (self._run, self._scope)
