"""What model files ask of a device: opset and operators, and TFLite operators that an older runtime lacks or gets wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from argosy.protocol.card import Needs
from argosy_controller.pipeline.files.memory import Asked, memory_of
from argosy_controller.pipeline.files.needs import needs_of
from argosy_controller.pipeline.files.needs_tflite import Operator, Tensor, why_newer_only

DATA = Path(__file__).parents[3] / "unit" / "agent" / "runtimes" / "data"
FLOAT, INT8, INT16, INT64, INT4, NEWER = (Tensor(kind, 0, 1) for kind in (0, 9, 7, 4, 17, 18))
PER_ROW = Tensor(9, 16, 16)
ONE_SCALE = Tensor(9, 1, 16)


def _model(nodes: list[onnx.NodeProto], domains: dict[str, int], functions: tuple[onnx.FunctionProto, ...] = ()) -> onnx.ModelProto:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in "xy"]
    graph = helper.make_graph(nodes, "graph", values[:1], values[1:])
    opsets = [helper.make_opsetid(domain, version) for domain, version in domains.items()]
    return helper.make_model(graph, opset_imports=opsets, functions=list(functions), ir_version=9)


def _saved(tmp_path: Path, model: onnx.ModelProto) -> Path:
    onnx.save(model, tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


def test_operators_are_named_with_their_domain_and_the_opset_is_that_of_the_default_one(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Scaler", ["a"], ["b"], domain="ai.onnx.ml", scale=[1.0]),
        helper.make_node("Gelu", ["b"], ["y"], domain="com.microsoft"),
    ]
    found, notes = needs_of("onnx", _saved(tmp_path, _model(nodes, {"": 17, "ai.onnx.ml": 3, "com.microsoft": 1})))
    assert found == Needs(opset=17, ml_opset=3, operators=["Relu", "ai.onnx.ml:Scaler", "com.microsoft:Gelu"])
    assert notes == []


def test_the_default_domain_has_two_names(tmp_path: Path) -> None:
    model = _model([helper.make_node("Relu", ["x"], ["y"], domain="ai.onnx")], {"ai.onnx": 15})
    assert needs_of("onnx", _saved(tmp_path, model))[0] == Needs(opset=15, operators=["Relu"])


def test_functions_that_the_file_defines_are_opened_not_named(tmp_path: Path) -> None:
    opsets = [helper.make_opsetid("", 18)]
    twice = helper.make_function("own", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], opsets)
    model = _model([helper.make_node("Twice", ["x"], ["y"], domain="own")], {"": 18, "own": 1}, (twice,))
    assert needs_of("onnx", _saved(tmp_path, model))[0].operators == ["Add"]


def test_operators_inside_branches_count(tmp_path: Path) -> None:
    branch = helper.make_graph(
        [helper.make_node("Abs", ["x"], ["z"])], "b", [], [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["n"])]
    )
    yes = helper.make_tensor("yes", TensorProto.BOOL, [], [True])
    nodes = [
        helper.make_node("Constant", [], ["c"], value=yes),
        helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch),
    ]
    assert needs_of("onnx", _saved(tmp_path, _model(nodes, {"": 17})))[0].operators == ["Abs", "Constant", "If"]


def test_a_tflite_file_names_its_operators_and_any_runtime_runs_it() -> None:
    assert needs_of("tflite", DATA / "dense.tflite") == (Needs(operators=["FULLY_CONNECTED"]), [])


@pytest.mark.parametrize("model_format", ["onnx", "tflite"])
def test_a_file_that_cannot_be_read_asks_nothing_and_says_so(model_format: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\xff\xff\xff\x7fTFL3" + bytes(range(64)))
    found, notes = needs_of(model_format, tmp_path / "file")
    assert found == Needs()
    assert len(notes) == 1 and notes[0].startswith("what it needs cannot be told: ")


def test_core_ml_asks_nothing_of_devices(tmp_path: Path) -> None:
    assert needs_of("coreml", tmp_path / "none") == (Needs(), [])


@pytest.mark.parametrize(
    ("operator", "says"),
    [
        (Operator("CONV_2D", 7, (FLOAT, FLOAT)), ""),
        (Operator("CONV_2D", 8, (FLOAT, FLOAT)), "does not have CONV_2D of version 8"),
        (Operator("BROADCAST_TO", 1, (FLOAT,)), "does not have BROADCAST_TO of version 1"),
        (Operator("BROADCAST_TO", 2, (FLOAT,)), ""),
        (Operator("STABLEHLO_ADD", 1, (FLOAT, FLOAT)), "does not have STABLEHLO_ADD of version 1"),
        (Operator("operator 212", 1, ()), "does not have operator 212 of version 1"),
        (Operator("TFLite_Detection_PostProcess", 1, (FLOAT,)), ""),
        (Operator("Acme", 1, (FLOAT,)), "does not have Acme of version 1"),
        (Operator("FULLY_CONNECTED", 1, (FLOAT, INT4)), "answers wrongly with 4-bit weights, or not at all"),
        (Operator("ADD", 1, (NEWER, NEWER)), "does not know one of the file's types of numbers"),
        (Operator("FULLY_CONNECTED", 1, (FLOAT, ONE_SCALE, FLOAT)), ""),
        (Operator("FULLY_CONNECTED", 1, (FLOAT, PER_ROW, FLOAT)), "answers wrongly where a linear layer has a scale for each output"),
        (Operator("FULLY_CONNECTED", 1, (INT8, PER_ROW, FLOAT)), ""),
        (Operator("FULLY_CONNECTED", 1, (Tensor(7, 1, 7), PER_ROW, INT64)), "answers wrongly in 16 bits where a linear layer"),
        (Operator("FULLY_CONNECTED", 1, (Tensor(7, 1, 0), PER_ROW, INT64)), "answers wrongly in 16 bits where a linear layer"),
        (Operator("FULLY_CONNECTED", 1, (Tensor(7, 1, 1), PER_ROW, INT64)), ""),
        (Operator("FULLY_CONNECTED", 1, (Tensor(7, 1, 7), PER_ROW, None)), ""),
        (
            Operator("EMBEDDING_LOOKUP", 1, (Tensor(2, 0, 1), PER_ROW)),
            "answers wrongly where a table of embeddings has a scale for each row",
        ),
        (Operator("EMBEDDING_LOOKUP", 1, (Tensor(2, 0, 1), ONE_SCALE)), ""),
        (Operator("RSQRT", 1, (INT16,), (INT16,)), "does not compute RSQRT in 16 bits"),
        (Operator("RSQRT", 1, (INT8,), (INT8,)), ""),
        (Operator("SQRT", 1, (INT8,), (INT8,)), "does not compute SQRT in 8 bits"),
        (Operator("QUANTIZE", 1, (INT8,), (INT16,)), "does not compute QUANTIZE in 16 bits"),
        (Operator("QUANTIZE", 1, (INT16,), (INT8,)), ""),
    ],
)
def test_what_the_older_runtime_lacks_or_gets_wrong_is_for_the_newer_alone(operator: Operator, says: str) -> None:
    found = why_newer_only([Operator("ADD", 1, (FLOAT, FLOAT)), operator])
    assert found.startswith(f"for ai-edge-litert alone: tflite-runtime 2.14, the last there is, {says}") if says else found == ""


@pytest.mark.integration
def test_memory_is_what_loading_and_one_answer_took(tmp_path: Path) -> None:
    big = helper.make_tensor("w", TensorProto.FLOAT, [8 << 20], np.ones(8 << 20, np.float32).tobytes(), raw=True)
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [8 << 20]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", values[:1], values[1:], [big])
    file = _saved(tmp_path, helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9))
    (tmp_path / "broken").write_bytes(b"no model")
    request = {"x": np.zeros(8 << 20, np.float32)}
    files = [
        Asked("onnx", file, request),
        Asked("onnx", tmp_path / "broken", request),
        Asked("onnx", file, {}),
        Asked("coreml", file, request),
    ]
    measured, *others = memory_of(files)
    assert measured == 0 or 60 << 20 <= measured <= 400 << 20  # weights and answer are 32 MiB each; 0 on a machine that is too slow
    assert others == [0, 0, 0]
