"""LeNet-5 as Caffe has it: 20 and 50 kernels of 5 x 5, 500 and 10 neurons, 431,080 parameters; data as for LeNet-300-100."""

from pathlib import Path

from torch import nn

from argosy_controller.pipeline.task import task_class


class LeNet5(task_class(Path(__file__).parents[1] / "lenet_300_100")):
    name = "lenet-5"
    epochs, shift = 8, 2

    def model(self, seed):
        layers = [nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2), nn.Flatten()]
        return nn.Sequential(*layers, nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10))
