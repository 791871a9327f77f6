"""Handwritten digits: a small network, scikit-learn's 1,797 images of 8 x 8, or all of MNIST with --set mnist=DIR."""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from argosy_controller.pipeline.task import Data, Split, Task


class Digits(Task):
    name = "digits"
    outputs = ("logits",)
    settings = {"mnist": "folder with mnist-train.npz and mnist-test.npz: MNIST's 28 x 28 instead of the small digits"}
    epochs, learning_rate, width, depth = 30, 2e-3, 32, 1

    def __init__(self, given):
        super().__init__(given)
        self.epochs, self.stride, self.pixels = (2, 2, 9) if "mnist" in given else (30, 1, 4)

    def data(self, seed):
        if "mnist" in self.given:
            return Data(train=self.mnist("train"), test=self.mnist("test"))
        digits = load_digits()
        images = (digits.images / 16).astype(np.float32)[:, None]
        parts = train_test_split(images, digits.target, test_size=0.4, random_state=seed, stratify=digits.target)
        return Data(train=Split({"image": parts[0]}, parts[2]), test=Split({"image": parts[1]}, parts[3]))

    def mnist(self, part):
        with np.load(Path(self.given["mnist"]) / f"mnist-{part}.npz", allow_pickle=False) as file:
            return Split({"image": (file["images"] / 255).astype(np.float32)[:, None]}, file["labels"].astype(np.int64))

    def model(self, seed):
        w = self.width
        layers = [nn.Conv2d(1, w, 3, self.stride, 1), nn.ReLU(), nn.Conv2d(w, 2 * w, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(2)]
        layers += [one for _ in range(self.depth) for one in (nn.Conv2d(2 * w, 2 * w, 3, 1, 1), nn.ReLU())]
        return nn.Sequential(*layers, nn.MaxPool2d(2), nn.Flatten(), nn.Linear(2 * w * self.pixels, 4 * w), nn.ReLU(), nn.Linear(4 * w, 10))
