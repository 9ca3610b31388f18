"""A small U-Net (Ronneberger, Fischer and Brox 2015, arXiv 1505.04597): down, up, and across at each level."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class UNet(nn.Module):
    """Where objects are: float32 in 0 to 1, shape (n, 3, height, width), to logits, shape (n, 1, height, width).

    Height and width must halve ``depth`` times.

    Args:
        width: channels of the first level; each level down has twice as many.
        depth: how many levels are below the first.
    """

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        channels = [width * 2**level for level in range(depth + 1)]
        self.down = nn.ModuleList(_block(a, b) for a, b in zip([3, *channels], channels, strict=False))
        self.up = nn.ModuleList(_block(a + b, a) for a, b in zip(channels[-2::-1], channels[:0:-1], strict=True))
        self.smaller = nn.MaxPool2d(2)
        self.larger = nn.Upsample(scale_factor=2, mode="nearest")
        self.last = nn.Conv2d(width, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """The logits."""
        across = []
        x = images
        for level, block in enumerate(self.down):
            x = block(x if level == 0 else self.smaller(x))
            across.append(x)
        x = across.pop()
        for block in self.up:
            x = block(torch.cat([across.pop(), self.larger(x)], dim=1))
        logits: Tensor = self.last(x)
        return logits


class Deployed(nn.Module):
    """The network as other programs use it: values 0 to 255 in, probabilities out; shapes as ``UNet``."""

    def __init__(self, net: UNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        """The probabilities."""
        return torch.sigmoid(self.net(images / 255.0))


def _block(inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        layers += [nn.Conv2d(channels, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers)
