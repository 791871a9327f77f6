"""Numbers on the grid that an integer format will have, computed in float (torch part of the quantisation passes)."""

from __future__ import annotations

import copy
from typing import Any, cast

import torch
from torch import nn
from torch.nn.utils import parametrize

from argosy_controller.pipeline.methods.weight_layers import WeightLayer, plain_weight, weight_layers

#: How much of a range stays from one batch to the next; Jacob et al. (section 3.1) ask for a mean over many steps.
_MEMORY = 0.99


def largest_level(bits: int) -> int:
    """The level n of a symmetric grid -n ... n: 127 for 8 bits, 7 for 4.

    7 bits give 64, not 63: that is onnxruntime's `reduce_range`, where -64 ... 64 is the reduced form of 8 bits.
    """
    return 64 if bits == 7 else int(2 ** (bits - 1)) - 1


def weight_scales(weight: torch.Tensor, bits: int, per_channel: bool = True) -> torch.Tensor:
    """The step of the symmetric grid that just holds the weights (outputs, ...), one an output channel, or one in all.

    Returns:
        A tensor that broadcasts against the weight; 1 where all weights are 0.
    """
    kept = tuple(range(1 if per_channel else 0, weight.dim()))
    largest = weight.detach().abs().amax(kept, keepdim=True)
    return torch.where(largest > 0, largest / largest_level(bits), torch.ones_like(largest))


def on_grid(weight: torch.Tensor, bits: int, per_channel: bool = True) -> torch.Tensor:
    """The weights rounded to their grid; the largest stays what it is, so the grid of the result is the same."""
    scales = weight_scales(weight, bits, per_channel)
    return torch.round(weight / scales) * scales


@torch.no_grad()
def with_weights_on_grid(model: nn.Module, bits: int, per_channel: bool = True) -> nn.Module:
    """A copy of the model whose linear layers and convolutions have their weights on the grid: what quantising does."""
    rounded = copy.deepcopy(model)
    for layer in weight_layers(rounded).values():
        layer.weight.copy_(on_grid(layer.weight, bits, per_channel))
    return rounded


class GridWeight(nn.Module):
    """A weight that computes on its grid and learns off it (straight-through; Jacob et al. 2018, section 3)."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits = bits

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """Exactly what `on_grid` gives, with the gradient of the weight itself."""
        return on_grid(weight, self.bits).detach() + (weight - weight.detach())


class InputRange(nn.Module):
    """Puts a layer's input on the asymmetric grid of its moving range, which always holds 0.

    The gradient passes within the range (Jacob et al. 2018, equations 11 and 12 and section 3.1).
    """

    low: torch.Tensor
    high: torch.Tensor
    seen: torch.Tensor

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.levels = 2**bits - 1
        self.register_buffer("low", torch.zeros(()))
        self.register_buffer("high", torch.zeros(()))
        self.register_buffer("seen", torch.tensor(False))

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """The values rounded to the grid; in training mode the range follows them first."""
        if self.training:
            self._follow(value.detach())
        if not bool(self.high > self.low):
            return value
        scale = (self.high - self.low) / self.levels
        zero = torch.round(-self.low / scale).to(torch.int32)
        return torch.fake_quantize_per_tensor_affine(value, scale, zero, 0, self.levels)

    def _follow(self, value: torch.Tensor) -> None:
        low, high = value.amin().clamp(max=0), value.amax().clamp(min=0)
        memory = _MEMORY if bool(self.seen) else 0.0
        self.low.copy_(memory * self.low + (1 - memory) * low)
        self.high.copy_(memory * self.high + (1 - memory) * high)
        self.seen.fill_(True)


def prepare(model: nn.Module, bits: int, activation_bits: int) -> nn.Module:
    """A copy whose linear layers and convolutions compute on grids; 32 activation bits leave their inputs as they are."""
    student = copy.deepcopy(model)
    for layer in weight_layers(student).values():
        parametrize.register_parametrization(layer, "weight", GridWeight(bits))
        if activation_bits < 32:
            layer.register_module("input_range", InputRange(activation_bits))
            layer.register_forward_pre_hook(_on_input_grid)
    return student


def finish(student: nn.Module, *, snap: bool) -> nn.Module:
    """The student without any trace of grids; `snap` leaves its weights on them."""
    for layer in list(weight_layers(student).values()):
        plain_weight(layer, computed=snap)
        _forget_input_grid(layer)
    return student


def _on_input_grid(layer: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """A plain function, so that a copy of the layer uses its own range."""
    return (cast(InputRange, layer.input_range)(inputs[0]), *inputs[1:])


def _forget_input_grid(layer: WeightLayer) -> None:
    hooks = layer._forward_pre_hooks
    for key in [key for key, hook in hooks.items() if hook is _on_input_grid]:
        del hooks[key]
        del layer.input_range
