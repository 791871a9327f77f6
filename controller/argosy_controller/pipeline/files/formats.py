"""What kind of model file this is, by its content; and what must be known of it before a runtime opens it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from argosy.errors import InvalidInput
from argosy_controller.pipeline.files.first_bytes import ONNX, ZIP, first_bytes, is_tflite

if TYPE_CHECKING:
    import onnx

_ACCEPTED = "import an ONNX or a TFLite file"
_MAGIC = (
    (ZIP, "a zip archive (a PyTorch checkpoint, a Keras or Core ML package, or an npz)"),
    (b"\x80", "a Python pickle, which is never opened"),
    (b"\x89HDF", "an HDF5 file (Keras)"),
    (b"\x93NUMPY", "a numpy array"),
    (b"GGUF", "a GGUF file"),
    (b"\x1f\x8b", "gzip-compressed"),
    (b"\x28\xb5\x2f\xfd", "zstd-compressed"),
    (b"<", "a text file (HTML or XML: was a download page saved instead of the file?)"),
    (b"version https://git-lfs", "a Git LFS pointer: fetch the file itself"),
)
_QUANTISED_OPERATORS = frozenset(
    {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul", "MatMulInteger", "ConvInteger"}
)
#: What constants are called that rebuild packed weights; the last is only in files with 4-bit weights.
UNPACKED, UNPACKED_INT4 = "~", "~eight"
_SIXTEEN_BITS, _FOUR_BITS = frozenset({4, 5}), frozenset({21, 22})
_TFLITE_INT4 = 17  # TensorType.INT4 of TFLite's schema


def detect(path: Path) -> str:
    """`onnx` or `tflite`.

    Raises:
        InvalidInput: neither, or the file cannot be read, is empty or too large; says what it looks like.
    """
    head, _ = first_bytes(path)
    if is_tflite(head):
        return "tflite"
    for magic, what in _MAGIC:
        if head.startswith(magic):
            raise InvalidInput(f"{path.name} is {what}, not a model: {_ACCEPTED}")
    if not head.startswith(ONNX):
        raise InvalidInput(f"{path.name} is neither an ONNX nor a TFLite model: {_ACCEPTED}")
    return "onnx"


def prepared_onnx(given: Path, to: Path) -> list[str]:
    """Copies an ONNX file, byte for byte unless it ends in scikit-learn's maps; returns what people should know.

    skl2onnx by default turns a classifier's probabilities into a list of dictionaries (operator ZipMap), which no tensor
    protocol can carry. The maps are taken off: the tensor under them becomes the output.

    Raises:
        InvalidInput: it does not parse, has no graph, or keeps weights in other files.
    """
    raw = given.read_bytes()
    model = _parsed(raw, given.name)
    if any(_is_external(one) for one in _tensors(model.graph)):
        raise InvalidInput(f"{given.name} keeps weights in other files: save it as one (onnx.save(onnx.load(FILE), NEW))")
    removed = _without_maps(model)
    to.write_bytes(model.SerializeToString() if removed else raw)
    return [f"operator ZipMap was taken off output {name!r}: it is a tensor now" for name in removed]


def _parsed(raw: bytes, name: str) -> onnx.ModelProto:
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    model = onnx.ModelProto()
    try:
        model.ParseFromString(raw)
    except DecodeError as error:
        raise InvalidInput(f"{name} is damaged: it begins like an ONNX model, but is cut short or altered") from error
    if not model.graph.node or not model.graph.output:
        raise InvalidInput(f"{name} holds no ONNX graph: {_ACCEPTED}")
    return model


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """All weights of a graph and the graphs inside it."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for inner in (attribute.g, *attribute.graphs):
                yield from _tensors(inner)


def _is_external(tensor: onnx.TensorProto) -> bool:
    return tensor.data_location == 1 or bool(tensor.external_data)


def _without_maps(model: onnx.ModelProto) -> list[str]:
    """Takes ZipMap nodes off graph outputs, in place; returns the outputs' names."""
    removed: list[str] = []
    outputs = {one.name: one for one in model.graph.output}
    for node in [one for one in model.graph.node if one.op_type == "ZipMap" and one.output[0] in outputs]:
        name, source = node.output[0], node.input[0]
        model.graph.node.remove(node)
        for other in model.graph.node:
            for names in (other.input, other.output):
                names[:] = [name if one == source else one for one in names]
        outputs[name].type.Clear()
        outputs[name].type.tensor_type.elem_type = 1
        removed.append(name)
    return removed


def onnx_precision(path: Path) -> str:
    """One of argosy.protocol.card.PRECISIONS, by the operators and weights of the file."""
    model = _parsed(path.read_bytes(), path.name)
    operators = {node.op_type for node in all_nodes(model.graph)}
    tensors = list(_tensors(model.graph))
    if "DynamicQuantizeLinear" in operators:
        return "int8-dynamic"
    if operators & _QUANTISED_OPERATORS:
        kinds = {one.data_type for one in tensors}
        activations = "QuantizeLinear" in operators
        return "int16x8" if activations and kinds & _SIXTEEN_BITS else "int4" if not activations and kinds & _FOUR_BITS else "int8"
    if "MatMulNBits" in operators or any(one.name == UNPACKED_INT4 for one in tensors):
        return "int4"
    if any(one.name.startswith(UNPACKED) for one in tensors):
        return "packed"
    sizes = {kind: sum(int(np.prod(one.dims)) for one in tensors if one.data_type == kind) for kind in (1, 10)}
    return "fp16" if sizes[10] > sizes[1] else "fp32"


def all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Every node of a graph and of the graphs inside it."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from all_nodes(inner)


def tflite_precision(path: Path) -> str:
    """`int16x8`, `int8`, `int8-dynamic` (8-bit weights beside float activations), `int4`, `fp16` or `fp32`, by the tensors."""
    from ai_edge_litert.interpreter import Interpreter

    worker = Interpreter(model_path=str(path), num_threads=1)
    details: list[Any] = [one for one in worker.get_tensor_details() if len(one["quantization_parameters"]["scales"])]
    answers = {int(index) for one in worker._get_ops_details() for index in one["outputs"]}
    kinds = {_bits(one["dtype"]) for one in details}
    activations = {_bits(one["dtype"]) for one in details if one["index"] in answers}
    if 16 in activations:
        return "int16x8"
    if 8 in activations:
        return "int8"
    if 8 in kinds:  # the interpreter calls 4-bit weights int8
        return "int4" if _has_tensors_of(path, _TFLITE_INT4) else "int8-dynamic"
    return "fp16" if any(one["dtype"] == np.float16 for one in worker.get_tensor_details()) else "fp32"


def _has_tensors_of(path: Path, kind: int) -> bool:
    from ai_edge_litert.tools.flatbuffer_utils import Model

    model = Model.GetRootAs(path.read_bytes(), 0)
    graphs = [model.Subgraphs(i) for i in range(model.SubgraphsLength())]
    return any(graph.Tensors(i).Type() == kind for graph in graphs for i in range(graph.TensorsLength()))


def _bits(dtype: Any) -> int:
    """Of a quantised tensor's numbers."""
    return 8 * int(np.dtype(dtype).itemsize)
