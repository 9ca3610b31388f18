"""A small U-Net (Ronneberger, Fischer and Brox 2015, arXiv 1505.04597): down, up, and across at each level."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class UNet(nn.Module):
    """Where objects are: float32 in 0 to 1, shape (n, 3, height, width), to logits, shape (n, 1, height, width).

    It looks at half the resolution, and once more at the whole for the edges. Height and width must halve
    ``depth + 1`` times.

    Args:
        width: channels of the first level; each level down has twice as many.
        depth: how many levels are below the first.
    """

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        channels = [width * 2**level for level in range(depth + 1)]
        self.stem = _layer(3, width, stride=2)
        self.down = nn.ModuleList(_block(a, b) for a, b in zip([width, *channels], channels, strict=False))
        self.up = nn.ModuleList(_block(a + b, a) for a, b in zip(channels[-2::-1], channels[:0:-1], strict=True))
        self.smaller = nn.MaxPool2d(2)
        self.larger = nn.Upsample(scale_factor=2, mode="nearest")
        self.edges = _layer(width + 3, width)
        self.last = nn.Conv2d(width, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """The logits."""
        across = []
        x = self.stem(images)
        for level, block in enumerate(self.down):
            x = block(x if level == 0 else self.smaller(x))
            across.append(x)
        x = across.pop()
        for block in self.up:
            x = block(torch.cat([across.pop(), self.larger(x)], dim=1))
        logits: Tensor = self.last(self.edges(torch.cat([images, self.larger(x)], dim=1)))
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
    return nn.Sequential(_layer(inputs, outputs), _layer(outputs, outputs))


def _layer(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())
