"""A run that is made to reproduce another: it takes its configuration and its inputs, and says whose.

``runbundle reproduce`` starts the recorded command with ``RUNBUNDLE_REPRODUCE`` set to the old run's folder. The run
that has the old one's project and number in its process then takes the old one's place; further ones that the same
command makes are runs like any other, and all lie in a store that does not stay. In workers, to which runs come in no
order, each takes the place, and the one with the same inputs is held against the old one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from runbundle.base.errors import DecodeError, DigestMismatch, InvalidValue
from runbundle.io.atomic import hash_file
from runbundle.io.confine import inside
from runbundle.io.formats import yaml
from runbundle.run.log.manifest import read_manifest
from runbundle.run.log.state import RunState
from runbundle.run.origin.code import root_here
from runbundle.run.origin.invocation import next_number
from runbundle.run.seal import read_checked, root_digest_of
from runbundle.run.settings.config import Config, differing
from runbundle.run.settings.files import CONFIG, DIGEST_FIELDS, Settings, read_config
from runbundle.run.settings.secrets import shown, unmask

VARIABLE, PLAN_VARIABLE = "RUNBUNDLE_REPRODUCE", "RUNBUNDLE_REPRODUCE_PLAN"
CONFIGURATION, INPUTS = "config", "inputs"
_MODELS = "models/"


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What the environment says of a reproduction.

    Attributes:
        run_dir: the folder of the run to be reproduced.
        store: where the new one goes. home: the store that the old one is of, for what it refers to there.
        secrets: for each masked key, the variable of the environment that holds what was masked.
        current: what is taken as it is now, and not from the old run: of ``config`` and ``inputs``.
    """

    run_dir: Path
    store: Path
    home: Path
    secrets: Mapping[str, str]
    current: frozenset[str]

    @staticmethod
    def here() -> Reproduction | None:
        """The reproduction that this process is a part of; None in most.

        Raises:
            InvalidValue: the variables do not fit together.
        """
        run_dir = os.environ.get(VARIABLE)
        return _read(run_dir, os.environ.get(PLAN_VARIABLE, "")) if run_dir else None

    def environment(self) -> dict[str, str]:
        """The variables that tell a process of it."""
        plan = {
            "store": str(self.store),
            "home": str(self.home),
            "secrets": dict(self.secrets),
            "current": sorted(self.current),
        }
        return {VARIABLE: str(self.run_dir), PLAN_VARIABLE: json.dumps(plan, sort_keys=True)}

    def reference(self, given: str) -> str:
        """What the old run got by a reference: that very model, though an alias may stand for another by now."""
        for used in self.manifest.get("models", ()):
            if used["reference"] == given and str(used["path"]).startswith(_MODELS):
                return f"local://{used['path'].removeprefix(_MODELS)}"
        return given

    @property
    def manifest(self) -> Mapping[str, Any]:
        """That of the old run."""
        return _manifest(self.run_dir)

    def is_of(self, project_name: str, number: int | None) -> bool:
        """Whether the run that a project makes now stands for the old one; in a worker any may."""
        told = self.manifest
        return bool(told["project_name"] == project_name and number in (None, told.get("run_number", 0)))

    def settings(self, given: Settings) -> Settings:
        """What the new run is given: the old one's configuration, its secrets put back; and the link to it.

        Where the program gave another configuration, the link says in which keys: a program that reads its own, and
        not that of the run, may compute by another.
        """
        link: dict[str, Any] = {name: self.manifest[name] for name in ("run_id", "run_uuid")}
        link["root_digest"] = root_digest_of(self.run_dir)
        old = read_config(self.run_dir)
        keys = differing(given.shown.resolved, old)
        if keys:
            link["given_config_differs"] = keys
        if CONFIGURATION in self.current:
            return replace(given, link={"reproduces": link})
        composed = self._composed()
        config = Config(self._unmasked(composed), self._unmasked(old))
        return Settings(config, shown(config), {"reproduces": link})

    def _composed(self) -> dict[str, Any]:
        place, told = self.run_dir / CONFIG, self.manifest["attempts"][-1][DIGEST_FIELDS[CONFIG]]
        found = yaml.load(read_checked(place, told, name=CONFIG, run=self.run_dir.name))
        if not isinstance(found, dict):
            raise DecodeError(f"{CONFIG} holds no mapping", run=self.run_dir.name, path=place)
        return found

    def _unmasked(self, config: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = unmask(config, self.secret)
        return found

    def secret(self, key: str) -> str:
        """What was masked under a key, from the environment.

        Raises:
            InvalidValue: nobody said where it is.
        """
        variable = self.secrets.get(key)
        value = os.environ.get(variable) if variable else None
        if value is None:
            raise InvalidValue(
                f"The run's {key} was masked, and is not given",
                hint=f"Put it into a variable of the environment, and give --secret {key}=VARIABLE",
                run=self.run_dir.name,
            )
        return value

    def input_for(self, source: Path) -> Path:
        """The file to take for an input that a program names: the old run's copy of it, where it is one of its inputs.

        A file that is there with the recorded bytes is taken itself. Where inputs are taken as they are now, it is the
        file that the old run's came from.

        Raises:
            DigestMismatch: the copy is not as it was recorded.
        """
        told = next((item for item in self.manifest["inputs"] if is_original(item, str(source), root_here())), None)
        if told is None or told["sha256"] is None:
            return source
        if INPUTS in self.current:
            original = Path(told["original_path"])
            return original if original.is_file() else source
        if source.is_file() and hash_file(source).sha256 == told["sha256"]:
            return source
        copy = inside(self.run_dir, told["filename"], what="input")
        if hash_file(copy).sha256 != told["sha256"]:
            raise DigestMismatch(
                f"{told['filename']} is not as it was recorded",
                hint="`runbundle verify` tells what else differs; restore the run from a copy",
                run=self.run_dir.name,
                path=copy,
            )
        return copy


def is_original(told: Mapping[str, Any], path: str, root: Path | None) -> bool:
    """Whether an input came from a path: the same, or the same place of another checkout, whose top is ``root``."""
    original, place = told["original_path"], PurePosixPath(path)
    if original is None or PurePosixPath(told["filename"]).name != place.name:
        return False
    if original == path:
        return True
    return root is not None and place.is_relative_to(root) and bool(original.endswith(f"/{place.relative_to(root)}"))


def linked(settings: Settings, project_name: str) -> Settings:
    """The settings of a run that a project makes now, with its number, and the link to the run it reproduces."""
    number = next_number()
    again = Reproduction.here()
    if again is not None and again.is_of(project_name, number):
        settings = again.settings(settings)
    return replace(settings, link={**settings.link, "run_number": number}) if number else settings


def input_of(state: RunState, source: Path) -> Path:
    """The file to take for an input of a run: ``source``, but for a run that takes the place of another.

    Raises:
        DigestMismatch: as ``Reproduction.input_for``.
    """
    again = Reproduction.here()
    if again is None or "reproduces" not in state.starts.get(state.attempt, {}):
        return source
    return again.input_for(source)


@cache
def _read(run_dir: str, plan: str) -> Reproduction:
    try:
        told = json.loads(plan)
        found = Reproduction(
            Path(run_dir),
            Path(told["store"]),
            Path(told["home"]),
            dict(told["secrets"]),
            frozenset(map(str, told["current"])),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidValue(
            f"{VARIABLE} is set, and {PLAN_VARIABLE} does not say how", hint="Call `runbundle reproduce RUN`"
        ) from error
    return found


@cache
def _manifest(run_dir: Path) -> Mapping[str, Any]:
    return read_manifest(run_dir)
