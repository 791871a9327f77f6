"""How passes choose by an accuracy goal: changed estimators judged on validation data, the boldest that holds taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from argosy.errors import InvalidInput
from argosy_controller.pipeline.classical.fitted import Fitted
from argosy_controller.pipeline.passes.interface import Context
from argosy_controller.pipeline.task import Split
from argosy_controller.pipeline.training import forward, tensors

#: Drops are differences of figures: what is below is rounding.
NOTHING = 1e-12


def validation(ctx: Context, use: str, instead: str = "") -> Split:
    """The task's validation data.

    Args:
        use: name of the pass, `instead`: the option that needs no such data, for the message.

    Raises:
        InvalidInput: the task holds none back. Training data would not do: a full-grown tree knows them by heart.
    """
    if ctx.data.validation is None:
        raise InvalidInput(
            f"pass {use} chooses by validation data, and data() of task {ctx.task.name!r} holds none back: "
            f"return Data(..., validation=Split(...)){f', or set {instead}' if instead else ''}"
        )
    return ctx.data.validation


@dataclass(frozen=True)
class Judge:
    """How good changed estimators are beside the model given, on data that no training saw.

    Attributes:
        before: the metric of the model given.
    """

    model: Fitted
    ctx: Context
    split: Split
    before: float

    @classmethod
    def of(cls, model: Fitted, ctx: Context, use: str, instead: str = "") -> Judge:
        """On the task's validation data; arguments and errors as of `validation`."""
        split = validation(ctx, use, instead)
        return cls(model, ctx, split, _figure(model, ctx, split))

    def drop(self, estimator: Any) -> float:
        """How much worse an estimator is than the model given, in the metric's unit; negative when it is better."""
        return _lost(self.ctx, self.before, _figure(self.model.replaced(estimator), self.ctx, self.split))

    def holds(self, estimator: Any, drop_at_most: float) -> bool:
        """Whether it is worse by no more than that."""
        return self.drop(estimator) <= drop_at_most + NOTHING


def _figure(model: Fitted, ctx: Context, split: Split) -> float:
    with torch.no_grad():
        answers = forward(model, tensors(split))
    outputs = {name: one.numpy() for name, one in zip(ctx.task.outputs, answers, strict=True)}
    return ctx.task.judged_by.value(outputs, split.targets)


def worse(ctx: Context, answers: NDArray[np.float64], than: NDArray[np.float64], targets: NDArray[Any]) -> float:
    """How much worse answers (rows, classes), or (rows, 1) values, are than others, in the metric's unit; negative when better."""
    return _lost(ctx, *(ctx.task.judged_by.value(_outputs(ctx, one), targets) for one in (than, answers)))


def _outputs(ctx: Context, answers: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
    single = answers.astype(np.float32)
    return dict(zip(ctx.task.outputs, (single, single.argmax(-1)), strict=False))


def _lost(ctx: Context, before: float, after: float) -> float:
    return before - after if ctx.task.judged_by.higher_is_better else after - before


def told(split: Split) -> str:
    """On what was chosen, for people."""
    return f"{len(split):,} validation examples"


def boldest(count: int, holds: Callable[[int], bool], on_step: Callable[[int, int], None]) -> int:
    """The largest number from 0 to `count` that holds, by bisection: as if what holds for one held for all below. 0 is not asked.

    Args:
        on_step: called with (finished, total).
    """
    low, high = 0, count
    total = count.bit_length()
    done = 0
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if holds(middle) else (low, middle - 1)
        done += 1
        on_step(min(done, total), total)
    on_step(total, total)
    return low


def wanted(model: Fitted, classes: int, targets: NDArray[Any]) -> NDArray[np.float64]:
    """Targets as what the answers should be: (rows, classes) ones among zeros, or (rows, 1) values."""
    return np.eye(classes)[targets.astype(np.int64)] if model.classifies else targets.reshape(-1, 1).astype(np.float64)
