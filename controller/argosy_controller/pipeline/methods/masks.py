"""Which weights of a model stay: ranking, exact counts, masks. For the passes that set single weights to 0."""

from __future__ import annotations

from collections.abc import Mapping
from math import floor
from typing import Literal

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd

#: By parameter name (`features.0.weight`): scores, or True where a weight stays.
Scores = dict[str, torch.Tensor]
Masks = dict[str, torch.Tensor]
Scope = Literal["layer", "model", "adaptive"]


def prunable(model: nn.Module, biases: bool = False) -> dict[str, nn.Parameter]:
    """The weights (and biases) of convolutions and linear layers by parameter name; a shared one is there once."""
    kinds = ("weight", "bias") if biases else ("weight",)
    layers = [(name, layer) for name, layer in model.named_modules() if isinstance(layer, (_ConvNd, nn.Linear))]
    found = [(f"{name}.{kind}".lstrip("."), getattr(layer, kind)) for name, layer in layers for kind in kinds]
    once = {id(one): name for name, one in reversed(found)}
    return {name: one for name, one in found if one is not None and once[id(one)] == name}


def layer_of(parameter: str) -> str:
    """The layer's name from its parameter's: `features.0.weight` is of `features.0`."""
    return parameter.rpartition(".")[0]


def masks(scores: Scores, share: float, scope: Scope, own: Mapping[str, float]) -> Masks:
    """True for every weight that stays, when the lowest scores go.

    Args:
        share: of the weights that goes, 0 to 1: exactly floor(share * count); of equal scores those that come first.
        scope: `layer` cuts the share from every tensor; `model` ranks all together; `adaptive` too, by `layer_adaptive`.
        own: shares of tensors that are ranked by themselves, by parameter name.
    """
    alone = {name: _keep(score, own[name]) for name, score in scores.items() if name in own}
    rest = {name: score for name, score in scores.items() if name not in own}
    if scope == "layer":
        return alone | {name: _keep(score, share) for name, score in rest.items()}
    ranked = {name: layer_adaptive(score) for name, score in rest.items()} if scope == "adaptive" else rest
    return alone | _keep_jointly(ranked, share)


def layer_adaptive(score: torch.Tensor) -> torch.Tensor:
    """Scores of one layer made comparable across layers: s(u) / sum of s(v) over all v with s(v) >= s(u).

    With s the squared weight this is LAMP (Lee et al. 2021, arXiv:2010.07611, equation 4): the last weight of a layer scores 1,
    so no layer is cut off while others have weights to spare.
    """
    flat = score.double().flatten()
    order = torch.argsort(flat, stable=True)
    above = flat[order].flip(0).cumsum(0).flip(0)
    result = torch.empty_like(flat)
    result[order] = flat[order] / above.clamp_min(torch.finfo(torch.float64).tiny)
    return result.view_as(score)


def _keep_jointly(scores: Scores, share: float) -> Masks:
    if not scores:
        return {}
    keep = _keep(torch.cat([one.flatten() for one in scores.values()]), share)
    parts = torch.split(keep, [one.numel() for one in scores.values()])
    return {name: part.view_as(scores[name]) for (name, part) in zip(scores, parts, strict=True)}


def _keep(scores: torch.Tensor, share: float) -> torch.Tensor:
    flat = scores.flatten()
    count = floor(share * len(flat) + 1e-9)
    if count == 0:
        return torch.ones_like(scores, dtype=torch.bool)
    limit = flat.kthvalue(count).values
    keep = flat > limit
    equal = (flat == limit).nonzero()[:, 0]
    keep[equal[count - int((flat < limit).sum()) :]] = True
    return keep.view_as(scores)


@torch.no_grad()
def cut(model: nn.Module, kept: Masks) -> None:
    """Sets every weight of the model to 0 that a mask does not keep."""
    parameters = dict(model.named_parameters())
    for name, mask in kept.items():
        parameters[name].masked_fill_(~mask, 0)
