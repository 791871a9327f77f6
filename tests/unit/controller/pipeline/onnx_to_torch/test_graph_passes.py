"""Passes on whole ONNX graphs: fewer operators or fewer values, counted by hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from onnx_files import model_of

from argosy.errors import InvalidInput
from argosy_controller.pipeline.converting import ReadyTask
from argosy_controller.pipeline.passes import PASSES
from argosy_controller.pipeline.passes.interface import Context
from argosy_controller.pipeline.passes.share_weights import ShareWeightsConfig
from argosy_controller.pipeline.sources.graphs import OnnxGraph
from argosy_controller.pipeline.task import Split

node = helper.make_node


@dataclass
class Said:
    """What a pass told."""

    notes: list[str] = field(default_factory=list)


def context(x: np.ndarray, said: Said) -> Context:
    split = Split({"x": x}, np.zeros(len(x), np.float32))
    task = ReadyTask("mine", ("y",), split)
    return Context(task, task.data(0), 0, lambda done, total: None, folder=Path(), note=said.notes.append)


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)


def weights_of(graph: OnnxGraph) -> dict[str, np.ndarray]:
    return {one.name: numpy_helper.to_array(one) for one in onnx.load_from_string(graph.onnx()).graph.initializer}


def test_optimise_graph_folds_a_batch_norm_constants_and_dead_operators() -> None:
    x = {"x": numbers(1, 2, 4, 4)}
    learnt = {"scale": numbers(3), "shift": numbers(3), "mean": numbers(3), "variance": np.abs(numbers(3)) + 0.1}
    nodes = [
        node("Conv", ["x", "w"], ["a"]),
        node("BatchNormalization", ["a", *learnt], ["b"]),
        node("Add", ["one", "one"], ["two"]),
        node("Relu", ["b"], ["dead"]),
        node("Mul", ["b", "two"], ["y"]),
    ]
    content = model_of(nodes, x, {"w": numbers(3, 2, 3, 3), "one": np.ones(1, np.float32), **learnt})
    said, graph = Said(), OnnxGraph(content, ("x",), ("y",), "m.onnx")
    result = PASSES["optimise-graph"].apply(graph, PASSES["optimise-graph"].config(), context(numbers(5, 2, 4, 4), said))
    assert isinstance(result, OnnxGraph)
    kinds = [one.op_type for one in onnx.load_from_string(result.onnx()).graph.node]
    assert "BatchNormalization" not in kinds
    assert "Relu" not in kinds
    assert "Add" not in kinds
    assert said.notes == [f"5 operators before, {len(kinds)} after"]
    given = torch.from_numpy(numbers(2, 2, 4, 4))
    assert torch.allclose(graph(given)[0], result(given)[0], atol=1e-4)


def test_share_weights_gives_each_tensor_of_a_graph_its_own_few_values() -> None:
    """Four values in two groups, one bit: each becomes its group's mean; a zero stays."""
    weights = {"fc.weight": np.array([[1.0, 1.2, -3.0, -3.4]], np.float32), "bias": np.array([0.7], np.float32)}
    graph = OnnxGraph(
        model_of([node("Gemm", ["x", "fc.weight", "bias"], ["y"], transB=1)], {"x": numbers(1, 4)}, weights), ("x",), ("y",), "m.onnx"
    )
    said = Said()
    config = ShareWeightsConfig(linear_bits=1)
    result = PASSES["share-weights"].apply(graph, config, context(numbers(3, 4), said))
    assert isinstance(result, OnnxGraph)
    assert weights_of(result)["fc.weight"].flatten().tolist() == pytest.approx([1.1, 1.1, -3.2, -3.2])
    assert weights_of(result)["bias"].tolist() == pytest.approx([0.7])
    assert weights_of(graph)["fc.weight"][0, 0] == 1.0
    assert "nothing was trained" in said.notes[0]


def test_share_weights_takes_bits_by_layer_and_names_the_nearest() -> None:
    weights = {"first.weight": numbers(4, 8), "second.weight": numbers(8, 4)}
    nodes = [node("Gemm", ["x", "first.weight"], ["h"], transB=1), node("Gemm", ["h", "second.weight"], ["y"], transB=1)]
    graph = OnnxGraph(model_of(nodes, {"x": numbers(1, 8)}, weights), ("x",), ("y",), "m.onnx")
    config = ShareWeightsConfig(linear_bits=3, layers={"first": 1})
    result = PASSES["share-weights"].apply(graph, config, context(numbers(2, 8), Said()))
    assert isinstance(result, OnnxGraph)
    found = {name: len(np.unique(one)) for name, one in weights_of(result).items()}
    assert found["first.weight"] == 2
    assert 2 < found["second.weight"] <= 8
    with pytest.raises(InvalidInput, match="did you mean 'first'"):
        PASSES["share-weights"].apply(graph, ShareWeightsConfig(layers={"firts": 1}), context(numbers(2, 8), Said()))


def test_share_weights_without_any_weights_is_refused() -> None:
    graph = OnnxGraph(model_of([node("Relu", ["x"], ["y"])], {"x": numbers(1, 4)}), ("x",), ("y",), "m.onnx")
    with pytest.raises(InvalidInput, match="no convolution or matrix with constant weights"):
        PASSES["share-weights"].apply(graph, ShareWeightsConfig(), context(numbers(2, 4), Said()))
