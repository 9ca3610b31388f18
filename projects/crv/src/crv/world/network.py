"""Who hears whom: a small world of groups."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]

GROUP_LABELS = ("ash", "birch", "cypress", "dogwood")


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """How agents are connected.

    Attributes:
        groups: how many identities there are, 1 to 4; each agent has one.
        neighbours: how many ties an agent has on average; even.
        rewire: share of ties that lead anywhere, rather than to somebody near, who mostly is of the same group.
    """

    groups: int = 2
    neighbours: int = 6
    rewire: float = 0.08


@dataclass(frozen=True, slots=True)
class Network:
    """Agents and their ties.

    Attributes:
        groups: the group of each agent, int64, shape (agents,).
        speakers, listeners: the ends of each tie, int64, shape (ties,); a tie between two agents stands there in both
            directions, and no tie twice.
    """

    groups: IntArray
    speakers: IntArray
    listeners: IntArray

    @property
    def agents(self) -> int:
        """How many agents there are."""
        return len(self.groups)

    @property
    def agent_ids(self) -> list[str]:
        """What tables call the agents."""
        return [f"agent_{number:04d}" for number in range(self.agents)]

    @property
    def group_labels(self) -> list[str]:
        """What tables call each agent's group."""
        return [GROUP_LABELS[group] for group in self.groups]

    def document(self) -> dict[str, object]:
        """The network as JSON holds it."""
        agents = [
            {"agent_id": name, "group": label} for name, label in zip(self.agent_ids, self.group_labels, strict=True)
        ]
        is_once = self.speakers < self.listeners
        ties = np.stack([self.speakers[is_once], self.listeners[is_once]], axis=1)
        return {"agents": agents, "ties": ties.tolist()}


def small_world(rng: np.random.Generator, agents: int, settings: NetworkSettings) -> Network:
    """A ring of agents, each tied to those next to it, with some ties rewired; each group is one arc of the ring."""
    groups = np.arange(agents) * settings.groups // agents
    near = np.arange(1, settings.neighbours // 2 + 1)
    first = np.repeat(np.arange(agents), len(near))
    second = (first + np.tile(near, agents)) % agents
    is_rewired = rng.random(len(first)) < settings.rewire
    second = np.where(is_rewired, rng.integers(0, agents, len(first)), second)
    codes = np.unique(np.minimum(first, second) * agents + np.maximum(first, second))
    low, high = np.divmod(codes, agents)
    low, high = low[low != high], high[low != high]
    return Network(groups, np.concatenate([low, high]), np.concatenate([high, low]))
