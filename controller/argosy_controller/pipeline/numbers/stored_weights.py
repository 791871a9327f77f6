"""The weights that a model file really holds: their numbers as the runtime will use them, and the bytes that they take.

Read from the file, not from the model that it was made of: quantised tensors come back as numbers (integer less zero
point, times scale), packed ones as what the file's own operators unpack.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from argosy_controller.pipeline.files.formats import UNPACKED
from argosy_controller.pipeline.report import Layer
from argosy_controller.pipeline.task import Array

if TYPE_CHECKING:
    import onnx

#: Larger files are not read a second time for a table.
_MOST_BYTES = 1 << 29
_MOST_ROWS, _LONGEST_NAME = 256, 200
#: Operators with weights, and which inputs these may be.
_ONNX_INPUTS = {
    "Conv": (1,),
    "ConvTranspose": (1,),
    "Gemm": (1, 0),
    "MatMul": (1, 0),
    "ConvInteger": (1,),
    "MatMulInteger": (1, 0),
    "QLinearConv": (3,),
    "QLinearMatMul": (3,),
    "MatMulNBits": (1,),
    "LSTM": (1, 2),
    "GRU": (1, 2),
    "RNN": (1, 2),
    "Gather": (0,),
}
#: Constants of unpacking that all weights of a file share; those of one weight go on with its number.
_COMMON = re.compile(re.escape(UNPACKED) + r"[a-z]")
_TFLITE_OPERATORS = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "BATCH_MATMUL")


@dataclass(frozen=True)
class StoredWeight:
    """One weight tensor of a file.

    Attributes:
        name: the file's own.
        operator: that multiplies by it.
        values: float32, in the file's layout.
        bits: of one number as it is stored, without scales and tables.
        bytes: of everything that it is made of: numbers, scales, tables.
        sources: names of the stored tensors that it is made of.
    """

    name: str
    operator: str
    values: Array
    bits: float
    bytes: int
    sources: tuple[str, ...] = ()


def stored_weights(model_format: str, file: Path) -> list[StoredWeight]:
    """All weight tensors of at least two dimensions, in the order in which the file uses them; empty where it cannot be read."""
    if file.stat().st_size > _MOST_BYTES:
        return []
    if model_format == "onnx":
        return list(_onnx_weights(file))
    return list(_tflite_weights(file)) if model_format == "tflite" else []


def stored_layers(model_format: str, file: Path) -> list[Layer]:
    """The rows of a ready file, without a model to compare with; none where it cannot be read so: it may be anyone's."""
    try:
        return [stored_layer(one) for one in stored_weights(model_format, file)[:_MOST_ROWS]]
    except Exception:  # readers raise what they like
        return []


def stored_layer(weight: StoredWeight) -> Layer:
    """A weight's row in a report, as the file has it."""
    return Layer(
        name=weight.name[:_LONGEST_NAME],
        kind=weight.operator,
        shape=list(weight.values.shape),
        sparsity=float((weight.values == 0).mean()),
        bits=weight.bits,
        bytes=weight.bytes,
    )


#: The first in which onnx's reference evaluator knows DequantizeLinear.
_LEAST_OPSET = 19


class _Graph:
    """An ONNX graph as needed here: what is stored, and what makes what."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.stored = {one.name: one for one in model.graph.initializer}
        self.stored |= {node.output[0]: node.attribute[0].t for node in model.graph.node if _is_tensor_constant(node)}
        self.makers = {name: node for node in model.graph.node if node.op_type != "Constant" for name in node.output}

    def sources(self, name: str) -> tuple[str, ...] | None:
        """The stored tensors that `name` is made of; None when an input of the model has a part in it."""
        seen: dict[str, None] = {}
        waiting = [name]
        while waiting:
            one = waiting.pop()
            if one in seen or not one:
                continue
            if one not in self.stored and one not in self.makers:
                return None
            seen[one] = None
            waiting += self.makers[one].input if one in self.makers else []
        return tuple(one for one in seen if one in self.stored)

    def values(self, names: list[str]) -> dict[str, Array]:
        """Numbers of tensors that no input has a part in, by the file's own operators."""
        from onnx import numpy_helper

        found = {name: numpy_helper.to_array(self.stored[name]) for name in names if name in self.stored}
        made = [name for name in names if name not in found]
        return found | (self._made(made) if made else {})

    def _made(self, names: list[str]) -> dict[str, Array]:
        import onnx
        from onnx.reference import ReferenceEvaluator

        nodes = [one for one in self.model.graph.node if any(name in self._needed(names) for name in one.output)]
        tensors = [one for one in self.model.graph.initializer if one.name in self._needed(names)]
        outputs = [onnx.ValueInfoProto(name=name) for name in names]
        graph = onnx.helper.make_graph(nodes, "weights", [], outputs, tensors)
        part = onnx.helper.make_model(graph, opset_imports=self._opsets(), functions=self.model.functions)
        part.ir_version = self.model.ir_version
        return dict(zip(names, ReferenceEvaluator(part).run(None, {}), strict=True))

    def _opsets(self) -> list[onnx.OperatorSetIdProto]:
        """The file's own, but at least what the evaluator knows: operators on plain weights mean the same from one to the next."""
        import onnx

        found = {one.domain: one.version for one in self.model.opset_import}
        found[""] = max(found.get("", 0), _LEAST_OPSET)
        return [onnx.helper.make_opsetid(domain, version) for domain, version in found.items()]

    def _needed(self, names: list[str]) -> set[str]:
        needed: set[str] = set()
        waiting = list(names)
        while waiting:
            one = waiting.pop()
            if one not in needed:
                needed.add(one)
                waiting += self.makers[one].input if one in self.makers else []
        return needed


def _is_tensor_constant(node: onnx.NodeProto) -> bool:
    return node.op_type == "Constant" and len(node.attribute) == 1 and node.attribute[0].name == "value"


def _onnx_weights(file: Path) -> Iterator[StoredWeight]:
    import onnx

    graph = _Graph(onnx.load(file))
    uses = list(_uses(graph))
    values = graph.values([name for _, name in uses])
    for node, name in uses:
        sources, numbers = _sources(graph, node, name), _numbers(graph, node, name, values[name])
        if numbers is not None and numbers.ndim >= 2 and numbers.size > 1:
            lengths = [_bytes(graph.stored[one]) for one in sources]
            yield StoredWeight(name, node.op_type, numbers, round(8 * max(lengths, default=0) / numbers.size, 2), sum(lengths), sources)


def _uses(graph: _Graph) -> Iterator[tuple[onnx.NodeProto, str]]:
    """Nodes with the weight that they multiply by, each weight once."""
    seen: set[str] = set()
    for node in graph.model.graph.node:
        candidates = [node.input[i] for i in _ONNX_INPUTS.get(node.op_type, ()) if i < len(node.input)]
        fixed = [name for name in candidates if name not in seen and graph.sources(name)]
        if len(fixed) == len(candidates) and node.op_type not in ("LSTM", "GRU", "RNN"):
            fixed = fixed[:1]
        if node.op_type == "Gather" and graph.sources(node.input[1]) is not None:
            fixed = []  # a fixed choice from a table is arithmetic, not an embedding
        seen.update(fixed)
        yield from ((node, name) for name in fixed)


def _sources(graph: _Graph, node: onnx.NodeProto, name: str) -> tuple[str, ...]:
    """The stored tensors behind a weight, with scales that its operator takes from elsewhere; not what all weights share."""
    beside = [one for one in _scale_names(graph, node, name) if one in graph.stored]
    found = dict.fromkeys((*(graph.sources(name) or ()), *beside))
    return tuple(one for one in found if not _COMMON.match(one))


def _scale_names(graph: _Graph, node: onnx.NodeProto, name: str) -> tuple[str, str]:
    """Scale and zero point of an integer weight: inputs of the operator, or, of dynamic quantising, tensors named like it."""
    if node.op_type in ("QLinearConv", "QLinearMatMul"):
        return node.input[4], node.input[5]
    if node.op_type == "MatMulNBits":
        return node.input[2], node.input[3] if len(node.input) > 3 else ""
    if node.op_type in ("ConvInteger", "MatMulInteger"):
        zero = node.input[3] if len(node.input) > 3 else ""
        return name.removesuffix("_quantized") + "_scale", zero
    return "", ""


def _numbers(graph: _Graph, node: onnx.NodeProto, name: str, stored: Array) -> Array | None:
    """The weight as float32; None where its scale is not known."""
    if node.op_type not in ("QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger", "MatMulNBits"):
        return stored.astype(np.float32) if stored.dtype.kind == "f" else None
    scale_name, zero_name = _scale_names(graph, node, name)
    if scale_name not in graph.stored:
        return None
    found = graph.values([one for one in (scale_name, zero_name) if one in graph.stored])
    if node.op_type == "MatMulNBits":
        return _unpacked_blocks(node, stored, found[scale_name], found.get(zero_name))
    axis = 0 if "Conv" in node.op_type else -1
    zero = _along(found[zero_name], stored, axis) if zero_name in found else 0.0
    return ((stored.astype(np.float32) - zero) * _along(found[scale_name], stored, axis)).astype(np.float32)


def _along(values: Array, like: Array, axis: int) -> Array:
    """One number for each channel, shaped to multiply `like`."""
    flat: Array = values.astype(np.float32).reshape(-1)
    if flat.size == 1:
        return flat.reshape(())
    shape = [1] * like.ndim
    shape[axis] = flat.size
    return flat.reshape(shape)


def _unpacked_blocks(node: onnx.NodeProto, packed: Array, scales: Array, zeros: Array | None) -> Array | None:
    """Weights of MatMulNBits as (outputs, inputs): 4 bits, the low half of a byte first, one scale for each block of inputs."""
    said = {one.name: one.i for one in node.attribute}
    if said.get("bits", 4) != 4:
        return None
    rows, inputs, block = said["N"], said["K"], said["block_size"]
    blocks = math.ceil(inputs / block)
    numbers = _halves(packed.reshape(rows, blocks, -1)).astype(np.float32)[..., :block]
    zero: Any = 8.0
    if zeros is not None:
        zero = _halves(zeros.reshape(rows, -1))[:, :blocks, None] if zeros.dtype == np.uint8 else zeros.reshape(rows, blocks, 1)
    return np.asarray(((numbers - zero) * scales.reshape(rows, blocks, 1)).reshape(rows, -1)[:, :inputs], dtype=np.float32)


def _halves(array: Array) -> Array:
    halves: Array = np.stack([array & 15, array >> 4], axis=-1)
    return halves.reshape(*array.shape[:-1], -1)


def _bytes(tensor: onnx.TensorProto) -> int:
    import onnx

    count = reduce(lambda a, b: a * b, tensor.dims, 1)
    if tensor.data_type in (onnx.TensorProto.INT4, onnx.TensorProto.UINT4):
        return math.ceil(count / 2)
    if tensor.data_type in _TWO_BITS:
        return math.ceil(count / 4)
    return int(count) * int(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)


#: UINT2 and INT2 of newer ONNX releases.
_TWO_BITS = (25, 26)


def _tflite_weights(file: Path) -> Iterator[StoredWeight]:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kernels = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        interpreter = Interpreter(model_path=str(file), num_threads=1, experimental_op_resolver_type=kernels)
        interpreter.allocate_tensors()
        operators: list[Any] = interpreter._get_ops_details()
    details = {one["index"]: one for one in interpreter.get_tensor_details()}
    makers = {int(i): one for one in operators for i in one["outputs"]}
    inputs = {one["index"] for one in interpreter.get_input_details()}
    lengths = _buffer_lengths(file)
    for operator in (one for one in operators if one["op_name"] in _TFLITE_OPERATORS):
        index = _fixed_input(int(operator["inputs"][1]), makers)
        if index in details and index not in makers and index not in inputs:
            yield _tflite_weight(operator["op_name"], details[index], interpreter.get_tensor(index), lengths[index])


def _buffer_lengths(file: Path) -> list[int]:
    """Bytes of each tensor of the first graph as they lie in the file: 4-bit numbers are packed there, and not in the interpreter."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(file.read_bytes(), 0)
    graph = model.Subgraphs(0)
    buffers = [model.Buffers(graph.Tensors(i).Buffer()) for i in range(graph.TensorsLength())]
    return [int(one.DataLength() or one.Size()) for one in buffers]


def _fixed_input(index: int, makers: dict[int, Any]) -> int:
    """What is stored behind a weight that is turned into floats first."""
    while index in makers and makers[index]["op_name"] == "DEQUANTIZE":
        index = int(makers[index]["inputs"][0])
    return index


def _tflite_weight(operator: str, detail: Any, stored: Array, length: int) -> StoredWeight:
    how = detail["quantization_parameters"]
    scales, zeros, axis = how["scales"], how["zero_points"], how["quantized_dimension"]
    numbers = stored.astype(np.float32)
    if len(scales):
        numbers = (numbers - _along(zeros, stored, axis)) * _along(scales, stored, axis)
    beside = 4 * len(scales) + 8 * len(zeros)
    bits = round(8 * length / stored.size, 2)
    return StoredWeight(detail["name"], operator, numbers.astype(np.float32), bits, length + beside, (detail["name"],))
