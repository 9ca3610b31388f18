"""How the network learns: steps over shuffled batches, the same for the same seed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from segment.frames.dataset import Frames
from segment.learning.net import UNet
from segment.settings import Settings

_LIGHT = (0.8, 1.2)  # how much brighter or darker each colour of a frame is made


@dataclass(slots=True)
class Learner:
    """A network that is learning.

    Attributes:
        net, optimizer, schedule: PyTorch's. step: how many steps were done. order: shuffles and flips.
    """

    net: UNet
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    order: np.random.Generator
    step: int = 0

    @classmethod
    def begin(cls, settings: Settings, frame_count: int) -> Learner:
        """A fresh network, and PyTorch set so that the same seed gives the same weights on the same machine."""
        torch.manual_seed(settings.seed)
        torch.set_num_threads(settings.threads)
        torch.use_deterministic_algorithms(mode=True)
        net = UNet(settings.net.width, settings.net.depth)
        optimizer = torch.optim.AdamW(net.parameters(), lr=settings.train.peak_lr)
        steps = settings.train.epochs * math.ceil(frame_count / settings.train.batch)
        warmup = settings.train.warmup_steps

        def share(step: int) -> float:
            if step < warmup:
                return (step + 1) / warmup
            return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, share)
        return cls(net, optimizer, schedule, np.random.default_rng(settings.seed))

    def epoch(self, frames: Frames, batch: int) -> Iterator[dict[str, float]]:
        """All frames once, shuffled; the metrics of each step."""
        self.net.train()
        order = self.order.permutation(len(frames))
        for first in range(0, len(order), batch):
            images, masks = as_tensors(frames.some(order[first : first + batch]))
            turned = [axis for axis in (2, 3) if self.order.random() < 0.5]
            light = torch.from_numpy(self.order.uniform(*_LIGHT, (len(images), 3, 1, 1)).astype(np.float32))
            yield self._step(torch.flip(images, turned) * light, torch.flip(masks, turned))

    def _step(self, images: Tensor, masks: Tensor) -> dict[str, float]:
        rate = float(self.schedule.get_last_lr()[0])
        self.optimizer.zero_grad(set_to_none=True)
        logits = self.net(images)
        loss = functional.binary_cross_entropy_with_logits(logits, masks) + _dice_loss(logits, masks)
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        self.step += 1
        return {"train/loss": float(loss.detach()), "train/lr": rate}

    def state(self) -> dict[str, Any]:
        """What going on from here takes: state dicts and numbers alone."""
        return {
            "net": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": {"last_epoch": self.schedule.last_epoch},
            "step": self.step,
        }


def as_tensors(frames: Frames) -> tuple[Tensor, Tensor]:
    """Images, float32 in 0 to 1, shape (n, 3, height, width); masks, float32, shape (n, 1, height, width)."""
    images = torch.from_numpy(frames.images).permute(0, 3, 1, 2).float().div(255).contiguous()
    return images, torch.from_numpy(frames.masks).unsqueeze(1).float()


@torch.inference_mode()
def predict(net: UNet, frames: Frames, batch: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The probability of an object: float32, shape (n, height, width)."""
    net.eval()
    pieces = []
    for first in range(0, len(frames), batch):
        images, _ = as_tensors(frames.some(range(first, min(first + batch, len(frames)))))
        pieces.append(torch.sigmoid(net(images))[:, 0].numpy())
    return np.concatenate(pieces)


def iou(found: np.ndarray[Any, Any], truth: np.ndarray[Any, Any]) -> float:
    """Intersection over union of all pixels together; 1 where there is nothing and nothing was found."""
    there, said = truth > 0, found > 0
    union = int(np.count_nonzero(there | said))
    return 1.0 if union == 0 else int(np.count_nonzero(there & said)) / union


def _dice_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """One minus the Dice coefficient of the whole batch (Milletari, Navab and Ahmadi 2016, arXiv 1606.04797)."""
    chances = torch.sigmoid(logits)
    return 1 - (2 * (chances * masks).sum() + 1) / (chances.sum() + masks.sum() + 1)
