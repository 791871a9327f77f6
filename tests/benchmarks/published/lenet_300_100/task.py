"""LeNet-300-100 (LeCun et al. 1998): 784-300-100-10, 266,610 parameters, on all of MNIST."""

from pathlib import Path

import numpy as np
from torch import nn

from argosy_controller.pipeline.task import Data, Split, Task


class LeNet300(Task):
    name = "lenet-300-100"
    outputs = ("logits",)
    settings = {"mnist": "folder with mnist-train.npz and mnist-test.npz"}
    epochs, learning_rate, batch_size, optimiser, weight_decay = 20, 1e-3, 128, "adamw", 1e-2
    dropout, first, second = 0.2, 300, 100

    def data(self, seed):
        return Data(train=self.part("train"), test=self.part("test"))

    def part(self, name):
        with np.load(Path(self.given["mnist"]) / f"mnist-{name}.npz", allow_pickle=False) as file:
            images = (file["images"].astype(np.float32) / 255 - 0.1307) / 0.3081
            return Split({"image": images[:, None]}, file["labels"].astype(np.int64))

    def model(self, seed):
        layers = [nn.Flatten(), nn.Linear(784, self.first), nn.ReLU(), nn.Dropout(self.dropout)]
        layers += [nn.Linear(self.first, self.second), nn.ReLU(), nn.Dropout(self.dropout)]
        return nn.Sequential(*layers, nn.Linear(self.second, 10))
