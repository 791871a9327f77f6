"""A task that trains in a blink, and nothing on disk."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from torch import nn

from argosy_controller.pipeline.passes.interface import Context
from argosy_controller.pipeline.task import Data, Split, Task


class Blobs(Task):
    """Two blobs of light in an 8 x 8 image: left or right."""

    name = "blobs"
    outputs = ("logits",)
    epochs = 2

    def data(self, seed: int) -> Data:
        random = np.random.default_rng(seed)
        targets = random.integers(0, 2, 160)
        images = random.normal(0, 0.1, (160, 1, 8, 8)).astype(np.float32)
        images[targets == 1, :, :, 4:] += 1
        images[targets == 0, :, :, :4] += 1
        examples = Split({"image": images}, targets)
        return Data(train=examples.take(slice(0, 120)), test=examples.take(slice(120, None)))

    def model(self, seed: int) -> nn.Module:
        layers: list[nn.Module] = [nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()]
        return nn.Sequential(*layers, nn.MaxPool2d(4), nn.Flatten(), nn.Linear(32, 2))


@pytest.fixture
def task() -> Task:
    return Blobs({})


@pytest.fixture
def context(task: Task) -> Context:
    return Context(task, task.data(0), seed=3, on_step=lambda done, total: None)


@pytest.fixture
def network(task: Task) -> Any:
    import torch

    torch.manual_seed(0)
    return task.model(0).eval()
