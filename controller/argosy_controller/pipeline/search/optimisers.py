"""torch's optimisers as functions, for differentiating through them: one step, from weights and moments to the next.

Each follows the update in torch's documentation with its defaults, as `training.fit` uses them. Square roots have slope 0
where torch's have none, at weights that no gradient ever reached.
"""

from __future__ import annotations

import torch

from argosy_controller.pipeline.options import Optimiser, TrainingConfig

Tensors = dict[str, torch.Tensor]
#: What an optimiser remembers, by kind and weight; `step` counts.
Moments = dict[str, Tensors]
Number = torch.Tensor | float

_BETAS, _EPSILON, _ADAGRAD_EPSILON = (0.9, 0.999), 1e-8, 1e-10


def first_moments(optimiser: Optimiser, weights: Tensors) -> Moments:
    """Before the first step."""
    kinds = {"sgd": ("velocity",), "adam": ("mean", "square"), "adamw": ("mean", "square"), "adagrad": ("square",)}[optimiser]
    zeros: Moments = {kind: {name: torch.zeros_like(one) for name, one in weights.items()} for kind in kinds}
    return zeros | {"step": {"": torch.zeros((), dtype=torch.float64)}}


def updated(
    training: TrainingConfig, weights: Tensors, slopes: Tensors, moments: Moments, rate: Number, decay: Number
) -> tuple[Tensors, Moments]:
    """One step.

    Args:
        slopes: gradients of the loss by weight, without weight decay.
        rate, decay: numbers, or scalar tensors to be differentiated by.
    """
    step = moments["step"][""] + 1
    if training.optimiser == "adamw":
        weights = {name: one - _like(rate * decay, one) * one for name, one in weights.items()}
    else:
        slopes = {name: one + _like(decay, one) * weights[name] for name, one in slopes.items()}
    match training.optimiser:
        case "sgd":
            velocity = {name: training.momentum * moments["velocity"][name] + one for name, one in slopes.items()}
            moved, kept = velocity, {"velocity": velocity}
        case "adagrad":
            square = {name: moments["square"][name] + one**2 for name, one in slopes.items()}
            moved = {name: one / (_root(square[name]) + _ADAGRAD_EPSILON) for name, one in slopes.items()}
            kept = {"square": square}
        case _:
            moved, kept = _adam(slopes, moments, step)
    after = {name: one - _like(rate, one) * moved[name] for name, one in weights.items()}
    return after, kept | {"step": {"": step}}


def _adam(slopes: Tensors, moments: Moments, step: torch.Tensor) -> tuple[Tensors, Moments]:
    first, second = _BETAS
    mean = {name: first * moments["mean"][name] + (1 - first) * one for name, one in slopes.items()}
    square = {name: second * moments["square"][name] + (1 - second) * one**2 for name, one in slopes.items()}
    fresh, fresh_square = 1 - first**step, torch.sqrt(1 - second**step)
    moved = {name: _like(1 / fresh, one) * one / (_root(square[name]) / _like(fresh_square, one) + _EPSILON) for name, one in mean.items()}
    return moved, {"mean": mean, "square": square}


def _root(square: torch.Tensor) -> torch.Tensor:
    positive = square > 0
    return torch.where(positive, torch.sqrt(torch.where(positive, square, 1.0)), 0.0)


def _like(number: Number, tensor: torch.Tensor) -> Number:
    return number.to(tensor.dtype) if isinstance(number, torch.Tensor) else number
