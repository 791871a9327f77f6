"""How much the loss would feel the loss of single weights, from gradients."""

from __future__ import annotations

import copy

import torch
from torch import nn

from argosy_controller.pipeline.methods.gradients import gradient, gradients
from argosy_controller.pipeline.methods.masks import Scores, prunable
from argosy_controller.pipeline.options import TrainingConfig
from argosy_controller.pipeline.passes.interface import Context
from argosy_controller.pipeline.training import named_loss


def connection_saliency(model: nn.Module, ctx: Context, examples: int) -> Scores:
    """|g w| per weight, g the gradient of the mean loss over all examples (Lee et al. 2019, arXiv:1810.02340, equation 5).

    Not normalised by the sum over all weights (equation 6): the ranking is the same.
    """
    weights = prunable(model)
    sums = {name: torch.zeros_like(one, dtype=torch.float64) for name, one in weights.items()}
    for twin, count in gradients(model, named_loss(ctx.task, TrainingConfig()), ctx, examples, training=True):
        for name, one in prunable(twin).items():
            sums[name] += gradient(one) * count
    return {name: (total * weights[name].detach()).abs() for name, total in sums.items()}


def taylor_saliency(model: nn.Module, ctx: Context, examples: int, training: TrainingConfig) -> Scores:
    """(g w)^2 per weight, summed over batches (Molchanov et al. 2019, arXiv:1906.10771, equation 8)."""
    sums = {name: torch.zeros_like(one, dtype=torch.float64) for name, one in prunable(model).items()}
    for twin, _ in gradients(model, named_loss(ctx.task, training), ctx, examples, training=False):
        for name, one in prunable(twin).items():
            sums[name] += (gradient(one) * one.detach()).square()
    return sums


def reinitialised(model: nn.Module, seed: int) -> nn.Module:
    """A copy whose convolutions and linear layers are drawn anew with variance 2 / fan-in (He et al. 2015, arXiv:1502.01852)."""
    result = copy.deepcopy(model)
    random = torch.Generator().manual_seed(seed)
    for name, one in prunable(result, biases=True).items():
        if name.endswith("bias"):
            nn.init.zeros_(one)
        else:
            nn.init.kaiming_normal_(one, nonlinearity="relu", generator=random)
    return result
