"""ThiNet: the channels whose loss moves the next layer least, and least squares for those that stay (Luo et al. 2017, arXiv:1707.06342)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from argosy_controller.pipeline.methods.channel_ties import Member
from argosy_controller.pipeline.task import Split
from argosy_controller.pipeline.training import forward, tensors

_PER_EXAMPLE = 10
_RIDGE = 1e-6


@dataclass(frozen=True)
class Reading:
    """What one layer makes of the channels: products of their contributions to its output, (channels, channels)."""

    member: Member
    products: torch.Tensor


def readings(model: nn.Module, members: Sequence[Member], count: int, split: Split, seed: int) -> list[Reading]:
    """Samples the outputs of every layer that reads the channels, at 10 random places for each example (section 3.2).

    Layers that cannot be sampled (transposed, grouped or three-dimensional convolutions) are left out.
    """
    random = torch.Generator().manual_seed(seed)
    known = [one for one in members if one.reads and _can_be_sampled(one.layer)]
    inputs = _inputs(model, known, split)
    return [Reading(one, _products(contributions(one, inputs[one.name], count, random))) for one in known]


def _can_be_sampled(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Linear) or (isinstance(layer, (nn.Conv1d, nn.Conv2d)) and layer.groups == 1)


@torch.no_grad()
def _inputs(model: nn.Module, members: Sequence[Member], split: Split) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}

    def keep(name: str) -> Any:
        return lambda layer, given: found.__setitem__(name, given[0])

    hooks = [one.layer.register_forward_pre_hook(keep(one.name)) for one in members]
    try:
        forward(model, tensors(split))
    finally:
        for hook in hooks:
            hook.remove()
    return found


def contributions(member: Member, inputs: torch.Tensor, count: int, random: torch.Generator) -> torch.Tensor:
    """What each of `count` channels adds to randomly chosen entries of a layer's output, without the bias: (entries, count)."""
    layer: Any = member.layer
    linear = isinstance(layer, nn.Linear)
    parts = _of_linear(layer, inputs, random) if linear else _of_convolution(layer, inputs, random)
    sums = torch.zeros(len(parts), count, dtype=torch.float64)
    return sums.index_add_(1, member.channel, parts.double()[:, member.at])


def _of_linear(layer: nn.Linear, inputs: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    rows = inputs.reshape(-1, inputs.shape[-1])
    entries = _PER_EXAMPLE * len(inputs)
    row, out = _draw(len(rows), entries, random), _draw(layer.out_features, entries, random)
    return rows[row] * layer.weight.data[out]


def _of_convolution(layer: nn.Conv1d | nn.Conv2d, inputs: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    padded = functional.pad(inputs, layer._reversed_padding_repeated_twice, mode)
    weight, kernel, stride, dilation = layer.weight.data, layer.kernel_size, layer.stride, layer.dilation
    if isinstance(layer, nn.Conv1d):
        padded, weight = padded[:, :, None], weight[:, :, None]
        kernel, stride, dilation = (1, *kernel), (1, *stride), (1, *dilation)
    entries = _PER_EXAMPLE * len(inputs)
    example, out = _draw(len(inputs), entries, random), _draw(layer.out_channels, entries, random)
    rows, columns = (_places(padded.shape[2 + axis], kernel[axis], stride[axis], dilation[axis], entries, random) for axis in (0, 1))
    patches = padded[example[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return torch.einsum("eijc,ecij->ec", patches, weight[out])


def _places(size: int, kernel: int, stride: int, dilation: int, entries: int, random: torch.Generator) -> torch.Tensor:
    """Input positions under the kernel at random output positions, along one axis: (entries, kernel)."""
    outputs = (size - dilation * (kernel - 1) - 1) // stride + 1
    return _draw(outputs, entries, random)[:, None] * stride + torch.arange(kernel) * dilation


def _draw(below: int, count: int, random: torch.Generator) -> torch.Tensor:
    return torch.randint(below, (count,), generator=random)


def _products(parts: torch.Tensor) -> torch.Tensor:
    return parts.T @ parts


def removal_errors(found: Sequence[Reading], count: int) -> tuple[list[int], list[float]]:
    """The order in which channels go, and the relative squared error of the outputs after each has gone.

    Greedy (algorithm 1): the next to go is the one for which the sum of all that are gone moves the outputs least
    (equation 6). With G the products, that sum's square is the sum of G over the channels gone, so no sample is kept.
    """
    total = torch.zeros(count, count, dtype=torch.float64)
    for one in found:
        total += one.products / one.products.sum().clamp_min(1e-12)
    with_gone = torch.zeros(count, dtype=torch.float64)
    left = torch.ones(count, dtype=torch.bool)
    order, errors, error = [], [], 0.0
    for _ in range(count):
        cost = total.diagonal() + 2 * with_gone
        pick = int(torch.where(left, cost, torch.inf).argmin())
        error += float(cost[pick])
        left[pick] = False
        with_gone += total[pick]
        order.append(pick)
        errors.append(error)
    return order, errors


def scales(products: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    """Factors for the channels that stay, so that they give the layer's outputs back as well as they can: (kept,).

    Least squares (equation 7) from G alone: G_kk w = G_k 1; a small ridge draws the factor of a silent channel to 1.
    """
    inner = products[kept][:, kept]
    ridge = _RIDGE * float(inner.diagonal().mean().clamp_min(1e-12))
    eye = torch.eye(len(kept), dtype=torch.float64)
    found: torch.Tensor = torch.linalg.solve(inner + ridge * eye, products[kept].sum(1) + ridge)
    return found


@torch.no_grad()
def rescale(found: Sequence[Reading], kept: torch.Tensor, count: int) -> None:
    """Multiplies the weights that read the channels that stay, in place."""
    for one in found:
        factors = torch.ones(count, dtype=torch.float64)
        factors[kept] = scales(one.products, kept)
        layer: Any = one.member.layer
        column = torch.ones(layer.weight.shape[1], dtype=torch.float64)
        column[one.member.at] = factors[one.member.channel]
        layer.weight.mul_(column.to(layer.weight.dtype).view(1, -1, *[1] * (layer.weight.dim() - 2)))
