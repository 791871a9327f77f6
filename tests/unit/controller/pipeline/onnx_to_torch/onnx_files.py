"""Small ONNX files for tests, and the question whether the imported network answers as onnxruntime does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime
import torch
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from argosy_controller.pipeline.sources.onnx_to_torch.importing import Imported, imported

KINDS = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64, "int32": TensorProto.INT32, "bool": TensorProto.BOOL}


def model_of(
    nodes: Sequence[NodeProto],
    inputs: Mapping[str, np.ndarray],
    weights: Mapping[str, np.ndarray] | None = None,
    outputs: Sequence[str] = ("y",),
    opset: int = 17,
    free: bool = True,
    shapes: Mapping[str, Sequence[Any]] | None = None,
) -> bytes:
    """An ONNX file; the first dimension of every input is free unless told otherwise."""
    given = shapes or {}

    def declared(name: str, array: np.ndarray) -> Any:
        shape = given.get(name, ["batch", *array.shape[1:]] if free and array.ndim else list(array.shape))
        return helper.make_tensor_value_info(name, KINDS[array.dtype.name], shape)

    graph = helper.make_graph(
        list(nodes),
        "test",
        [declared(name, array) for name, array in inputs.items()],
        [helper.make_value_info(name, helper.make_tensor_type_proto(0, None)) for name in outputs],
        [numpy_helper.from_array(np.asarray(array, order="C"), name) for name, array in (weights or {}).items()],
    )
    model: ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    for one in model.graph.output:
        one.ClearField("type")
    return model.SerializeToString()


def session_of(content: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def same(
    content: bytes, inputs: Mapping[str, np.ndarray], others: Sequence[Mapping[str, np.ndarray]] = (), bound: float = 1e-4
) -> Imported:
    """Imports on the inputs; all answers must be onnxruntime's, in value, shape and type."""
    session = session_of(content)
    found = imported(content, "test.onnx", inputs)
    for one in (inputs, *others):
        wanted = session.run(None, dict(one))
        with torch.no_grad():
            got = found.network(*(torch.from_numpy(np.array(array)) for array in one.values()))
        for a, b in zip(wanted, got, strict=True):
            assert (a.shape, a.dtype) == (tuple(b.shape), b.numpy().dtype)
            size = max(1.0, float(np.abs(a.astype(np.float64)).max(initial=0.0)))
            np.testing.assert_allclose(b.numpy().astype(np.float64), a.astype(np.float64), rtol=0, atol=bound * size)
    return found
