"""Lets the weights of a layer share few values: each becomes the index of a centroid, and the centroids are trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from argosy_controller.pipeline.passes.interface import Context, Pass, TrainingConfig

if TYPE_CHECKING:
    from torch import nn

Bits = Annotated[int, Meta(ge=1, le=8)]


class ShareWeightsConfig(TrainingConfig, frozen=True, kw_only=True):
    """Options. Weights that are 0 stay 0, and 0 is then one of the values. An ONNX graph is never trained: `epochs` and what
    follows from it say nothing there.

    Attributes:
        conv_bits, linear_bits: a weight tensor keeps at most 2^bits different values; biases stay as they are.
        layers: bits of single layers in place of those, by name or pattern: `{ "fc3" = 8 }`.
        iterations: of k-means at most; it ends earlier when no weight changes its centroid.
        epochs: of training centroids (and biases and norms) afterwards; 0: none.
    """

    conv_bits: Annotated[int, Meta(ge=1, le=8, description="of convolutions: at most 2^bits different weights")] = 8
    linear_bits: Annotated[int, Meta(ge=1, le=8, description="of linear layers: at most 2^bits different weights")] = 5
    layers: Annotated[dict[str, Bits], Meta(description="bits of single layers, by name or pattern")] = {}
    iterations: Annotated[int, Meta(ge=1, le=10_000, description="of k-means, at most")] = 100
    epochs: Annotated[int, Meta(ge=0, le=10_000, description="training of the centroids; 0: none")] = 2


class ShareWeights(Pass[ShareWeightsConfig]):
    """Before: weights [0.9, 0, -1.1, 1.1]. After, 2 bits: weights [1, 0, -1.1, 1]. Let no pass that trains follow: it would part them.

    k-means per layer from centroids spread evenly over the layer's range, then training: a centroid's gradient is the sum of
    its weights' gradients (section 3.3, equation 3).
    """

    name = "share-weights"
    paper = "Han et al., Deep compression, ICLR 2016, arXiv:1510.00149, section 3"
    config = ShareWeightsConfig
    takes = frozenset({"network", "graph"})

    def apply(self, model: nn.Module, config: ShareWeightsConfig, ctx: Context) -> nn.Module:
        """A copy in which every weight tensor of a convolution or linear layer holds at most 2^bits different values."""
        from argosy_controller.pipeline.methods import codebooks, graph_rewriting
        from argosy_controller.pipeline.sources.graphs import OnnxGraph

        if isinstance(model, OnnxGraph):
            return graph_rewriting.shared(model, config, ctx)
        return codebooks.shared(model, config, ctx)
