"""SNIP and Taylor importance, against gradients computed by hand."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from torch import nn

from argosy.errors import InvalidInput
from argosy_controller.pipeline.methods.saliency import connection_saliency, reinitialised, taylor_saliency
from argosy_controller.pipeline.options import TrainingConfig
from argosy_controller.pipeline.passes import PASSES
from argosy_controller.pipeline.passes.interface import Context
from argosy_controller.pipeline.task import Data, Split, Task


class Halves(Task):
    """y = w x against 0 with the loss y^2 / 2 on two examples, one a batch: the gradient by w of an example is y x."""

    name = "halves"
    batch_size = 1

    def data(self, seed: int) -> Data:
        examples = Split({"x": np.float32([[1, 2], [2, -1]])}, np.zeros(2, np.int64))
        return Data(train=examples, test=examples.take(slice(0, 0)))

    def model(self, seed: int) -> nn.Module:
        layer = nn.Linear(2, 1, bias=False)
        layer.weight.data = torch.tensor([[2.0, 1.0]])
        return layer

    def loss(self, outputs: tuple[torch.Tensor, ...], targets: torch.Tensor) -> torch.Tensor:
        return outputs[0].square().mean() / 2


@pytest.fixture
def halves() -> Context:
    task = Halves({})
    return Context(task, task.data(0), seed=0, on_step=lambda done, total: None)


# w = (2, 1). Example (1, 2): y = 4, g = (4, 8). Example (2, -1): y = 3, g = (6, -3).


def test_connection_saliency_is_of_the_mean_gradient_over_all_batches(halves: Context) -> None:
    found = connection_saliency(halves.task.model(0), halves, examples=2)["weight"]
    assert (found / 2).tolist() == [[10.0, 2.5]]  # |mean g * w| = (5 * 2, 2.5 * 1)


def test_taylor_saliency_sums_squares_of_batches(halves: Context) -> None:
    found = taylor_saliency(halves.task.model(0), halves, 2, TrainingConfig())["weight"]
    assert found.tolist() == [[8.0**2 + 12.0**2, 8.0**2 + 3.0**2]]


@pytest.mark.parametrize("use", ["snip", "prune-taylor"])
def test_weight_that_the_loss_feels_least_goes(use: str, halves: Context) -> None:
    pruned: Any = PASSES[use].apply(halves.task.model(0), msgspec.convert({"share": 0.5}, PASSES[use].config), halves)
    assert pruned.weight.tolist() == [[2.0, 0.0]]


def test_snip_ranks_all_layers_together_and_cuts_exactly_the_share(network: Any, context: Context) -> None:
    pruned: Any = PASSES["snip"].apply(network, msgspec.convert({"share": 0.9}, PASSES["snip"].config), context)
    zeros = [int((pruned[i].weight == 0).sum()) for i in (0, 2, 6)]
    assert sum(zeros) == int(0.9 * 712)
    assert zeros[0] / 72 < zeros[1] / 576


def test_snip_keeps_running_statistics_of_an_untrained_network(context: Context) -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    pruned: Any = PASSES["snip"].apply(model, PASSES["snip"].config(), context)
    assert torch.equal(pruned[1].running_var, torch.ones(4))
    assert pruned[0].weight.count_nonzero() > 0


def test_reinitialised_weights_have_the_variance_of_their_fan_in() -> None:
    model: Any = reinitialised(nn.Sequential(nn.Linear(800, 500), nn.Conv2d(8, 64, 5)), seed=1)
    assert model[0].weight.std().item() == pytest.approx((2 / 800) ** 0.5, rel=0.02)
    assert model[1].weight.std().item() == pytest.approx((2 / 200) ** 0.5, rel=0.02)
    assert model[0].bias.abs().max() == 0


def test_gradients_that_are_not_finite_are_told(halves: Context) -> None:
    model = nn.Linear(2, 1, bias=False)
    model.weight.data.fill_(3e38)
    with pytest.raises(InvalidInput, match="gradients of task 'halves' are not finite"):
        connection_saliency(model, halves, 2)
