"""Weights that share values: k-means, zeros, training of centroids."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from argosy.errors import InvalidInput
from argosy_controller.pipeline.methods.codebooks import Coded, k_means
from argosy_controller.pipeline.passes import PASSES
from argosy_controller.pipeline.passes.interface import Context


def _shared(model: nn.Module, context: Context, **options: Any) -> Any:
    one = PASSES["share-weights"]
    return one.apply(model, msgspec.convert(options, one.config), context)


def test_k_means_by_hand() -> None:
    # centroids start at 0, 5, 10; clusters {0, 1}, {4}, {9, 10}; means 0.5, 4, 9.5; then nothing moves
    centroids, index = k_means(torch.tensor([9.0, 0.0, 4.0, 1.0, 10.0]), 3, 100)
    assert centroids.tolist() == [0.5, 4.0, 9.5]
    assert index.tolist() == [2, 0, 1, 0, 2]


def test_k_means_drops_centroids_without_values() -> None:
    centroids, index = k_means(torch.tensor([0.0, 0.1, 0.2, 10.0]), 3, 100)
    assert centroids.tolist() == pytest.approx([0.1, 10.0])
    assert index.tolist() == [0, 0, 0, 1]


def test_few_values_are_kept_exactly() -> None:
    centroids, index = k_means(torch.tensor([3.0, 1.0, 3.0]), 4, 100)
    assert centroids[index].tolist() == [3.0, 1.0, 3.0]


@given(values=st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=60), count=st.integers(1, 8))
def test_k_means_puts_every_value_to_its_nearest_centroid(values: list[float], count: int) -> None:
    given_values = torch.tensor(values)
    centroids, index = k_means(given_values, count, 1000)
    assert len(centroids) <= count
    gaps = (given_values[:, None].double() - centroids[None].double()).abs()
    assert bool((gaps.gather(1, index[:, None])[:, 0] <= gaps.min(1).values + 1e-4).all())


@pytest.mark.parametrize("epochs", [0, 1])
def test_tensors_hold_at_most_the_values_that_bits_allow_and_zeros_stay(epochs: int, network: Any, context: Context) -> None:
    with torch.no_grad():
        network[2].weight[network[2].weight.abs() < 0.05] = 0
    shared = _shared(network, context, conv_bits=3, linear_bits=2, epochs=epochs)
    assert all(2 < len(shared[i].weight.unique()) <= most for i, most in ((0, 8), (2, 8), (6, 4)))
    assert torch.equal(shared[2].weight == 0, network[2].weight == 0)


def test_bits_of_single_layers(network: Any, context: Context) -> None:
    shared = _shared(network, context, conv_bits=3, linear_bits=2, epochs=0, layers={"2": 1})
    assert [len(shared[i].weight.unique()) for i in (0, 2, 6)] == [8, 2, 4]
    with pytest.raises(InvalidInput, match="no layer 'conv' with weights"):
        _shared(network, context, layers={"conv": 1})


def test_gradient_of_a_centroid_is_the_sum_over_its_weights() -> None:
    layer = nn.Linear(4, 1, bias=False)
    layer.weight.data = torch.tensor([[1.0, 0.0, 1.0, 5.0]])
    coded = Coded(layer, {"weight": 2}, 10)
    coded(torch.tensor([[2.0, 7.0, 3.0, 4.0]])).sum().backward()
    (codebook,) = coded.codebooks
    assert codebook.tolist() == [1.0, 5.0]
    assert codebook.grad is not None
    assert codebook.grad.tolist() == [2.0 + 3.0, 4.0]


def test_trained_centroids_fit_better_than_untrained_ones(network: Any, context: Context) -> None:
    from argosy_controller.pipeline.training import fit

    trained = fit(network, context.task, context.data.train, context.task.training, seed=0, on_epoch=lambda done, total: None)
    inputs, targets = torch.from_numpy(context.data.train.inputs["image"]), torch.from_numpy(np.asarray(context.data.train.targets))

    def loss(epochs: int) -> float:
        shared = _shared(trained, context, conv_bits=2, linear_bits=1, epochs=epochs, learning_rate=1e-2)
        with torch.no_grad():
            return float(nn.functional.cross_entropy(shared(inputs), targets))

    assert loss(4) < loss(0)


def test_layer_of_zeros_stays_zero(context: Context) -> None:
    layer = nn.Linear(3, 2)
    nn.init.zeros_(layer.weight)
    assert _shared(layer, context, epochs=0).weight.abs().max() == 0
