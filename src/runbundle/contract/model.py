"""What a model is called, and what a spec says of the model that its artifact may become."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runbundle.base import jsontext
from runbundle.base.errors import InvalidName, InvalidType
from runbundle.base.ids import check_token, plain

TRAINED, PRETRAINED = "trained", "pretrained"


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Where a model belongs that is made from an artifact, and what it takes.

    Attributes:
        skill: what the model is for; it may nest: ``perception/segmentation``.
        name: of the model; several variants and versions of one are known by it.
        variant: which of several models of that name.
        input: what the model takes as input, as free JSON: sizes, channels, units; kept with the model.

    Raises:
        InvalidName: a name that cannot be taken. InvalidType, InvalidValue: ``input`` is no JSON object.
    """

    skill: str
    name: str
    variant: str = "base"
    input: Mapping[str, Any] | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        for name in ("skill", "name", "variant"):
            object.__setattr__(self, name, plain(getattr(self, name)))
        check_skill(self.skill)
        check_model_name(self.name, what="the name of the model")
        check_model_name(self.variant, what="the variant of the model")
        if self.input is not None:
            object.__setattr__(self, "input", free_object(self.input, what="what the model takes as input"))


def check_skill(skill: Any) -> str:
    """What a model is for, with ``/`` where it nests.

    Raises:
        InvalidName: anything else than names parted by ``/``.
    """
    if not isinstance(skill, str):
        raise InvalidName(f"The skill {skill!r} is not text", hint="Write perception/segmentation, say")
    for part in skill.split("/"):
        check_model_name(part, what="the skill")
    return skill


def check_model_name(name: Any, *, what: str) -> str:
    """A folder of the registry: ``a-z 0-9 . _ -``, and none of the names that part models from one another.

    Raises:
        InvalidName: anything else.
    """
    check_token(name, what=what)
    if name in (TRAINED, PRETRAINED):
        raise InvalidName(f"{what} cannot be {name!r}: that folder parts models by their origin", hint="Rename it")
    return str(name)


def free_object(value: Any, *, what: str) -> dict[str, Any]:
    """A JSON object, as it will be read back, which no later change of the original reaches.

    Raises:
        InvalidType: it is no mapping, or holds what JSON has not. InvalidValue: a number or text that JSON has not.
    """
    if not isinstance(value, Mapping):
        raise InvalidType(f"{what} is a JSON object, not {type(value).__name__}")
    copied: dict[str, Any] = jsontext.parse(jsontext.line(value, what=what), what=what)
    return copied
