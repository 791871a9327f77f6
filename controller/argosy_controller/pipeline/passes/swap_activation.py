"""Exchanges activations: those that cost much on small processors for those that cost little."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from argosy.errors import InvalidInput
from argosy_controller.pipeline.passes.interface import Config, Context, Pass

if TYPE_CHECKING:
    from torch import nn

Old = Literal[
    "any", "sigmoid", "tanh", "relu", "relu6", "leaky-relu", "elu", "gelu", "silu", "mish", "softplus", "hard-sigmoid", "hard-swish"
]
New = Literal["relu", "relu6", "leaky-relu", "elu", "gelu", "silu", "hard-sigmoid", "hard-swish", "sigmoid", "tanh"]


class SwapActivationConfig(Config, frozen=True, kw_only=True):
    """Options.

    Attributes:
        old: the activation that goes; `any` takes all that are not `new` already.
        new: the activation that comes.
    """

    old: Annotated[Old, Meta(description="the activation that goes")] = "any"
    new: Annotated[New, Meta(description="the activation that comes")] = "relu"


class SwapActivation(Pass[SwapActivationConfig]):
    """Before: Linear > Sigmoid > Linear > Sigmoid. After, sigmoid to relu: Linear > ReLU > Linear > Sigmoid.

    An activation that gives the model's outputs stays: it says what they mean. Modules are exchanged in place; functions
    (`torch.relu(x)`, `x.tanh()`) through torch.fx, where it can trace the model. The function is another one: train afterwards.
    """

    name = "swap-activation"
    paper = (
        "Howard et al., Searching for MobileNetV3, ICCV 2019, arXiv:1905.02244, section 5.2 (hard-swish); "
        "Glorot et al., Deep sparse rectifier neural networks, AISTATS 2011 (ReLU)"
    )
    config = SwapActivationConfig

    def apply(self, model: nn.Module, config: SwapActivationConfig, ctx: Context) -> nn.Module:
        """A copy with the other activation; as it was where all are `new` already.

        Raises:
            InvalidInput: the model has no such activation, or it is out of reach.
        """
        from argosy_controller.pipeline.methods.activations import swapped, used
        from argosy_controller.pipeline.methods.surgery import example

        inputs = example(ctx.data.calibrating)
        before = used(model, inputs)
        old: set[str] = set(before) - {config.new} if config.old == "any" else {config.old}
        if not before or (config.old != "any" and not before[config.old]):
            has = ", ".join(f"{count} {name}" for name, count in sorted(before.items())) or "no activation that it knows"
            raise InvalidInput(f"pass {self.name} does not apply: the model has no {config.old} between its layers; it has {has}")
        result = swapped(copy.deepcopy(model).eval(), old, config.new, inputs)
        left = sum(used(result, inputs)[name] for name in old)
        if left:
            raise InvalidInput(
                f"pass {self.name} cannot reach {left} of the activations: torch.fx cannot trace the model; make them modules (torch.nn.ReLU())"
            )
        ctx.on_step(1, 1)
        return result
