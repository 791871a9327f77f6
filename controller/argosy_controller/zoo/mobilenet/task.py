"""A small MobileNet of the second kind (Sandler et al. 2018, arXiv:1801.04381)."""

from __future__ import annotations

from torch import nn

from argosy_controller.zoo.datasets.pictures import Cifar10
from argosy_controller.zoo.networks.mobilenet import mobilenet

BLOCKS = ((16, 1), (24, 2), (24, 1), (32, 2), (32, 1))  # channels and stride


class MobileNet(Cifar10):
    name = "mobilenet"
    stem, times, head = 16, 3, 96

    def model(self, seed: int) -> nn.Module:
        return mobilenet(self.stem, BLOCKS, self.times, self.head)
