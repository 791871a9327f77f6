"""How many channels each group of layers keeps: decided from scores and sizes alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import Literal

from argosy.errors import InvalidInput

#: The largest share of its channels that a layer loses, and steps in which shares are tried to reach a number of MACs.
_MOST, _STEPS = 0.95, 9500


@dataclass(frozen=True)
class Layer:
    """A convolution or linear layer.

    Attributes:
        macs: multiply-accumulates for one example, as the layer is now.
        outs, ins: its channels now.
        depthwise: each output channel sees one input channel.
    """

    macs: int
    outs: int
    ins: int
    depthwise: bool


@dataclass(frozen=True)
class Tie:
    """Channels that can only go together, named by the first layer that makes them.

    Attributes:
        channels: how many there are now.
        at_first: how many there were before the first round.
        makers: names of the layers that lose an output channel for each.
        takers: names of layers that lose inputs, and how many for each channel.
        share: its own share, when the options give one.
    """

    name: str
    channels: int
    at_first: int
    makers: tuple[str, ...]
    takers: Mapping[str, float]
    share: float | None = None


@dataclass(frozen=True)
class Rounding:
    """How shares become counts.

    Attributes:
        scope: `layer` takes the same share of every tie; `model` ranks the channels of all together.
        multiple_of: what stays is rounded up to a multiple of this, or stays whole.
        at_least: of scope `model`: the share of its channels that every tie keeps.
    """

    scope: Literal["layer", "model"]
    multiple_of: int
    at_least: float


def macs_left(layers: Mapping[str, Layer], ties: Sequence[Tie], kept: Mapping[str, int]) -> float:
    """Multiply-accumulates of all layers when every tie keeps so many channels."""
    outs = {name: float(layer.outs) for name, layer in layers.items()}
    ins = {name: float(layer.ins) for name, layer in layers.items()}
    for tie in ties:
        gone = tie.channels - kept[tie.name]
        for name in tie.makers:
            outs[name] -= gone
        for name, each in tie.takers.items():
            ins[name] -= gone * each
    return sum(one.macs * outs[name] / one.outs * (1 if one.depthwise else ins[name] / one.ins) for name, one in layers.items())


def kept_channels(
    ties: Sequence[Tie],
    scores: Mapping[str, Sequence[float]],
    share: float,
    how: Rounding,
) -> dict[str, int]:
    """How many channels each tie keeps when a share goes, counted from the channels that there were at first.

    Args:
        scores: of each tie's channels, for scope `model`; the lowest go.
    """
    free = [tie for tie in ties if tie.share is None]
    wanted = {tie.name: tie.at_first - floor(tie.share * tie.at_first + 1e-9) for tie in ties if tie.share is not None}
    if how.scope == "layer":
        wanted |= {tie.name: tie.at_first - floor(share * tie.at_first + 1e-9) for tie in free}
    else:
        wanted |= _ranked_together(free, scores, share, how.at_least)
    return {tie.name: min(tie.channels, ceil(max(1, wanted[tie.name]) / how.multiple_of) * how.multiple_of) for tie in ties}


def _ranked_together(ties: Sequence[Tie], scores: Mapping[str, Sequence[float]], share: float, at_least: float) -> dict[str, int]:
    gone_before = sum(tie.at_first - tie.channels for tie in ties)
    budget = max(0, floor(share * sum(tie.at_first for tie in ties) + 1e-9) - gone_before)
    kept = {tie.name: tie.channels for tie in ties}
    least = {tie.name: ceil(at_least * tie.at_first) for tie in ties}
    for _, name in sorted((score, tie.name) for tie in ties for score in scores[tie.name]):
        if budget and kept[name] > least[name]:
            kept[name] -= 1
            budget -= 1
    return kept


def kept_for_macs(
    layers: Mapping[str, Layer],
    ties: Sequence[Tie],
    scores: Mapping[str, Sequence[float]],
    target: float,
    how: Rounding,
) -> dict[str, int]:
    """As `kept_channels`, with the smallest share that brings the multiply-accumulates of `layers` down to `target`.

    Raises:
        InvalidInput: they cannot fall so far.
    """

    def tried(step: int) -> dict[str, int]:
        return kept_channels(ties, scores, _MOST * step / _STEPS, how)

    low, high = 0, _STEPS
    if macs_left(layers, ties, tried(high)) > target:
        least, now = macs_left(layers, ties, tried(high)), sum(one.macs for one in layers.values())
        raise InvalidInput(
            f"prune-channels can bring the multiply-accumulates of this model down to {least / now:.1%} of what they are now, "
            f"not to {target / now:.1%}: raise macs_share, or lower multiple_of or at_least"
        )
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if macs_left(layers, ties, tried(middle)) <= target else (middle + 1, high)
    return tried(low)
