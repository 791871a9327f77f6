"""Small models as variant folders, made from a seed: what benchmarks and the serving tests load."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from argosy.protocol.card import Card, FileRef, Probes, TensorSpec
from argosy.protocol.codec import to_json
from argosy.protocol.desired import SlotContent

_RNG = np.random.default_rng


def cnn_bytes(seed: int = 0, side: int = 28, channels: int = 8, layers: int = 2) -> bytes:
    """A CNN over `x` [any, 1, side, side] float32 giving `y` [any, 10]: convolutions, ReLU, mean, one dense layer."""
    rng, nodes, weights, last, width = _RNG(seed), [], [], "x", 1
    for layer in range(layers):
        kernel = rng.normal(0, 0.3, (channels, width, 3, 3)).astype(np.float32)
        weights.append(numpy_helper.from_array(kernel, f"w{layer}"))
        nodes.append(helper.make_node("Conv", [last, f"w{layer}"], [f"c{layer}"], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"c{layer}"], [f"r{layer}"]))
        last, width = f"r{layer}", channels
    weights.append(numpy_helper.from_array(rng.normal(0, 0.3, (channels, 10)).astype(np.float32), "dense"))
    nodes += [
        helper.make_node("GlobalAveragePool", [last], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("MatMul", ["flat", "dense"], ["y"]),
    ]
    return _model(nodes, [_value("x", ["n", 1, side, side])], [_value("y", ["n", 10])], weights)


def constant_bytes(value: float) -> bytes:
    """`y = x * 0 + value` over `x` [any, 4] float32, so the answer says which model gave it; `again` is the same."""
    constant = numpy_helper.from_array(np.array(value, np.float32), "value")
    zero = numpy_helper.from_array(np.array(0, np.float32), "zero")
    nodes = [
        helper.make_node("Mul", ["x", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "value"], ["y"]),
        helper.make_node("Add", ["nothing", "value"], ["again"]),
    ]
    return _model(nodes, [_value("x", ["n", 4])], [_value("y", ["n", 4]), _value("again", ["n", 4])], [constant, zero])


def identity_bytes(dtype: int) -> bytes:
    """`y = x` over [any, any] of an ONNX element type, strings included."""
    return _model([helper.make_node("Identity", ["x"], ["y"])], [_value("x", ["n", "m"], dtype)], [_value("y", ["n", "m"], dtype)], [])


def write_onnx_variant(folder: Path, model: bytes, *, name: str = "tiny", version: int = 1, probes: int = 4, free: int = 2) -> SlotContent:
    """Writes a variant's folder with a card and golden probes from onnxruntime; returns the content that names it.

    Args:
        free: size that probes give to free dimensions.
    """
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    inputs, outputs = _specs(session.get_inputs()), _specs(session.get_outputs())
    rng = _RNG(7)
    arrays: dict[str, Any] = {f"in.{spec.name}": _sample(rng, spec, probes, free) for spec in inputs}
    answers = [session.run(None, {spec.name: arrays[f"in.{spec.name}"][i] for spec in inputs}) for i in range(probes)]
    for at, spec in enumerate(outputs):
        arrays[f"out.{spec.name}"] = np.stack([_storable(answer[at]) for answer in answers])
    return write_variant(folder, "onnx", model, inputs, outputs, arrays, name=name, version=version)


def write_variant(
    folder: Path,
    kind: str,
    model: bytes,
    inputs: list[TensorSpec],
    outputs: list[TensorSpec],
    arrays: dict[str, Any],
    *,
    name: str = "tiny",
    version: int = 1,
    variant: str = "",
) -> SlotContent:
    """Writes model file, probes.npz and card.json."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"model.{kind}").write_bytes(model)
    companions, probes = [], None
    if arrays:
        np.savez(folder / "probes.npz", **arrays)
        companions = [file_ref(folder / "probes.npz")]
        probes = Probes(count=len(next(iter(arrays.values()))), atol=1e-5, rtol=1e-4)
    card = Card(
        model=name,
        version=version,
        variant=variant or f"{kind}-fp32",
        format=kind,
        precision="fp32",
        inputs=inputs,
        outputs=outputs,
        model_file=file_ref(folder / f"model.{kind}"),
        companions=companions,
        probes=probes,
    )
    (folder / "card.json").write_bytes(to_json(card))
    return content_of(card)


def content_of(card: Card) -> SlotContent:
    """What a desired document would say of this card."""
    return SlotContent(
        model=card.model, version=card.version, variant=card.variant, sha256=card.model_file.sha256, length=card.model_file.length
    )


def file_ref(path: Path) -> FileRef:
    """Name, digest and size of a file."""
    raw = path.read_bytes()
    return FileRef(name=path.name, sha256=hashlib.sha256(raw).hexdigest(), length=len(raw))


def _specs(nodes: list[Any]) -> list[TensorSpec]:
    return [
        TensorSpec(name=node.name, dtype=_dtype(node.type), shape=[size if isinstance(size, int) else None for size in node.shape])
        for node in nodes
    ]


def _dtype(ort_type: str) -> str:
    inner = ort_type[len("tensor(") : -1]
    return {"float": "float32", "double": "float64", "string": "object"}.get(inner, inner)


def _sample(rng: np.random.Generator, spec: TensorSpec, count: int, free: int) -> Any:
    shape = [count, *(free if size is None else size for size in spec.shape)]
    if spec.dtype == "object":
        return np.array([f"word{i}" for i in range(int(np.prod(shape)))]).reshape(shape)
    if spec.dtype.startswith("float"):
        return rng.normal(size=shape).astype(spec.dtype)
    return rng.integers(0, 2, size=shape).astype(spec.dtype)


def _storable(values: Any) -> Any:
    return values.astype(str) if values.dtype == object else values


def _value(name: str, shape: list[Any], dtype: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, dtype, shape)


def _model(nodes: list[Any], inputs: list[Any], outputs: list[Any], weights: list[Any]) -> bytes:
    graph = helper.make_graph(nodes, "small", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
