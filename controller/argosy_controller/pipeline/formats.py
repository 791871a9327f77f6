"""What kind of model file this is, by its content; and what must be known of it before a runtime opens it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from argosy.errors import InvalidInput

if TYPE_CHECKING:
    import onnx

#: protobuf's own limit for one message.
MAX_MODEL_BYTES = (1 << 31) - 1
_ACCEPTED = "import an ONNX or a TFLite file"
_MAGIC = (
    (b"PK\x03\x04", "a zip archive (a PyTorch checkpoint, a Keras or Core ML package, or an npz)"),
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


def detect(path: Path) -> str:
    """`onnx` or `tflite`.

    Raises:
        InvalidInput: neither, or the file cannot be read, is empty or too large; says what it looks like.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise InvalidInput(f"model file {path} cannot be read ({error.strerror}): check its name") from error
    if not 0 < size <= MAX_MODEL_BYTES:
        raise InvalidInput(f"{path.name} has {size} bytes: a model file has 1 to {MAX_MODEL_BYTES}")
    if head[4:8] == b"TFL3":
        return "tflite"
    for magic, what in _MAGIC:
        if head.startswith(magic):
            raise InvalidInput(f"{path.name} is {what}, not a model: {_ACCEPTED}")
    if head[:1] != b"\x08":  # ir_version, the first field that every ONNX writer writes
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
    """`int8` when it quantises, `fp16` when most weights are, else `fp32`."""
    model = _parsed(path.read_bytes(), path.name)
    if any(node.op_type in _QUANTISED_OPERATORS for node in all_nodes(model.graph)):
        return "int8"
    sizes = {kind: sum(int(np.prod(one.dims)) for one in _tensors(model.graph) if one.data_type == kind) for kind in (1, 10)}
    return "fp16" if sizes[10] > sizes[1] else "fp32"


def all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Every node of a graph and of the graphs inside it."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from all_nodes(inner)


def tflite_precision(path: Path) -> str:
    """`int8` when any tensor is quantised to 8 bits, `fp16` when weights are half precision, else `fp32`."""
    from ai_edge_litert.interpreter import Interpreter

    details: list[Any] = Interpreter(model_path=str(path), num_threads=1).get_tensor_details()
    if any(one["dtype"] in (np.int8, np.uint8) and one["quantization"][0] for one in details):
        return "int8"
    if any(one["dtype"] in (np.int8, np.uint8) and len(one["quantization_parameters"]["scales"]) for one in details):
        return "int8"
    return "fp16" if any(one["dtype"] == np.float16 for one in details) else "fp32"
