"""Batch norms folded, layers split, activations exchanged: against hand-computed cases."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from torch import nn
from torch.nn import functional

from argosy.errors import InvalidInput
from argosy_controller.pipeline.methods.activations import FUNCTIONS, MODULES, used
from argosy_controller.pipeline.methods.low_rank import factors, split
from argosy_controller.pipeline.numbers.sizes import parameters
from argosy_controller.pipeline.passes import PASSES
from argosy_controller.pipeline.passes.factorise import FactoriseConfig
from argosy_controller.pipeline.passes.interface import Config, Context
from argosy_controller.pipeline.passes.swap_activation import SwapActivationConfig
from argosy_controller.pipeline.task import Data, Split, Task


def _context(task: Task, shape: tuple[int, ...]) -> Context:
    inputs = np.random.default_rng(0).normal(size=(8, *shape)).astype(np.float32)
    split = Split({"x": inputs}, np.zeros(8, np.int64))
    return Context(task, Data(train=split, test=split), 0, lambda done, total: None)


def _answers(model: nn.Module, ctx: Context) -> torch.Tensor:
    with torch.no_grad():
        result: torch.Tensor = model(torch.from_numpy(ctx.data.train.inputs["x"]))
    return result


def _learnt(norm: Any) -> Any:
    """A batch norm that does something, with a mean, a variance, a scale and a shift."""
    torch.manual_seed(1)
    for tensor in (norm.running_mean, norm.weight.data, norm.bias.data):
        tensor.normal_()
    norm.running_var.uniform_(0.5, 2)
    return norm


def _norms(model: nn.Module) -> int:
    return sum(isinstance(one, (nn.BatchNorm1d, nn.BatchNorm2d)) for one in model.modules())


def test_folding_multiplies_scale_and_shift_into_the_layer(task: Task) -> None:
    layer, norm = nn.Linear(1, 1), nn.BatchNorm1d(1, eps=0.0)
    layer.weight.data[:], layer.bias.data[:] = 3.0, 1.0
    norm.running_mean[:], norm.running_var[:], norm.weight.data[:], norm.bias.data[:] = 5.0, 4.0, 6.0, 7.0  # type: ignore[index]
    folded = PASSES["fold-batch-norm"].apply(nn.Sequential(layer, norm).eval(), Config(), _context(task, (1,)))
    assert folded[0].weight.item() == pytest.approx(3 * 6 / 2)  # type: ignore[index, operator]
    assert folded[0].bias.item() == pytest.approx((1 - 5) * 6 / 2 + 7)  # type: ignore[index, operator]
    assert isinstance(folded[1], nn.Identity)  # type: ignore[index]


@pytest.mark.parametrize(
    ("layers", "shape"),
    [
        ([nn.Conv2d(2, 6, 3, 2, 1, groups=2, bias=False), nn.BatchNorm2d(6)], (2, 8, 8)),
        ([nn.Conv1d(3, 4, 5, dilation=2), nn.BatchNorm1d(4)], (3, 20)),
        ([nn.ConvTranspose2d(2, 5, 3, 2), nn.BatchNorm2d(5)], (2, 4, 4)),
        ([nn.Linear(7, 5), nn.BatchNorm1d(5)], (7,)),
    ],
    ids=["grouped", "1-d", "transposed", "linear"],
)
def test_folding_keeps_the_function(task: Task, layers: list[Any], shape: tuple[int, ...]) -> None:
    model, ctx = nn.Sequential(layers[0], _learnt(layers[1]), nn.ReLU()).eval(), _context(task, shape)
    folded = PASSES["fold-batch-norm"].apply(model, Config(), ctx)
    assert (_norms(model), _norms(folded)) == (1, 0)
    assert torch.allclose(_answers(model, ctx), _answers(folded, ctx), atol=1e-5)


class Residual(nn.Module):
    """Its first convolution is used both before and after a batch norm; it decides by numbers, so torch.fx cannot trace it."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.norm_one = nn.Conv2d(1, 4, 3, padding=1), _learnt(nn.BatchNorm2d(4))
        self.two, self.norm_two = nn.Conv2d(4, 4, 3, padding=1), _learnt(nn.BatchNorm2d(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = self.one(x)
        second: torch.Tensor = self.norm_two(self.two(functional.gelu(self.norm_one(first))))
        return first + (second if x.abs().max() > 0 else -second)


def test_folding_leaves_a_batch_norm_whose_layer_is_used_elsewhere(task: Task) -> None:
    model, ctx = Residual().eval(), _context(task, (1, 6, 6))
    folded = PASSES["fold-batch-norm"].apply(model, Config(), ctx)
    assert isinstance(folded.norm_one, nn.BatchNorm2d)
    assert isinstance(folded.norm_two, nn.Identity)
    assert torch.allclose(_answers(model, ctx), _answers(folded, ctx), atol=1e-5)


def test_folding_says_that_no_batch_norm_can_be_folded(task: Task) -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), _learnt(nn.BatchNorm1d(3))).eval()
    with pytest.raises(InvalidInput, match="none of the model's 1 batch norms directly follows a convolution"):
        PASSES["fold-batch-norm"].apply(model, Config(), _context(task, (3,)))


def test_a_matrix_of_rank_one_becomes_two_vectors() -> None:
    layer = nn.Linear(3, 4)
    layer.weight.data = torch.outer(torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([1.0, 0.0, -1.0]))
    pair = split(layer, FactoriseConfig(energy=0.99))
    assert pair is not None
    assert [tuple(one.weight.shape) for one in pair] == [(1, 3), (4, 1)]
    assert torch.allclose(pair[1].weight @ pair[0].weight, layer.weight, atol=1e-5)  # type: ignore[operator]
    assert torch.equal(pair[1].bias, layer.bias)  # type: ignore[arg-type]


@pytest.mark.parametrize(("energy", "rank"), [(0.6, 1), (0.64, 1), (0.65, 2), (0.99, 2), (1.0, 2)])
def test_rank_is_the_smallest_that_keeps_the_energy(energy: float, rank: int) -> None:
    matrix = torch.zeros(8, 8)
    matrix[0, 0], matrix[1, 1] = 4.0, 3.0  # energies 16 and 9 of 25
    pair = factors(matrix, FactoriseConfig(energy=energy))
    assert pair is not None
    assert len(pair[1]) == rank


@given(rank=some.integers(1, 4), seed=some.integers(0, 99), scheme=some.sampled_from(["channel", "spatial"]))
@settings(max_examples=20, deadline=None)
def test_a_split_convolution_of_low_rank_keeps_its_function(rank: int, seed: int, scheme: Any) -> None:
    torch.manual_seed(seed)
    layer = nn.Conv2d(8, 12, (3, 5), stride=(2, 1), padding=(1, 2), dilation=(1, 2))
    into = (torch.randn(12, rank) @ torch.randn(rank, 120)).reshape(12, 8, 3, 5)
    apart = (torch.randn(24, rank) @ torch.randn(rank, 60)).reshape(8, 3, 12, 5).permute(2, 0, 1, 3)
    layer.weight.data = (into if scheme == "channel" else apart).contiguous()
    pair = split(layer, FactoriseConfig(energy=1 - 1e-7, convolutions=scheme))
    assert pair is not None
    assert pair[0].out_channels <= rank
    x = torch.randn(2, 8, 9, 11)
    assert torch.allclose(pair(x), layer(x), atol=1e-3, rtol=1e-3)


def test_a_convolution_over_time_is_split(task: Task) -> None:
    model, ctx = nn.Sequential(nn.Conv1d(8, 16, 5, 2, 2)).eval(), _context(task, (8, 20))
    result = PASSES["factorise"].apply(model, FactoriseConfig(share=0.25), ctx)
    assert parameters(result) == 4 * 8 * 5 + 4 * 16 + 16
    assert _answers(result, ctx).shape == _answers(model, ctx).shape


def test_a_layer_used_twice_is_split_in_both_places(task: Task) -> None:
    shared = nn.Linear(16, 16)
    model, ctx = nn.Sequential(shared, nn.ReLU(), shared).eval(), _context(task, (16,))
    result = PASSES["factorise"].apply(model, FactoriseConfig(share=0.25), ctx)
    assert result[0] is result[2]  # type: ignore[index]


def test_layers_that_would_not_get_smaller_stay(task: Task) -> None:
    model, ctx = nn.Sequential(nn.Linear(32, 32), nn.Linear(32, 1)).eval(), _context(task, (32,))
    result = PASSES["factorise"].apply(model, FactoriseConfig(share=0.25), ctx)
    assert [type(one).__name__ for one in result] == ["Sequential", "Linear"]  # type: ignore[union-attr]
    with pytest.raises(InvalidInput, match=r"of 2 layers none gets smaller with energy = 1\.0"):
        PASSES["factorise"].apply(model, FactoriseConfig(energy=1.0), ctx)


class Functional(nn.Module):
    """Activations as functions, as methods and as modules; the last one gives the output, in another shape."""

    def __init__(self, by_numbers: bool = False) -> None:
        super().__init__()
        self.one, self.two, self.three = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 1)
        self.act, self._by_numbers = nn.Tanh(), by_numbers

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.gelu(self.one(x))
        x = self.act(self.two(x.sigmoid()))
        if self._by_numbers and x.sum() > 1e9:
            return x
        return torch.sigmoid(self.three(x)).squeeze(-1)


@pytest.mark.parametrize(
    ("old", "left"),
    [
        ("sigmoid", {"gelu": 1, "relu": 1, "tanh": 1}),
        ("tanh", {"gelu": 1, "sigmoid": 1, "relu": 1}),
        ("any", {"relu": 3}),
    ],
)
def test_activations_are_exchanged_wherever_they_are_but_at_the_output(task: Task, old: Any, left: dict[str, int]) -> None:
    torch.manual_seed(0)
    model, ctx = Functional().eval(), _context(task, (4,))
    result = PASSES["swap-activation"].apply(model, SwapActivationConfig(old=old), ctx)
    assert used(result, (torch.zeros(2, 4),)) == Counter(left)
    answers = _answers(result, ctx)
    assert bool(((answers > 0) & (answers < 1)).all())


def test_an_exchanged_activation_gives_what_the_new_one_gives(task: Task) -> None:
    model, ctx = nn.Sequential(nn.Sigmoid(), nn.Identity(), nn.Linear(2, 2)).eval(), _context(task, (2,))
    result = PASSES["swap-activation"].apply(model, SwapActivationConfig(old="sigmoid", new="hard-swish"), ctx)
    x = torch.tensor([[-4.0, 1.0]])
    assert torch.allclose(result[0](x), torch.tensor([[0.0, 1 * 4 / 6]]))  # type: ignore[index, operator]


@pytest.mark.parametrize("name", sorted(MODULES))
def test_module_and_function_of_an_activation_agree(name: str) -> None:
    x = torch.linspace(-4, 4, 33)
    assert torch.equal(MODULES[name]()(x), FUNCTIONS[name][0](x))
    assert used(nn.Sequential(MODULES[name](), nn.Linear(33, 1)), (x,)) == {name: 1}


def test_swapping_says_which_activations_the_model_has(task: Task, network: Any, context: Context) -> None:
    with pytest.raises(InvalidInput, match="the model has no sigmoid between its layers; it has 2 relu"):
        PASSES["swap-activation"].apply(network, SwapActivationConfig(old="sigmoid"), context)
    with pytest.raises(InvalidInput, match="it has no activation that it knows"):
        PASSES["swap-activation"].apply(nn.Linear(2, 2), SwapActivationConfig(), _context(task, (2,)))


def test_swapping_says_that_functions_are_out_of_reach(task: Task) -> None:
    with pytest.raises(InvalidInput, match=r"cannot reach 1 of the activations: torch\.fx cannot trace the model; make them modules"):
        PASSES["swap-activation"].apply(Functional(by_numbers=True).eval(), SwapActivationConfig(old="gelu"), _context(task, (4,)))
