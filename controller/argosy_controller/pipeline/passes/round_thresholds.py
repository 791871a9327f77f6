"""Rounds thresholds of trees to 16-bit floating-point numbers where no training example goes another way by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from argosy_controller.pipeline.passes.interface import Config, Context, Pass

if TYPE_CHECKING:
    from torch import nn


class RoundThresholds(Pass[Config]):
    """Before: x <= 0.333251, and training values 0.31 and 0.35 on its sides. After: x <= 0.333252, which 16 bits hold.

    Answers for training data stay what they are; a scaler in front is folded into the thresholds. The file keeps its size:
    what shrinks is what is sent, since numbers with 13 zero bits pack well.
    """

    name = "round-thresholds"
    paper = "IEEE 754-2019, binary16; the freedom within the gap is that of Breiman et al., Classification and regression trees, 1984"
    config = Config
    takes = frozenset({"estimator"})
    reshapes = True

    def apply(self, model: nn.Module, config: Config, ctx: Context) -> nn.Module:
        """A copy with rounded thresholds.

        Raises:
            InvalidInput: it is neither a tree nor a forest.
        """
        from argosy_controller.pipeline.classical.smaller_trees import rounded

        del config
        return rounded(model, ctx)
