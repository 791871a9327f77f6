"""Written-out dates to ISO 8601 by two GRUs (Cho et al. 2014, arXiv:1406.1078): `7th of september 1984` is 1984-09-07."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

from argosy_controller.pipeline.task import Data, Task
from argosy_controller.zoo.datasets.dates import DIGITS, ISO_LENGTH, LETTERS, dates
from argosy_controller.zoo.networks.gru import Translator


class Dates(Task):
    name = "gru-seq2seq"
    outputs = ("logits",)
    metric = "exactly right"
    epochs, batch_size, learning_rate, examples, held_out, size, hidden = 5, 64, 4e-3, 10_000, 1_000, 24, 64

    def data(self, seed: int) -> Data:
        return dates(seed, self.examples, self.held_out)

    def model(self, seed: int) -> torch.nn.Module:
        return Translator(len(LETTERS) + 1, len(DIGITS), ISO_LENGTH, self.size, self.hidden)

    def loss(self, outputs: tuple[torch.Tensor, ...], targets: torch.Tensor) -> torch.Tensor:
        return cross_entropy(outputs[0].flatten(0, 1), targets.flatten())

    def score(self, outputs: Mapping[str, NDArray[Any]], targets: NDArray[Any]) -> NDArray[np.bool_]:
        right: NDArray[np.bool_] = (outputs["logits"].argmax(axis=-1) == targets).all(axis=1)
        return right
