"""What is particular to each pass, against hand-computed cases."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from argosy.errors import InvalidInput
from argosy_controller.pipeline.options import TrainingConfig
from argosy_controller.pipeline.passes import PASSES
from argosy_controller.pipeline.passes.interface import Context
from argosy_controller.pipeline.passes.prune_channels import PruneChannelsConfig
from argosy_controller.pipeline.passes.prune_magnitude import PruneMagnitudeConfig


def _linear(rows: list[list[float]]) -> nn.Linear:
    layer = nn.Linear(len(rows[0]), len(rows))
    layer.weight.data = torch.tensor(rows)
    return layer


def test_magnitude_cuts_the_smallest_of_each_layer(context: Context) -> None:
    model = nn.Sequential(_linear([[3.0, -1.0], [2.0, 0.5]]), _linear([[10.0, -20.0], [30.0, 40.0]]))
    pruned = PASSES["prune-magnitude"].apply(model, PruneMagnitudeConfig(share=0.5), context)
    assert pruned[0].weight.tolist() == [[3.0, 0.0], [2.0, 0.0]]  # type: ignore[index]
    assert pruned[1].weight.tolist() == [[0.0, 0.0], [30.0, 40.0]]  # type: ignore[index]


def test_magnitude_ranks_the_whole_model_together(context: Context) -> None:
    model = nn.Sequential(_linear([[3.0, -1.0], [2.0, 0.5]]), _linear([[10.0, -20.0], [30.0, 40.0]]))
    pruned = PASSES["prune-magnitude"].apply(model, PruneMagnitudeConfig(share=0.5, scope="model"), context)
    assert pruned[0].weight.abs().sum() == 0  # type: ignore[index]
    assert pruned[1].weight.tolist() == [[10.0, -20.0], [30.0, 40.0]]  # type: ignore[index]


def test_magnitude_cuts_exactly_the_share_among_equal_weights(context: Context) -> None:
    pruned = PASSES["prune-magnitude"].apply(_linear([[1.0] * 10]), PruneMagnitudeConfig(share=0.3), context)
    assert pruned.weight.count_nonzero() == 7


def test_channels_are_really_removed_and_outputs_are_kept(network: Any, context: Context) -> None:
    pruned = PASSES["prune-channels"].apply(network, PruneChannelsConfig(share=0.5), context)
    assert (pruned[0].out_channels, pruned[2].in_channels, pruned[2].out_channels) == (4, 4, 4)  # type: ignore[index]
    assert (pruned[6].in_features, pruned[6].out_features) == (16, 2)  # type: ignore[index]


def test_channels_with_the_smallest_norm_go(network: Any, context: Context) -> None:
    with torch.no_grad():
        network[0].weight[::2] *= 1e-3
        network[0].bias[:] = torch.arange(8.0)
    pruned = PASSES["prune-channels"].apply(network, PruneChannelsConfig(share=0.5), context)
    assert pruned[0].bias.tolist() == [1.0, 3.0, 5.0, 7.0]  # type: ignore[index]


def test_channels_of_a_residual_sum_are_removed_together(context: Context) -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two, self.out = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1), nn.Linear(8, 2)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            first = self.one(image)
            result: torch.Tensor = self.out((first + self.two(first)).mean((2, 3)))
            return result

    pruned = PASSES["prune-channels"].apply(Residual().eval(), PruneChannelsConfig(share=0.5), context)
    assert pruned.one.out_channels == pruned.two.out_channels == pruned.out.in_features == 4  # type: ignore[union-attr]


def test_finetuning_keeps_cut_weights_at_zero(network: Any, context: Context) -> None:
    pruned = PASSES["prune-magnitude"].apply(network, PruneMagnitudeConfig(share=0.5), context)
    tuned = PASSES["finetune"].apply(pruned, TrainingConfig(epochs=1), context)
    assert bool(((pruned[2].weight == 0) <= (tuned[2].weight == 0)).all())  # type: ignore[index, operator]
    assert not torch.equal(pruned[2].weight, tuned[2].weight)  # type: ignore[index, arg-type]


def test_training_refuses_a_loss_that_is_not_finite(network: Any, context: Context) -> None:
    with torch.no_grad():
        network[6].bias[:] = float("nan")
    with pytest.raises(InvalidInput, match="not finite"):
        PASSES["finetune"].apply(network, TrainingConfig(epochs=1), context)
