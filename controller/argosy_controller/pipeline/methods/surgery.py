"""Exchanging layers of a torch model: which there are, who feeds whom, and whether the function stayed the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import torch
from torch import nn

from argosy_controller.pipeline.task import Split
from argosy_controller.pipeline.training import forward

#: Of an output's size: what another order of additions in single precision may change.
_SAME = 1e-4


def example(split: Split, count: int = 8) -> tuple[torch.Tensor, ...]:
    """The inputs of the first examples as tensors."""
    return tuple(torch.from_numpy(array.copy()) for array in split.take(slice(0, count)).inputs.values())


def outputs(model: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """What the model answers, without gradients."""
    with torch.no_grad():
        return forward(model, inputs)


def same(before: tuple[torch.Tensor, ...], after: tuple[torch.Tensor, ...]) -> bool:
    """Whether two answers differ by rounding only."""
    return all(
        one.shape == two.shape and bool((one - two).abs().max() <= _SAME * max(1.0, float(one.abs().max())))
        for one, two in zip(before, after, strict=True)
    )


def put(model: nn.Module, name: str, layer: nn.Module) -> nn.Module:
    """The model with another layer at `name`; at "" the layer is the model."""
    if not name:
        return layer
    model.set_submodule(name, layer)
    return model


def names_of(model: nn.Module, wanted: Callable[[nn.Module], bool]) -> list[list[str]]:
    """Layers that are wanted, each with all its names: a layer that is used in two places must be exchanged in both."""
    found: dict[int, list[str]] = {}
    for name, layer in model.named_modules(remove_duplicate=False):
        if wanted(layer):
            found.setdefault(id(layer), []).append(name)
    return list(found.values())


class Calls:
    """Who was called on what while a model answered once.

    Attributes:
        made: by name, the results of every call, in order.
        given: by name, the first argument of every call.
        answer: the model's outputs.
    """

    def __init__(self, model: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        self.made: dict[str, list[Any]] = {}
        self.given: dict[str, list[Any]] = {}
        with ExitStack() as hooks:
            for name, layer in model.named_modules():
                hooks.callback(layer.register_forward_hook(self._note(name)).remove)
            self.answer = outputs(model, inputs)

    def _note(self, name: str) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
        def note(layer: nn.Module, given: tuple[Any, ...], made: Any) -> None:
            self.given.setdefault(name, []).append(given[0] if given else None)
            self.made.setdefault(name, []).append(made)

        return note

    def feeding(self, name: str) -> Iterator[str]:
        """Layers whose only result is the only input that layer `name` was called with."""
        given = self.given.get(name, [])
        if len(given) == 1:
            yield from (maker for maker, made in self.made.items() if len(made) == 1 and made[0] is given[0] and maker != name)
