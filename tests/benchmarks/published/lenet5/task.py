"""LeNet-5 as Caffe has it: 20 and 50 kernels of 5 x 5, 500 and 10 neurons, 431,080 parameters, on all of MNIST."""

from pathlib import Path

import numpy as np
from torch import nn

from argosy_controller.pipeline.task import Data, Split, Task


class LeNet5(Task):
    name = "lenet-5"
    outputs = ("logits",)
    settings = {"mnist": "folder with mnist-train.npz and mnist-test.npz"}
    epochs, learning_rate, batch_size, optimiser, weight_decay = 10, 1e-3, 128, "adamw", 1e-2

    def data(self, seed):
        return Data(train=self.part("train"), test=self.part("test"))

    def part(self, name):
        with np.load(Path(self.given["mnist"]) / f"mnist-{name}.npz", allow_pickle=False) as file:
            images = (file["images"].astype(np.float32) / 255 - 0.1307) / 0.3081
            return Split({"image": images[:, None]}, file["labels"].astype(np.int64))

    def model(self, seed):
        layers = [nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2), nn.Flatten()]
        return nn.Sequential(*layers, nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10))
