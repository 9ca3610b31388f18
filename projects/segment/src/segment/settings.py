"""The configuration of a training, typed: what Hydra composed is held to it before anything is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import runbundle as rb


@dataclass
class FrameSettings:
    """What is learnt from; see ``conf/config.yaml``."""

    file: str
    count: int
    seed: int
    width: int
    height: int
    held_out: float
    real: str | None


@dataclass
class NetSettings:
    """The network."""

    width: int
    depth: int


@dataclass
class TrainSettings:
    """The training."""

    epochs: int
    batch: int
    peak_lr: float
    warmup_steps: int


@dataclass
class CheckpointSettings:
    """How often the state is kept."""

    every_steps: int


@dataclass
class PromoteSettings:
    """Whether the best network becomes a model, and what it is called then."""

    rule: str | None
    alias: str


@dataclass
class Settings:
    """The whole."""

    name: str
    seed: int
    threads: int
    frames: FrameSettings
    net: NetSettings
    train: TrainSettings
    checkpoints: CheckpointSettings
    promote: PromoteSettings

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of a frame."""
        return self.frames.width, self.frames.height


def settings_of(config: Any) -> Settings:
    """The settings in a composed configuration (a ``DictConfig``), resolved.

    Raises:
        InvalidConfig: an entry is missing, unknown, of another type, or out of range.
    """
    from omegaconf import OmegaConf  # noqa: PLC0415 - comes with Hydra, which the extra `train` brings
    from omegaconf.errors import OmegaConfBaseException  # noqa: PLC0415

    try:
        held = OmegaConf.merge(OmegaConf.structured(Settings), config)
        missing = sorted(OmegaConf.missing_keys(held))
        if missing:
            raise rb.errors.InvalidConfig(f"The configuration lacks {', '.join(missing)}", hint="Give each a value")
        OmegaConf.resolve(held)
        found = cast("Settings", OmegaConf.to_object(held))
    except OmegaConfBaseException as error:
        raise rb.errors.InvalidConfig(
            f"The configuration is not that of a training: {str(error).splitlines()[0]}",
            hint="What each entry must be is in segment/settings.py",
        ) from error
    faults = [text for is_good, text in _rules(found) if not is_good]
    if faults:
        raise rb.errors.InvalidConfig(f"The configuration asks for {', '.join(faults)}", hint="Give other values")
    return found


def _rules(found: Settings) -> list[tuple[bool, str]]:
    step = 2 ** (found.net.depth + 1)
    held_out = round(found.frames.held_out * found.frames.count)
    return [
        (found.net.width >= 1 and found.net.depth >= 1, "a network without width or depth"),
        (
            min(found.size_px) >= step and all(side % step == 0 for side in found.size_px),
            f"frames of {found.frames.width} x {found.frames.height}, which do not halve {found.net.depth + 1} times",
        ),
        (0 < held_out < found.frames.count, "no frames to train on, or none held out"),
        (min(found.train.epochs, found.train.batch) >= 1, "no epochs, or empty batches"),
        (0 < found.train.peak_lr < 1 and found.train.warmup_steps >= 0, "a learning rate out of range"),
        (found.checkpoints.every_steps >= 1 and found.threads >= 1, "no checkpoints, or no threads"),
        (min(found.seed, found.frames.seed) >= 0, "a seed below zero"),
    ]
