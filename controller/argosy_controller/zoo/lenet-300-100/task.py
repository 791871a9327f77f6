"""LeNet-300-100 (LeCun et al. 1998, Proceedings of the IEEE 86): 784-300-100-10, 266,610 parameters."""

from __future__ import annotations

from torch import nn

from argosy_controller.zoo.datasets.pictures import Mnist


class LeNet300(Mnist):
    name = "lenet-300-100"
    first, second = 300, 100

    def model(self, seed: int) -> nn.Module:
        layers = [nn.Flatten(), nn.Linear(784, self.first), nn.ReLU(), nn.Linear(self.first, self.second), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(self.second, 10))
