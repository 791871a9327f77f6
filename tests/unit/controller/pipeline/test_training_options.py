"""Losses, optimisers and schedules that a recipe can name, against steps computed by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from argosy_controller.pipeline.options import TrainingConfig
from argosy_controller.pipeline.task import Split, Task
from argosy_controller.pipeline.training import fit, focal_loss


def test_focal_loss_is_what_the_paper_says() -> None:
    logits = torch.tensor([[math.log(3.0), 0.0], [math.log(3.0), 0.0]])  # probabilities 3/4 and 1/4
    by_hand = (0.25**2 * -math.log(0.75) + 0.75**2 * -math.log(0.25)) / 2
    assert focal_loss(logits, torch.tensor([0, 1]), 2.0).item() == pytest.approx(by_hand, rel=1e-5)


def test_focal_loss_without_gamma_is_the_cross_entropy() -> None:
    torch.manual_seed(0)
    logits, targets = torch.randn(7, 5), torch.arange(7) % 5
    assert focal_loss(logits, targets, 0.0).item() == pytest.approx(functional.cross_entropy(logits, targets).item(), rel=1e-5)


class Slope(nn.Module):
    """One weight, 2 at the start; its gradient is 1 at every step, by the loss below."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([2.0]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.weight * x


def _weights(task: Task, **options: Any) -> list[float]:
    """The weight after each of 2 steps at rate 0.1."""
    split = Split({"x": np.ones((1, 1), np.float32)}, np.zeros(1, np.int64))
    seen: list[float] = []
    training = TrainingConfig(epochs=2, learning_rate=0.1, **options)
    fit(
        Slope(),
        task,
        split,
        training,
        seed=0,
        on_epoch=lambda done, total: None,
        loss=lambda model, inputs, targets: model(*inputs).sum(),
        after_step=lambda model, done, total: seen.append(model.get_parameter("weight").item()),
    )
    return seen


@pytest.mark.parametrize(
    ("options", "by_hand"),
    [
        ({"optimiser": "sgd", "momentum": 0.0}, [1.9, 1.8]),
        ({"optimiser": "sgd", "momentum": 0.9}, [1.9, 1.9 - 0.1 * 1.9]),
        ({"optimiser": "sgd", "momentum": 0.0, "weight_decay": 0.5}, [2 - 0.1 * (1 + 0.5 * 2), 1.8 - 0.1 * (1 + 0.5 * 1.8)]),
        ({"optimiser": "adam"}, [1.9, 1.8]),
        ({"optimiser": "adamw", "weight_decay": 0.5}, [2 * (1 - 0.05) - 0.1, (2 * 0.95 - 0.1) * 0.95 - 0.1]),
        ({"optimiser": "adagrad"}, [1.9, 1.9 - 0.1 / math.sqrt(2)]),
    ],
)
def test_optimiser_takes_the_steps_of_its_paper(task: Task, options: dict[str, Any], by_hand: list[float]) -> None:
    assert _weights(task, schedule="constant", **options) == pytest.approx(by_hand, rel=1e-5)


def test_cosine_lets_the_rate_fall_along_half_a_period(task: Task) -> None:
    one, two = _weights(task, schedule="cosine", optimiser="sgd", momentum=0.0)
    assert (2 - one, one - two) == (pytest.approx(0.1), pytest.approx(0.1 * (1 + math.cos(math.pi / 2)) / 2))


def test_batches_are_of_the_size_asked_for_else_the_tasks(task: Task) -> None:
    split = Split({"x": np.ones((10, 1), np.float32)}, np.zeros(10, np.int64))
    task.batch_size = 5
    for size, steps in ((0, 2), (4, 3)):
        seen: list[int] = []
        fit(
            Slope(),
            task,
            split,
            TrainingConfig(epochs=1, batch_size=size),
            seed=0,
            on_epoch=lambda done, total: None,
            loss=lambda model, inputs, targets: model(*inputs).sum(),
            after_step=lambda model, done, total, seen=seen: seen.append(total),  # type: ignore[misc]
        )
        assert seen == [steps] * steps


def test_a_last_batch_of_one_joins_the_one_before_so_that_batch_norm_can_train(task: Task) -> None:
    split = Split({"x": np.random.default_rng(0).normal(size=(9, 2)).astype(np.float32)}, np.zeros(9, np.int64))
    model, seen = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)), list[tuple[int, int]]()
    training = TrainingConfig(epochs=1, batch_size=4)
    fit(model, task, split, training, seed=0, on_epoch=lambda done, total: None, after_step=lambda model, done, of: seen.append((done, of)))
    assert seen == [(1, 2), (2, 2)]
