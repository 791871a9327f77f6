"""For the demo: a version whose answers are right and which is several times slower, in every format.

The digits network of half width, with a branch that convolves its own result again and again. The branch's weights are shared, so
the file stays small; its result is scaled down to nothing, which no converter can know to be useless.
"""

from pathlib import Path

import torch
from torch import nn

from argosy_controller.pipeline.task import task_class

Digits = task_class(Path(__file__).resolve().parents[2] / "digits")


class SlowDigits(Digits):
    settings = {**Digits.settings, "repeats": "how many useless convolutions a request pays for (default 40)"}
    width = Digits.width // 2

    def model(self, seed):
        return Slow(super().model(seed), channels=2 * self.width, repeats=int(self.given.get("repeats", 40)))


class Slow(nn.Module):
    def __init__(self, network, channels, repeats):
        super().__init__()
        self.front, self.back = network[:4], network[4:]
        self.useless = nn.Conv2d(channels, channels, 3, 1, 1)
        self.repeats = repeats

    def forward(self, image):
        features = self.front(image)
        logits = self.back(features)
        if self.training:
            return logits
        for _ in range(self.repeats):
            features = torch.relu(self.useless(features))
        return logits + 1e-6 * features.mean((1, 2, 3), keepdim=True).flatten(1)
