"""A multi-layer perceptron on handwritten digits: 784-128-10."""

from __future__ import annotations

from torch import nn

from argosy_controller.zoo.datasets.pictures import Mnist


class Mlp(Mnist):
    name = "mlp"
    learning_rate, width = 1e-3, 128

    def model(self, seed: int) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(784, self.width), nn.ReLU(), nn.Linear(self.width, 10))
