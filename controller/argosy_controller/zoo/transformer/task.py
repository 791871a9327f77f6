"""A transformer encoder (Vaswani et al. 2017, arXiv:1706.03762) that tells from a Unicode character's name of which kind it is."""

from __future__ import annotations

from torch import nn

from argosy_controller.pipeline.task import Data, Task
from argosy_controller.zoo.datasets.characters import KINDS, LENGTH, LETTERS, characters
from argosy_controller.zoo.networks.transformer import Encoder


class CharacterKinds(Task):
    name = "transformer"
    outputs = ("logits",)
    labels = KINDS
    epochs, batch_size, learning_rate, width, heads, depth, held_out = 4, 64, 2e-3, 48, 4, 2, 2_000

    def data(self, seed: int) -> Data:
        return characters(seed, self.held_out)

    def model(self, seed: int) -> nn.Module:
        return Encoder(len(LETTERS) + 1, LENGTH, self.width, self.heads, self.depth, len(KINDS))
