"""CIFAR-10 from JPEG files: a small residual network trained on some of them, or a ready ResNet-20 (--set checkpoint=FILE)."""

import io

import numpy as np
from PIL import Image
from resnet import ready_resnet20, resnet

from argosy_controller.pipeline.task import Data, Split, Task


class Images(Task):
    name = "cifar10"
    outputs = ("logits",)
    labels = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    settings = {
        "images": "folder with cifar10-train*.npz and cifar10-test*.npz: examples/images/README.md says how to make them",
        "checkpoint": "resnet20-12fca82f.th of github.com/akamaster/pytorch_resnet_cifar10, a ready ResNet-20",
    }
    epochs, learning_rate, examples, depth, width = 5, 2e-3, 5000, 1, 16

    def __init__(self, given):
        super().__init__(given)
        self.epochs = 0 if "checkpoint" in given else self.epochs

    def data(self, seed):
        return Data(train=self.part("train", self.examples), test=self.part("test", None))

    def part(self, name, count):
        with np.load(next(self.path("images").glob(f"cifar10-{name}*.npz")), allow_pickle=False) as file:
            files, labels = np.split(file["jpeg"], file["offsets"][1:-1])[:count], file["labels"][:count].astype(np.int64)
        pixels = np.stack([np.asarray(Image.open(io.BytesIO(one.tobytes()))) for one in files]) / np.float32(255)
        pixels = (pixels - np.float32([0.485, 0.456, 0.406])) / np.float32([0.229, 0.224, 0.225])
        return Split({"image": np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))}, labels)

    def model(self, seed):
        return ready_resnet20(self.path("checkpoint")) if "checkpoint" in self.given else resnet(self.depth, self.width)
