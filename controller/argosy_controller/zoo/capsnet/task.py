"""Capsules with dynamic routing (Sabour et al. 2017, arXiv:1710.09829) on handwritten digits, a few times smaller than theirs."""

from __future__ import annotations

import torch

from argosy_controller.zoo.datasets.pictures import Mnist
from argosy_controller.zoo.networks.capsules import CapsNet, margin_loss


class Capsules(Mnist):
    name = "capsnet"
    outputs = ("lengths",)
    epochs, epochs_of_digits, examples, held_out = 2, 8, 6_000, 2_000
    channels, kinds, inner, outer, rounds = 32, 8, 8, 16, 3

    def model(self, seed: int) -> torch.nn.Module:
        return CapsNet(self.channels, self.kinds, self.inner, self.outer, 10, self.rounds)

    def loss(self, outputs: tuple[torch.Tensor, ...], targets: torch.Tensor) -> torch.Tensor:
        return margin_loss(outputs[0], targets)
