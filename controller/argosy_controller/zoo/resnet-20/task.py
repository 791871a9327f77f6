"""ResNet-20 (He et al. 2016, arXiv:1512.03385, section 4.2); with --set checkpoint=FILE the published one, which needs no training."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from argosy_controller.zoo.datasets.pictures import Cifar10
from argosy_controller.zoo.networks.residual import published_resnet20, resnet


class ResNet20(Cifar10):
    name = "resnet-20"
    settings = {**Cifar10.settings, "checkpoint": "resnet20-12fca82f.th of github.com/akamaster/pytorch_resnet_cifar10"}
    epochs, epochs_of_digits, depth, width = 2, 3, 3, 16

    def __init__(self, given: Mapping[str, str]) -> None:
        super().__init__(given)
        self.epochs = 0 if "checkpoint" in given else self.epochs

    def model(self, seed: int) -> nn.Module:
        return published_resnet20(self.path("checkpoint")) if "checkpoint" in self.given else resnet(self.depth, self.width)
