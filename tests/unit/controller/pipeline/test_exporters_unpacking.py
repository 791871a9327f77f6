"""Weights in fewer bytes: what a runtime rebuilds is the weights, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from argosy_controller.pipeline.exporters.onnx_packed import pack
from argosy_controller.pipeline.exporters.unpacking import Unpacking, codes, multiples, signs, smallest

Array = np.ndarray[Any, np.dtype[Any]]


def _model(tensor: Array) -> onnx.ModelProto:
    """y = x * tensor: with x = 1 the answer is the tensor."""
    h = onnx.helper
    value = lambda name: h.make_tensor_value_info(name, 1, tensor.shape)  # noqa: E731
    graph = h.make_graph(
        [h.make_node("Mul", ["x", "w"], ["y"])], "g", [value("x")], [value("y")], [onnx.numpy_helper.from_array(tensor, "w")]
    )
    return h.make_model(graph, opset_imports=[h.make_opsetid("", 20)], ir_version=9)


def _rebuilt(model: onnx.ModelProto, shape: tuple[int, ...]) -> Array:
    onnx.checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": np.ones(shape, np.float32)})[0])


def _packed(tensor: Array, before: dict[str, Array] | None = None) -> tuple[list[str], onnx.ModelProto]:
    model = _model(tensor)
    forms = pack(model, before or {})
    assert np.array_equal(_rebuilt(model, tensor.shape), tensor)
    return forms, model


def _random(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _sparse(density: float, *shape: int) -> Array:
    dense = _random(*shape)
    return np.where(np.random.default_rng(1).random(shape) < density, dense, np.float32(0))


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("count", [1, 7, 64])
def test_codes_of_every_width_come_back(bits: int, count: int) -> None:
    values = np.random.default_rng(bits).integers(0, 2**bits, count).astype(np.uint8)
    shared: dict[str, Array] = {}
    to = Unpacking("u", shared)
    name = codes(to, values, bits)
    constants = [*to.constants, *(onnx.numpy_helper.from_array(array, key) for key, array in shared.items())]
    nodes = [*to.nodes, onnx.helper.make_node("Identity", [name], ["out"])]
    graph = onnx.helper.make_graph(nodes, "g", [], [onnx.helper.make_tensor_value_info("out", 2, [count])], constants)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=9)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    assert np.array_equal(session.run(None, {})[0], values)


def test_two_bits_lie_in_a_byte_as_computed_by_hand() -> None:
    """1, 2, 3, 0 from the lowest bits up: 0b00_11_10_01 = 57."""
    to = Unpacking("u", {})
    codes(to, np.uint8([1, 2, 3, 0]), 2)
    assert onnx.numpy_helper.to_array(to.constants[0]).tolist() == [[57]]


@pytest.mark.parametrize("distinct", [2, 3, 5, 16, 32, 200])
def test_shared_weights_become_indices(distinct: int) -> None:
    book = _random(distinct)
    tensor = book[np.random.default_rng(1).integers(0, distinct, (64, 99))]
    forms, model = _packed(tensor)
    assert forms == ["codebook"]
    bits = max(1, (distinct - 1).bit_length())
    assert model.ByteSize() < tensor.size * bits / 8 + 4 * distinct + 3000


def test_signs_times_a_scale_for_each_channel_take_one_bit() -> None:
    scales = np.abs(_random(48, 1, 1, 1)) + np.float32(0.1)
    tensor = np.sign(_random(48, 32, 3, 3)) * scales
    forms, model = _packed(tensor)
    assert forms == ["scaled codebook"]
    assert model.ByteSize() < tensor.size / 8 + 48 * 4 + 3000


def test_signs_alone_take_one_bit() -> None:
    tensor = np.sign(_random(64, 100))
    forms, model = _packed(tensor)
    assert forms == ["codebook"]
    assert model.ByteSize() < tensor.size / 8 + 3000


def test_few_weights_among_zeros_are_kept_by_distance_and_more_by_bitmap() -> None:
    forms, model = _packed(_sparse(0.02, 128, 128))
    assert forms == ["relative"]
    assert model.ByteSize() < 0.02 * 128 * 128 * 6.5 + 3000
    forms, model = _packed(_sparse(0.3, 128, 128))
    assert forms == ["bitmap"]
    assert model.ByteSize() < 128 * 128 * (0.125 + 0.32 * 4) + 3000


def test_a_first_weight_at_place_0_and_long_gaps_come_back() -> None:
    tensor = np.zeros((4, 5000), np.float32)
    tensor[0, 0], tensor[0, 1], tensor[3, 4999], tensor[1, 255] = 1.5, -2.5, 3.5, 4.5
    forms, _ = _packed(tensor)
    assert len(forms) == 1


def test_weights_that_a_batch_norm_was_folded_into_keep_their_codebook() -> None:
    book = _random(16)
    base = book[np.random.default_rng(1).integers(0, 16, (32, 16, 3, 3))]
    factors = _random(32, seed=5)
    tensor = base * factors[:, None, None, None]
    forms, model = _packed(tensor, {"w": base})
    assert forms == ["scaled codebook"]
    assert model.ByteSize() < tensor.size / 2 + 32 * 4 + 3000


def test_weights_without_any_structure_stay_as_they_are() -> None:
    tensor = _random(40, 50)
    forms, model = _packed(tensor)
    assert forms == []
    assert model.SerializeToString() == _model(tensor).SerializeToString()


def test_minus_zero_becomes_zero_and_counts_as_zero() -> None:
    tensor = _sparse(0.1, 64, 64) * np.float32(-1)
    assert np.signbit(tensor[tensor == 0]).any()
    forms, model = _packed(tensor)
    assert forms
    assert not np.signbit(_rebuilt(model, tensor.shape)[tensor == 0]).any()


def test_factors_are_found_to_the_bit_or_not_at_all() -> None:
    base, factors = _random(8, 50), _random(8, seed=3)
    found = multiples(base * factors[:, None], base)
    assert len(found) == 1
    assert np.array_equal(found[0].base * found[0].factors[:, None], base * factors[:, None])
    assert multiples(_random(8, 50, seed=9), base) == []


def test_signs_of_unequal_sizes_are_none() -> None:
    assert signs(_random(4, 4)) == []


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 4).flatmap(lambda rank: st.tuples(*[st.integers(1, 12)] * rank)),
    st.integers(1, 300),
    st.floats(0, 1),
    st.integers(0, 2**32 - 1),
)
def test_whatever_is_packed_comes_back(shape: tuple[int, ...], distinct: int, density: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    book = random.normal(size=distinct).astype(np.float32)
    tensor = np.where(random.random(shape) < density, book[random.integers(0, distinct, shape)], np.float32(0))
    shared: dict[str, Array] = {}
    found = smallest("w", tensor, [], "u", shared)
    if found is not None:
        assert found[1].length < 4 * tensor.size
    _packed(tensor)
