"""Replaces the support vectors of an SVM by fewer, and finds their coefficients anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from argosy_controller.pipeline.passes.interface import Config, Context, Pass

if TYPE_CHECKING:
    from torch import nn


class ReduceVectorsConfig(Config, frozen=True, kw_only=True):
    """Options.

    Attributes:
        share: of each class's support vectors that stay; 0 keeps so few that the validation data show no larger drop than
            `drop_at_most`.
        drop_at_most: how much worse the metric may get on validation data, in its own unit. Goals are judged on test data.
        method: `select` keeps those of the vectors that span the others best; `centres` takes the centres of groups of them.
    """

    share: Annotated[float, Meta(ge=0, le=1, description="of each class's vectors that stays; 0: chosen by drop_at_most")] = 0.0
    drop_at_most: Annotated[float, Meta(ge=0, description="how much worse the metric may get on validation data")] = 0.005
    method: Annotated[Literal["select", "centres"], Meta(description="vectors that stay, or centres of groups (k-means)")] = "select"


class ReduceVectors(Pass[ReduceVectorsConfig]):
    """Before: vectors 1, 1.1 and 5 with coefficients 0.4, 0.6 and -1. After: vectors 1.1 and 5, coefficients 1 and -1, nearly.

    The coefficients are those with which the fewer vectors come nearest to the old decision function; the intercept stays.
    """

    name = "reduce-vectors"
    paper = (
        "Burges, Simplified support vector decision rules, ICML 1996; Schölkopf et al., Input space versus feature space in "
        "kernel-based methods, IEEE Transactions on Neural Networks 10(5), 1999; selection by orthogonal least squares: "
        "Chen, Cowan and Grant, IEEE Transactions on Neural Networks 2(2), 1991"
    )
    config = ReduceVectorsConfig
    takes = frozenset({"estimator"})
    reshapes = True

    def apply(self, model: nn.Module, config: ReduceVectorsConfig, ctx: Context) -> nn.Module:
        """A copy with fewer support vectors.

        Raises:
            InvalidInput: it has no support vectors, or the task has no validation data to choose by.
        """
        from argosy_controller.pipeline.classical.fewer_vectors import reduced

        return reduced(model, config, ctx)
