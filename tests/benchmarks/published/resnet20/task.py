"""The published ResNet-20 on CIFAR-10, as in examples/images, with all training images and the usual flips and shifts."""

from pathlib import Path

import torch
from torch.nn import functional

from argosy_controller.pipeline.task import task_class


class ResNet20(task_class(Path(__file__).parents[4] / "examples" / "images")):
    name = "resnet-20"
    examples, batch_size, shift = 30_000, 128, 2

    def augment(self, inputs, random):
        (images,) = inputs
        flipped = torch.where(torch.rand(len(images), 1, 1, 1, generator=random) < 0.5, images.flip(3), images)
        down, right = torch.randint(0, 2 * self.shift + 1, (2,), generator=random).tolist()
        padded = functional.pad(flipped, [self.shift] * 4)
        return (padded[:, :, down : down + 32, right : right + 32],)
