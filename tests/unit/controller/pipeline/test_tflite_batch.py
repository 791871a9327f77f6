"""What two conversions of a model tell of its batch: hand-made files, each of one operator."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given
from hypothesis import strategies as st

from argosy_controller.pipeline.exporters.tflite_batch import SIZES, Bound, fixed, freed, is_free, spread

OPERATORS = schema.BuiltinOperator
FLOAT, INT = 0, 2


def _tensor(model: Any, shape: list[int], content: Any = None) -> int:
    tensor, buffer = schema.TensorT(), schema.BufferT()
    tensor.shape, tensor.type, tensor.name = shape, FLOAT if content is None or content.dtype == np.float32 else INT, b"one"
    buffer.data = None if content is None else np.frombuffer(content.tobytes(), np.uint8)
    tensor.buffer = len(model.buffers)
    model.buffers.append(buffer)
    model.subgraphs[0].tensors.append(tensor)
    return len(model.subgraphs[0].tensors) - 1


def _model(kind: int, given: list[int], made: list[int], *constants: Any, options: Any = None) -> Any:
    """An operator from a tensor of one shape to a tensor of another."""
    model, graph, operator, code = schema.ModelT(), schema.SubGraphT(), schema.OperatorT(), schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = kind
    code.version = 1
    model.operatorCodes, model.subgraphs, model.buffers = [code], [graph], []
    graph.tensors, graph.operators = [], [operator]
    graph.inputs = [_tensor(model, given)]
    operator.inputs = [*graph.inputs, *(_tensor(model, list(one.shape), one) for one in constants)]
    operator.outputs = graph.outputs = [_tensor(model, made)]
    operator.builtinOptions = options
    return model


def _ints(*values: int) -> Any:
    return np.array(values, np.int32)


def _numbers(model: Any, place: int) -> list[int]:
    graph = model.subgraphs[0]
    tensor = graph.tensors[graph.operators[0].inputs[place]]
    return np.frombuffer(bytes(model.buffers[tensor.buffer].data), np.int32).tolist()  # type: ignore[no-any-return]


def _reshape(given: list[int], made: list[int]) -> Any:
    return _model(OPERATORS.RESHAPE, given, made, _ints(*made))


def test_leaves_the_size_open_that_a_reshape_has_of_the_batch() -> None:
    model = freed(_reshape([2, 3, 4], [2, 12]), _reshape([3, 3, 4], [3, 12]))
    first, last = model.subgraphs[0].tensors[0], model.subgraphs[0].tensors[-1]
    assert _numbers(model, 1) == [-1, 12]
    assert (first.shape, first.shapeSignature) == ([1, 3, 4], [-1, 3, 4])
    assert (last.shape, last.shapeSignature) == ([1, 12], [-1, 12])


@given(others=st.lists(st.integers(1, 9), max_size=3), times=st.integers(1, 9), place=st.integers(0, 3))
def test_finds_the_batch_wherever_it_stands_and_whatever_it_is_folded_with(others: list[int], times: int, place: int) -> None:
    place = min(place, len(others))
    shapes = [[*others[:place], size * times, *others[place:]] for size in SIZES]
    model = freed(*(_reshape([size, times, *others], shape) for size, shape in zip(SIZES, shapes, strict=True)))
    assert _numbers(model, 1) == [*others[:place], -1, *others[place:]]
    assert model.subgraphs[0].tensors[-1].shape == [*others[:place], times, *others[place:]]


def test_sizes_in_the_options_of_a_reshape_are_left_open_too() -> None:
    both = [_reshape([size, 6], [size, 2, 3]) for size in SIZES]
    for model, size in zip(both, SIZES, strict=True):
        options = schema.ReshapeOptionsT()
        options.newShape = [size, 2, 3]
        model.subgraphs[0].operators[0].builtinOptions = options
    assert freed(*both).subgraphs[0].operators[0].builtinOptions.newShape == [-1, 2, 3]


def test_a_slice_of_all_examples_becomes_a_strided_slice_to_the_end() -> None:
    both = [_model(OPERATORS.SLICE, [size, 9], [size, 3], _ints(0, 6), _ints(size, 3)) for size in SIZES]
    model = freed(*both)
    operator = model.subgraphs[0].operators[0]
    assert model.operatorCodes[operator.opcodeIndex].builtinCode == OPERATORS.STRIDED_SLICE
    assert operator.builtinOptions.endMask == 0b01
    assert [_numbers(model, place) for place in (1, 2, 3)] == [[0, 6], [0, 9], [1, 1]]


def test_a_strided_slice_of_all_examples_ends_at_the_end() -> None:
    both = [
        _model(
            OPERATORS.STRIDED_SLICE, [size, 9], [size, 5], _ints(0, 0), _ints(size, 9), _ints(1, 2), options=schema.StridedSliceOptionsT()
        )
        for size in SIZES
    ]
    assert freed(*both).subgraphs[0].operators[0].builtinOptions.endMask == 0b01


def test_a_constant_that_is_the_same_for_all_examples_becomes_one_row() -> None:
    row = np.array([[1.5, 2.5, -3.0]], np.float32)
    model = freed(*(_model(OPERATORS.ADD, [size, 3], [size, 3], row.repeat(size, 0)) for size in SIZES))
    tensor = model.subgraphs[0].tensors[1]
    assert (tensor.shape, tensor.shapeSignature) == ([1, 3], None)
    assert np.array_equal(np.frombuffer(bytes(model.buffers[tensor.buffer].data), np.float32), row[0])


@pytest.mark.parametrize(
    ("both", "told"),
    [
        ([_reshape([n, 4], [n, 2, 2]) if n == 2 else _model(OPERATORS.RELU, [n, 4], [n, 2, 2]) for n in SIZES], "other operators"),
        ([_reshape([n, n, 4], [n, n * 4]) for n in SIZES], "RESHAPE has the number of examples in more than one size"),
        ([_model(OPERATORS.RELU, [n, 4], [n + 1, 4]) for n in SIZES], "grows otherwise than the batch"),
        ([_model(OPERATORS.ADD, [n, 1], [n, 1], np.arange(n, dtype=np.float32)[:, None]) for n in SIZES], "of its own for each example"),
        (
            [_model(OPERATORS.BROADCAST_TO, [1, 4], [n, 4], _ints(n, 4)) for n in SIZES],
            "BROADCAST_TO takes numbers that depend on how many",
        ),
        ([_model(OPERATORS.SLICE, [n, 4], [n - 1, 4], _ints(1, 0), _ints(n - 1, 4)) for n in SIZES], "SLICE"),
        ([_model(OPERATORS.MUL, [n, 4], [n, 4], np.float32([1 / n])) for n in SIZES], "MUL takes numbers that depend on how many"),
    ],
)
def test_says_what_counts_examples(both: list[Any], told: str) -> None:
    with pytest.raises(Bound, match=told):
        freed(*both)


def test_an_option_that_counts_examples_is_named() -> None:
    both = [_model(OPERATORS.GATHER, [size, 4], [size, 4], options=schema.GatherOptionsT()) for size in SIZES]
    both[1].subgraphs[0].operators[0].builtinOptions.axis = 1
    with pytest.raises(Bound, match="GATHER has the number of examples in its options"):
        freed(*both)


def test_changes_neither_of_the_two_and_can_be_taken_back() -> None:
    both = [_reshape([size, 3, 4], [size, 12]) for size in SIZES]
    before = deepcopy(both)
    model = freed(*both)
    for one, was in zip(both, before, strict=True):
        assert [t.shape for t in one.subgraphs[0].tensors] == [t.shape for t in was.subgraphs[0].tensors]
        assert _numbers(one, 1) == _numbers(was, 1)
    assert is_free(model) and not is_free(both[0]) and not is_free(fixed(model)) and is_free(model)
    assert fixed(model).subgraphs[0].tensors[0].shape == [1, 3, 4]


@pytest.mark.parametrize("kind", [OPERATORS.QUANTIZE, OPERATORS.DEQUANTIZE])
@pytest.mark.parametrize("told", [0, 1], ids=["of its input", "of its output"])
def test_what_a_quantizer_put_in_is_as_free_as_what_is_beside_it(kind: int, told: int) -> None:
    model = _model(kind, [1, 3], [1, 3])
    tensors = model.subgraphs[0].tensors
    tensors[told].shapeSignature = [-1, 3]
    spread(model)
    assert [one.shapeSignature for one in tensors] == [[-1, 3], [-1, 3]]


def test_other_operators_keep_their_fixed_outputs() -> None:
    model = _model(OPERATORS.MEAN, [1, 3], [1, 3], _ints(0))
    model.subgraphs[0].tensors[0].shapeSignature = [-1, 3]
    spread(model)
    assert model.subgraphs[0].tensors[-1].shapeSignature is None
