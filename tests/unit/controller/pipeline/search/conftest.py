"""Small problems in double precision, for numbers that must agree to many digits."""

from __future__ import annotations

import numpy as np
import pytest
from torch import nn

from argosy_controller.pipeline.task import Data, Split, Task


class Rings(Task):
    """Points inside or outside of a circle, with some labels wrong: small, smooth, and not to be learnt to the end."""

    name = "rings"
    outputs = ("logits",)
    epochs = 2
    batch_size = 16

    def data(self, seed: int) -> Data:
        random = np.random.default_rng(seed)
        points = random.normal(0, 1, (160, 2))
        targets = ((points**2).sum(axis=1) > 1.2).astype(np.int64)
        targets[random.random(160) < 0.1] ^= 1
        every = Split({"point": points}, targets)
        return Data(train=every.take(slice(0, 64)), validation=every.take(slice(64, 112)), test=every.take(slice(112, None)))

    def model(self, seed: int) -> nn.Module:
        return nn.Sequential(nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, 2)).double()


@pytest.fixture
def rings() -> Rings:
    return Rings({})
