"""Prunes channels: finds what goes together, decides how many go and which, removes them, trains; in rounds."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd

from argosy.errors import InvalidInput
from argosy_controller.pipeline.methods.channel_counts import Layer, Rounding, Tie, kept_channels, kept_for_macs
from argosy_controller.pipeline.methods.channel_scores import ChannelScores, norms, taylor
from argosy_controller.pipeline.methods.channel_ties import Member, Ties, depthwise, removable, width
from argosy_controller.pipeline.methods.gradients import sample
from argosy_controller.pipeline.methods.layer_names import by_layer
from argosy_controller.pipeline.methods.rounds import after_round
from argosy_controller.pipeline.methods.thinet import Reading, readings, removal_errors, rescale
from argosy_controller.pipeline.numbers.sizes import macs
from argosy_controller.pipeline.passes.interface import Context
from argosy_controller.pipeline.passes.prune_channels import PruneChannelsConfig


def pruned(model: nn.Module, config: PruneChannelsConfig, ctx: Context) -> nn.Module:
    """As PruneChannels.apply.

    Raises:
        InvalidInput: no layer can lose a channel, a layer name is unknown, or the MACs cannot fall so far.
    """
    result = copy.deepcopy(model).eval()
    example = tuple(torch.from_numpy(array) for array in ctx.data.calibrating.take(slice(0, 2)).inputs.values())
    names = removable(result, example)
    if not names:
        raise InvalidInput("pass prune-channels does not apply to this model: none of its layers can lose a channel")
    start = _Start(result, names, example, config)
    each = 1 + config.epochs
    for number in range(config.rounds):
        _Round(result, start, config, ctx, (number + 1) / config.rounds).prune()
        ctx.on_step(number * each + 1, config.rounds * each)
        if config.epochs:
            result = after_round(result, config, ctx, number, config.rounds)
    return result


class _Start:
    """The model as it was before the first round."""

    def __init__(self, model: nn.Module, names: list[str], example: tuple[torch.Tensor, ...], config: PruneChannelsConfig) -> None:
        self.example = example
        self.names = names
        self.channels = {name: width(model.get_submodule(name)) for name in names}
        self.macs = macs(model, tuple(one[:1] for one in example))[""]
        layers = [name for name, layer in model.named_modules() if isinstance(layer, (_ConvNd, nn.Linear))]
        self.own = by_layer(layers, config.layers)


@dataclass
class _Round:
    """One removal, in place."""

    model: nn.Module
    start: _Start
    config: PruneChannelsConfig
    ctx: Context
    part: float

    def prune(self) -> None:
        ties = Ties(self.model, self.start.example)
        members = {name: ties.members(name) for name in self.start.names}
        scores = self._scores(members)
        kept = self._kept([self._tie(name, found) for name, found in members.items()], scores)
        for name in self.start.names:
            self._remove(ties, name, ties.channels(name) - kept[name], scores)

    def _scores(self, members: dict[str, list[Member]]) -> ChannelScores:
        sizes = {name: width(self.model.get_submodule(name)) for name in members}
        if self.config.importance == "taylor":
            return taylor(members, sizes, self.model, self.ctx, self.config, self.config.examples)
        if self.config.importance == "norm":
            return {name: norms(found, sizes[name]) for name, found in members.items()}
        if self.config.scope == "layer":
            return {}
        return {name: _error_scores(*removal_errors(self._readings(found, sizes[name]), sizes[name])) for name, found in members.items()}

    def _readings(self, members: list[Member], count: int) -> list[Reading]:
        seen = sample(self.ctx.data.train, self.config.examples, self.ctx.seed)
        return readings(self.model, members, count, seen, self.ctx.seed)

    def _tie(self, name: str, members: list[Member]) -> Tie:
        channels = width(self.model.get_submodule(name))
        makers = tuple(one.name for one in members if one.makes and isinstance(one.layer, (_ConvNd, nn.Linear)))
        takers = {one.name: len(one.at) / channels for one in members if one.reads}
        own = [self.start.own[one] for one in makers if one in self.start.own]
        return Tie(name, channels, self.start.channels[name], makers, takers, self._now(min(own)) if own else None)

    def _now(self, share: float) -> float:
        """The part of a final share that holds after this round."""
        return 1 - (1 - share) ** self.part if self.part < 1 else share

    def _kept(self, ties: list[Tie], scores: ChannelScores) -> dict[str, int]:
        config = self.config
        numbers = {name: one.tolist() for name, one in scores.items()}
        how = Rounding(config.scope, config.multiple_of, config.at_least)
        if config.macs_share is None:
            return kept_channels(ties, numbers, self._now(config.share), how)
        counts = macs(self.model, tuple(one[:1] for one in self.start.example))
        layers = {name: _layer(layer, counts[name]) for name, layer in self.model.named_modules() if _counted(layer, name, counts)}
        others = counts[""] - sum(one.macs for one in layers.values())
        return kept_for_macs(layers, ties, numbers, config.macs_share**self.part * self.start.macs - others, how)

    def _remove(self, ties: Ties, name: str, count: int, scores: ChannelScores) -> None:
        if count == 0:
            return
        if self.config.importance == "thinet":
            going = self._reconstructed(ties.members(name), ties.channels(name), count)
        else:
            going = torch.argsort(scores[name], stable=True)[:count].tolist()
        ties.remove(name, going)

    def _reconstructed(self, members: list[Member], channels: int, count: int) -> list[int]:
        """The channels that go, the weights that read the others being rescaled; as the model is now, earlier groups pruned."""
        found = self._readings(members, channels)
        going = removal_errors(found, channels)[0][:count]
        rescale(found, torch.tensor([one for one in range(channels) if one not in set(going)]), channels)
        return going


def _error_scores(order: list[int], errors: list[float]) -> torch.Tensor:
    scores = torch.empty(len(order), dtype=torch.float64)
    scores[order] = torch.tensor(errors, dtype=torch.float64).cummax(0).values
    return scores


def _counted(layer: nn.Module, name: str, counts: dict[str, int]) -> bool:
    return isinstance(layer, (_ConvNd, nn.Linear)) and name in counts


def _layer(layer: Any, count: int) -> Layer:
    ins = layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels
    return Layer(count, width(layer), int(ins), depthwise(layer))
