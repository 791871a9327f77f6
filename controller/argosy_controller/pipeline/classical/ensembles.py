"""Trees and forests as one ONNX node that adds leaves up, and what makes answers of the sums.

Leaves keep the values that they have in scikit-learn, and the sum is divided once: trees whose leaves are pure vote in whole
numbers, which float32 adds exactly, so that ties fall as they do there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from argosy_controller.pipeline.classical.families import CLASSIFIERS, members
from argosy_controller.pipeline.classical.thresholds import exact
from argosy_controller.pipeline.exporters.onnx_fp32 import OPSET
from argosy_controller.pipeline.task import Array


def ensemble(estimator: Any, input_name: str, outputs: tuple[str, ...], ml_opset: int) -> onnx.ModelProto:
    """The file of a fitted tree or forest, scalers in front of it in its thresholds."""
    last = exact(estimator)
    trees = members(last)
    classes = len(last.classes_) if isinstance(last, CLASSIFIERS) else 1
    total, count = (_free(name, {input_name, *outputs}) for name in ("sum", "trees"))
    nodes = [_trees(trees, classes, input_name, total)]
    nodes.append(helper.make_node("Div", [total, count], [outputs[0]]))
    shapes = [helper.make_tensor_value_info(outputs[0], TensorProto.FLOAT, [None, classes])]
    if isinstance(last, CLASSIFIERS):
        nodes.append(helper.make_node("ArgMax", [total], [outputs[1]], axis=1, keepdims=0))
        shapes.append(helper.make_tensor_value_info(outputs[1], TensorProto.INT64, [None]))
    graph = helper.make_graph(
        nodes,
        "estimator",
        [helper.make_tensor_value_info(input_name, TensorProto.FLOAT, [None, last.n_features_in_])],
        shapes,
        [numpy_helper.from_array(np.array([len(trees)], np.float32), count)],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ml_opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=helper.find_min_ir_version_for(opsets), producer_name="argosy")


def _free(name: str, taken: set[str]) -> str:
    """The name, or one near it that the public ones leave free."""
    return name if name not in taken else _free(f"{name}.", taken)


def _trees(trees: list[Any], values: int, input_name: str, output: str) -> onnx.NodeProto:
    parts = [_attributes(number, one) for number, one in enumerate(trees)]
    joined = {name: np.concatenate([one[name] for one in parts]).tolist() for name in parts[0]}
    return helper.make_node(
        "TreeEnsembleRegressor",
        [input_name],
        [output],
        domain="ai.onnx.ml",
        n_targets=values,
        aggregate_function="SUM",
        post_transform="NONE",
        nodes_modes=["LEAF" if one < 0 else "BRANCH_LEQ" for tree in trees for one in tree.children_left],
        **joined,
    )


def _attributes(number: int, tree: Any) -> dict[str, Array]:
    """A tree's nodes and, of each leaf, the values that are not 0 (the first where all are)."""
    inner = tree.children_left >= 0
    weights = tree.value[:, 0, :].astype(np.float32)
    told = ~inner[:, None] & (weights != 0)
    told[~inner & ~told.any(1), 0] = True
    node, target = np.nonzero(told)
    return {
        "nodes_treeids": np.full(tree.node_count, number),
        "nodes_nodeids": np.arange(tree.node_count),
        "nodes_featureids": np.where(inner, tree.feature, 0),
        "nodes_values": np.where(inner, tree.threshold, 0.0).astype(np.float32),
        "nodes_truenodeids": np.where(inner, tree.children_left, 0),
        "nodes_falsenodeids": np.where(inner, tree.children_right, 0),
        "target_treeids": np.full(len(node), number),
        "target_nodeids": node,
        "target_ids": target,
        "target_weights": weights[node, target],
    }
