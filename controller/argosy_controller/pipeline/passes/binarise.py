"""Trains weights that are one of two values, so that an artifact can store each in one bit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from argosy.errors import InvalidInput
from argosy_controller.pipeline.passes.interface import Context, Pass, TrainingConfig

if TYPE_CHECKING:
    from torch import nn

Method = Literal["binary-connect", "binary-connect-stochastic", "xnor-net"]
Layers = Literal["as-published", "all", "inner"]


class BinariseConfig(TrainingConfig, frozen=True, kw_only=True):
    """Options beside those of training; the learning rate is per weight in units of its Glorot range.

    Attributes:
        method: `binary-connect` gives weights of exactly -1 and 1; so does its stochastic form, which while training draws
            1 with probability (w + 1) / 2; `xnor-net` gives -a and a, with an a for each output channel.
        layers: `inner` keeps the first and the last layer float; `as-published` is `inner` for xnor-net, else `all`.
        activations: what flows into binary layers becomes -1 or 1, too: the XNOR-Net of the paper, which calls
            xnor-net without it Binary-Weight-Network.
        result: `signs` ends with the signs; `real` with the real weights in [-1, 1] that training kept beside them,
            which is what BinaryConnect tests its stochastic form with, and does not fit in one bit.
    """

    epochs: Annotated[int, Meta(ge=0, le=10_000, description="passes over the training data")] = 20
    learning_rate: Annotated[float, Meta(gt=0, le=10, description="the optimiser's step size at the start")] = 3e-3
    method: Annotated[Method, Meta(description="how weights become binary")] = "binary-connect"
    layers: Annotated[Layers, Meta(description="which layers become binary")] = "as-published"
    activations: Annotated[bool, Meta(description="binarise the inputs of binary layers, too")] = False
    result: Annotated[Literal["signs", "real"], Meta(description="which weights the result has")] = "signs"

    @property
    def keeps_ends(self) -> bool:
        """Whether the first and the last layer stay float."""
        return self.layers == "inner" or (self.layers == "as-published" and self.method == "xnor-net")


class Binarise(Pass[BinariseConfig]):
    """Before: a channel's weights [0.3, -0.1, 0.2]. After: [1, -1, 1], or [0.2, -0.2, 0.2] by xnor-net.

    Training goes on with the signs in the forward pass and real weights, clipped to [-1, 1], for the steps
    (Courbariaux et al., algorithm 1). Adam's step is scaled by the Glorot coefficient of each layer and that of sgd
    by its square (section 2.5): real weights are kept divided by it, which comes to the same. XNOR-Net's factor a is
    the mean absolute weight of the channel (Rastegari et al., equation 6); the factor K of activations, which their
    section 3.2 finds to matter little, is left out. Models want batch norm after each binary layer, the last one too:
    sums of signs are large. Its statistics are taken anew for the final weights.
    """

    name = "binarise"
    paper = "Courbariaux et al., BinaryConnect, NeurIPS 2015, arXiv:1511.00363; Rastegari et al., XNOR-Net, ECCV 2016, arXiv:1603.05279"
    config = BinariseConfig

    def apply(self, model: nn.Module, config: BinariseConfig, ctx: Context) -> nn.Module:
        """A trained copy with binary weights.

        Raises:
            InvalidInput: there is no layer to binarise, or the training raised.
        """
        from argosy_controller.pipeline.methods import binary_weights as binary
        from argosy_controller.pipeline.methods.sign_activations import sign_inputs
        from argosy_controller.pipeline.methods.weight_layers import weight_layers
        from argosy_controller.pipeline.training import fit

        names = list(weight_layers(model))
        chosen = names[1:-1] if config.keeps_ends else names
        if not chosen:
            raise InvalidInput(
                f"pass binarise does not apply to this model: it has {len(names)} layers with weights, and none to binarise "
                'with these options: say layers = "all"'
            )
        student = binary.binary_copy(
            model, chosen, scaled=config.method == "xnor-net", stochastic=config.method == "binary-connect-stochastic"
        )
        if config.activations:
            student = sign_inputs(student, chosen)
        student = fit(student, ctx.task, ctx.data.train, config, seed=ctx.seed, on_epoch=ctx.on_step, after_step=binary.clip)
        finished = binary.finish(student, real=config.result == "real")
        binary.renew_statistics(finished, ctx.data.train, config.batch_size or ctx.task.batch_size)
        ctx.on_step(max(1, config.epochs), max(1, config.epochs))
        return finished
