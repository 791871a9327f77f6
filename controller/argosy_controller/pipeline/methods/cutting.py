"""When weights are cut: at once, in rounds of cutting and training, or during training."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from math import ceil

import torch
from torch import nn
from torch.func import functional_call

from argosy.errors import InvalidInput
from argosy_controller.pipeline.methods.layer_names import by_layer
from argosy_controller.pipeline.methods.masks import Masks, Scores, cut, layer_of, masks, prunable
from argosy_controller.pipeline.methods.rounds import after_round
from argosy_controller.pipeline.passes.interface import Context
from argosy_controller.pipeline.passes.prune_magnitude import CutConfig, PruneMagnitudeConfig
from argosy_controller.pipeline.training import Loss, fit, named_loss

#: From a model to a score per weight; low ones go.
Scoring = Callable[[nn.Module], Scores]


def magnitudes(model: nn.Module, biases: bool = False) -> Scores:
    """Squared weights, which rank as absolute values do (and are what layer-adaptive scores need)."""
    return {name: one.detach().double().square() for name, one in prunable(model, biases).items()}


def own_shares(scores: Scores, config: CutConfig) -> dict[str, float]:
    """The shares that `layers` gives, by parameter name."""
    layers = by_layer(dict.fromkeys(map(layer_of, scores)), config.layers)
    return {name: layers[layer_of(name)] for name in scores if layer_of(name) in layers}


def in_rounds(model: nn.Module, config: CutConfig, ctx: Context, score: Scoring) -> nn.Module:
    """Cuts and trains in turn: train, cut, train (Han et al. 2015, arXiv:1506.02626, figure 2), `rounds` times.

    After round r of R the share that stays is (1 - share)^(r / R).
    """
    result = copy.deepcopy(model).eval()
    each = 1 + config.epochs
    for number in range(config.rounds):
        kept = _masks(score(result), config, partial(_after_rounds, done=number + 1, rounds=config.rounds))
        cut(result, kept)
        ctx.on_step(number * each + 1, config.rounds * each)
        if config.epochs:
            result = _trained(result, kept, config, ctx, number)
    return result


def _masks(scores: Scores, config: CutConfig, now: Callable[[float], float]) -> Masks:
    """The masks by the shares that hold `now` instead of the final ones."""
    own = {name: now(share) for name, share in own_shares(scores, config).items()}
    return masks(scores, now(config.share), config.scope, own)


def _after_rounds(share: float, done: int, rounds: int) -> float:
    return share if done == rounds else 1 - (1 - share) ** (done / rounds)


def _trained(model: nn.Module, kept: Masks, config: CutConfig, ctx: Context, number: int) -> nn.Module:
    return after_round(model, config, ctx, number, config.rounds, lambda student, done, steps: cut(student, kept))


def check(config: PruneMagnitudeConfig) -> None:
    """Refuses options of `rounds` that would do nothing.

    Raises:
        InvalidInput: several rounds without training between (one cut would do), or `regrow`.
    """
    if config.regrow:
        raise InvalidInput("prune-magnitude: regrow is for method = 'gradual', where cut weights go on learning")
    if config.rounds > 1 and config.epochs == 0:
        raise InvalidInput(f"prune-magnitude with rounds = {config.rounds} trains between its cuts: set epochs, or rounds = 1")


def cubic_share(final: float, step: int, begin: int, end: int) -> float:
    """The share cut at a step: 0 at `begin`, `final` from `end` on (Zhu and Gupta 2017, arXiv:1710.01878, equation 1)."""
    if step >= end:
        return final
    return final * (1 - (1 - max(0, step - begin) / (end - begin)) ** 3)


def gradually(model: nn.Module, config: PruneMagnitudeConfig, ctx: Context) -> nn.Module:
    """Cuts while it trains. With `regrow`, cut weights go on learning (Guo et al. 2016, arXiv:1608.04493, section 3).

    Raises:
        InvalidInput: no epochs to cut in, or an end before the beginning.
    """
    if config.epochs == 0:
        raise InvalidInput("prune-magnitude with method = 'gradual' cuts while it trains: set epochs")
    if config.end <= config.begin:
        raise InvalidInput(f"prune-magnitude begins to cut at {config.begin} and ends at {config.end}: end must be larger")
    cutter = _Gradual(model, config)
    result = fit(
        model,
        ctx.task,
        ctx.data.train,
        config,
        seed=ctx.seed,
        on_epoch=ctx.on_step,
        loss=cutter.loss(named_loss(ctx.task, config)) if config.regrow else None,
        after_step=cutter.after_step,
    )
    cut(result, cutter.kept)
    return result


class _Gradual:
    """Holds the masks while they shrink."""

    def __init__(self, model: nn.Module, config: PruneMagnitudeConfig) -> None:
        self._config = config
        self.kept: Masks = {name: torch.ones_like(one, dtype=torch.bool) for name, one in prunable(model, config.biases).items()}
        own_shares(dict(self.kept), config)  # a wrong layer name is told before the training

    def after_step(self, student: nn.Module, done: int, steps: int) -> None:
        if not self._config.regrow:
            cut(student, self.kept)
        begin, end = int(self._config.begin * steps), max(1, ceil(self._config.end * steps))
        if begin <= done <= end and (done == end or (done - begin) % self._config.every == 0):
            scores = magnitudes(student, self._config.biases)
            self.kept = _masks(scores, self._config, lambda share: cubic_share(share, done, begin, end))
            if not self._config.regrow:
                cut(student, self.kept)

    def loss(self, plain: Loss) -> Loss:
        """The loss of the model as it would be with its cut weights at 0, while gradients reach these too."""

        def masked(model: nn.Module, inputs: tuple[torch.Tensor, ...], targets: torch.Tensor) -> torch.Tensor:
            return plain(_Masked(model, self.kept), inputs, targets)

        return masked


class _Masked(nn.Module):
    """A model seen with masked weights; the gradient of a masked weight goes straight through to the weight."""

    def __init__(self, inner: nn.Module, kept: Masks) -> None:
        super().__init__()
        self._inner, self._kept = inner, kept

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        weights = dict(self._inner.named_parameters())
        seen = {name: weights[name] + (weights[name] * mask - weights[name]).detach() for name, mask in self._kept.items()}
        result: torch.Tensor | tuple[torch.Tensor, ...] = functional_call(self._inner, seen, inputs)
        return result
