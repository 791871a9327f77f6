"""Trains on, at a small rate: what pruning cost comes back. Weights that pruning cut stay cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

from argosy_controller.pipeline.passes.interface import Context, Pass, TrainingConfig

if TYPE_CHECKING:
    from torch import nn


class Finetune(Pass[TrainingConfig]):
    """Before: a model whose channels or weights were cut. After: the same structure and zeros, weights adjusted."""

    name = "finetune"
    paper = "Han et al., Learning both weights and connections for efficient neural networks, 2015, arXiv:1506.02626, section 3"
    config = TrainingConfig

    def apply(self, model: nn.Module, config: TrainingConfig, ctx: Context) -> nn.Module:
        """A copy trained on the task's training data."""
        from argosy_controller.pipeline.training import fit

        return fit(model, ctx.task, ctx.data.train, config, seed=ctx.seed, on_epoch=ctx.on_step)
