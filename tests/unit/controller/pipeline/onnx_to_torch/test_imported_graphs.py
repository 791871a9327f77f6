"""Sizes, branches, names and bounds: what is true of whole graphs."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from onnx_files import model_of, same

from argosy.errors import InvalidInput
from argosy_controller.pipeline.sources.graphs import OnnxGraph
from argosy_controller.pipeline.sources.onnx_to_torch import reading
from argosy_controller.pipeline.sources.onnx_to_torch.importing import imported

node = helper.make_node


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def test_batch_stays_free_through_arithmetic_on_its_size() -> None:
    """Shape, Gather, Unsqueeze, Concat, Mul, Div and Reshape, as exporters write them."""
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("Gather", ["s", "zero"], ["n"]),
        node("Mul", ["n", "two"], ["m"]),
        node("Div", ["m", "two"], ["d"]),
        node("Unsqueeze", ["d", "first"], ["u"]),
        node("Concat", ["u", "rest"], ["to"], axis=0),
        node("Reshape", ["x", "to"], ["y"]),
    ]
    weights = {"zero": np.array(0, np.int64), "two": np.array(2, np.int64), "first": ints(0), "rest": ints(3, 2)}
    found = same(model_of(nodes, {"x": numbers(1, 6)}, weights), {"x": numbers(1, 6)}, [{"x": numbers(5, 6)}, {"x": numbers(7, 6)}])
    assert found.free_batch


def test_batch_is_cut_and_filled_by_its_own_size() -> None:
    nodes = [
        node("Shape", ["x"], ["s"], start=0, end=1),
        node("Concat", ["s", "two"], ["to"], axis=0),
        node("ConstantOfShape", ["to"], ["zeros"]),
        node("Slice", ["x", "zero", "s", "zero"], ["same"]),
        node("Expand", ["one", "to"], ["ones"]),
        node("Cast", ["s"], ["f"], to=1),
        node("Add", ["same", "zeros"], ["a"]),
        node("Add", ["a", "ones"], ["b"]),
        node("Mul", ["b", "f"], ["y"]),
    ]
    weights = {"two": ints(2), "zero": ints(0), "one": np.ones((1, 2), np.float32)}
    found = same(model_of(nodes, {"x": numbers(1, 2)}, weights), {"x": numbers(1, 2)}, [{"x": numbers(4, 2)}])
    assert found.free_batch


def test_file_for_one_batch_size_is_imported_for_that() -> None:
    found = same(model_of([node("Reshape", ["x", "to"], ["y"])], {"x": numbers(1, 6)}, {"to": ints(1, 2, 3)}), {"x": numbers(1, 6)})
    assert not found.free_batch


def _branches(condition: str = "c") -> onnx.NodeProto:
    def graph(kind: str) -> onnx.GraphProto:
        return helper.make_graph([node(kind, ["x", "w"], ["r"])], kind, [], [helper.make_tensor_value_info("r", TensorProto.FLOAT, None)])

    return node("If", [condition], ["y"], name="fork", then_branch=graph("Add"), else_branch=graph("Sub"))


@pytest.mark.parametrize("rate", [16000, 8000])
def test_branch_is_chosen_by_an_integer_input_and_told(rate: int) -> None:
    inputs = {"x": numbers(1, 2), "sr": np.array(rate, np.int64)}
    content = model_of([node("Equal", ["sr", "k"], ["c"]), _branches()], inputs, {"k": np.array(16000, np.int64), "w": numbers(2)})
    assert same(content, inputs).fixed == {"sr": rate}


def test_branch_is_chosen_by_a_shape() -> None:
    nodes = [node("Shape", ["x"], ["s"]), node("Gather", ["s", "at"], ["n"]), node("Equal", ["n", "k"], ["c"]), _branches()]
    weights = {"at": np.array(1, np.int64), "k": np.array(2, np.int64), "w": numbers(2)}
    found = same(model_of(nodes, {"x": numbers(1, 2)}, weights), {"x": numbers(1, 2)}, [{"x": numbers(3, 2)}])
    assert found.free_batch
    assert found.fixed == {}


@pytest.mark.parametrize("changing", [(), ("sr",)])
def test_branch_by_what_differs_from_request_to_request_is_refused(changing: tuple[str, ...]) -> None:
    inputs = {"x": numbers(1, 2), "sr": np.array(1, np.int64 if changing else np.float32)}
    content = model_of([node("Greater", ["sr", "k"], ["c"]), _branches()], inputs, {"k": np.zeros((), inputs["sr"].dtype), "w": numbers(2)})
    with pytest.raises(InvalidInput, match=r"operator 'If' \(node 'fork'\) decides by the values of input 'sr'"):
        imported(content, "m.onnx", inputs, changing)


def test_weights_are_called_as_in_the_file() -> None:
    weights = {"layer1.0.conv.weight": numbers(2, 1, 3, 3), "fc.weight": numbers(3, 2), "scale": numbers(2)}
    nodes = [
        node("Conv", ["x", "layer1.0.conv.weight"], ["a"]),
        node("GlobalAveragePool", ["a"], ["b"]),
        node("Flatten", ["b"], ["c"]),
        node("Mul", ["c", "scale"], ["d"]),
        node("Gemm", ["d", "fc.weight"], ["y"], transB=1),
    ]
    found = same(model_of(nodes, {"x": numbers(1, 1, 5, 5)}, weights), {"x": numbers(1, 1, 5, 5)})
    assert [name for name, _ in found.network.named_parameters()] == ["scale", "layer1_0_conv.weight", "fc.weight"]


def test_weights_that_are_used_twice_are_kept_once_and_odd_names_do_not_clash() -> None:
    weights = {"a/b": numbers(2, 2), "a.b": numbers(2, 2) + 1, "forward": numbers(2), "0": numbers(2)}
    nodes = [
        node("MatMul", ["x", "a/b"], ["p"]),
        node("MatMul", ["p", "a/b"], ["q"]),
        node("MatMul", ["q", "a.b"], ["r"]),
        node("Add", ["r", "forward"], ["s"]),
        node("Add", ["s", "0"], ["y"]),
    ]
    found = same(model_of(nodes, {"x": numbers(1, 2)}, weights), {"x": numbers(1, 2)})
    assert sum(one.numel() for one in found.network.parameters()) == 4 + 4 + 2 + 2


def _refused(content: bytes, says: str, **inputs: np.ndarray) -> None:
    with pytest.raises(InvalidInput) as caught:
        imported(content, "m.onnx", inputs)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_operators_without_a_counterpart_are_named_with_their_node() -> None:
    x = {"x": numbers(1, 1, 4, 4)}
    _refused(model_of([node("NonZero", ["x"], ["y"], name="pick")], x), "operator 'NonZero' (node 'pick') has no counterpart here", **x)
    _refused(model_of([node("Resize", ["x", "", "k"], ["y"])], x, {"k": numbers(4)}), "operator 'Resize' (node 'that gives y')", **x)
    tree = model_of([node("TreeEnsembleClassifier", ["x"], ["y"], name="trees", domain="ai.onnx.ml")], x)
    _refused(tree, "operator 'ai.onnx.ml.TreeEnsembleClassifier' (node 'trees')", **x)
    _refused(model_of([node("DynamicQuantizeLinear", ["x"], ["y", "s", "z"])], x), "is of a quantised file", **x)


def test_shapes_that_values_decide_are_refused() -> None:
    x = {"x": numbers(1, 4), "to": ints(2, 2)}
    _refused(
        model_of([node("Reshape", ["x", "to"], ["y"], name="fold")], x, free=False),
        "(node 'fold') has shapes that depend on the values",
        **x,
    )


def test_cycles_and_gaps_are_refused() -> None:
    x = {"x": numbers(1, 2)}
    cycle = [node("Add", ["x", "b"], ["a"], name="first"), node("Relu", ["a"], ["b"]), node("Relu", ["b"], ["y"])]
    _refused(model_of(cycle, x), "operator 'Add' (node 'first') takes 'b', which nothing before it gives", **x)


def test_too_many_operators_and_too_deep_graphs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    x = {"x": numbers(1, 2)}
    deep = onnx.load_from_string(model_of([_branches()], x, {"c": np.array(True), "w": numbers(2)}))
    for _ in range(reading.DEEPEST + 1):
        holder = helper.make_graph(list(deep.graph.node), "g", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
        del deep.graph.node[:]
        deep.graph.node.append(node("If", ["c"], ["y"], then_branch=holder, else_branch=inner_leaf()))
    _refused(deep.SerializeToString(), "has graphs inside graphs, 16 deep and more", **x)
    monkeypatch.setattr(reading, "MOST_NODES", 2)
    _refused(
        model_of([node("Relu", ["x"], ["a"]), node("Relu", ["a"], ["b"]), node("Relu", ["b"], ["y"])], x),
        "has 3 operators, and at most 2",
        **x,
    )


def inner_leaf() -> onnx.GraphProto:
    return helper.make_graph([node("Relu", ["x"], ["y"])], "leaf", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])


def test_tensors_that_would_fill_the_memory_are_refused_before_they_are_made() -> None:
    x = {"x": numbers(1, 1)}
    for nodes in (
        [node("ConstantOfShape", ["s"], ["c"], name="big"), node("Add", ["x", "c"], ["y"])],
        [node("Expand", ["x", "s"], ["y"], name="big")],
        [node("Tile", ["x", "s"], ["y"], name="big")],
    ):
        _refused(model_of(nodes, x, {"s": ints(1 << 20, 1 << 20)}), "(node 'big') makes 1099511627776 numbers", **x)
    counted = [node("Range", ["a", "b", "c"], ["r"], name="big"), node("Cast", ["r"], ["f"], to=1), node("Add", ["x", "f"], ["y"])]
    ends = {"a": np.int64(0), "b": np.int64(1 << 40), "c": np.int64(1)}
    _refused(model_of(counted, x, {name: np.array(one) for name, one in ends.items()}), "(node 'big') counts from 0 to 1099511627776", **x)


def test_names_that_would_be_one_are_refused() -> None:
    x = {"a.b": numbers(1, 2), "a_b": numbers(1, 2)}
    _refused(model_of([node("Add", ["a.b", "a_b"], ["y"])], x), "has 'a.b' and 'a_b', which would both become 'a_b'", **x)


def test_files_of_old_or_unknown_operator_sets_and_with_functions_are_refused() -> None:
    x = {"x": numbers(1, 2)}
    content = onnx.load_from_string(model_of([node("Relu", ["x"], ["y"])], x))
    content.opset_import[0].version = 6
    _refused(content.SerializeToString(), "is of ONNX operator set 6", **x)
    content.opset_import[0].version = 17
    content.functions.append(helper.make_function("own", "F", ["x"], ["y"], [node("Relu", ["x"], ["y"])], [helper.make_opsetid("", 17)]))
    _refused(content.SerializeToString(), "has functions of its own ('F')", **x)
    _refused(b"\x08\x09nothing", "is damaged", **x)


def test_free_size_beside_the_batch_needs_an_example() -> None:
    x = {"x": numbers(1, 2)}
    content = model_of([node("Relu", ["x"], ["y"])], x, shapes={"x": ["batch", "length"]})
    with pytest.raises(InvalidInput, match=r"input 'x' has a free size in place 2, and TFLite and Core ML files have fixed ones"):
        OnnxGraph(content, ("x",), ("y",), "m.onnx").network()
    assert OnnxGraph(content, ("x",), ("y",), "m.onnx", x).network()(torch.zeros(3, 2))[0].shape == (3, 2)


def test_integers_need_an_example() -> None:
    x = {"x": ints(1)[None]}
    with pytest.raises(InvalidInput, match="for which nothing can be made up"):
        OnnxGraph(model_of([node("Neg", ["x"], ["y"])], x), ("x",), ("y",), "m.onnx").network()


def test_file_that_takes_one_example_answers_many_one_by_one() -> None:
    x = {"x": numbers(1, 3)}
    graph = OnnxGraph(model_of([node("ReduceSum", ["x"], ["y"])], x, free=False), ("x",), ("y",), "m.onnx")
    assert graph(torch.ones(4, 3))[0].flatten().tolist() == [3.0] * 4
