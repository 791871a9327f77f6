"""Columns made alike before the first product: in few bits one scale for all of them would lose the small ones.

A product sees each column from -1 to 1 over what was seen of it, and its weights take the column's size. So a weight's share in
its row's scale is what its column adds, and no unit of measurement counts. Scalers in front become part of the same two operators.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import nn

from argosy_controller.pipeline.classical.lowering.answers import Affine
from argosy_controller.pipeline.classical.lowering.scalers import Divide, Stretch
from argosy_controller.pipeline.task import Array


class Level(Divide):
    """(x - middle) / half, column by column: around the mean, and within -1 and 1."""


def levelled(network: nn.Module, rows: Array) -> nn.Module:
    """The same answers from columns made alike, where all that sees the columns are affine maps; else the network itself.

    Args:
        network: scalers, then what decides, as `lowered` gives it.
        rows: what columns look like (examples, columns), float32.
    """
    if not isinstance(network, nn.Sequential):  # trees compare each column with numbers of its own
        return network
    *in_front, head = network
    scaled = _scaled(in_front, rows)
    maps = _maps_of_columns(head, scaled)
    if not maps:
        return network
    low, high = scaled.double().min(0).values, scaled.double().max(0).values
    middle = scaled.double().mean(0)
    half = torch.maximum(high - middle, middle - low)
    half = torch.where(half > 0, half, torch.ones_like(half))
    changed = copy.deepcopy(head)
    for name in maps:
        _take_levels(changed.get_submodule(name) if name else changed, middle, half)
    return nn.Sequential(*_joined(in_front, middle.numpy(), half.numpy()), changed).eval()


def _scaled(in_front: list[nn.Module], rows: Array) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = nn.Sequential(*in_front)(torch.from_numpy(np.asarray(rows, order="C")))
    return found


def _maps_of_columns(head: nn.Module, rows: torch.Tensor) -> list[str]:
    """Names of the affine maps that are all that sees the columns; empty where something else does too."""
    parts = {one: name for name, one in head.named_modules()}
    found, others = [], []

    def see(one: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        if given[0] is rows and isinstance(one, Affine):
            found.append(parts[one])
        elif given[0] is rows and not list(one.children()):
            others.append(parts[one])

    hooks = [one.register_forward_pre_hook(see) for one in parts]
    with torch.no_grad():
        head(rows)
    for one in hooks:
        one.remove()
    return [] if others else found


def _take_levels(one: nn.Module, middle: torch.Tensor, half: torch.Tensor) -> None:
    assert isinstance(one, Affine)
    weight, bias = one.weight.double(), one.bias.double()
    one.weight = nn.Parameter((weight * half).float(), requires_grad=False)
    one.bias = nn.Parameter((bias + weight @ middle).float(), requires_grad=False)


def _joined(in_front: list[nn.Module], middle: Array, half: Array) -> list[nn.Module]:
    """Scalers with levels behind them; the last scaler, if it is a plain one, becomes the levels' part."""
    if not in_front or not isinstance(in_front[-1], Divide | Stretch):
        return [*in_front, Level(middle, half)]
    factor, shift = in_front[-1].as_factor_and_shift()
    return [*in_front[:-1], Level((middle - shift) / factor, half / factor)]
