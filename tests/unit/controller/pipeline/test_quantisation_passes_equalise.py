"""Cross-layer equalisation: hand-computed factors, the same function, and what it must not touch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from argosy.errors import InvalidInput
from argosy_controller.pipeline.methods.layer_pairs import layer_pairs
from argosy_controller.pipeline.passes import PASSES
from argosy_controller.pipeline.passes.equalise_layers import EqualiseLayersConfig
from argosy_controller.pipeline.passes.interface import Context
from argosy_controller.pipeline.task import Data, Split, Task

IMAGES = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))


class Methods(nn.Module):
    """Functions and methods instead of modules, a batch norm, and a flattening that asks for the shape."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.norm, self.deep = nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6), nn.Conv2d(6, 12, 3, groups=6)
        self.grouped, self.out = nn.Conv2d(12, 8, 1, groups=2), nn.Linear(32, 5)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        value = nn.functional.relu(self.norm(self.one(image)))
        value = self.grouped(self.deep(value).relu())
        result: torch.Tensor = self.out(nn.functional.max_pool2d(torch.relu(value), 2).flatten(1))
        return result


class Viewed(nn.Module):
    """The ways in which users flatten."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way, self.one = way, nn.Conv2d(3, 4, 3)
        self.out = nn.Linear(4 if way.startswith("mean") else 144, 2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        value = torch.relu(self.one(image))
        flat = {
            "size": lambda: value.view(value.size(0), -1),
            "shape": lambda: value.reshape(value.shape[0], -1),
            "function": lambda: torch.flatten(value, 1),
            "named": lambda: value.flatten(start_dim=1),
            "mean": lambda: value.mean((2, 3)),
            "mean-named": lambda: torch.mean(value, dim=[-2, -1]),
        }[self.way]()
        result: torch.Tensor = self.out(flat)
        return result


class Joined(nn.Module):
    """A sum reads the first convolution, too; the second is followed by ReLU6; the last two are one layer called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.again = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
        self.six = nn.ReLU6()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        first = self.one(image)
        value = first + self.six(self.two(torch.relu(first)))
        result: torch.Tensor = self.again(torch.relu(self.again(value)))
        return result


def _sequence() -> nn.Module:
    layers = [nn.Conv2d(3, 4, 3), nn.LeakyReLU(0.1), nn.AvgPool2d(2), nn.Conv2d(4, 4, 2), nn.PReLU(4), nn.Dropout(), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(16, 7), nn.ReLU(), nn.Linear(7, 2))


def _apply(model: nn.Module, task: Task, inputs: torch.Tensor = IMAGES) -> nn.Module:
    examples = Split({"x": inputs.numpy()}, np.zeros(len(inputs)))
    context = Context(task, Data(train=examples, test=examples), seed=0, on_step=lambda done, total: None)
    return PASSES["equalise-layers"].apply(model, EqualiseLayersConfig(), context)


def _uneven(model: nn.Module) -> nn.Module:
    """Weights and statistics as training leaves them: no two channels alike."""
    random = torch.Generator().manual_seed(0)
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.mul_(torch.exp(1.5 * torch.randn(tensor.shape, generator=random)))
    return model.eval()


def test_both_ranges_become_the_root_of_their_product(task: Task) -> None:
    one, two = nn.Linear(1, 2), nn.Linear(2, 1)
    one.weight.data, one.bias.data = torch.tensor([[8.0], [0.5]]), torch.tensor([6.0, 1.0])
    two.weight.data = torch.tensor([[2.0, -2.0]])
    result: Any = _apply(nn.Sequential(one, nn.ReLU(), two).eval(), task, torch.ones(3, 1))
    assert result[0].weight.tolist() == [[4.0], [1.0]]
    assert result[0].bias.tolist() == [3.0, 2.0]
    assert result[2].weight.tolist() == [[4.0, -1.0]]


@pytest.mark.parametrize(("build", "pairs"), [(Methods, 3), (_sequence, 3)])
def test_the_function_stays_the_same_and_ranges_meet(build: Callable[[], nn.Module], pairs: int, task: Task) -> None:
    torch.manual_seed(0)
    model = _uneven(build())
    result = _apply(model, task)
    with torch.no_grad():
        wanted, got = model(IMAGES), result(IMAGES)
    assert float((got - wanted).abs().max()) <= 1e-4 * float(wanted.abs().max())
    found = layer_pairs(result)
    assert len(found) == pairs
    for written, read in (pair.ranges() for pair in found):
        assert torch.allclose(written, read, rtol=0.01)


@pytest.mark.parametrize("way", ["size", "shape", "function", "named", "mean", "mean-named"])
def test_channels_are_found_behind_every_way_of_flattening(way: str, task: Task) -> None:
    torch.manual_seed(0)
    model = _uneven(Viewed(way))
    result = _apply(model, task)
    with torch.no_grad():
        assert torch.allclose(model(IMAGES), result(IMAGES), rtol=1e-4, atol=1e-4)
    assert not torch.equal(model.get_parameter("out.weight"), result.get_parameter("out.weight"))


def test_batch_norm_takes_the_factor(task: Task) -> None:
    model = _uneven(Methods())
    result = _apply(model, task)
    assert torch.equal(result.get_parameter("one.weight"), model.get_parameter("one.weight"))
    assert not torch.equal(result.get_parameter("norm.weight"), model.get_parameter("norm.weight"))


def test_dead_channels_are_left_alone(task: Task) -> None:
    model: Any = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)).eval()
    with torch.no_grad():
        model[0].weight[0] = 0
    result: Any = _apply(model, task, torch.ones(3, 2))
    assert torch.equal(result[2].weight[:, 0], model[2].weight[:, 0])
    assert all(bool(torch.isfinite(one).all()) for one in result.state_dict().values())


@pytest.mark.parametrize(
    "model",
    [
        Joined(),
        nn.Sequential(nn.Linear(3, 3), nn.Sigmoid(), nn.Linear(3, 3)),
        nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU(), nn.Linear(8, 3)),
        nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Flatten(), nn.Linear(96, 3)),
        nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU(), nn.Flatten(2), nn.Linear(64, 3)),
    ],
)
def test_layers_that_a_factor_does_not_pass_between_are_no_pair(model: nn.Module, task: Task) -> None:
    with pytest.raises(InvalidInput, match="finds no two consecutive linear layers or convolutions"):
        _apply(model.eval(), task)


def test_tied_weights_are_no_pair() -> None:
    one, two = nn.Linear(3, 3), nn.Linear(3, 3)
    one.weight = two.weight
    assert layer_pairs(nn.Sequential(one, nn.ReLU(), two)) == []


def test_a_model_whose_calls_depend_on_values_is_refused(task: Task) -> None:
    class Choosing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Linear(3, 3), nn.Linear(3, 3)

        def forward(self, value: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.two(self.one(value)) if value.sum() > 0 else self.one(value)
            return result

    with pytest.raises(InvalidInput, match="does not apply to this model"):
        _apply(Choosing().eval(), task)


def test_a_model_that_reads_a_weight_outside_its_layer_is_refused(task: Task) -> None:
    class Reading(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Linear(3, 3), nn.Linear(3, 3)

        def forward(self, value: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.two(torch.relu(self.one(value))) + self.one.weight.sum()
            return result

    with pytest.raises(InvalidInput, match="its answers would change"):
        _apply(_uneven(Reading()), task, torch.rand(4, 3))


def test_weights_in_any_memory_layout_are_scaled(task: Task) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    result = _apply(_uneven(model), task)
    assert not torch.equal(result.get_parameter("2.weight"), model.get_parameter("2.weight"))
