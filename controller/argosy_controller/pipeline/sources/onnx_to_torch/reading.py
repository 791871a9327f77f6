"""What an ONNX file may hold to be imported: bounds that no honest model comes near, and an order that can be followed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch

from argosy.errors import InvalidInput
from argosy_controller.pipeline.sources.onnx_to_torch.values import Unsupported

if TYPE_CHECKING:
    import onnx

MOST_NODES = 50_000
MOST_BYTES = 1 << 30
DEEPEST = 16
_DOMAINS = ("", "ai.onnx")
_OPSETS = range(7, 24)


def parsed(content: bytes, file: str) -> onnx.ModelProto:
    """The file, within bounds.

    Raises:
        InvalidInput: it is larger, deeper or of another operator set than is imported here; it has functions of its own that
            call themselves; or a node takes what no node before it gives (so also: a cycle).
    """
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    if len(content) > MOST_BYTES:
        raise InvalidInput(f"{file} has {len(content)} bytes, and at most {MOST_BYTES} are converted: take ONNX variants")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError as error:
        raise InvalidInput(f"{file} is damaged: it is no ONNX model") from error
    count = sum(1 for _ in _nodes(model.graph, file, 0))
    if count > MOST_NODES:
        raise InvalidInput(f"{file} has {count} operators, and at most {MOST_NODES} are converted: take ONNX variants")
    if model.functions:
        raise InvalidInput(
            f"{file} has functions of its own ({model.functions[0].name!r:.60}): write it again with onnx.inliner, then import"
        )
    if opset(model) not in _OPSETS:
        raise InvalidInput(f"{file} is of ONNX operator set {opset(model)}, and {_OPSETS[0]} to {_OPSETS[-1]} are converted")
    _check_order(model.graph, file, frozenset())
    return model


def opset(model: onnx.ModelProto) -> int:
    """Version of the default operators."""
    return max((int(one.version) for one in model.opset_import if one.domain in _DOMAINS), default=0)


def _nodes(graph: onnx.GraphProto, file: str, depth: int) -> Iterator[onnx.NodeProto]:
    if depth > DEEPEST:
        raise InvalidInput(f"{file} has graphs inside graphs, {DEEPEST} deep and more: that is no model")
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _nodes(inner, file, depth + 1)


def _check_order(graph: onnx.GraphProto, file: str, outer: frozenset[str]) -> None:
    known = set(outer) | {one.name for one in graph.initializer} | {one.name for one in graph.input}
    for node in graph.node:
        for name in node.input:
            if name and name not in known:
                raise InvalidInput(
                    f"{file}: {told(node)} takes {name!r:.80}, which nothing before it gives: the graph has a cycle or a gap"
                )
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _check_order(attribute.g, file, frozenset(known))
        known |= {one for one in node.output if one}


def told(node: onnx.NodeProto) -> str:
    """An operator and where it stands, for messages."""
    kind = node.op_type if node.domain in _DOMAINS else f"{node.domain}.{node.op_type}"
    name = node.name or (f"that gives {node.output[0]}" if node.output else "without a name")
    return f"operator {kind!r:.80} (node {name!r:.120})"


def is_default(node: onnx.NodeProto) -> bool:
    """Whether an operator is of ONNX's own."""
    return node.domain in _DOMAINS


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """By name, as Python values; graphs stay as they are."""
    import onnx

    found: dict[str, Any] = {}
    for one in node.attribute:
        value = onnx.helper.get_attribute_value(one)
        if isinstance(value, onnx.TensorProto):
            value = tensor(value)
        elif isinstance(value, bytes):
            value = value.decode(errors="replace")
        elif isinstance(value, list):
            value = [part.decode(errors="replace") if isinstance(part, bytes) else part for part in value]
        found[one.name] = value
    return found


def tensor(stored: onnx.TensorProto) -> torch.Tensor:
    """A tensor of the file.

    Raises:
        Unsupported: it holds texts, or numbers that torch has not.
    """
    from onnx import numpy_helper

    try:
        return torch.from_numpy(numpy_helper.to_array(stored).copy())
    except (TypeError, ValueError) as error:
        raise Unsupported(f"holds numbers of a type that does not convert ({stored.data_type})") from error
