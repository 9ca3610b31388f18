"""What a user decides about a simulation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from difflib import get_close_matches
from typing import Any

import runbundle as rb
from crv.mind.beliefs import MindSettings
from crv.world.network import GROUP_LABELS, NetworkSettings

_SHARE = (0.0, 1.0)
RANGES: Mapping[str, tuple[float, float]] = {
    "agents": (10, 100_000),
    "ticks": (1, 10_000_000),
    "seed": (0, 2**63 - 1),
    "probe_every": (1, 10_000_000),
    "holdings_every": (1, 10_000_000),
    "append_every": (1, 10_000),
    "network.groups": (1, len(GROUP_LABELS)),
    "network.neighbours": (2, 100),
    "network.rewire": _SHARE,
    "mind.low_cents": (1, 10**9),
    "mind.high_cents": (1, 10**9),
    "mind.affinity": (0, 2),
    "mind.trend": (0, 5),
    "mind.noise": (0, 0.5),
    "mind.tolerance": (0.001, 10),
    "mind.margin": (0, 0.5),
    "mind.order_units": (1, 1_000),
    **{f"mind.{name}": _SHARE for name in ("informed", "insight", "rumour", "price_pull", "chartists")},
    **{f"mind.{name}": _SHARE for name in ("message_rate", "openness", "activity")},
}
_WHOLE = frozenset({"agents", "ticks", "seed", "probe_every", "holdings_every", "append_every"}) | {
    *("network.groups", "network.neighbours", "mind.low_cents", "mind.high_cents", "mind.order_units")
}


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a simulation.

    Attributes:
        agents: how many. ticks: how long; tick 0 is how all begins, and 1 is the first that something happens in.
        seed: of all chance; the same seed gives the same simulation.
        probe_every, holdings_every: ticks between two probes, and between two looks at what everybody holds.
        append_every: ticks that are written at once.
        network: who is tied to whom. mind: how agents value, talk and trade.

    Raises:
        InvalidConfig: values of another type or out of range; all of them are named.
    """

    agents: int = 200
    ticks: int = 1000
    seed: int = 7
    probe_every: int = 100
    holdings_every: int = 10
    append_every: int = 10
    network: NetworkSettings = field(default_factory=NetworkSettings)
    mind: MindSettings = field(default_factory=MindSettings)

    def __post_init__(self) -> None:
        faults = [fault for name, value in flat(self).items() for fault in _faults(name, value)]
        if not faults and self.mind.low_cents >= self.mind.high_cents:
            faults.append("mind.low_cents is not below mind.high_cents")
        if not faults and (self.network.neighbours % 2 or self.network.neighbours >= self.agents):
            faults.append(
                f"network.neighbours is {self.network.neighbours}: give an even number, fewer than the agents"
            )
        if faults:
            raise rb.errors.InvalidConfig(
                f"The settings cannot be taken: {'; '.join(faults)}", hint="Give values in range"
            )

    def changed(self, values: Mapping[str, Any]) -> Settings:
        """The same with other values, by their names (``agents``, ``mind.trend``).

        Raises:
            InvalidConfig: there is no such setting, or the value cannot be taken.
        """
        unknown = sorted(values.keys() - flat(self).keys())
        if unknown:
            raise rb.errors.InvalidConfig(
                f"There is no setting {', '.join(unknown)}", hint=f"{_alike(unknown)}There are {', '.join(flat(self))}"
            )
        own = {name: value for name, value in values.items() if "." not in name}
        parts = {
            part: replace(
                getattr(self, part), **{n.partition(".")[2]: v for n, v in values.items() if n.startswith(f"{part}.")}
            )
            for part in ("network", "mind")
        }
        return replace(self, **own, **parts)


def flat(settings: Any, before: str = "") -> dict[str, Any]:
    """The settings by their names."""
    found: dict[str, Any] = {}
    for one in fields(settings):
        value = getattr(settings, one.name)
        found.update(flat(value, f"{one.name}.") if is_dataclass(value) else {f"{before}{one.name}": value})
    return found


def described() -> str:
    """All settings for people: a line each, with its default and its range."""
    lines = [("setting", "default", "range")]
    for name, value in flat(Settings()).items():
        low, high = map(_bound, RANGES[name])
        lines.append((name, str(value), f"{low} to {high}"))
    return "\n".join(f"{name:<20}{default:>8}  {bounds}" for name, default, bounds in lines)


def parsed(text: str) -> tuple[str, int | float]:
    """``mind.trend=0.5`` as a name and a number.

    Raises:
        InvalidConfig: it is not of that form.
    """
    name, _, value = text.partition("=")
    try:
        return name, int(value) if value.strip().lstrip("+-").isdecimal() else float(value)
    except ValueError as error:
        raise rb.errors.InvalidConfig(f"{text!r} sets nothing", hint="Write NAME=NUMBER, mind.trend=0.5 say") from error


def _faults(name: str, value: Any) -> list[str]:
    low, high = RANGES[name]
    whole = name in _WHOLE
    is_number = type(value) is int or (type(value) is float and not whole)
    if is_number and math.isfinite(value) and low <= value <= high:
        return []
    return [
        f"{name} is {value!r}, not {'a whole number' if whole else 'a number'} from {_bound(low)} to {_bound(high)}"
    ]


def _bound(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _alike(unknown: list[str]) -> str:
    """A question for what was meant, by the whole name or by its last part (``trend``), if anything is alike."""
    ends = {name.rpartition(".")[2]: name for name in RANGES}
    for name in unknown:
        near = get_close_matches(name, RANGES, 1) or [ends[end] for end in get_close_matches(name, ends, 1)]
        if near:
            return f"Did you mean {near[0]}? "
    return ""
