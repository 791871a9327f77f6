"""Changes to a whole ONNX graph: simpler with the same answers, or with weights that share few values."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from argosy.errors import ArgosyError, InvalidInput
from argosy_controller.pipeline.exporters.onnx_graph import quiet, save
from argosy_controller.pipeline.files.formats import all_nodes
from argosy_controller.pipeline.methods.codebooks import k_means
from argosy_controller.pipeline.methods.layer_names import by_layer
from argosy_controller.pipeline.numbers.evaluation import requests
from argosy_controller.pipeline.passes.interface import Context
from argosy_controller.pipeline.passes.share_weights import ShareWeightsConfig
from argosy_controller.pipeline.sources.graphs import OnnxGraph

if TYPE_CHECKING:
    import onnx

_CHECKED_ON = 16
_SAME = 1e-4
#: By operator, the inputs that are weights.
_WEIGHTS = {
    **dict.fromkeys(("Conv", "ConvTranspose"), (1,)),
    **dict.fromkeys(("Gemm", "MatMul"), (1, 0)),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), (1, 2)),
    "Gather": (0,),
}
_CONVOLUTIONS = frozenset({"Conv", "ConvTranspose"})


def optimised(model: OnnxGraph, ctx: Context) -> OnnxGraph:
    """As OptimiseGraph.apply."""
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 4
    before = onnx.load_from_string(model.onnx())
    with tempfile.TemporaryDirectory() as scratch, quiet():
        file = Path(scratch) / "model.onnx"
        options.optimized_model_filepath = str(file)
        onnxruntime.InferenceSession(model.onnx(), options, providers=["CPUExecutionProvider"])
        after = onnx.load(file)
        _without_dead(after.graph)
        save(after, file)
        found = model.rewritten(file.read_bytes())
    _check_same(model, found, ctx)
    ctx.note(f"{_count(before)} operators before, {_count(after)} after")
    ctx.on_step(1, 1)
    return found


def _without_dead(graph: onnx.GraphProto) -> None:
    """Takes out, in place, operators and weights that no output depends on; onnxruntime leaves them."""
    wanted = {one.name for one in graph.output}
    living: list[onnx.NodeProto] = []
    for node in reversed(graph.node):
        if wanted.intersection(node.output):
            living.append(node)
            wanted.update(_taken(node))
    kept = [one for one in graph.initializer if one.name in wanted]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(living))
    graph.initializer.extend(kept)


def _taken(node: onnx.NodeProto) -> Iterator[str]:
    """Names that an operator takes, also by the graphs inside it."""
    yield from node.input
    for attribute in node.attribute:
        for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
            yield from (one.name for one in inner.output)
            for below in all_nodes(inner):
                yield from below.input


def _count(model: onnx.ModelProto) -> int:
    return sum(1 for _ in all_nodes(model.graph))


def _check_same(before: OnnxGraph, after: OnnxGraph, ctx: Context) -> None:
    for request in requests(ctx.data.calibrating.take(slice(0, _CHECKED_ON))):
        given = [torch.from_numpy(one) for one in request.values()]
        for one, two in zip(before(*given), after(*given), strict=True):
            size = max(1.0, float(one.double().abs().max())) if one.numel() else 1.0
            if one.shape != two.shape or (one.numel() and not float((one.double() - two.double()).abs().max()) <= _SAME * size):
                raise ArgosyError("the simplified graph does not compute what the graph computed: leave pass optimise-graph out")


def shared(model: OnnxGraph, config: ShareWeightsConfig, ctx: Context) -> OnnxGraph:
    """As ShareWeights.apply, for a graph: every weight tensor's own k-means; nothing is trained.

    Raises:
        InvalidInput: training was asked for, or the graph has no weights.
    """
    import onnx

    graph = onnx.load_from_string(model.onnx())
    found = _weights(graph.graph)
    if not found:
        raise InvalidInput("pass share-weights does not apply: the graph has no convolution or matrix with constant weights")
    bits = {layer: config.conv_bits if operator in _CONVOLUTIONS else config.linear_bits for layer, (operator, _) in found.items()}
    bits |= by_layer(found, config.layers)
    for done, (layer, (_, tensor)) in enumerate(found.items(), start=1):
        _share(tensor, 1 << bits[layer], config.iterations)
        ctx.on_step(done, len(found))
    ctx.note(f"{len(found)} weight tensors of the graph share values; nothing was trained")
    return model.rewritten(graph.SerializeToString(deterministic=True))


def _weights(graph: onnx.GraphProto) -> dict[str, tuple[str, onnx.TensorProto]]:
    """Constant float tensors of two dimensions and more that operators multiply by: name of the layer, operator, tensor."""
    stored = dict(_constants(graph))
    found: dict[str, tuple[str, onnx.TensorProto]] = {}
    for node in all_nodes(graph):
        for place in _WEIGHTS.get(node.op_type, ()):
            tensor = stored.get(node.input[place]) if place < len(node.input) else None
            if tensor is not None and tensor.data_type == 1 and len(tensor.dims) >= 2:
                found.setdefault(node.input[place].removesuffix(".weight"), (node.op_type, tensor))
    return found


def _constants(graph: onnx.GraphProto) -> Iterator[tuple[str, onnx.TensorProto]]:
    """By name, also of the graphs inside."""
    yield from ((one.name, one) for one in graph.initializer)
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].HasField("t"):
            yield node.output[0], node.attribute[0].t
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _constants(inner)


def _share(tensor: onnx.TensorProto, count: int, iterations: int) -> None:
    """In place: at most `count` values; exact zeros stay, and 0 is then one of them."""
    from onnx import numpy_helper

    values = torch.from_numpy(numpy_helper.to_array(tensor).copy())
    there = values != 0
    if not bool(there.any()):
        return
    centroids, index = k_means(values[there], max(1, count if bool(there.all()) else count - 1), iterations)
    values[there] = centroids[index]
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values.numpy()), tensor.name))
