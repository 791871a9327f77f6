"""Moves scale between neighbouring layers until their channels use their ranges equally; the function stays the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from argosy.errors import InvalidInput
from argosy_controller.pipeline.passes.interface import Config, Context, Pass

if TYPE_CHECKING:
    from torch import nn


class EqualiseLayersConfig(Config, frozen=True, kw_only=True):
    """Options.

    Attributes:
        sweeps: at most so many times over all pairs of layers; it ends before when nothing moves any more.
    """

    sweeps: Annotated[int, Meta(ge=1, le=1000, description="at most so many times over all pairs of layers")] = 50


class EqualiseLayers(Pass[EqualiseLayersConfig]):
    """Before: a channel's weights reach 8 in the first layer, and 2 where the second reads it. After: 4 and 4.

    Pairs are a layer, anything that a positive factor passes through (ReLU, LeakyReLU, pooling, flattening), and the
    only layer that reads it. Batch norm right after a layer counts as part of it and takes the factor. Layers joined
    by sums, or by ReLU6, sigmoid and the like, are left alone. Best before quantising per tensor, and for depthwise
    layers in low bits.
    """

    name = "equalise-layers"
    paper = "Nagel et al., Data-free quantization through weight equalization and bias correction, ICCV 2019, arXiv:1906.04721, section 4.1"
    config = EqualiseLayersConfig

    def apply(self, model: nn.Module, config: EqualiseLayersConfig, ctx: Context) -> nn.Module:
        """A copy that computes the same within float error.

        Raises:
            InvalidInput: there is no pair of layers, the model cannot be traced, or it uses weights outside of their layers.
        """
        import copy

        from argosy_controller.pipeline.methods.layer_pairs import equalise, layer_pairs, same_answers

        result = copy.deepcopy(model).eval()
        pairs = layer_pairs(result)
        if not pairs:
            raise InvalidInput(
                "pass equalise-layers does not apply to this model: torch.fx finds no two consecutive linear layers or convolutions "
                "with only ReLU, LeakyReLU, pooling or flattening between them"
            )
        for sweep in range(1, config.sweeps + 1):
            moved = equalise(pairs)
            ctx.on_step(sweep, config.sweeps)
            if not moved:
                break
        ctx.on_step(config.sweeps, config.sweeps)
        if not same_answers(copy.deepcopy(model).eval(), result, ctx.data.calibrating.take(slice(0, 16))):
            raise InvalidInput(
                "pass equalise-layers does not apply to this model: its answers would change, so it must use a layer's weights outside "
                "of that layer; leave the pass out"
            )
        return result
