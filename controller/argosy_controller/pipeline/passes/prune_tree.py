"""Makes branches of decision trees into leaves where they win too little for their size; forests tree by tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from argosy_controller.pipeline.passes.interface import Config, Context, Pass

if TYPE_CHECKING:
    from torch import nn


class PruneTreeConfig(Config, frozen=True, kw_only=True):
    """Options.

    Attributes:
        alpha: impurity (of a regressor: variance) that a branch must save for each leaf beyond its first; None chooses the
            largest with which the validation data show no larger drop than `drop_at_most`.
        drop_at_most: how much worse the metric may get on validation data, in its own unit. Goals are judged on test data.
    """

    alpha: Annotated[float, Meta(ge=0, description="impurity that a leaf must save; left out: chosen by drop_at_most")] | None = None
    drop_at_most: Annotated[float, Meta(ge=0, description="how much worse the metric may get on validation data")] = 0.005


class PruneTree(Pass[PruneTreeConfig]):
    """Before: a branch of 3 leaves that saves 0.02 of impurity, 0.01 a leaf. After, alpha 0.015: one leaf."""

    name = "prune-tree"
    paper = "Breiman, Friedman, Olshen and Stone, Classification and regression trees, 1984, chapter 3 (minimal cost-complexity)"
    config = PruneTreeConfig
    takes = frozenset({"estimator"})
    reshapes = True

    def apply(self, model: nn.Module, config: PruneTreeConfig, ctx: Context) -> nn.Module:
        """A copy with fewer branches.

        Raises:
            InvalidInput: it is neither a tree nor a forest, or alpha is to be chosen and the task has no validation data.
        """
        from argosy_controller.pipeline.classical.smaller_trees import pruned

        return pruned(model, config, ctx)
