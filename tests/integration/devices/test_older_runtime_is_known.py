"""What is written down of tflite-runtime 2.14 and of onnxruntime is what they themselves say and answer."""

from __future__ import annotations

import re
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import flatbuffers
import msgspec
import numpy as np
import older_tflite
import onnx
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from onnx import TensorProto, helper
from torch import nn

from argosy.protocol.reported import Runtime, newest_ml_opset, newest_opset
from argosy_controller.pipeline.exporters import EXPORTERS
from argosy_controller.pipeline.exporters.interface import Source
from argosy_controller.pipeline.files.engines import open_model
from argosy_controller.pipeline.files.needs import needs_of
from argosy_controller.pipeline.files.needs_tflite import Operator, why_newer_only
from argosy_controller.pipeline.files.probes import passes, tolerance
from argosy_controller.pipeline.task import Data, Split, Task

pytestmark = pytest.mark.integration
older = pytest.mark.skipif(not older_tflite.available(), reason="no tflite-runtime: 'make setup' installs it")
_NEWEST_ASKED = 20
_BY_OTHER_NAMES = ("CUSTOM", "DELEGATE", "PLACEHOLDER_FOR_GREATER_OP_CODES")


def _naming(operator: int, number: int) -> bytes:
    """A TFLite file that names one operator and uses none: enough for a runtime to say whether it has it."""
    code = schema.OperatorCodeT()
    code.builtinCode, code.deprecatedBuiltinCode, code.version = operator, min(operator, 127), number
    graph = schema.SubGraphT()
    graph.tensors, graph.inputs, graph.outputs, graph.operators = [], [], [], []
    model = schema.ModelT()
    model.version, model.buffers, model.operatorCodes, model.subgraphs = 3, [schema.BufferT()], [code], [graph]
    builder = flatbuffers.Builder(256)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _alone(operator: str, kind: int) -> bytes:
    """A TFLite file of one operator with one quantised input and output."""
    code, use, graph, model = schema.OperatorCodeT(), schema.OperatorT(), schema.SubGraphT(), schema.ModelT()
    number = getattr(schema.BuiltinOperator, operator)
    code.builtinCode, code.deprecatedBuiltinCode, code.version = number, min(number, 127), 1
    use.opcodeIndex, use.inputs, use.outputs = 0, [0], [1]
    graph.tensors, graph.inputs, graph.outputs, graph.operators = [_tensor("x", kind), _tensor("y", kind)], [0], [1], [use]
    model.version, model.buffers, model.operatorCodes, model.subgraphs = 3, [schema.BufferT()], [code], [graph]
    builder = flatbuffers.Builder(256)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _tensor(name: str, kind: int) -> Any:
    tensor, how = schema.TensorT(), schema.QuantizationParametersT()
    tensor.name, tensor.type, tensor.shape, tensor.buffer, tensor.quantization = name, kind, [1, 4], 0, how
    how.scale, how.zeroPoint = [0.01], [0]
    return tensor


@older
@pytest.mark.parametrize(("kind", "dtype"), [(9, np.int8), (7, np.int16)])
@pytest.mark.parametrize("operator", ["ABS", "NEG", "LOG", "SQRT", "RSQRT", "GELU", "LEAKY_RELU"])
def test_the_older_runtime_computes_in_integers_what_is_written_down(operator: str, kind: int, dtype: Any, tmp_path: Path) -> None:
    file = tmp_path / "one.tflite"
    file.write_bytes(_alone(operator, kind))
    asked = [np.array([[100, 50, 25, 1]], dtype)]
    engine = open_model("tflite", file)
    assert engine is not None and engine.run({"x": asked[0]})["y"].any()
    try:
        runs = bool(older_tflite.answers(file, [asked]))
    except older_tflite.OlderRuntimeRefused:
        runs = False
    assert runs == (not needs_of("tflite", file)[0].runtimes)


@older
def test_the_older_runtime_has_exactly_the_operators_that_are_written_down() -> None:
    names = {name: value for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int) and name not in _BY_OTHER_NAMES}
    asked = {f"{name}/{number}": _naming(value, number) for name, value in names.items() for number in range(1, _NEWEST_ASKED)}
    written = {one for one in asked if not why_newer_only([Operator(one.split("/")[0], int(one.split("/")[1]), ())])}
    assert older_tflite.known(asked) == written


def _newest_of_onnxruntime(domain: str) -> int:
    """What onnxruntime says when it is given a newer opset, whether the file uses the domain or not."""
    import onnxruntime

    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", tensors[:1], tensors[1:])
    opsets = {"": 11, domain: 99}
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid(*one) for one in opsets.items()], ir_version=8)
    with pytest.raises(Exception, match="Opset 99 is under development") as refused:
        onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    says = re.search(rf"domain {domain or 'ai.onnx'} is till opset (\d+)", str(refused.value))
    assert says is not None
    return int(says[1])


def test_onnxruntime_says_of_itself_what_is_written_down_for_its_version() -> None:
    here = Runtime(name="onnxruntime", version=version("onnxruntime"), formats=["onnx"])
    assert (newest_opset(here), newest_ml_opset(here)) == (_newest_of_onnxruntime(""), _newest_of_onnxruntime("ai.onnx.ml"))
    assert onnx.defs.onnx_opset_version() <= newest_opset(here)


class _Image(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.deep, self.grouped = nn.Conv2d(8, 8, 3, groups=8, padding=1, stride=2), nn.Conv2d(8, 8, 3, groups=2)
        self.wide, self.last = nn.Linear(8, 16), nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.relu6(self.deep(torch.relu(self.norm(self.first(x)))))
        x = nn.functional.hardswish(self.grouped(x)).mean((2, 3))
        result: torch.Tensor = self.last(torch.tanh(self.wide(x)))
        return result


class _Text(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.last = nn.Embedding(32, 16), nn.Linear(16, 4)
        self.layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, activation="gelu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.last(self.layer(self.table(x)).mean(1))
        return result


class _Sequence(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru, self.last = nn.GRU(8, 16, batch_first=True), nn.Linear(16, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.last(self.gru(x)[0][:, -1])
        return result


class _Nothing(Task):
    name, outputs = "nothing", ("y",)

    def data(self, seed: int) -> Data:
        raise NotImplementedError

    def model(self, seed: int) -> nn.Module:
        raise NotImplementedError


_RANDOM = np.random.default_rng(0)
_NETWORKS: dict[str, tuple[type[nn.Module], Any]] = {
    "image": (_Image, _RANDOM.normal(size=(48, 3, 16, 16)).astype(np.float32)),
    "text": (_Text, _RANDOM.integers(0, 32, (48, 12)).astype(np.int32)),
    "sequence": (_Sequence, _RANDOM.normal(size=(48, 7, 8)).astype(np.float32)),
}
_FORMS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("tflite-fp32", {}),
    ("tflite-int8", {}),
    ("tflite-int8", {"per_channel": False}),
    ("tflite-int16x8", {}),
    ("tflite-int16x8", {"per_channel": False}),
    ("tflite-int8-dynamic", {}),
    ("tflite-int8-dynamic", {"linear_per_channel": True}),
    ("tflite-int4", {}),
    ("tflite-int4", {"activations": "float"}),
)
#: Of which networks the older runtime must not get a form.
_NEWER_ONLY = {
    ("tflite-int16x8", ()): {"text", "sequence"},
    ("tflite-int16x8", (False,)): {"text"},
    ("tflite-int8-dynamic", ()): {"text"},
    ("tflite-int8-dynamic", (True,)): {"image", "text", "sequence"},
    ("tflite-int4", ()): {"image", "text", "sequence"},
    ("tflite-int4", ("float",)): {"image", "text", "sequence"},
}


@pytest.fixture(scope="module", params=list(_NETWORKS))
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Source]:
    network, inputs = _NETWORKS[request.param]
    torch.manual_seed(0)
    split = Split({"x": inputs}, np.zeros(len(inputs), np.int64))
    return request.param, Source(network().eval(), ("y",), split, split, _Nothing({}), tmp_path_factory.mktemp(request.param))


@older
@pytest.mark.parametrize(("form", "options"), _FORMS, ids=lambda one: "-".join(map(str, one.values())) if isinstance(one, dict) else one)
def test_the_older_runtime_answers_alike_or_is_never_offered_the_file(
    form: str, options: dict[str, Any], source: tuple[str, Source]
) -> None:
    name, made = source
    with warnings.catch_warnings():  # converters warn as they like
        warnings.simplefilter("ignore")
        file = made.file(EXPORTERS[form], msgspec.convert(options, EXPORTERS[form].config))
    needs, notes = needs_of("tflite", file)
    marked = name in _NEWER_ONLY.get((form, tuple(options.values())), ())
    assert needs.runtimes == (["ai-edge-litert"] if marked else [])
    assert len(notes) == marked and all(note.startswith("for ai-edge-litert alone: tflite-runtime 2.14, ") for note in notes)
    assert _alike(file, made.calibration, EXPORTERS[form].precision) != marked


def _alike(file: Path, split: Split, precision: str) -> bool:
    """Whether the older runtime's answers would pass as golden probes of this file, by the tolerance that it would be given."""
    engine, plain = open_model("tflite", file), open_model("tflite", file, plain=True)
    assert engine is not None and plain is not None
    asked = [{"x": split.inputs["x"][i : i + 1].astype(engine.inputs[0].dtype)} for i in range(8)]
    expected = [engine.run(one) for one in asked]
    probes = tolerance(expected, [plain.run(one) for one in asked], precision)
    try:
        got = older_tflite.answers(file, asked)
    except older_tflite.OlderRuntimeRefused:
        return False
    return all(passes({"y": one[0]}, wanted, probes) for one, wanted in zip(got, expected, strict=True))
