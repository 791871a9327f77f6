"""Cuts an untrained network's weights by how much the loss would feel it, so that only a sparse network is ever trained."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from argosy_controller.pipeline.passes.interface import Config, Context, Pass

if TYPE_CHECKING:
    from torch import nn


class SnipConfig(Config, frozen=True, kw_only=True):
    """Options.

    Attributes:
        share: of the weights of all convolutions and linear layers that become 0, ranked together.
        examples: how many training examples the saliency is measured on, as one batch.
        reinitialise: draw the weights anew first, with the variance that keeps signals alike from layer to layer.
    """

    share: Annotated[float, Meta(ge=0, le=0.9999, description="share of weights set to 0")] = 0.9
    examples: Annotated[int, Meta(ge=1, le=1_000_000, description="training examples that the saliency is measured on")] = 256
    reinitialise: Annotated[bool, Meta(description="draw the weights anew first (He et al. 2015, variance scaling)")] = False


class Snip(Pass[SnipConfig]):
    """Before: an untrained network ([task] epochs = 0). After: the same with the least salient weights 0; finetune trains the rest.

    The saliency of a weight is |gradient * weight| (equations 5 and 6); the largest stay, over all layers together.
    """

    name = "snip"
    paper = "Lee et al., SNIP: single-shot network pruning based on connection sensitivity, ICLR 2019, arXiv:1810.02340"
    config = SnipConfig

    def apply(self, model: nn.Module, config: SnipConfig, ctx: Context) -> nn.Module:
        """A copy with the share of weights of least saliency set to 0."""
        from argosy_controller.pipeline.methods.masks import cut, masks
        from argosy_controller.pipeline.methods.saliency import connection_saliency, reinitialised

        result = (reinitialised(model, ctx.seed) if config.reinitialise else copy.deepcopy(model)).eval()
        cut(result, masks(connection_saliency(result, ctx, config.examples), config.share, "model", {}))
        ctx.on_step(1, 1)
        return result
