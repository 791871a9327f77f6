"""Every operator that is imported answers as onnxruntime does, whatever the shapes; and none goes untested."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper
from onnx_files import model_of, same

from argosy_controller.pipeline.sources.onnx_to_torch.table import OPERATORS

FEW = settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
SHAPES = st.lists(st.integers(1, 4), min_size=2, max_size=4)
#: Tested in files of their own.
ELSEWHERE = {"LSTM", "GRU", "RNN", "Shape", "Size"}


def numbers(shape: Any, seed: int = 0, low: float = -2.0, high: float = 2.0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(low, high, shape).astype(np.float32)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


UNARY = {
    "Relu": {}, "LeakyRelu": {"alpha": 0.2}, "Elu": {"alpha": 0.7}, "Sigmoid": {}, "HardSigmoid": {"alpha": 0.3}, "HardSwish": {},
    "Tanh": {}, "Softplus": {}, "Softsign": {}, "Mish": {}, "Softmax": {}, "LogSoftmax": {"axis": 1}, "Identity": {}, "Dropout": {},
    "Neg": {}, "Abs": {}, "Exp": {}, "Floor": {}, "Ceil": {}, "Sign": {}, "Erf": {}, "Sin": {}, "Cos": {}, "Atan": {}, "Round": {},
    "Flatten": {}, "Transpose": {}, "GlobalAveragePool": {}, "GlobalMaxPool": {}, "ReduceMean": {"keepdims": 0}, "ReduceMax": {},
    "ReduceMin": {"axes": [1]}, "ReduceProd": {"axes": [-1]}, "ReduceL1": {"axes": [1]}, "ReduceL2": {"axes": [1]},
    "ReduceSumSquare": {}, "ReduceLogSumExp": {"axes": [1]}, "ArgMax": {"axis": 1}, "ArgMin": {"axis": -1, "keepdims": 0},
    "Log": {}, "Sqrt": {}, "Reciprocal": {}, "ReduceLogSum": {"axes": [1]}, "ReduceSum": {},
}  # fmt: skip
POSITIVE = {"Log", "Sqrt", "Reciprocal", "ReduceLogSum"}
BINARY = (
    "Add",
    "Sub",
    "Mul",
    "Div",
    "Pow",
    "Min",
    "Max",
    "Sum",
    "Mean",
    "Equal",
    "Less",
    "LessOrEqual",
    "Greater",
    "GreaterOrEqual",
    "Mod",
)


@pytest.mark.parametrize("kind", UNARY)
@FEW
@given(shape=SHAPES)
def test_function_of_one_tensor(kind: str, shape: list[int]) -> None:
    shape = shape if len(shape) > 2 or not kind.startswith("Global") else [*shape, 3]
    x = numbers(shape, low=0.1) if kind in POSITIVE else numbers(shape)
    same(model_of([helper.make_node(kind, ["x"], ["y"], **UNARY[kind])], {"x": x}, opset=18 if kind == "Mish" else 17), {"x": x})


@pytest.mark.parametrize("kind", BINARY)
@FEW
@given(shape=SHAPES, keep=st.integers(0, 15))
def test_function_of_two_tensors_broadcasts(kind: str, shape: list[int], keep: int) -> None:
    x = numbers(shape, low=0.2)
    other = numbers([size if keep >> i & 1 else 1 for i, size in enumerate(shape)][1:], seed=1, low=0.2)
    attributes = {"fmod": 1} if kind == "Mod" else {}
    same(model_of([helper.make_node(kind, ["x", "w"], ["y"], **attributes)], {"x": x}, {"w": other}), {"x": x})
    other = other[None]
    found = {"x": x, "z": np.repeat(other, len(x), 0)}
    same(model_of([helper.make_node(kind, ["x", "z"], ["y"], **attributes)], found), found)


@pytest.mark.parametrize("kind", ["And", "Or", "Xor", "Not"])
def test_truth_values(kind: str) -> None:
    x = {"x": np.array([[True, False, True]]), "z": np.array([[True, True, False]])}
    given_names = ["x"] if kind == "Not" else ["x", "z"]
    used = {name: x[name] for name in given_names}
    same(model_of([helper.make_node(kind, given_names, ["y"])], used), used)


@pytest.mark.parametrize(("a", "b"), [([7, -7, 8], [2, 2, -3]), ([5, 9, -9], [5, 4, 4])])
@pytest.mark.parametrize("kind", ["Div", "Mod", "Pow", "Sub"])
def test_integers_are_cut_towards_zero_and_keep_their_sign(kind: str, a: list[int], b: list[int]) -> None:
    x = {"x": ints(*a)[None]}
    weights = {"w": np.abs(ints(*b)) if kind == "Pow" else ints(*b)}
    same(model_of([helper.make_node(kind, ["x", "w"], ["y"])], x, weights), x)


def test_is_nan() -> None:
    x = {"x": np.array([[1.0, np.nan]], np.float32)}
    same(model_of([helper.make_node("IsNaN", ["x"], ["y"])], x), x)


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu_of_opset_20(approximate: str) -> None:
    x = {"x": numbers((2, 5))}
    same(model_of([helper.make_node("Gelu", ["x"], ["y"], approximate=approximate)], x, opset=20), x)


def test_prelu_with_a_slope_for_each_channel() -> None:
    x = {"x": numbers((2, 3, 4, 4))}
    same(model_of([helper.make_node("PRelu", ["x", "w"], ["y"])], x, {"w": numbers((3, 1, 1), 1)}), x)


@pytest.mark.parametrize("bounds", [(0.0, 6.0), (-1.0, 1.0), (None, 0.5), (-0.5, None), (None, None)])
def test_clip_by_inputs_and_by_attributes(bounds: tuple[float | None, float | None]) -> None:
    x = {"x": numbers((2, 9), low=-8, high=8)}
    weights = {name: np.array(value, np.float32) for name, value in zip(("low", "high"), bounds, strict=True) if value is not None}
    names = [name if name in weights else "" for name in ("low", "high")]
    same(model_of([helper.make_node("Clip", ["x", *names], ["y"])], x, weights), x)
    attributes = {name: value for name, value in zip(("min", "max"), bounds, strict=True) if value is not None}
    same(model_of([helper.make_node("Clip", ["x"], ["y"], **attributes)], x, opset=9), x)


@pytest.mark.parametrize("opset", [11, 13])
@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_softmax_before_opset_13_takes_all_axes_from_its_own_on(opset: int, axis: int) -> None:
    x = {"x": numbers((2, 3, 4))}
    same(model_of([helper.make_node("Softmax", ["x"], ["y"], axis=axis)], x, opset=opset), x)


@pytest.mark.parametrize("to", [1, 6, 7, 9, 11])
def test_cast_and_castlike(to: int) -> None:
    x = {"x": np.array([[0.0, 1.7, -2.3]], np.float32)}
    same(model_of([helper.make_node("Cast", ["x"], ["y"], to=to)], x), x)
    same(model_of([helper.make_node("CastLike", ["x", "w"], ["y"])], x, {"w": ints(1)}), x)


def test_where_with_known_and_computed_conditions() -> None:
    x = {"x": numbers((2, 3))}
    nodes = [helper.make_node("Greater", ["x", "zero"], ["c"]), helper.make_node("Where", ["c", "x", "zero"], ["y"])]
    same(model_of(nodes, x, {"zero": np.zeros(1, np.float32)}), x)
    same(model_of([helper.make_node("Where", ["c", "x", "w"], ["y"])], x, {"c": np.array([True, False, True]), "w": numbers(3, 1)}), x)


@FEW
@given(
    channels=st.integers(1, 2), outputs=st.integers(1, 2), groups=st.integers(1, 2), kernel=st.integers(1, 3), stride=st.integers(1, 2),
    dilation=st.integers(1, 2), before=st.integers(0, 2), after=st.integers(0, 2), dimensions=st.integers(1, 2), bias=st.booleans(),
)  # fmt: skip
def test_convolution(
    channels: int, outputs: int, groups: int, kernel: int, stride: int, dilation: int, before: int, after: int, dimensions: int, bias: bool
) -> None:
    x = {"x": numbers((2, channels * groups, *[7] * dimensions))}
    weights = {"conv.weight": numbers((outputs * groups, channels, *[kernel] * dimensions), 1), "conv.bias": numbers(outputs * groups, 2)}
    options = {"strides": [stride] * dimensions, "dilations": [dilation] * dimensions, "pads": [before] * dimensions + [after] * dimensions}
    node = helper.make_node("Conv", ["x", "conv.weight", *(["conv.bias"] if bias else [])], ["y"], group=groups, **options)
    found = same(model_of([node], x, weights), x)
    assert found.free_batch
    assert "conv" in dict(found.network.named_modules())


@pytest.mark.parametrize("kind", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("stride", [1, 2])
def test_convolution_that_pads_by_itself(kind: str, stride: int) -> None:
    x = {"x": numbers((1, 2, 7, 6))}
    node = helper.make_node("Conv", ["x", "w"], ["y"], auto_pad=kind, strides=[stride, stride])
    same(model_of([node], x, {"w": numbers((3, 2, 3, 2), 1)}), x)


def test_convolution_by_a_computed_kernel() -> None:
    x = {"x": numbers((1, 2, 5)), "w": numbers((1, 2, 3), 1)}
    same(model_of([helper.make_node("Conv", ["x", "w"], ["y"])], x, free=False), x)


@pytest.mark.parametrize(("stride", "pad", "extra", "groups"), [(1, 0, 0, 1), (2, 1, 1, 1), (2, 1, 0, 2)])
def test_transposed_convolution(stride: int, pad: int, extra: int, groups: int) -> None:
    x = {"x": numbers((2, 4, 5, 5))}
    options = {"strides": [stride] * 2, "pads": [pad] * 4, "output_padding": [extra] * 2, "group": groups}
    same(
        model_of(
            [helper.make_node("ConvTranspose", ["x", "w", "b"], ["y"], **options)],
            x,
            {"w": numbers((4, 2, 3, 3), 1), "b": numbers(2 * groups)},
        ),
        x,
    )


@pytest.mark.parametrize("kind", ["MaxPool", "AveragePool"])
@FEW
@given(kernel=st.integers(2, 3), stride=st.integers(1, 3), pad=st.integers(0, 1), ceil=st.booleans(), size=st.integers(5, 8))
def test_pooling(kind: str, kernel: int, stride: int, pad: int, ceil: bool, size: int) -> None:
    x = {"x": numbers((2, 3, size, size))}
    options = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [pad] * 4, "ceil_mode": int(ceil and kind == "MaxPool")}
    same(model_of([helper.make_node(kind, ["x"], ["y"], **options)], x), x)


def test_pooling_with_other_pads_before_than_after() -> None:
    x = {"x": numbers((1, 2, 6))}
    same(model_of([helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[3], strides=[2], pads=[0, 1])], x), x)
    node = helper.make_node("AveragePool", ["x"], ["y"], kernel_shape=[3], strides=[2], pads=[0, 1], count_include_pad=1)
    same(model_of([node], x), x)


def test_normalisations() -> None:
    x = {"x": numbers((2, 3, 4, 5))}
    learnt = {"scale": numbers(3, 1), "shift": numbers(3, 2), "mean": numbers(3, 3), "variance": numbers(3, 4, low=0.1)}
    same(model_of([helper.make_node("BatchNormalization", ["x", *learnt], ["y"], epsilon=1e-3)], x, learnt), x)
    same(model_of([helper.make_node("InstanceNormalization", ["x", "scale", "shift"], ["y"])], x, learnt), x)
    last = {"scale": numbers((4, 5), 1), "shift": numbers((4, 5), 2)}
    same(model_of([helper.make_node("LayerNormalization", ["x", "scale", "shift"], ["y"], axis=2)], x, last), x)


@pytest.mark.parametrize("options", [{}, {"transB": 1}, {"transA": 1, "alpha": 0.5, "beta": 2.0}, {"alpha": 2.0}])
@pytest.mark.parametrize("bias", [(), (4,), (1, 4), None])
def test_gemm(options: dict[str, Any], bias: tuple[int, ...] | None) -> None:
    x = {"x": numbers((3, 5)[:: -1 if options.get("transA") else 1])}
    weights = {"w": numbers((4, 5) if options.get("transB") else (5, 4), 1)} | ({} if bias is None else {"b": numbers(bias, 2)})
    node = helper.make_node("Gemm", ["x", *weights], ["y"], **options)
    same(model_of([node], x, weights, free=not options.get("transA")), x)


@FEW
@given(
    batch=st.lists(st.integers(1, 3), min_size=0, max_size=2), rows=st.integers(1, 4), inner=st.integers(1, 4), columns=st.integers(1, 4)
)
def test_matrix_product(batch: list[int], rows: int, inner: int, columns: int) -> None:
    x = {"x": numbers((2, *batch, rows, inner))}
    same(model_of([helper.make_node("MatMul", ["x", "w"], ["y"])], x, {"w": numbers((inner, columns), 1)}), x)
    both = x | {"z": numbers((2, *batch, inner, columns), 1)}
    same(model_of([helper.make_node("MatMul", ["x", "z"], ["y"])], both), both)


def test_einsum() -> None:
    x = {"x": numbers((2, 3, 4))}
    same(model_of([helper.make_node("Einsum", ["x", "w"], ["y"], equation="b i j, j k -> b i k")], x, {"w": numbers((4, 5), 1)}), x)


@pytest.mark.parametrize(("shape", "to"), [((2, 6), (0, 2, 3)), ((2, 6), (-1, 3)), ((2, 3, 4), (0, -1)), ((2, 3, 4), (0, 0, 2, 2))])
def test_reshape(shape: tuple[int, ...], to: tuple[int, ...]) -> None:
    x = {"x": numbers(shape)}
    same(model_of([helper.make_node("Reshape", ["x", "to"], ["y"])], x, {"to": ints(*to)}), x)


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_flatten_at_an_axis(axis: int) -> None:
    x = {"x": numbers((2, 3, 4))}
    same(model_of([helper.make_node("Flatten", ["x"], ["y"], axis=axis)], x, free=axis == 1), x)


@pytest.mark.parametrize("opset", [11, 13])
def test_axes_are_attributes_in_older_operator_sets_and_inputs_in_newer(opset: int) -> None:
    x = {"x": numbers((2, 1, 3, 1))}
    weights = {"a": ints(1, -1)} if opset == 13 else {}
    options = {} if opset == 13 else {"axes": [1, -1] if opset >= 11 else [1, 3]}
    for kind in ("Squeeze", "Unsqueeze", "ReduceSum"):
        same(model_of([helper.make_node(kind, ["x", *weights], ["y"], **options)], x, weights, opset=opset), x)


def test_axes_of_reductions_are_inputs_from_opset_18_on() -> None:
    x = {"x": numbers((2, 3, 4))}
    for kind in ("ReduceMean", "ReduceMax", "ReduceL2", "ReduceProd"):
        same(model_of([helper.make_node(kind, ["x", "a"], ["y"], keepdims=0)], x, {"a": ints(1)}, opset=18), x)
    same(model_of([helper.make_node("ReduceMean", ["x"], ["y"], noop_with_empty_axes=1)], x, opset=18), x)


def test_squeeze_of_everything_that_is_one() -> None:
    x = {"x": numbers((2, 1, 3, 1))}
    same(model_of([helper.make_node("Squeeze", ["x"], ["y"])], x, free=False), x)


@pytest.mark.parametrize("axis", [1, -1])
def test_concat_and_split(axis: int) -> None:
    x = {"x": numbers((2, 3, 4)), "z": numbers((2, 3, 4), 1)}
    same(
        model_of([helper.make_node("Concat", ["x", "z", "w"], ["y"], axis=2)], x | {"w": numbers((2, 3, 1), 2)}),
        x | {"w": numbers((2, 3, 1), 2)},
    )
    only = {"x": numbers((2, 6, 6))}
    same(model_of([helper.make_node("Split", ["x", "l"], ["y", "z"], axis=axis)], only, {"l": ints(2, 4)}, ("y", "z")), only)
    same(model_of([helper.make_node("Split", ["x"], ["y", "z"], axis=axis)], only, outputs=("z", "y")), only)
    uneven = helper.make_node("Split", ["x"], ["y", "z", "v", "u"], axis=axis, num_outputs=4)
    same(model_of([uneven], only, outputs=("u", "y"), opset=18), only)


@pytest.mark.parametrize(("to", "shape"), [((2, 3, 4), (2, 3, 1)), ((1, 1), (2, 3)), ((5, 2, 3), (2, 3)), ((2, 1, 4), (2, 3, 1))])
def test_expand(to: tuple[int, ...], shape: tuple[int, ...]) -> None:
    x = {"x": numbers(shape)}
    same(model_of([helper.make_node("Expand", ["x", "to"], ["y"])], x, {"to": ints(*to)}, free=False), x)


def test_tile() -> None:
    x = {"x": numbers((2, 3))}
    same(model_of([helper.make_node("Tile", ["x", "n"], ["y"])], x, {"n": ints(1, 2)}), x)


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect"])
@pytest.mark.parametrize("pads", [(0, 0, 1, 0, 0, 2), (0, 1, 2, 0, 2, 1), (0, 0, 0, 0, 0, 0)])
def test_pad(mode: str, pads: tuple[int, ...]) -> None:
    x = {"x": numbers((2, 4, 5))}
    same(model_of([helper.make_node("Pad", ["x", "p"], ["y"], mode=mode)], x, {"p": ints(*pads)}), x)
    same(model_of([helper.make_node("Pad", ["x"], ["y"], mode=mode, pads=list(pads))], x, opset=10), x)


def test_pad_with_a_value_over_some_axes() -> None:
    x = {"x": numbers((2, 4, 5))}
    weights = {"p": ints(1, 2), "v": np.array(3.5, np.float32), "a": ints(-1)}
    same(model_of([helper.make_node("Pad", ["x", *weights], ["y"])], x, weights, opset=18), x)
    same(model_of([helper.make_node("Pad", ["x", "p"], ["y"])], x, {"p": ints(0, -1, 1, 0, 0, -2)}), x)


def test_constants_of_every_sort() -> None:
    x = {"x": numbers((2, 3))}
    for options in ({"value_float": 2.0}, {"value_floats": [1.0, 2.0, 3.0]}):
        same(model_of([helper.make_node("Constant", [], ["c"], **options), helper.make_node("Add", ["x", "c"], ["y"])], x), x)
    filled = helper.make_node("ConstantOfShape", ["s"], ["c"])
    same(model_of([filled, helper.make_node("Add", ["x", "c"], ["y"])], x, {"s": ints(2, 3)}, free=False), x)
    counted = helper.make_node("Range", ["a", "b", "c"], ["r"])
    cast = helper.make_node("Cast", ["r"], ["f"], to=1)
    same(
        model_of([counted, cast, helper.make_node("Add", ["x", "f"], ["y"])], x, {"a": np.int64(0), "b": np.int64(6), "c": np.int64(2)}), x
    )


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_to_space(mode: str) -> None:
    x = {"x": numbers((2, 8, 2, 3))}
    same(model_of([helper.make_node("DepthToSpace", ["x"], ["y"], blocksize=2, mode=mode)], x), x)


@pytest.mark.parametrize(
    ("start", "end", "axis", "step"),
    [(0, 2, 1, 1), (1, 2**63 - 1, 1, 2), (-3, -1, 2, 1), (-1, -(2**63), 1, -1), (4, 0, 2, -2), (3, -(2**31), 2, -1), (0, 100, 1, 1)],
)  # fmt: skip
def test_slice(start: int, end: int, axis: int, step: int) -> None:
    x = {"x": numbers((2, 5, 6))}
    weights = {"s": ints(start), "e": ints(end), "a": ints(axis), "t": ints(step)}
    same(model_of([helper.make_node("Slice", ["x", *weights], ["y"])], x, weights), x)


def test_slice_by_attributes() -> None:
    x = {"x": numbers((2, 5, 6))}
    same(model_of([helper.make_node("Slice", ["x"], ["y"], starts=[1, 0], ends=[3, -1], axes=[1, 2])], x, opset=9), x)


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("index", [np.int64(1), ints(0, -1), np.array([[1, 0], [0, -2]], np.int64)])
def test_gather(axis: int, index: np.ndarray) -> None:
    x = {"x": numbers((3, 4, 5))}
    same(model_of([helper.make_node("Gather", ["x", "i"], ["y"], axis=axis)], x, {"i": np.asarray(index)}, free=False), x)


def test_gather_looks_up_an_embedding() -> None:
    x = {"x": np.array([[0, 3, 2], [1, 1, 0]], np.int64)}
    found = same(model_of([helper.make_node("Gather", ["w", "x"], ["y"])], x, {"w": numbers((4, 3))}), x)
    assert found.free_batch


def test_gathering_and_scattering_elements() -> None:
    x = {"x": numbers((2, 4)), "i": np.array([[0, 3], [1, 2]], np.int64)}
    same(model_of([helper.make_node("GatherElements", ["x", "i"], ["y"], axis=1)], x), x)
    same(
        model_of([helper.make_node("ScatterElements", ["x", "i", "u"], ["y"], axis=1)], x | {"u": numbers((2, 2), 1)}),
        x | {"u": numbers((2, 2), 1)},
    )
    only = {"x": numbers((3, 4))}
    same(model_of([helper.make_node("GatherND", ["x", "i"], ["y"])], only, {"i": np.array([[0, 1], [2, 3]], np.int64)}, free=False), only)


@pytest.mark.parametrize("upper", [0, 1])
@pytest.mark.parametrize("k", [0, 1, -1])
def test_triangle(upper: int, k: int) -> None:
    x = {"x": numbers((2, 4, 4))}
    same(model_of([helper.make_node("Trilu", ["x", "k"], ["y"], upper=upper)], x, {"k": np.array(k, np.int64)}), x)


@pytest.mark.parametrize("axis", [-1, 1, 0])
def test_one_hot_with_numbers_from_the_end_and_outside(axis: int) -> None:
    x = {"x": np.array([[0, -1, 7], [2, 1, 3]], np.int64)}
    weights = {"d": np.array(4, np.int64), "v": np.array([-1.0, 2.0], np.float32)}
    same(model_of([helper.make_node("OneHot", ["x", "d", "v"], ["y"], axis=axis)], x, weights), x)


def test_cumulative_sum() -> None:
    x = {"x": numbers((2, 4, 3))}
    same(model_of([helper.make_node("CumSum", ["x", "a"], ["y"])], x, {"a": np.array(1, np.int64)}), x)


@pytest.mark.parametrize("largest", [0, 1])
def test_top_k(largest: int) -> None:
    x = {"x": numbers((2, 6))}
    same(model_of([helper.make_node("TopK", ["x", "k"], ["y", "i"], largest=largest)], x, {"k": ints(3)}, ("y", "i")), x)


def test_every_operator_of_the_table_is_tested() -> None:
    from pathlib import Path

    text = Path(__file__).read_text()
    assert [one for one in OPERATORS if f'"{one}"' not in text and one not in ELSEWHERE] == []
