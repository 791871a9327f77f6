"""Sets the weights to zero that the loss would miss least, by its first-order expansion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from argosy_controller.pipeline.passes.interface import Context, Pass
from argosy_controller.pipeline.passes.prune_magnitude import CutConfig, Scope

if TYPE_CHECKING:
    from torch import nn


class PruneTaylorConfig(CutConfig, frozen=True, kw_only=True):
    """Options.

    Attributes:
        scope: importances of different layers are comparable, so all are ranked together unless this says otherwise.
        examples: how many training examples the importance is measured on, in batches of the task's size.
    """

    scope: Annotated[Scope, Meta(description="what is ranked together: each layer, or the model")] = "model"
    examples: Annotated[int, Meta(ge=1, le=1_000_000, description="training examples that importance is measured on")] = 1024


class PruneTaylor(Pass[PruneTaylorConfig]):
    """Before: weights [3, 1], gradients [0, 2]. After, share 0.5: weights [0, 1]. For whole channels: prune-channels, importance taylor."""

    name = "prune-taylor"
    paper = "Molchanov et al., Importance estimation for neural network pruning, CVPR 2019, arXiv:1906.10771, equation 8"
    config = PruneTaylorConfig

    def apply(self, model: nn.Module, config: PruneTaylorConfig, ctx: Context) -> nn.Module:
        """A copy with the share of weights of least importance set to 0; in each round importance is measured again."""
        from argosy_controller.pipeline.methods.cutting import in_rounds
        from argosy_controller.pipeline.methods.saliency import taylor_saliency

        return in_rounds(model, config, ctx, lambda one: taylor_saliency(one, ctx, config.examples, config))
