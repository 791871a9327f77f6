"""BinaryConnect and XNOR-Net, against hand-computed cases."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from argosy.errors import InvalidInput
from argosy_controller.pipeline.methods.binary_weights import ScaledSigns, Signs, binary_copy, clip, glorot_bound, renew_statistics
from argosy_controller.pipeline.methods.sign_activations import Sign, sign_inputs
from argosy_controller.pipeline.passes import PASSES
from argosy_controller.pipeline.passes.binarise import BinariseConfig
from argosy_controller.pipeline.passes.interface import Context


def _apply(model: nn.Module, context: Context, **options: Any) -> Any:
    return PASSES["binarise"].apply(model, BinariseConfig(epochs=1, **options), context)


def _values(layer: nn.Module) -> set[float]:
    return set(layer.weight.flatten().tolist())  # type: ignore[operator]


def test_signs_are_exact_and_their_gradient_is_that_of_the_real_weight() -> None:
    latent = torch.tensor([0.5, -0.25, 0.0], requires_grad=True)
    signs = Signs(bound=0.5, stochastic=False)(latent)
    assert signs.tolist() == [1.0, -1.0, 1.0]
    (signs * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert latent.grad is not None
    assert latent.grad.tolist() == [2.0, 4.0, 6.0]


def test_stochastic_signs_are_positive_with_the_papers_probability() -> None:
    torch.manual_seed(0)
    signs = Signs(bound=0.5, stochastic=True).train()
    latent = torch.tensor([[-0.5], [-0.25], [0.0], [0.25], [0.5]]).expand(5, 20_000)
    share = (signs(latent) == 1).float().mean(1)
    assert torch.allclose(share, torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0]), atol=0.015)
    assert signs.eval()(latent)[:, 0].tolist() == [-1.0, -1.0, 1.0, 1.0, 1.0]


def test_scaled_signs_have_the_mean_absolute_weight_of_their_channel() -> None:
    latent = torch.tensor([[0.3, -0.1, 0.2], [0.5, -0.5, 1.0]], requires_grad=True)
    signs = ScaledSigns()(latent)
    assert torch.allclose(signs, torch.tensor([[0.2, -0.2, 0.2], [2 / 3, -2 / 3, 2 / 3]]))
    signs[0, 0].backward()
    assert latent.grad is not None
    # a * sign(w): the derivative of a is sign(w) / 3, that of the sign is 1 by the straight-through rule.
    assert torch.allclose(latent.grad[0], torch.tensor([0.2 + 1 / 3, -1 / 3, 1 / 3]))


@pytest.mark.parametrize(("rule", "power"), [(torch.optim.SGD, 2), (torch.optim.Adam, 1)])
def test_steps_are_scaled_by_the_glorot_coefficient(rule: Any, power: int) -> None:
    layer = nn.Linear(2, 4, bias=False)
    layer.weight.data.fill_(0.1)
    bound = glorot_bound(layer.weight.shape)
    assert bound == pytest.approx(0.5)
    student: Any = binary_copy(layer, [""], scaled=False, stochastic=False)
    optimiser = rule(student.parameters(), lr=0.01)
    student(torch.ones(1, 2)).sum().backward()  # the gradient of every binary weight is 1
    before = student.parametrizations.weight.original.detach() / bound
    optimiser.step()
    moved = before - student.parametrizations.weight.original.detach() / bound
    assert torch.allclose(moved, torch.full((4, 2), 0.01 / bound**power))


def test_real_weights_are_clipped_to_one() -> None:
    layer = nn.Linear(2, 4, bias=False)
    layer.weight.data = torch.tensor([[9.0, -9.0]] * 4)
    student: Any = binary_copy(layer, [""], scaled=False, stochastic=False)
    clip(student, 1, 1)
    assert (student.parametrizations.weight.original / 0.5).tolist() == [[1.0, -1.0]] * 4


def test_binary_connect_leaves_exactly_two_values_in_all_layers(network: Any, context: Context) -> None:
    for method in ("binary-connect", "binary-connect-stochastic"):
        result = _apply(network, context, method=method)
        assert [_values(result[i]) for i in (0, 2, 6)] == [{-1.0, 1.0}] * 3
        assert list(result.state_dict()) == list(network.state_dict())


def test_xnor_net_keeps_the_ends_float_and_has_one_factor_a_channel(network: Any, context: Context) -> None:
    result = _apply(network, context, method="xnor-net")
    assert len(_values(result[0])) > 2
    assert len(_values(result[6])) > 2
    weight = result[2].weight.detach().flatten(1)
    assert torch.equal(weight.abs(), weight.abs()[:, :1].expand_as(weight))
    assert len(_values(result[2])) == 2 * len(weight)


def test_real_result_is_the_weights_behind_the_signs(network: Any, context: Context) -> None:
    real, signs = (_apply(network, context, method="binary-connect-stochastic", result=one) for one in ("real", "signs"))
    assert len(_values(real[2])) > 2
    assert float(real[2].weight.detach().abs().max()) <= 1
    assert torch.equal(torch.where(real[2].weight >= 0, 1.0, -1.0), signs[2].weight)


def test_pruned_weights_become_positive_signs(network: Any, context: Context) -> None:
    with torch.no_grad():
        network[2].weight.zero_()
    assert _values(_apply(network, context, method="binary-connect")[2]) <= {-1.0, 1.0}


def test_statistics_are_those_of_the_final_weights(context: Context) -> None:
    model: Any = nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.BatchNorm1d(3), nn.Dropout(0.9)).eval()
    renew_statistics(model, context.data.train, 40)
    images = torch.from_numpy(context.data.train.inputs["image"])
    values = model[1](images.flatten(1)).detach()
    assert torch.allclose(model[2].running_mean, values.mean(0), atol=1e-5)
    assert torch.allclose(model[2].running_var, torch.stack([one.var(0) for one in values.split(40)]).mean(0), rtol=1e-4)
    assert model[2].momentum == 0.1
    assert not model[2].training


def test_sign_of_a_relu_is_the_sign_of_its_input_and_learns_within_one() -> None:
    value = torch.tensor([-2.0, -0.5, 0.0, 0.5, 2.0], requires_grad=True)
    assert torch.equal(Sign().eval()(value.relu()), Sign().eval()(value))
    signs = Sign().train()(value)
    assert signs.tolist() == [-1.0, -1.0, -1.0, 1.0, 1.0]
    signs.sum().backward()
    assert value.grad is not None
    assert value.grad.tolist() == [0.0, 1.0, 1.0, 1.0, 0.0]


def test_relus_that_only_feed_signs_go_and_others_stay() -> None:
    layers = [nn.Conv2d(1, 2, 1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(2, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2)]
    result: Any = sign_inputs(nn.Sequential(*layers), ["3"])
    assert [type(one) for one in result] == [nn.Conv2d, nn.Identity, nn.MaxPool2d, nn.Sequential, nn.ReLU, nn.Flatten, nn.Linear]
    assert [type(one) for one in result[3]] == [Sign, nn.Conv2d]


def test_binary_activations_stand_in_the_graph(network: Any, context: Context) -> None:
    result = _apply(network, context, method="xnor-net", activations=True)
    seen: list[torch.Tensor] = []
    result[2].layer.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0]))
    result(torch.from_numpy(context.data.train.inputs["image"][:4]))
    assert set(seen[0].flatten().tolist()) == {-1.0, 1.0}


def test_a_model_of_two_layers_has_none_between_its_ends(context: Context) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.ReLU(), nn.Linear(4, 2))
    with pytest.raises(InvalidInput, match='it has 2 layers with weights, and none to binarise with these options: say layers = "all"'):
        _apply(model, context, layers="inner")
