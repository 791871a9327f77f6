"""Drops the trees of a forest that the others can do without."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from argosy_controller.pipeline.passes.interface import Config, Context, Pass

if TYPE_CHECKING:
    from torch import nn


class ThinForestConfig(Config, frozen=True, kw_only=True):
    """Options.

    Attributes:
        trees: that stay; 0 keeps so few that the validation data show no larger drop than `drop_at_most`.
        drop_at_most: how much worse the metric may get on validation data, in its own unit. Goals are judged on test data.
    """

    trees: Annotated[int, Meta(ge=0, le=100_000, description="trees that stay; 0: chosen by drop_at_most")] = 0
    drop_at_most: Annotated[float, Meta(ge=0, description="how much worse the metric may get on validation data")] = 0.005


class ThinForest(Pass[ThinForestConfig]):
    """Before: trees that answer 0.9, 0.8 and 0.2 where 1 is right. After, trees 2: those that answer 0.9 and 0.8.

    Trees are put in the order of their use: next is always the one with which the mean of those before comes nearest to the
    targets, on validation data. How many stay is judged on halves of them that did not put the order.
    """

    name = "thin-forest"
    paper = (
        "Martinez-Munoz, Hernandez-Lobato and Suarez, An analysis of ensemble pruning techniques based on ordered aggregation, "
        "IEEE PAMI 31(2), 2009; greedy rule: Caruana et al., Ensemble selection from libraries of models, ICML 2004"
    )
    config = ThinForestConfig
    takes = frozenset({"estimator"})
    reshapes = True

    def apply(self, model: nn.Module, config: ThinForestConfig, ctx: Context) -> nn.Module:
        """A copy with fewer trees.

        Raises:
            InvalidInput: it is no forest, it has fewer trees than are to stay, or the task has no validation data.
        """
        from argosy_controller.pipeline.classical.smaller_trees import thinned

        return thinned(model, config, ctx)
