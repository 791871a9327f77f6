"""MNIST with the permutation-invariant network of BinaryConnect: three layers of 1024, batch norm, squared hinge loss."""

from itertools import pairwise

import numpy as np
from torch import nn
from torch.nn import functional

from argosy_controller.pipeline.task import Data, Split, Task


class BinaryMnist(Task):
    name = "mnist-binary"
    outputs = ("scores",)
    settings = {"mnist": "folder with mnist-train.npz and mnist-test.npz"}
    epochs, batch_size, width, depth = 0, 200, 1024, 3

    def data(self, seed):
        return Data(train=self.part("train"), test=self.part("test"))

    def part(self, name):
        with np.load(self.path("mnist") / f"mnist-{name}.npz", allow_pickle=False) as file:
            return Split({"image": (file["images"] / 127.5 - 1).astype(np.float32)[:, None]}, file["labels"].astype(np.int64))

    def model(self, seed):
        sizes = [784] + [self.width] * self.depth
        layers = [nn.Flatten()]
        for inputs, outputs in pairwise(sizes):
            layers += [nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(sizes[-1], 10, bias=False), nn.BatchNorm1d(10))

    def loss(self, outputs, targets):
        signs = 2 * functional.one_hot(targets.long(), 10) - 1
        return (1 - outputs[0] * signs).clamp(min=0).square().mean()
