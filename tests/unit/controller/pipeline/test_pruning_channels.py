"""Pruning of channels: what goes together, how many and which, and networks whose graph is smaller afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from argosy.errors import InvalidInput
from argosy_controller.pipeline.methods.channel_counts import Layer, Rounding, Tie, kept_channels, kept_for_macs, macs_left
from argosy_controller.pipeline.methods.channel_scores import norms, taylor
from argosy_controller.pipeline.methods.channel_ties import Ties, removable
from argosy_controller.pipeline.methods.thinet import contributions, readings, removal_errors, rescale, scales
from argosy_controller.pipeline.numbers.sizes import macs
from argosy_controller.pipeline.options import TrainingConfig
from argosy_controller.pipeline.passes import PASSES
from argosy_controller.pipeline.passes.interface import Context
from argosy_controller.pipeline.task import Data, Split, Task

PASS = PASSES["prune-channels"]
IMAGE = (torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0)),)
LAYER, MODEL = Rounding("layer", 1, 0.1), Rounding("model", 1, 0.1)


def _pruned(model: nn.Module, context: Context, **options: Any) -> Any:
    return PASS.apply(model.eval(), msgspec.convert(options, PASS.config), context)


class Residual(nn.Module):
    """A sum, or with `padded` a shortcut that strides and pads its channels with zeros (option A of He et al. 2015)."""

    def __init__(self, padded: bool = False) -> None:
        super().__init__()
        wide = 16 if padded else 8
        self.padded = padded
        self.stem, self.one, self.two = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, wide, 3, padding=1), nn.Conv2d(wide, wide, 3, padding=1)
        self.out = nn.Linear(wide, 2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        first = functional.relu(self.stem(image))
        short = functional.pad(first, (0, 0, 0, 0, 4, 4)) if self.padded else first
        second = functional.relu(self.two(functional.relu(self.one(first))) + short)
        result: torch.Tensor = self.out(second.mean((2, 3)))
        return result


def test_channels_are_really_removed_and_outputs_are_kept(network: Any, context: Context) -> None:
    pruned = _pruned(network, context, share=0.5)
    assert (pruned[0].out_channels, pruned[2].in_channels, pruned[2].out_channels) == (4, 4, 4)
    assert (pruned[6].in_features, pruned[6].out_features) == (16, 2)


def test_channels_with_the_smallest_norm_go(network: Any, context: Context) -> None:
    with torch.no_grad():
        network[0].weight[::2] *= 1e-3
        network[0].bias[:] = torch.arange(8.0)
    pruned = _pruned(network, context, share=0.5)
    assert pruned[0].bias.tolist() == [1.0, 3.0, 5.0, 7.0]


def test_channels_of_a_sum_are_removed_together(context: Context) -> None:
    pruned = _pruned(Residual(), context, share=0.5)
    assert pruned.stem.out_channels == pruned.two.out_channels == pruned.out.in_features == 4


def test_channels_that_a_padded_shortcut_ties_by_position_are_kept_whole(context: Context) -> None:
    assert removable(Residual(padded=True).eval(), IMAGE) == ["one"]
    pruned = _pruned(Residual(padded=True), context, share=0.5)
    assert (pruned.stem.out_channels, pruned.one.out_channels, pruned.two.out_channels) == (8, 8, 16)


def test_removing_channels_that_nothing_reads_changes_no_output(network: Any) -> None:
    ties = Ties(network, IMAGE)
    with torch.no_grad():
        network[2].weight[:, [1, 6]] = 0
        before = network(*IMAGE)
        ties.remove("0", [1, 6])
        assert torch.allclose(network(*IMAGE), before, atol=1e-6)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], list[str]]] = {
    "linear layers only": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.Sigmoid(), nn.Linear(16, 2)), ["1"]),
    "one-dimensional": (
        lambda: nn.Sequential(nn.Flatten(2), nn.Conv1d(1, 8, 3), nn.BatchNorm1d(8), nn.ReLU(), nn.Flatten(), nn.Linear(496, 2)),
        ["1"],
    ),
    "depthwise": (
        lambda: nn.Sequential(nn.Conv2d(1, 8, 3), nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 2, 4), nn.Flatten(), nn.LazyLinear(2)),
        ["0", "2"],
    ),
    "transposed": (lambda: nn.Sequential(nn.Conv2d(1, 8, 3), nn.ConvTranspose2d(8, 4, 3), nn.Conv2d(4, 2, 8), nn.Flatten()), ["0", "1"]),
    "groups": (lambda: nn.Sequential(nn.Conv2d(1, 8, 3), nn.GroupNorm(2, 8), nn.Conv2d(8, 8, 3, groups=2), nn.Conv2d(8, 2, 4)), []),
}


@pytest.mark.parametrize("name", list(NETWORKS))
def test_layers_that_can_lose_channels_are_found(name: str) -> None:
    make, expected = NETWORKS[name]
    model = make().eval()
    model(*IMAGE)
    assert removable(model, IMAGE) == expected


@pytest.mark.parametrize("importance", ["norm", "taylor", "thinet"])
@pytest.mark.parametrize("name", ["linear layers only", "one-dimensional", "depthwise"])
def test_networks_of_many_kinds_are_pruned(name: str, importance: str, context: Context) -> None:
    model = NETWORKS[name][0]().eval()
    model(*IMAGE)
    flat = name == "one-dimensional"
    data = Data(train=_reshaped(context.data.train) if flat else context.data.train, test=context.data.test)
    pruned = _pruned(model, replace(context, data=data), share=0.5, importance=importance, multiple_of=1)
    example = tuple(torch.from_numpy(one[:1].copy()) for one in data.train.inputs.values())
    assert macs(pruned, example)[""] < 0.7 * macs(model, example)[""]


def _reshaped(split: Split) -> Split:
    return Split({"image": split.inputs["image"].reshape(-1, 1, 8, 8)}, split.targets)


def test_model_that_cannot_lose_a_channel_is_refused(context: Context) -> None:
    with pytest.raises(InvalidInput, match="none of its layers can lose a channel"):
        _pruned(nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), context)


def test_single_layers_have_shares_of_their_own(network: Any, context: Context) -> None:
    pruned = _pruned(network, context, share=0.5, layers={"0": 0.25}, multiple_of=1)
    assert (pruned[0].out_channels, pruned[2].out_channels) == (6, 4)
    with pytest.raises(InvalidInput, match="no layer '7' with weights"):
        _pruned(network, context, layers={"7": 0.5})


@pytest.mark.parametrize("scope", ["layer", "model"])
@pytest.mark.parametrize("importance", ["norm", "thinet"])
def test_multiply_accumulates_fall_to_the_share_asked_for(scope: str, importance: str, network: Any, context: Context) -> None:
    pruned = _pruned(network, context, macs_share=0.5, multiple_of=1, scope=scope, importance=importance)
    left = macs(pruned, (IMAGE[0][:1],))[""] / macs(network, (IMAGE[0][:1],))[""]
    assert 0.35 < left <= 0.5


def test_rounds_bring_the_macs_down_step_by_step(network: Any, context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    from argosy_controller.pipeline.methods import rounds

    seen: list[float] = []
    whole = macs(network, (IMAGE[0][:1],))[""]
    monkeypatch.setattr(rounds, "fit", lambda one, *_, **__: seen.append(macs(one, (IMAGE[0][:1],))[""] / whole) or one)
    _pruned(network, context, macs_share=0.25, multiple_of=1, rounds=2, epochs=1)
    assert 0.35 < seen[0] <= 0.5
    assert 0.15 < seen[1] <= 0.25


def test_macs_that_cannot_fall_so_far_are_refused(network: Any, context: Context) -> None:
    with pytest.raises(InvalidInput, match=r"down to \d+.\d% of what they are now, not to 1.0%"):
        _pruned(network, context, macs_share=0.01, multiple_of=4)


# Two convolutions, 10 and 20 channels, and a linear layer reading 4 features of each of the 20.
LAYERS = {"a": Layer(100, 10, 1, False), "b": Layer(2000, 20, 10, False), "c": Layer(800, 10, 80, False)}
TIES = [Tie("a", 10, 10, ("a",), {"b": 1.0}), Tie("b", 20, 20, ("b",), {"c": 4.0})]


def test_macs_are_counted_from_channels() -> None:
    assert macs_left(LAYERS, TIES, {"a": 10, "b": 20}) == 2900
    assert macs_left(LAYERS, TIES, {"a": 5, "b": 10}) == 50 + 500 + 400


def test_counts_of_one_share_for_every_layer_are_rounded_up() -> None:
    assert kept_channels(TIES, {}, 0.5, LAYER) == {"a": 5, "b": 10}
    assert kept_channels(TIES, {}, 0.5, replace(LAYER, multiple_of=4)) == {"a": 8, "b": 12}
    assert kept_channels(TIES, {}, 0.5, replace(LAYER, multiple_of=16)) == {"a": 10, "b": 16}


def test_counts_of_channels_ranked_together_leave_every_layer_some() -> None:
    scores = {"a": [float(i) for i in range(10)], "b": [100.0 + i for i in range(20)]}
    assert kept_channels(TIES, scores, 0.2, MODEL) == {"a": 4, "b": 20}
    assert kept_channels(TIES, scores, 0.5, MODEL) == {"a": 1, "b": 14}


def test_counts_of_later_rounds_are_from_the_first_numbers() -> None:
    smaller = [Tie("a", 6, 10, ("a",), {}), Tie("b", 12, 20, ("b",), {})]
    assert kept_channels(smaller, {}, 0.5, LAYER) == {"a": 5, "b": 10}
    assert sum(kept_channels(smaller, {"a": [1.0] * 6, "b": [2.0] * 12}, 0.5, MODEL).values()) == 15


def test_smallest_share_that_reaches_the_macs_is_taken() -> None:
    kept = kept_for_macs(LAYERS, TIES, {}, 1450, LAYER)
    tried = (kept_channels(TIES, {}, share / 1000, LAYER) for share in range(950))
    assert kept == next(one for one in tried if macs_left(LAYERS, TIES, one) <= 1450)


def test_norms_are_of_all_weights_that_go_with_a_channel() -> None:
    model = nn.Sequential(nn.Linear(1, 2), nn.Linear(2, 1))
    model[0].weight.data, model[1].weight.data = torch.tensor([[3.0], [0.0]]), torch.tensor([[4.0, 5.0]])
    members = Ties(model, (torch.ones(2, 1),)).members("0")
    assert norms(members, 2).tolist() == [1.0, 1.0]  # sqrt(9 + 16), sqrt(0 + 25), over their mean


class Sums(Task):
    """Minimises the output itself, one example a batch."""

    name = "sums"
    batch_size = 1

    def data(self, seed: int) -> Data:
        examples = Split({"x": np.float32([[1], [-2]])}, np.zeros(2, np.int64))
        return Data(train=examples, test=examples.take(slice(0, 0)))

    def model(self, seed: int) -> nn.Module:
        model = nn.Sequential(nn.Linear(1, 2, bias=False), nn.ReLU(), nn.Linear(2, 1, bias=False))
        model[0].weight.data, model[2].weight.data = torch.tensor([[1.0], [-1.0]]), torch.tensor([[3.0, 2.0]])
        return model

    def loss(self, outputs: tuple[torch.Tensor, ...], targets: torch.Tensor) -> torch.Tensor:
        return outputs[0].sum()


def test_taylor_importance_is_the_squared_change_of_the_loss_for_each_batch() -> None:
    # x = 1: hidden (1, 0), terms (3, 0). x = -2: hidden (0, 2), terms (0, 4).
    task = Sums({})
    model = task.model(0)
    context = Context(task, task.data(0), 0, lambda done, total: None)
    members = Ties(model, (torch.ones(2, 1),)).members("0")
    assert taylor({"0": members}, {"0": 2}, model, context, TrainingConfig(), 2)["0"].tolist() == [9.0, 16.0]
    pruned = _pruned(model, context, importance="taylor", multiple_of=1)
    assert pruned[2].weight.tolist() == [[2.0]]


def _readings(model: nn.Module, name: str, images: np.ndarray[Any, Any]) -> list[Any]:
    ties = Ties(model, (torch.from_numpy(images[:2]),))
    return readings(model, ties.members(name), ties.channels(name), Split({"image": images}, np.zeros(len(images))), seed=0)


def _images(count: int = 40) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).normal(size=(count, 1, 8, 8)).astype(np.float32)


@pytest.mark.parametrize(
    "second", [nn.Conv2d(6, 5, (3, 2), (2, 1), (1, 2), (1, 2)), nn.Conv2d(6, 5, 3, padding="same", padding_mode="circular")]
)
def test_contributions_of_channels_add_up_to_outputs_of_the_layer(second: nn.Conv2d) -> None:
    first = nn.Conv2d(1, 6, 3, padding=1)
    model = nn.Sequential(first, nn.ReLU(), second)
    (member,) = [one for one in Ties(model, IMAGE).members("0") if one.reads]
    inputs = functional.relu(first(torch.from_numpy(_images()))).detach()
    sums = contributions(member, inputs, 6, torch.Generator().manual_seed(0)).sum(1).float()
    with torch.no_grad():
        outputs = (second(inputs) - second.bias.view(1, -1, 1, 1)).flatten()  # type: ignore[union-attr]
    gaps = (sums[:50, None] - outputs[None]).abs().min(1).values
    assert gaps.max() < 1e-5


def test_thinet_takes_the_channels_of_least_squared_sum_as_trying_all_would() -> None:
    parts = torch.randn(50, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64) * torch.tensor([3.0, 1, 2, 0.1, 5])
    reading: Any = type("R", (), {"products": parts.T @ parts})
    order, errors = removal_errors([reading], 5)
    gone: list[int] = []
    for pick, error in zip(order, errors, strict=True):
        tried = {one: float(parts[:, [*gone, one]].sum(1).square().sum()) for one in range(5) if one not in gone}
        assert pick == min(tried, key=tried.__getitem__)
        assert error == pytest.approx(tried[pick] / float(parts.sum(1).square().sum()))
        gone.append(pick)


def test_scales_are_least_squares() -> None:
    parts = torch.randn(80, 6, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    kept = torch.tensor([0, 2, 5])
    expected = torch.linalg.lstsq(parts[:, kept], parts.sum(1)).solution
    assert torch.allclose(scales(parts.T @ parts, kept), expected, atol=1e-4)


def test_rescaling_gives_back_what_a_copied_channel_did() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 3, 3), nn.Flatten())
    with torch.no_grad():
        for tensor in (model[0].weight, model[0].bias):
            tensor[3] = tensor[1]
        model[2].weight[:, 3] = 2 * model[2].weight[:, 1]
        image = torch.from_numpy(_images(4))
        before = model(image)
        found = _readings(model, "0", _images())
        rescale(found, torch.tensor([0, 1, 2]), 4)
        Ties(model, (image,)).remove("0", [3])
        assert torch.allclose(model(image), before, atol=1e-4)


def test_silent_channel_keeps_its_weights_when_others_are_rescaled() -> None:
    products = torch.diag(torch.tensor([4.0, 0.0, 9.0], dtype=torch.float64))
    assert torch.allclose(scales(products, torch.tensor([0, 1])), torch.ones(2, dtype=torch.float64))
