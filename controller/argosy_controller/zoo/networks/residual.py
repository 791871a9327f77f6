"""Residual networks for small images: ResNet (He et al. 2016, arXiv:1512.03385, section 4.2) and ResNeXt (Xie et al. 2017, arXiv:1611.05431)."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import pad, relu

CLASSES = 10


class Block(nn.Module):
    """Two convolutions of 3 x 3 beside a way past them."""

    def __init__(self, before: int, width: int) -> None:
        super().__init__()
        self.stride = 1 if before == width else 2
        self.conv1, self.bn1 = nn.Conv2d(before, width, 3, self.stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images (batch, channels, height, width)."""
        y = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)))))
        if self.stride == 2:  # half the pixels, twice the channels, no weights: option A of the paper
            x = pad(x[:, :, ::2, ::2], (0, 0, 0, 0, x.shape[1] // 2, x.shape[1] // 2))
        return relu(x + y)


def resnet(depth: int, width: int) -> nn.Module:
    """A network of 6 * depth + 2 layers: depth 3 is ResNet-20. Its layers are called as in akamaster/pytorch_resnet_cifar10."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(conv1=nn.Conv2d(3, width, 3, 1, 1, bias=False), bn1=nn.BatchNorm2d(width))
    layers["relu"] = nn.ReLU()
    for i, (before, after) in enumerate([(width, width), (width, 2 * width), (2 * width, 4 * width)], start=1):
        layers[f"layer{i}"] = nn.Sequential(*(Block(after if j else before, after) for j in range(depth)))
    layers |= OrderedDict(pool=nn.AdaptiveAvgPool2d(1), flat=nn.Flatten(), linear=nn.Linear(4 * width, CLASSES))
    return nn.Sequential(layers)


def published_resnet20(checkpoint: Path) -> nn.Module:
    """ResNet-20 with the weights of a checkpoint, which is read without unpickling code."""
    network = resnet(depth=3, width=16)
    weights = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    network.load_state_dict({name.removeprefix("module."): value for name, value in weights.items()})
    return network


class GroupedBlock(nn.Module):
    """ResNeXt's block in its form c (figure 3): narrow, convolve in `groups`, widen, beside a way past it."""

    def __init__(self, before: int, width: int, stride: int, groups: int) -> None:
        super().__init__()
        inner = width // 2
        self.way = nn.Sequential(
            *(nn.Conv2d(before, inner, 1, bias=False), nn.BatchNorm2d(inner), nn.ReLU()),
            *(nn.Conv2d(inner, inner, 3, stride, 1, groups=groups, bias=False), nn.BatchNorm2d(inner), nn.ReLU()),
            *(nn.Conv2d(inner, width, 1, bias=False), nn.BatchNorm2d(width)),
        )
        self.past = nn.Sequential(nn.Conv2d(before, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images (batch, channels, height, width)."""
        return relu(self.past(x) + self.way(x))


def resnext(width: int, groups: int) -> nn.Module:
    """Three stages of one block each, of twice, four and eight times `width` channels."""
    stem = (nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
    stages = [GroupedBlock(width << i, width << i + 1, 2 if i else 1, groups) for i in range(3)]
    return nn.Sequential(*stem, *stages, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8 * width, CLASSES))
