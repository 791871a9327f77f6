"""A small MobileNet of the second kind (Sandler et al. 2018, arXiv:1801.04381): inverted residuals with linear bottlenecks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

CLASSES = 10


def conv(before: int, width: int, size: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    """A convolution with batch norm and ReLU6."""
    kernel = nn.Conv2d(before, width, size, stride, size // 2, groups=groups, bias=False)
    return [kernel, nn.BatchNorm2d(width), nn.ReLU6()]


class Inverted(nn.Module):
    """Widen, convolve each channel alone, narrow without a non-linearity (section 3.3); past it where shapes allow."""

    def __init__(self, before: int, width: int, stride: int, times: int) -> None:
        super().__init__()
        inner = before * times
        narrow = (nn.Conv2d(inner, width, 1, bias=False), nn.BatchNorm2d(width))
        self.way = nn.Sequential(*conv(before, inner, 1), *conv(inner, inner, 3, stride, groups=inner), *narrow)
        self.past = stride == 1 and before == width

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images (batch, channels, height, width)."""
        y: torch.Tensor = self.way(x)
        return x + y if self.past else y


def mobilenet(stem: int, blocks: Sequence[tuple[int, int]], times: int, head: int) -> nn.Module:
    """A network over images of three colours.

    Args:
        blocks: channels and stride of each.
        times: how much wider a block is inside.
        head: channels before the classes.
    """
    layers, before = conv(3, stem, 3), stem
    for width, stride in blocks:
        layers.append(Inverted(before, width, stride, times))
        before = width
    return nn.Sequential(*layers, *conv(before, head, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(head, CLASSES))
