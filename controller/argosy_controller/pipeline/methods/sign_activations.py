"""Inputs of layers as signs, in a form that every exporter knows (torch part of the pass `binarise`)."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import fx, nn

from argosy_controller.pipeline.methods.tracing import PASSING, PASSING_MODULES, CallGraph, calls, traced
from argosy_controller.pipeline.methods.weight_layers import replace, weight_layers


class Sign(nn.Module):
    """1 where the input is above 0, else -1; the gradient passes where the input lies within [-1, 1].

    Zero counts as negative, so that the sign of a ReLU's output is the sign of its input. The gradient is that of
    arXiv:1603.05279, section 3.1.
    """

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """Signs of the shape of `value`."""
        signs = torch.where(value > 0, 1.0, -1.0)
        if not self.training:
            return signs
        passing = value.clamp(-1, 1)
        return signs + (passing - passing.detach())


def sign_inputs(model: nn.Module, names: list[str]) -> nn.Module:
    """The model, changed in place: a `Sign` stands before each named layer, and ReLUs that only fed such layers are gone.

    A ReLU before a sign changes no result, but takes the gradient from everything below 0.
    """
    layers: list[nn.Module] = [weight_layers(model)[name] for name in names]
    graph = traced(model)
    if graph is not None:
        for activation in _needless(graph, layers):
            replace(model, activation, nn.Identity())
    for layer in layers:
        replace(model, layer, nn.Sequential(OrderedDict(sign=Sign(), layer=layer)))
    return model


def _needless(graph: CallGraph, layers: list[nn.Module]) -> list[nn.Module]:
    activations = [(node, one) for node, one in graph.modules.items() if isinstance(one, (nn.ReLU, nn.ReLU6))]
    return [one for node, one in activations if graph.readers(node) and _feeds_only(node, graph, layers)]


def _feeds_only(node: fx.Node, graph: CallGraph, layers: list[nn.Module]) -> bool:
    return all(_ends_in(one, graph, layers) for one in graph.readers(node))


def _ends_in(node: fx.Node, graph: CallGraph, layers: list[nn.Module]) -> bool:
    module = graph.modules.get(node)
    if any(module is one for one in layers):
        return True
    passes = isinstance(module, (nn.Flatten, *PASSING_MODULES)) or calls(node, torch.flatten, "flatten", "view", "reshape", *PASSING)
    return passes and _feeds_only(node, graph, layers)
