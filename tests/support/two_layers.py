"""A small ONNX file for conversions, and rows that it takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper


def small(tmp_path: Path, kind: str = "Relu", name: str = "model.onnx") -> Path:
    """Two layers and an operator between them."""
    weights = {"a.weight": (8, 6), "b.weight": (3, 8)}
    random = np.random.default_rng(0)
    stored = [numpy_helper.from_array(random.normal(0, 1, shape).astype(np.float32), key) for key, shape in weights.items()]
    nodes = [
        helper.make_node("Gemm", ["x", "a.weight"], ["h"], transB=1),
        helper.make_node(kind, ["h"], ["r"], name="between"),
        helper.make_node("Gemm", ["r", "b.weight"], ["y"], transB=1),
    ]
    x, y = (helper.make_tensor_value_info(one, TensorProto.FLOAT, ["batch", size]) for one, size in (("x", 6), ("y", 3)))
    model = helper.make_model(
        helper.make_graph(nodes, "small", [x], [y], stored), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    (tmp_path / name).write_bytes(model.SerializeToString())
    return tmp_path / name


def rows(count: int = 220) -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(1).normal(0, 1, (count, 6)).astype(np.float32)}
