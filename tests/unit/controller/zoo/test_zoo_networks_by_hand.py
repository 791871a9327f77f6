"""The zoo's written-out networks, each against a case that was computed by hand or against torch's own."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from argosy_controller.zoo.networks.capsules import CapsNet, margin_loss, route, squash
from argosy_controller.zoo.networks.gru import Gates, Translator
from argosy_controller.zoo.networks.mobilenet import Inverted
from argosy_controller.zoo.networks.residual import resnet, resnext
from argosy_controller.zoo.networks.transformer import Encoder


def test_routing_moves_couplings_to_where_votes_agree_as_computed_by_hand() -> None:
    # Both capsules below say (1, 0) of the first above, and opposite things of the second.
    votes = torch.tensor([[[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, -1.0]]]])
    once, twice = route(votes, 1), route(votes, 2)
    # Round 1: couplings 1/2, s = (1, 0), squashed to 1 / (1 + 1) of its direction; the second's votes cancel.
    assert torch.allclose(once, torch.tensor([[[0.5, 0.0], [0.0, 0.0]]]), atol=1e-6)
    # Round 2: logits 0.5 and 0, so coupling e^0.5 / (e^0.5 + 1) = 0.62246, s = 1.24492, length s^2 / (1 + s^2).
    s = 2 * math.exp(0.5) / (math.exp(0.5) + 1)
    assert torch.allclose(twice, torch.tensor([[[s * s / (1 + s * s), 0.0], [0.0, 0.0]]]), atol=1e-6)


@given(st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=8))
def test_squashing_keeps_the_direction_and_stays_below_one(numbers: list[float]) -> None:
    s = torch.tensor(numbers)
    length = float(s.norm())
    squashed = squash(s)
    assert float(squashed.norm()) < 1 + 1e-6
    assert torch.allclose(squashed * (1 + length**2), s * math.sqrt(length**2 + 1e-8), rtol=1e-4, atol=1e-3)


def test_margin_loss_is_that_of_the_paper() -> None:
    assert float(margin_loss(torch.tensor([[0.9, 0.1]]), torch.tensor([0]))) == 0
    assert float(margin_loss(torch.tensor([[0.5, 0.5]]), torch.tensor([0]))) == pytest.approx(0.4**2 + 0.5 * 0.4**2)


def test_capsnet_answers_with_lengths_below_one() -> None:
    torch.manual_seed(0)
    lengths = CapsNet(4, 2, 4, 8, 10, 3).eval()(torch.rand(3, 1, 28, 28))
    assert lengths.shape == (3, 10)
    assert bool(((lengths >= 0) & (lengths < 1)).all())


def test_gates_written_out_are_torchs_own_gru() -> None:
    torch.manual_seed(1)
    cell, gates = nn.GRUCell(5, 7), Gates(5, 7)
    gates.of_input.load_state_dict({"weight": cell.weight_ih, "bias": cell.bias_ih})
    gates.of_state.load_state_dict({"weight": cell.weight_hh, "bias": cell.bias_hh})
    x, state = torch.randn(4, 5), torch.randn(4, 7)
    assert torch.allclose(gates(gates.of_input(x), state), cell(x, state), atol=1e-6)


def test_translator_feeds_back_the_letter_that_it_wrote() -> None:
    torch.manual_seed(2)
    short, long = (Translator(10, 4, length, 6, 8) for length in (2, 5))
    long.load_state_dict(short.state_dict())
    text = torch.randint(0, 10, (3, 7), dtype=torch.int32)
    with torch.no_grad():
        first, second = short.eval()(text), long.eval()(text)
    assert second.shape == (3, 5, 4)
    assert torch.allclose(first, second[:, :2], atol=1e-6)


def test_what_lies_behind_the_mask_changes_no_answer() -> None:
    torch.manual_seed(3)
    encoder = Encoder(tokens=10, length=6, width=8, heads=2, depth=2, classes=3).eval()
    mask = torch.tensor([[1.0, 1, 1, 0, 0, 0]])
    with torch.no_grad():
        one = encoder(torch.tensor([[1, 2, 3, 0, 0, 0]], dtype=torch.int32), mask)
        other = encoder(torch.tensor([[1, 2, 3, 9, 8, 7]], dtype=torch.int32), mask)
        third = encoder(torch.tensor([[1, 2, 4, 0, 0, 0]], dtype=torch.int32), mask)
    assert torch.allclose(one, other, atol=1e-6)
    assert not torch.allclose(one, third, atol=1e-3)


def test_resnet20_has_the_published_number_of_parameters() -> None:
    assert sum(one.numel() for one in resnet(3, 16).parameters()) == 269_722


def test_resnext_convolves_in_groups() -> None:
    groups = {one.groups for one in resnext(16, 8).modules() if isinstance(one, nn.Conv2d)}
    assert groups == {1, 8}


def test_inverted_residual_passes_by_only_where_shapes_allow() -> None:
    assert Inverted(8, 8, 1, 2).past
    assert not Inverted(8, 8, 2, 2).past
    assert not Inverted(8, 12, 1, 2).past
