"""Weights that compute as signs and train as real numbers (torch part of the pass `binarise`)."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from math import prod, sqrt
from typing import Any, cast

import torch
from torch import nn
from torch.nn.utils import parametrize

from argosy_controller.pipeline.methods.weight_layers import WeightLayer, batch_norms, plain_weight, weight_layers
from argosy_controller.pipeline.task import Split
from argosy_controller.pipeline.training import forward, tensors

#: Batches that batch norm's statistics are taken from: their mean is exact enough long before the data end.
_BATCHES = 100


class Signs(nn.Module):
    """BinaryConnect: from latent weights in [-bound, bound] to exactly -1 and 1; 0 counts as positive.

    The gradient passes straight through. `latent / bound` is the paper's real weight w: kept this way, Adam moves w by
    the learning rate divided by the bound, and sgd by the rate divided by its square (arXiv:1511.00363, section 2.5).
    """

    def __init__(self, bound: float, stochastic: bool) -> None:
        super().__init__()
        self.bound, self.stochastic = bound, stochastic

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        """Signs; while training stochastically, 1 with probability (w + 1) / 2 (equation 2)."""
        with torch.no_grad():
            threshold = self.bound * (2 * torch.rand_like(latent) - 1) if self.stochastic and self.training else 0.0
            positive = latent >= threshold
            signs = torch.where(positive, 1.0, -1.0)
        return signs + (latent - latent.detach()) / self.bound


class ScaledSigns(nn.Module):
    """XNOR-Net: from latent weights in [-1, 1] to their sign times the mean absolute weight of the output channel.

    The gradient takes both ways, through the sign (straight, since weights stay within [-1, 1]) and through the mean
    (arXiv:1603.05279, section 3.1).
    """

    bound = 1.0

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        """Exactly -a and a for each channel."""
        scale = latent.abs().mean(tuple(range(1, latent.dim())), keepdim=True)
        signs = torch.where(latent.detach() >= 0, 1.0, -1.0)
        return scale * (signs + (latent - latent.detach()))


def glorot_bound(shape: torch.Size) -> float:
    """The coefficient sqrt(1.5 / (inputs + outputs)) of a weight (outputs, inputs, *kernel), as in the authors' code."""
    area = prod(shape[2:])
    return sqrt(1.5 / (area * (shape[0] + shape[1])))


def binary_copy(model: nn.Module, names: list[str], *, scaled: bool, stochastic: bool) -> nn.Module:
    """A copy whose named layers compute with binary weights and keep real ones for training."""
    student = copy.deepcopy(model)
    layers = weight_layers(student)
    for name in names:
        weight = layers[name].weight
        # Training holds exact zeros fast (they stand for pruned weights); a binary weight cannot be one.
        weight.data[weight.data == 0] = torch.finfo(weight.dtype).tiny
        kind = ScaledSigns() if scaled else Signs(glorot_bound(weight.shape), stochastic)
        parametrize.register_parametrization(layers[name], "weight", kind)
    clip(student, 0, 0)
    return student


@torch.no_grad()
def clip(student: nn.Module, done: int, total: int) -> None:
    """Latent weights back into their bounds: beyond, they would change nothing but their own inertia (section 2.4)."""
    del done, total
    for layer in _binary(student):
        _latent(layer).clamp_(-_kind(layer).bound, _kind(layer).bound)


def finish(student: nn.Module, *, real: bool) -> nn.Module:
    """The student with plain weights: the signs, or the real weights w."""
    student.eval()
    for layer in list(_binary(student)):
        bound = _kind(layer).bound
        plain_weight(layer, computed=not real)
        if real:
            layer.weight.data.div_(bound)
    return student


@torch.no_grad()
def renew_statistics(model: nn.Module, split: Split, batch: int) -> None:
    """Batch norm's means and variances for the weights as they are now, in place."""
    norms = [one for one in batch_norms(model) if one.track_running_stats]
    if not norms:
        return
    momenta = [one.momentum for one in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over batches
        norm.train()
    for start in range(0, min(len(split), _BATCHES * batch), batch):
        part = split.take(slice(start, start + batch))
        if len(part) > 1:
            forward(model, tensors(part))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()


def _binary(model: nn.Module) -> Iterator[WeightLayer]:
    return (layer for layer in weight_layers(model).values() if parametrize.is_parametrized(layer, "weight"))


def _kind(layer: WeightLayer) -> Signs | ScaledSigns:
    return cast(Any, layer).parametrizations.weight[0]  # type: ignore[no-any-return]


def _latent(layer: WeightLayer) -> torch.Tensor:
    return cast(Any, layer).parametrizations.weight.original  # type: ignore[no-any-return]
