"""Images: MNIST or CIFAR-10 from files that a setting names, else scikit-learn's 1,797 handwritten digits, enlarged."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from argosy_controller.pipeline.task import Data, Split, Task

MEAN, DEVIATION = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


class Mnist(Task):
    """28 x 28 pixels in 0 to 1, as input `image` (examples, 1, 28, 28).

    Attributes:
        examples, held_out: at most so many training and test images are taken, from the first.
        epochs_of_digits: of the training where no file was given.
    """

    outputs = ("logits",)
    settings = {"mnist": "folder with mnist-train.npz and mnist-test.npz; without it scikit-learn's digits, enlarged"}
    epochs, epochs_of_digits, batch_size, examples, held_out = 3, 30, 64, 60_000, 5_000

    def __init__(self, given: Mapping[str, str]) -> None:
        super().__init__(given)
        self.epochs = self.epochs if "mnist" in given else self.epochs_of_digits

    def data(self, seed: int) -> Data:
        """All of MNIST in its own order, or the digits, of which 60 % train."""
        if "mnist" not in self.given:
            return enlarged_digits(seed, 28, 1)
        return Data(train=self._part("train", self.examples), test=self._part("test", self.held_out))

    def _part(self, part: str, count: int) -> Split:
        with np.load(self.path("mnist") / f"mnist-{part}.npz", allow_pickle=False) as file:
            images, labels = file["images"][:count], file["labels"][:count]
        return Split({"image": (images / 255).astype(np.float32)[:, None]}, labels.astype(np.int64))


class Cifar10(Task):
    """32 x 32 pixels in three colours, normalised as ImageNet's, as input `image` (examples, 3, 32, 32)."""

    outputs = ("logits",)
    settings = {"images": "folder with cifar10-train*.npz and cifar10-test*.npz; without it scikit-learn's digits, enlarged"}
    epochs, epochs_of_digits, learning_rate, batch_size, examples, held_out = 4, 4, 2e-3, 64, 5_000, 2_000

    def __init__(self, given: Mapping[str, str]) -> None:
        super().__init__(given)
        self.epochs = self.epochs if "images" in given else self.epochs_of_digits
        self.labels = CIFAR10 if "images" in given else ()  # type: ignore[misc]  # digits are called by their numbers

    def data(self, seed: int) -> Data:
        """CIFAR-10 in its files' order, or the digits, of which 60 % train."""
        if "images" not in self.given:
            return enlarged_digits(seed, 32, 3)
        return Data(train=self._part("train", self.examples), test=self._part("test", self.held_out))

    def _part(self, part: str, count: int) -> Split:
        with np.load(next(self.path("images").glob(f"cifar10-{part}*.npz")), allow_pickle=False) as file:
            files, labels = np.split(file["jpeg"], file["offsets"][1:-1])[:count], file["labels"][:count].astype(np.int64)
        pixels = np.stack([np.asarray(Image.open(io.BytesIO(one.tobytes()))) for one in files]) / np.float32(255)
        return Split({"image": np.ascontiguousarray(((pixels - MEAN) / DEVIATION).transpose(0, 3, 1, 2))}, labels)


def enlarged_digits(seed: int, size: int, channels: int) -> Data:
    """The digits of 8 x 8 pixels, each pixel made a square, with a border up to `size`; values in 0 to 1, all channels alike."""
    digits = load_digits()
    times = size // 8
    border = (size - 8 * times) // 2
    images = np.kron((digits.images / 16).astype(np.float32), np.ones((1, times, times), np.float32))
    images = np.repeat(np.pad(images, ((0, 0), (border, border), (border, border)))[:, None], channels, axis=1)
    labels = digits.target.astype(np.int64)
    parts = train_test_split(images, labels, test_size=0.4, random_state=seed, stratify=labels)
    return Data(train=Split({"image": parts[0]}, parts[2]), test=Split({"image": parts[1]}, parts[3]))
