"""Trains a model on the grid that it will be quantised to, so that quantising then costs little."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from argosy.errors import InvalidInput
from argosy_controller.pipeline.passes.interface import Context, Pass, TrainingConfig

if TYPE_CHECKING:
    import torch
    from torch import nn


class QuantiseAwareConfig(TrainingConfig, frozen=True, kw_only=True):
    """Options beside those of training.

    Attributes:
        bits: of weights, symmetric for each output channel; 8 for tflite-int8, 7 for onnx-int8 (which keeps 7 of 8), 4 for int4.
        activation_bits: of what flows into layers, one asymmetric range each; 32 leaves it float, as weight-only formats do.
        snap: the result's weights lie on the grid, so that an exporter with the same grid loses nothing of them.
    """

    bits: Annotated[int, Meta(ge=2, le=8, description="bits of a weight; 7 is onnxruntime's reduced range -64 to 64")] = 7
    activation_bits: Annotated[Literal[4, 8, 16, 32], Meta(description="bits of what flows into layers; 32 leaves it float")] = 8
    snap: Annotated[bool, Meta(description="leave the weights on their grid")] = True


class QuantiseAware(Pass[QuantiseAwareConfig]):
    """Before: float weights. After: the same layers, weights trained for their grid: 2 bits, [0.9, -0.2] > [0.9, 0].

    Batch norm keeps its statistics, as in the last phase of the paper, and is not folded: it scales whole output
    channels, and so does the grid of each, hence folding before or after rounding gives the same weights.
    """

    name = "quantise-aware"
    paper = (
        "Jacob et al., Quantization and training of neural networks for efficient integer-arithmetic-only inference, "
        "CVPR 2018, arXiv:1712.05877"
    )
    config = QuantiseAwareConfig

    def apply(self, model: nn.Module, config: QuantiseAwareConfig, ctx: Context) -> nn.Module:
        """A copy of the same structure, trained with its weights and activations on their grids.

        Raises:
            InvalidInput: there is no layer to quantise, or the training raised.
        """
        from argosy_controller.pipeline.methods import fake_quantise as grids
        from argosy_controller.pipeline.methods.weight_layers import batch_norms, weight_layers
        from argosy_controller.pipeline.training import fit, named_loss

        if not weight_layers(model):
            raise InvalidInput("pass quantise-aware does not apply to this model: it has no linear layer and no convolution")
        of_outputs = named_loss(ctx.task, config)

        def frozen_loss(student: nn.Module, inputs: tuple[torch.Tensor, ...], targets: torch.Tensor) -> torch.Tensor:
            for norm in batch_norms(student):
                norm.eval()
            return of_outputs(student, inputs, targets)

        student = grids.prepare(model, config.bits, config.activation_bits)
        student = fit(student, ctx.task, ctx.data.train, config, seed=ctx.seed, on_epoch=ctx.on_step, loss=frozen_loss)
        ctx.on_step(max(1, config.epochs), max(1, config.epochs))
        return grids.finish(student, snap=config.snap)
