"""Which channels of a network go together, found with a dependency graph (torch-pruning), and whether that graph is right.

The graph is not believed: before a group may be pruned, half of its channels are made meaningless in a copy (the weights that
read them become 0) and removed. The outputs must not move. Where they do, the graph has misread the network (a shortcut
padded with zeros, a channel that is an output), and the group is kept whole.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from argosy_controller.pipeline.training import forward

_NOT_EXACT = (nn.LayerNorm, nn.InstanceNorm1d, nn.InstanceNorm2d)
_WHOLE = (nn.GroupNorm, nn.MultiheadAttention, nn.RNNBase)
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Member:
    """A layer's part in a group.

    Attributes:
        name: of the layer in the model.
        makes: True: these are its output channels (or a norm's); False: its inputs.
        at: indices into that dimension of the layer, (n,).
        channel: for each of them the group's channel, (n,).
    """

    name: str
    layer: nn.Module
    makes: bool
    at: torch.Tensor
    channel: torch.Tensor

    @property
    def reads(self) -> bool:
        """Whether the layer's weights read these channels."""
        return not self.makes and isinstance(self.layer, (_ConvNd, nn.Linear))


class Ties:
    """The groups of a model, which `remove` changes in place.

    Args:
        example: inputs of the model, each (examples, ...).
    """

    def __init__(self, model: nn.Module, example: tuple[torch.Tensor, ...]) -> None:
        import torch_pruning

        self.model = model
        with warnings.catch_warnings(), torch.enable_grad():
            warnings.simplefilter("ignore")
            self._graph = torch_pruning.DependencyGraph().build_dependency(model, example_inputs=example, verbose=False)
        self._names = {module: name for name, module in model.named_modules()}

    def names(self) -> list[str]:
        """Each group by the name of one layer that makes its channels, in the model's order."""
        order = list(self._names.values())
        return sorted((self._name(group) for group in self._graph.get_all_groups()), key=order.index)

    def _name(self, group: Any) -> str:
        """A depthwise convolution hands channels on: the layer before it makes them."""
        makers = [one for one in self._members(group) if one.makes and isinstance(one.layer, (_ConvNd, nn.Linear))]
        return next((one.name for one in makers if not depthwise(one.layer)), makers[0].name)

    def members(self, name: str) -> list[Member]:
        """Layers of a group as they are now; ops without weights are left out."""
        return list(self._members(self._group(name, None)))

    def channels(self, name: str) -> int:
        """How many channels a group has now."""
        return width(self.model.get_submodule(name))

    def remove(self, name: str, channels: list[int]) -> None:
        """Takes channels out of all layers of a group."""
        if channels:
            self._group(name, channels).prune(record_history=False)

    def _group(self, name: str, channels: list[int] | None) -> Any:
        layer = self.model.get_submodule(name)
        wanted = list(range(width(layer))) if channels is None else channels
        return self._graph.get_pruning_group(layer, self._graph.get_pruner_of_module(layer).prune_out_channels, wanted)

    def _members(self, group: Any) -> Iterator[Member]:
        for item in group:
            layer = item.dep.target.module
            if layer in self._names and not isinstance(layer, (nn.Identity,)):
                makes = self._graph.is_out_channel_pruning_fn(item.dep.handler)
                roots = torch.tensor([-1 if one is None else one for one in item.root_idxs])
                yield Member(self._names[layer], layer, makes, torch.tensor(item.idxs), roots)


def width(layer: Any) -> int:
    """Output channels of a convolution or linear layer."""
    return int(layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels)


def removable(model: nn.Module, example: tuple[torch.Tensor, ...]) -> list[str]:
    """The groups that may lose channels, by name, as the check above finds."""
    found = Ties(copy.deepcopy(model), example)
    return [name for name in found.names() if found.channels(name) > 1 and _removable(model, name, example)]


def _removable(model: nn.Module, name: str, example: tuple[torch.Tensor, ...]) -> bool:
    ties = Ties(copy.deepcopy(model), example)
    members = ties.members(name)
    if not all(map(_can_be_cut, members)):
        return False
    going = list(range(0, ties.channels(name), 2))
    try:
        _silence(members, torch.tensor(going))
        before = _outputs(ties.model, example)
        ties.remove(name, going)
        after = _outputs(ties.model, example)
    except (RuntimeError, ValueError, IndexError, AssertionError):
        return False
    exact = not any(isinstance(member.layer, _NOT_EXACT) for member in members)
    return all(one.shape == two.shape and (not exact or _alike(one, two)) for one, two in zip(before, after, strict=True))


def _can_be_cut(member: Member) -> bool:
    layer = member.layer
    grouped = isinstance(layer, _ConvNd) and layer.groups > 1 and not depthwise(layer)
    return not grouped and not isinstance(layer, _WHOLE) and bool((member.channel >= 0).all())


def depthwise(layer: nn.Module) -> bool:
    """Whether each output channel of a convolution sees one input channel."""
    return isinstance(layer, _ConvNd) and layer.groups == layer.out_channels == layer.in_channels > 1


@torch.no_grad()
def _silence(members: list[Member], going: torch.Tensor) -> None:
    for member in (one for one in members if one.reads):
        layer: Any = member.layer
        inputs_second(layer, layer.weight).index_fill_(1, member.at[torch.isin(member.channel, going)], 0)


def inputs_second(layer: nn.Module, of_weight: torch.Tensor) -> torch.Tensor:
    """A view of a layer's weight, or of a tensor like it, as (outputs, inputs, ...)."""
    return of_weight.transpose(0, 1) if isinstance(layer, _ConvTransposeNd) and not depthwise(layer) else of_weight


@torch.no_grad()
def _outputs(model: nn.Module, example: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return forward(model, example)


def _alike(one: torch.Tensor, two: torch.Tensor) -> bool:
    return bool((one - two).abs().max() <= _TOLERANCE * one.abs().max().clamp_min(1e-6))
