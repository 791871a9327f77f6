"""Takes out of each bias what rounding the weights adds to a layer's output on average."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from argosy.errors import InvalidInput
from argosy_controller.pipeline.passes.interface import Config, Context, Pass

if TYPE_CHECKING:
    from torch import nn


class CorrectBiasConfig(Config, frozen=True, kw_only=True):
    """Options: how the exporter will round the weights.

    Attributes:
        bits: 8 for tflite-int8, 7 for onnx-int8 (which keeps 7 of 8), 4 for int4.
        per_channel: one grid for each output channel, or one for the whole weight; batch norm is to be folded before the latter.
    """

    bits: Annotated[int, Meta(ge=2, le=8, description="bits of a weight; 7 is onnxruntime's reduced range -64 to 64")] = 7
    per_channel: Annotated[bool, Meta(description="a grid for each output channel")] = True


class CorrectBias(Pass[CorrectBiasConfig]):
    """Before: y = 3 a + 0.9 b, which 2 bits make 3 a; b is 2 on average. After: y = 3 a + 0.9 b + 1.8; quantised: 3 a + 1.8.

    The weights stay float: only the biases change, and are right once an exporter has rounded the weights. Layers
    without a bias get one. Layer after layer, each seeing the inputs that the quantised layers before it give.
    """

    name = "correct-bias"
    paper = (
        "Nagel et al., Data-free quantization through weight equalization and bias correction, ICCV 2019, arXiv:1906.04721, "
        "section 4.2 and appendix D (empirical)"
    )
    config = CorrectBiasConfig

    def apply(self, model: nn.Module, config: CorrectBiasConfig, ctx: Context) -> nn.Module:
        """A copy with corrected biases, found on the calibration data.

        Raises:
            InvalidInput: there is no layer to quantise.
        """
        from argosy_controller.pipeline.methods.bias_shift import corrected
        from argosy_controller.pipeline.methods.weight_layers import weight_layers

        if not weight_layers(model):
            raise InvalidInput("pass correct-bias does not apply to this model: it has no linear layer and no convolution")
        return corrected(model, ctx.data.calibrating, bits=config.bits, per_channel=config.per_channel, on_step=ctx.on_step)
