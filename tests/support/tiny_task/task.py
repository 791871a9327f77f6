"""A task that is built in a second or two: eight inputs, two classes. `--set` slows it down or lets it fail."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from argosy_controller.pipeline.task import Data, Split, Task

if TYPE_CHECKING:
    import torch


class Tiny(Task):
    name = "tiny"
    outputs = ("logits",)
    settings = {
        "slow": "seconds that each epoch takes at least",
        "fail": "raise | die | memory | disk, in the middle of training",
        "touch": "a file that is made when training begins",
    }
    epochs = 4

    def data(self, seed: int) -> Data:
        random = np.random.default_rng(seed)
        x = random.normal(size=(400, 8)).astype(np.float32)
        y = (x.sum(axis=1) > 0).astype(np.int64)
        return Data(train=Split({"x": x[:300]}, y[:300]), test=Split({"x": x[300:]}, y[300:]))

    def model(self, seed: int) -> torch.nn.Module:
        from torch import nn

        return nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))

    def augment(self, inputs: tuple[torch.Tensor, ...], random: torch.Generator) -> tuple[torch.Tensor, ...]:
        del random
        if "touch" in self.given:
            Path(self.given["touch"]).touch()
        time.sleep(float(self.given.get("slow", 0)) / 5)
        match self.given.get("fail"):
            case "raise":
                raise ValueError("this task cannot be trained")
            case "die":
                os.kill(os.getpid(), 9)
            case "memory":
                np.ones(1 << 40)
            case "print":
                print("secrets:", [name for name in os.environ if "ARGOSY" in name or "TOKEN" in name], Path.cwd().name, flush=True)
        return inputs
