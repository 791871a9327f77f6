"""LeNet-5 as Caffe has it: 20 and 50 kernels of 5 x 5, 500 and 10 neurons, 431,080 parameters."""

from __future__ import annotations

from torch import nn

from argosy_controller.zoo.datasets.pictures import Mnist


class LeNet5(Mnist):
    name = "lenet-5"
    epochs, epochs_of_digits, examples = 2, 8, 20_000

    def model(self, seed: int) -> nn.Module:
        layers = [nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2), nn.Flatten()]
        return nn.Sequential(*layers, nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10))
