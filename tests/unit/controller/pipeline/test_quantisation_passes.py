"""Grids, quantisation-aware training and bias correction, against hand-computed cases."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from argosy.errors import InvalidInput
from argosy_controller.pipeline.methods.bias_shift import corrected, mean_outputs
from argosy_controller.pipeline.methods.fake_quantise import (
    GridWeight,
    InputRange,
    largest_level,
    on_grid,
    weight_scales,
    with_weights_on_grid,
)
from argosy_controller.pipeline.passes import PASSES
from argosy_controller.pipeline.passes.correct_bias import CorrectBiasConfig
from argosy_controller.pipeline.passes.interface import Context
from argosy_controller.pipeline.passes.quantise_aware import QuantiseAwareConfig
from argosy_controller.pipeline.task import Split

WEIGHTS = st.lists(st.floats(-4, 4, width=32).filter(lambda one: one == 0 or abs(one) > 1e-6), min_size=6, max_size=6)


def _linear(rows: list[list[float]], bias: list[float] | None = None) -> nn.Linear:
    layer = nn.Linear(len(rows[0]), len(rows), bias=bias is not None)
    layer.weight.data = torch.tensor(rows)
    if bias is not None:
        layer.bias.data = torch.tensor(bias)
    return layer.eval()


def _quiet(done: int, total: int) -> None:
    del done, total


def test_levels_are_those_of_the_formats() -> None:
    assert [largest_level(bits) for bits in (2, 4, 8)] == [1, 7, 127]


def test_seven_bits_are_the_reduced_range_of_onnxruntime() -> None:
    from onnx import TensorProto
    from onnxruntime.quantization.quant_utils import get_qmin_qmax_for_qType

    low, high = get_qmin_qmax_for_qType(TensorProto.INT8, reduce_range=True, symmetric=True)
    assert (int(low), int(high)) == (-largest_level(7), largest_level(7))


def test_each_output_channel_has_its_own_grid_or_all_share_one() -> None:
    weight = torch.tensor([[7.0, -3.4], [0.7, 0.24]])
    assert torch.allclose(on_grid(weight, 4), torch.tensor([[7.0, -3.0], [0.7, 0.2]]))
    assert torch.allclose(on_grid(weight, 4, per_channel=False), torch.tensor([[7.0, -3.0], [1.0, 0.0]]))


def test_a_channel_of_zeros_stays_zero() -> None:
    assert on_grid(torch.zeros(2, 3), 8).tolist() == [[0.0] * 3] * 2


@given(WEIGHTS, st.integers(2, 8))
@settings(max_examples=50, deadline=None)
def test_rounding_is_off_by_at_most_half_a_step_and_rounding_again_changes_nothing(values: list[float], bits: int) -> None:
    weight = torch.tensor(values).view(2, 3)
    rounded = on_grid(weight, bits)
    assert bool(((rounded - weight).abs() <= weight_scales(weight, bits) * 0.5001).all())
    assert torch.allclose(on_grid(rounded, bits), rounded, rtol=1e-5, atol=0)


@given(WEIGHTS, st.lists(st.sampled_from([-2.0, -0.5, 0.25, 4.0]), min_size=2, max_size=2))
@settings(max_examples=50, deadline=None)
def test_scaling_a_channel_commutes_with_its_grid(values: list[float], factors: list[float]) -> None:
    """So batch norm need not be folded for training on the grid."""
    weight, factor = torch.tensor(values).view(2, 3), torch.tensor(factors).view(2, 1)
    assert torch.equal(on_grid(weight * factor, 4), on_grid(weight, 4) * factor)


def test_gradient_passes_straight_through_a_weights_grid() -> None:
    weight = torch.tensor([[1.0, 0.3]], requires_grad=True)
    value = GridWeight(2)(weight)
    assert value.tolist() == [[1.0, 0.0]]
    (value * torch.tensor([[2.0, 5.0]])).sum().backward()
    assert weight.grad is not None
    assert weight.grad.tolist() == [[2.0, 5.0]]


def test_activations_are_rounded_within_their_range_and_learn_only_there() -> None:
    grid = InputRange(bits=2).train()
    grid(torch.tensor([-1.0, 2.0]))
    value = torch.tensor([-9.0, -0.6, 0.4, 1.6, 5.0], requires_grad=True)
    result = grid.eval()(value)
    assert result.tolist() == [-1.0, -1.0, 0.0, 2.0, 2.0]
    result.sum().backward()
    assert value.grad is not None
    assert value.grad.tolist() == [0.0, 1.0, 1.0, 1.0, 0.0]


def test_range_follows_slowly_and_always_holds_zero() -> None:
    grid = InputRange(bits=8).train()
    for largest in (4.0, 8.0):
        grid(torch.tensor([3.0, largest]))
    assert float(grid.low) == 0.0
    assert float(grid.high) == pytest.approx(0.99 * 4 + 0.01 * 8)


def test_training_on_the_grid_keeps_the_structure_and_ends_on_the_grid(network: Any, context: Context) -> None:
    result = PASSES["quantise-aware"].apply(network, QuantiseAwareConfig(epochs=1, bits=4), context)
    assert [type(one) for one in result.modules()] == [type(one) for one in network.modules()]
    assert list(result.state_dict()) == list(network.state_dict())
    assert not any(layer._forward_pre_hooks for layer in result.modules())
    weight = result.get_parameter("2.weight").detach()
    assert torch.equal(on_grid(weight, 4), weight)
    assert not torch.equal(on_grid(network[2].weight.detach(), 4), weight)


def test_without_snapping_weights_stay_float(network: Any, context: Context) -> None:
    result = PASSES["quantise-aware"].apply(network, QuantiseAwareConfig(epochs=1, bits=4, snap=False), context)
    weight = result.get_parameter("2.weight").detach()
    assert not torch.equal(on_grid(weight, 4), weight)


def test_batch_norm_keeps_its_statistics(context: Context) -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)).eval()
    result = PASSES["quantise-aware"].apply(model, QuantiseAwareConfig(epochs=1), context)
    assert torch.equal(result.get_buffer("1.running_var"), torch.ones(4))
    assert not torch.equal(result.get_parameter("1.weight"), torch.ones(4))


def test_weights_that_pruning_cut_stay_cut(network: Any, context: Context) -> None:
    with torch.no_grad():
        network[2].weight[:4] = 0
    result = PASSES["quantise-aware"].apply(network, QuantiseAwareConfig(epochs=1), context)
    assert not result.get_parameter("2.weight")[:4].any()


@pytest.mark.parametrize("name", ["quantise-aware", "correct-bias"])
def test_a_model_without_layers_to_quantise_is_refused(name: str, context: Context) -> None:
    with pytest.raises(InvalidInput, match=f"pass {name} does not apply to this model: it has no linear layer and no convolution"):
        PASSES[name].apply(nn.Flatten(), PASSES[name].config(), context)


def test_bias_takes_out_the_mean_of_what_rounding_adds() -> None:
    split = Split({"x": np.array([[1.0, 1.0], [0.0, 3.0]], np.float32)}, np.zeros(2))
    result = corrected(_linear([[3.0, 0.9]], [0.5]), split, bits=2, per_channel=True, on_step=_quiet)
    assert result.weight.tolist() == [[3.0, torch.tensor(0.9).item()]]  # type: ignore[operator]
    assert result.bias.item() == pytest.approx(0.5 + 0.9 * 2)  # type: ignore[operator]


def test_a_later_layer_is_corrected_for_what_the_layers_before_give_it() -> None:
    """First layer: 2 bits make [3, 0.9] to [3, 0], its mean is put right, but not each example: ReLU lets a shift through."""
    split = Split({"x": np.array([[-1.0, 1.0], [0.0, 3.0]], np.float32)}, np.zeros(2))
    model = nn.Sequential(_linear([[3.0, 0.9]]), nn.ReLU(), _linear([[1.0]]))
    result = corrected(model.eval(), split, bits=2, per_channel=True, on_step=_quiet)
    # Float: relu(-2.1), relu(2.7): mean 1.35. Rounded with bias 1.8: relu(-1.2), relu(1.8): mean 0.9.
    assert result.get_parameter("0.bias").item() == pytest.approx(1.8)
    assert result.get_parameter("2.bias").item() == pytest.approx(0.45)


def test_every_layer_has_its_float_mean_again_once_rounded(network: Any, context: Context) -> None:
    result = PASSES["correct-bias"].apply(network, CorrectBiasConfig(bits=3), context)
    split, names = context.data.calibrating, ["0", "2", "6"]
    wanted, before = mean_outputs(network, names, split), mean_outputs(with_weights_on_grid(network, 3), names, split)
    after = mean_outputs(with_weights_on_grid(result, 3), names, split)
    assert all(torch.allclose(after[name], wanted[name], atol=1e-5) for name in names)
    assert not any(torch.allclose(before[name], wanted[name], atol=1e-3) for name in names)
