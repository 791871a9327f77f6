"""LeNet-300-100 (LeCun et al. 1998): 784-300-100-10, 266,610 parameters, on all of MNIST with random shifts of a pixel."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from argosy_controller.pipeline.task import Data, Split, Task


class LeNet300(Task):
    name = "lenet-300-100"
    outputs = ("logits",)
    settings = {"mnist": "folder with mnist-train.npz and mnist-test.npz"}
    epochs, batch_size, shift, first, second = 15, 128, 1, 300, 100

    def data(self, seed):
        return Data(train=self.part("train"), test=self.part("test"))

    def part(self, name):
        with np.load(self.path("mnist") / f"mnist-{name}.npz", allow_pickle=False) as file:
            images = (file["images"].astype(np.float32) / 255 - 0.1307) / 0.3081
            return Split({"image": images[:, None]}, file["labels"].astype(np.int64))

    def augment(self, inputs, random):
        (images,) = inputs
        padded = functional.pad(images, [self.shift] * 4, value=-0.1307 / 0.3081)
        down, right = torch.randint(0, 2 * self.shift + 1, (2, len(images), 1), generator=random) + torch.arange(28)
        return (padded[torch.arange(len(images))[:, None, None], 0, down[:, :, None], right[:, None, :]][:, None],)

    def model(self, seed):
        sizes = (784, self.first, self.second)
        hidden = [layer for i in range(2) for layer in (nn.Linear(sizes[i], sizes[i + 1]), nn.ReLU())]
        return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(self.second, 10))
