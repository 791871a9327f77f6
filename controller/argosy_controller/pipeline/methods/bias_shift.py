"""How far rounding weights shifts a layer's output, and the biases that take it back (torch part of `correct-bias`)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn

from argosy_controller.pipeline.methods.fake_quantise import with_weights_on_grid
from argosy_controller.pipeline.methods.weight_layers import WeightLayer, weight_layers
from argosy_controller.pipeline.task import Split
from argosy_controller.pipeline.training import forward

_BATCH = 64


@torch.no_grad()
def corrected(model: nn.Module, split: Split, *, bits: int, per_channel: bool, on_step: Callable[[int, int], None]) -> nn.Module:
    """A copy whose biases make up for weights that will be rounded: bias + E[output] - E[rounded output], by layer."""
    result = copy.deepcopy(model).eval()
    wanted = mean_outputs(result, list(weight_layers(result)), split)
    rounded = with_weights_on_grid(result, bits, per_channel)
    for done, name in enumerate(wanted, start=1):
        shift = wanted[name] - mean_outputs(rounded, [name], split)[name]
        for one in (result, rounded):
            _add_to_bias(weight_layers(one)[name], shift)
        on_step(done, len(wanted))
    return result


@torch.no_grad()
def mean_outputs(model: nn.Module, names: Sequence[str], split: Split) -> dict[str, torch.Tensor]:
    """Means (channels,) of the outputs of named layers over examples and places, in the order of their first calls."""
    sums: dict[str, torch.Tensor] = {}
    counts: dict[str, int] = {}

    def listen(name: str) -> Callable[[nn.Module, object, torch.Tensor], None]:
        def hear(layer: nn.Module, inputs: object, output: torch.Tensor) -> None:
            rows = output if isinstance(layer, nn.Linear) else output.movedim(1, -1)
            rows = rows.reshape(-1, rows.shape[-1]).double()
            sums[name] = sums.get(name, torch.zeros(rows.shape[1], dtype=torch.float64)) + rows.sum(0)
            counts[name] = counts.get(name, 0) + len(rows)

        return hear

    handles = [model.get_submodule(name).register_forward_hook(listen(name)) for name in names]
    try:
        for start in range(0, len(split), _BATCH):
            inputs = split.take(slice(start, start + _BATCH)).inputs.values()
            forward(model, [torch.from_numpy(np.ascontiguousarray(one)) for one in inputs])
    finally:
        for handle in handles:
            handle.remove()
    return {name: total / counts[name] for name, total in sums.items()}


def _add_to_bias(layer: WeightLayer, shift: torch.Tensor) -> None:
    change = shift.to(layer.weight.dtype)
    if layer.bias is None:
        layer.bias = nn.Parameter(change)
    else:
        layer.bias.add_(change)
