"""Trains on, at a small rate: what pruning cost comes back. Weights that pruning cut stay cut."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from argosy_controller.pipeline.passes.interface import Config, Context, Pass

if TYPE_CHECKING:
    from torch import nn


class FinetuneConfig(Config, frozen=True, kw_only=True):
    """Options.

    Attributes:
        epochs: passes over the training data.
        learning_rate: Adam's at the start; it falls to 0 along half a cosine.
    """

    epochs: Annotated[int, Meta(ge=1, le=1000, description="passes over the training data")] = 3
    learning_rate: Annotated[float, Meta(gt=0, le=1, description="Adam's step size at the start")] = 5e-4


class Finetune(Pass[FinetuneConfig]):
    """Before: a model whose channels or weights were cut. After: the same structure and zeros, weights adjusted."""

    name = "finetune"
    paper = "Han et al., Learning both weights and connections for efficient neural networks, 2015, arXiv:1506.02626, section 3"
    config = FinetuneConfig

    def apply(self, model: nn.Module, config: FinetuneConfig, ctx: Context) -> nn.Module:
        """A copy trained on the task's training data with the task's loss."""
        from argosy_controller.pipeline.training import fit

        return fit(
            model,
            ctx.task,
            ctx.data.train,
            epochs=config.epochs,
            learning_rate=config.learning_rate,
            seed=ctx.seed,
            on_epoch=ctx.on_step,
        )
