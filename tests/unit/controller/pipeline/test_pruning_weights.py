"""Passes that set single weights to 0, against hand-computed cases and laws."""

from __future__ import annotations

from math import floor
from typing import Any

import msgspec
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from argosy.errors import InvalidInput
from argosy_controller.pipeline.methods.cutting import _Masked, cubic_share
from argosy_controller.pipeline.methods.layer_names import by_layer
from argosy_controller.pipeline.methods.masks import layer_adaptive, masks, prunable
from argosy_controller.pipeline.options import TrainingConfig
from argosy_controller.pipeline.passes import PASSES
from argosy_controller.pipeline.passes.interface import Context


def _linear(rows: list[list[float]]) -> nn.Linear:
    layer = nn.Linear(len(rows[0]), len(rows))
    layer.weight.data = torch.tensor(rows)
    return layer


def _two_layers() -> nn.Sequential:
    return nn.Sequential(_linear([[3.0, -1.0], [2.0, 0.5]]), _linear([[10.0, -20.0], [30.0, 40.0]]))


def _pruned(model: nn.Module, context: Context, use: str = "prune-magnitude", **options: Any) -> Any:
    return PASSES[use].apply(model, msgspec.convert(options, PASSES[use].config), context)


def _zeros(model: nn.Module) -> dict[str, int]:
    return {name: int((one == 0).sum()) for name, one in prunable(model).items()}


def test_magnitude_cuts_the_smallest_of_each_layer(context: Context) -> None:
    pruned = _pruned(_two_layers(), context, share=0.5)
    assert pruned[0].weight.tolist() == [[3.0, 0.0], [2.0, 0.0]]
    assert pruned[1].weight.tolist() == [[0.0, 0.0], [30.0, 40.0]]


def test_magnitude_ranks_the_whole_model_together(context: Context) -> None:
    pruned = _pruned(_two_layers(), context, share=0.5, scope="model")
    assert pruned[0].weight.abs().sum() == 0
    assert pruned[1].weight.tolist() == [[10.0, -20.0], [30.0, 40.0]]


def test_adaptive_scope_never_cuts_a_layer_off(context: Context) -> None:
    pruned = _pruned(_two_layers(), context, share=0.75, scope="adaptive")
    assert [int(layer.weight.count_nonzero()) for layer in pruned] == [1, 1]


def test_layer_adaptive_scores_are_squares_over_the_sum_of_those_not_smaller() -> None:
    scores = layer_adaptive(torch.tensor([[9.0, 1.0], [4.0, 0.0]]))  # squares of 3, 1, 2, 0
    assert torch.allclose(scores, torch.tensor([[1.0, 1 / 14], [4 / 13, 0.0]], dtype=torch.float64))


def test_magnitude_cuts_exactly_the_share_among_equal_weights(context: Context) -> None:
    pruned = _pruned(_linear([[1.0] * 10]), context, share=0.3)
    assert pruned.weight.tolist() == [[0.0] * 3 + [1.0] * 7]


@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    share=st.floats(0, 1),
    scope=st.sampled_from(["layer", "model", "adaptive"]),
    seed=st.integers(0, 1000),
)
def test_masks_cut_exactly_the_floor_of_the_share(sizes: list[int], share: float, scope: Any, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    scores = {str(i): torch.randint(0, 5, (size,), generator=random).double() for i, size in enumerate(sizes)}
    kept = masks(scores, share, scope, {})
    counts = sizes if scope == "layer" else [sum(sizes)]
    assert sum(int((~one).sum()) for one in kept.values()) == sum(floor(share * count + 1e-9) for count in counts)
    for name, mask in kept.items():
        if scope == "layer" and mask.any() and (~mask).any():
            assert scores[name][mask].min() >= scores[name][~mask].max()


def test_layers_have_shares_of_their_own(context: Context) -> None:
    model = nn.Sequential(nn.Linear(10, 10), nn.Linear(10, 10), nn.Linear(10, 10))
    assert _zeros(_pruned(model, context, share=0.5, layers={"2": 0.1})) == {"0.weight": 50, "1.weight": 50, "2.weight": 10}
    together = _zeros(_pruned(model, context, share=0.5, scope="model", layers={"[01]": 0.0}))
    assert together == {"0.weight": 0, "1.weight": 0, "2.weight": 50}


def test_unknown_layer_is_told_with_the_nearest_name(context: Context) -> None:
    model = nn.Sequential()
    model.add_module("features", nn.Linear(4, 4))
    for options in ({}, {"method": "gradual", "epochs": 1}):
        with pytest.raises(InvalidInput, match="no layer 'featurs' with weights: did you mean 'features'"):
            _pruned(model, context, layers={"featurs": 0.5}, **options)


def test_first_pattern_that_fits_a_layer_counts() -> None:
    assert by_layer(["conv1", "conv2", "fc"], {"conv2": 1, "conv*": 2}) == {"conv1": 2, "conv2": 1}


def test_biases_are_cut_only_when_asked(context: Context) -> None:
    layer = _linear([[1.0, 2.0]])
    layer.bias.data = torch.tensor([0.5])
    assert _pruned(layer, context, share=0.4).bias.item() == 0.5
    cut = _pruned(layer, context, share=0.4, scope="model", biases=True)
    assert cut.bias.item() == 0
    assert cut.weight.tolist() == [[1.0, 2.0]]


def test_weights_that_layers_share_are_counted_once() -> None:
    one, two = nn.Linear(4, 4), nn.Linear(4, 4)
    two.weight = one.weight
    assert list(prunable(nn.Sequential(one, two))) == ["0.weight"]


def test_rounds_train_between_the_cuts_and_end_at_the_share(network: Any, context: Context) -> None:
    steps: list[tuple[int, int]] = []
    listening = Context(context.task, context.data, context.seed, lambda done, total: steps.append((done, total)))
    pruned = _pruned(network, listening, share=0.75, rounds=2, epochs=1)
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert _zeros(pruned) == {"0.weight": 54, "2.weight": 432, "6.weight": 48}
    left = pruned[2].weight != 0
    assert not torch.equal(pruned[2].weight[left], network[2].weight[left])


def test_each_round_cuts_the_same_part_of_what_is_left(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    from argosy_controller.pipeline.methods import rounds

    seen: list[int] = []
    monkeypatch.setattr(rounds, "fit", lambda model, *_, **__: seen.append(int((model.weight == 0).sum())) or model)
    _pruned(nn.Linear(100, 10), context, share=0.75, rounds=2, epochs=1)
    assert seen == [500, 750]


def test_cubic_share_is_that_of_the_paper() -> None:
    assert [cubic_share(0.8, step, 10, 30) for step in (0, 10, 20, 30, 99)] == pytest.approx([0, 0, 0.7, 0.8, 0.8])


@pytest.mark.parametrize("regrow", [False, True])
@pytest.mark.parametrize("scope", ["layer", "adaptive"])
def test_gradual_cuts_reach_exactly_the_share(network: Any, context: Context, regrow: bool, scope: str) -> None:
    pruned = _pruned(network, context, share=0.9, scope=scope, method="gradual", epochs=3, every=1, regrow=regrow)
    assert sum(_zeros(pruned).values()) == (64 + 518 + 57 if scope == "layer" else floor(0.9 * 712))


def test_weights_cut_for_now_go_on_learning_when_they_may_regrow() -> None:
    layer = _linear([[3.0, 1.0]])
    mask = torch.tensor([[True, False]])
    out: Any = _Masked(layer, {"weight": mask})(torch.tensor([[2.0, 5.0]]))
    assert (out - layer.bias).item() == pytest.approx(6.0)  # the cut weight adds nothing
    out.sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.tolist() == [[2.0, 5.0]]  # yet learns


def test_regrown_weights_replace_others(network: Any, context: Context) -> None:
    options = {"share": 0.8, "method": "gradual", "epochs": 20, "every": 1, "learning_rate": 0.05}
    plain, grown = (_pruned(network, context, regrow=regrow, **options) for regrow in (False, True))
    assert _zeros(plain) == _zeros(grown)
    assert not torch.equal(plain[2].weight != 0, grown[2].weight != 0)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"method": "gradual"}, "cuts while it trains: set epochs"),
        ({"method": "gradual", "epochs": 1, "begin": 0.5, "end": 0.5}, "end must be larger"),
        ({"rounds": 3}, "trains between its cuts: set epochs, or rounds = 1"),
        ({"regrow": True}, "regrow is for method = 'gradual'"),
    ],
)
def test_options_that_make_no_sense_together_are_refused(options: dict[str, Any], sentence: str, network: Any, context: Context) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        _pruned(network, context, **options)


def test_finetuning_keeps_cut_weights_at_zero(network: Any, context: Context) -> None:
    pruned = _pruned(network, context, share=0.5)
    tuned: Any = PASSES["finetune"].apply(pruned, TrainingConfig(epochs=1), context)
    assert bool(((pruned[2].weight == 0) <= (tuned[2].weight == 0)).all())
    assert not torch.equal(pruned[2].weight, tuned[2].weight)


def test_training_refuses_a_loss_that_is_not_finite(network: Any, context: Context) -> None:
    with torch.no_grad():
        network[6].bias[:] = float("nan")
    with pytest.raises(InvalidInput, match="not finite"):
        PASSES["finetune"].apply(network, TrainingConfig(epochs=1), context)
