"""How much a channel matters, by its weights or by its gradients; the lowest go."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from argosy_controller.pipeline.methods.channel_ties import Member, inputs_second
from argosy_controller.pipeline.methods.gradients import gradient, gradients
from argosy_controller.pipeline.passes.interface import Context, TrainingConfig
from argosy_controller.pipeline.training import named_loss

#: By group name: a number per channel, (channels,), in double precision.
ChannelScores = dict[str, torch.Tensor]


def per_channel(members: Sequence[Member], count: int, values: Callable[[Member], torch.Tensor | None]) -> torch.Tensor:
    """Sums what each member's dimension has, (its size,), over the group's channels: (count,)."""
    sums = torch.zeros(count, dtype=torch.float64)
    for member in members:
        found = values(member)
        if found is not None:
            sums.index_add_(0, member.channel, found.double()[member.at])
    return sums


def norms(members: Sequence[Member], count: int) -> torch.Tensor:
    """L2 norm of all weights that go with a channel, divided by the group's mean: comparable between groups.

    Fang et al. 2023, arXiv:2301.12900, section 3.3: weights that are removed together are ranked together.
    """
    sizes = per_channel(members, count, _squares).sqrt()
    return sizes / sizes.mean().clamp_min(1e-12)


def _squares(member: Member) -> torch.Tensor | None:
    layer = member.layer
    if isinstance(layer, _BatchNorm):
        return None if layer.weight is None else layer.weight.data.square()
    if not isinstance(layer, (_ConvNd, nn.Linear)):
        return None
    weight = inputs_second(layer, layer.weight.data)
    return (weight if member.makes else weight.transpose(0, 1)).flatten(1).square().sum(1)


def taylor(
    groups: Mapping[str, Sequence[Member]],
    sizes: Mapping[str, int],
    model: nn.Module,
    ctx: Context,
    training: TrainingConfig,
    examples: int,
) -> ChannelScores:
    """What the loss would feel, to first order, if a channel were silent: its square, summed over batches.

    Molchanov et al. 2019, arXiv:1906.10771, equations 8 and 9, with the gate where the channel is read: the derivative by the
    gate is the sum of g w over all weights that read the channel.
    """
    sums = {name: torch.zeros(size, dtype=torch.float64) for name, size in sizes.items()}
    for twin, _ in gradients(model, named_loss(ctx.task, training), ctx, examples, training=False):
        for name, members in groups.items():
            sums[name] += per_channel(members, sizes[name], partial(_gate, twin)).square()
    return sums


def _gate(twin: nn.Module, member: Member) -> torch.Tensor | None:
    if not member.reads:
        return None
    layer = twin.get_submodule(member.name)
    assert isinstance(layer, (_ConvNd, nn.Linear))
    product = gradient(layer.weight) * layer.weight.detach()
    return inputs_second(layer, product).transpose(0, 1).flatten(1).sum(1)
