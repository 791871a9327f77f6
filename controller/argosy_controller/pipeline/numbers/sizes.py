"""How large a torch model is: parameters, those that are not 0, and multiply-accumulates."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from argosy_controller.pipeline.sources.graphs import Foreign
from argosy_controller.pipeline.training import forward


def parameters(model: nn.Module) -> int:
    """All weights and biases."""
    return sum(one.numel() for one in _weights(model))


def not_zero(model: nn.Module) -> int:
    """Weights and biases that are not 0."""
    return sum(int(one.count_nonzero()) for one in _weights(model))


def _weights(model: nn.Module) -> Iterable[torch.Tensor]:
    return model.weights() if isinstance(model, Foreign) else model.parameters()


def macs(model: nn.Module, example: tuple[torch.Tensor, ...]) -> dict[str, int]:
    """Multiply-accumulates of convolutions and matrix products for one example, by module name; "" is the whole model.

    Args:
        example: inputs of one example, each (1, ...).
    """
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        forward(model, example)
    top = type(model).__name__
    counts = {name: sum(found.values()) // 2 for name, found in counter.get_flop_counts().items()}
    return {name.removeprefix(top).removeprefix("."): count for name, count in counts.items() if name != "Global"} | {
        "": counts.get("Global", 0)
    }
