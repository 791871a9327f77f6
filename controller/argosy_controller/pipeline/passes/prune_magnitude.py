"""Sets the smallest weights to zero. The tensors keep their sizes: this makes a model compressible, not faster."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from argosy_controller.pipeline.passes.interface import Config, Context, Pass

if TYPE_CHECKING:
    import torch
    from torch import nn


class PruneMagnitudeConfig(Config, frozen=True, kw_only=True):
    """Options.

    Attributes:
        share: of the weights of all convolutions and linear layers that become 0; biases stay.
        scope: `layer` cuts the same share of every layer, `model` ranks all weights together.
    """

    share: Annotated[float, Meta(ge=0, le=0.999, description="share of weights set to 0")] = 0.5
    scope: Literal["layer", "model"] = "layer"


class PruneMagnitude(Pass[PruneMagnitudeConfig]):
    """Before: weights [3, -1, 2, 0.5]. After, share 0.5: weights [3, 0, 2, 0]."""

    name = "prune-magnitude"
    paper = "Han et al., Learning both weights and connections for efficient neural networks, 2015, arXiv:1506.02626"
    config = PruneMagnitudeConfig

    def apply(self, model: nn.Module, config: PruneMagnitudeConfig, ctx: Context) -> nn.Module:
        """A copy with the share of weights that is smallest in absolute value set to 0."""
        pruned = copy.deepcopy(model).eval()
        weights = _weights(pruned)
        groups = [[one] for one in weights] if config.scope == "layer" else [weights]
        for done, group in enumerate(groups, start=1):
            _cut(group, config.share)
            ctx.on_step(done, len(groups))
        return pruned


def _weights(model: nn.Module) -> list[torch.Tensor]:
    import torch

    layers = (torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d, torch.nn.Linear)
    return [layer.weight.data for layer in model.modules() if isinstance(layer, layers)]


def _cut(weights: list[torch.Tensor], share: float) -> None:
    """Zeroes exactly floor(share * count) entries; of equal ones, those that come first."""
    import torch

    if not weights:
        return
    sizes = torch.cat([one.abs().flatten() for one in weights])
    keep = torch.ones(len(sizes), dtype=torch.bool)
    keep[torch.argsort(sizes, stable=True)[: int(share * len(sizes))]] = False
    for weight, mask in zip(weights, torch.split(keep, [one.numel() for one in weights]), strict=True):
        weight.mul_(mask.view_as(weight))
