"""Fitted estimators as ONNX files: by skl2onnx where labels and numbers come out right, by ways of our own where not.

skl2onnx divides a forest's leaves by the number of trees before it adds them up in float32, so that trees that are evenly
divided no longer tie as they do in scikit-learn; the binary scores of its support vector machines are not `decision_function`,
its naive Bayes loses in float32 what the lowered one keeps, and it has no perceptron whose last layer is an exponential (loss
"poisson"). Trees are therefore written here (ensembles), and the others by torch's exporter.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import onnx
import torch
from sklearn.svm import LinearSVC

from argosy_controller.pipeline.classical.ensembles import ensemble
from argosy_controller.pipeline.classical.families import BAYES, CLASSIFIERS, MACHINES, final, has_trees
from argosy_controller.pipeline.classical.lowering import lowered
from argosy_controller.pipeline.exporters.onnx_fp32 import OPSET, by_torch

_BY_TORCH = (*MACHINES, LinearSVC, *BAYES)
#: Of the operators of classical models (Scaler, LinearClassifier, TreeEnsembleRegressor): the one of opset 20.
ML_OPSET = 3


def onnx_bytes(estimator: Any, input_name: str, outputs: tuple[str, ...]) -> bytes:
    """The file: one input (any rows, columns) float32, outputs named and ordered as given; the same bytes every time."""
    last = final(estimator)
    if has_trees(last):
        model = ensemble(estimator, input_name, outputs, ML_OPSET)
    elif isinstance(last, _BY_TORCH) or getattr(last, "out_activation_", "") == "exp":
        rows = torch.zeros(2, estimator.n_features_in_)
        model = by_torch(lowered(estimator), {input_name: rows}, outputs)
    else:
        model = _by_skl2onnx(estimator, input_name, outputs)
    onnx.checker.check_model(model)
    found: bytes = model.SerializeToString(deterministic=True)
    return found


def _by_skl2onnx(estimator: Any, input_name: str, outputs: tuple[str, ...]) -> onnx.ModelProto:
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    given = _with_indices(estimator)
    model: onnx.ModelProto = to_onnx(
        given,
        initial_types=[(input_name, FloatTensorType([None, estimator.n_features_in_]))],
        options={id(final(given)): {"zipmap": False}} if isinstance(final(given), CLASSIFIERS) else None,
        target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET},
    )
    model.graph.name = "estimator"
    model.graph.output.sort(key=lambda one: one.type.tensor_type.elem_type)  # float before int64: the label is last
    _rename(model.graph, input_name, outputs)
    return model


def _with_indices(estimator: Any) -> Any:
    """A copy whose classes are called 0, 1, 2."""
    given = copy.deepcopy(estimator)
    last = final(given)
    if isinstance(last, CLASSIFIERS):
        indices = np.arange(len(last.classes_))
        for one in (last, getattr(last, "_label_binarizer", None)):
            if one is not None:
                one.classes_ = indices
    return given


def _rename(graph: onnx.GraphProto, input_name: str, outputs: tuple[str, ...]) -> None:
    """Gives outputs their names; all names within get a mark, so that none is in their way."""
    names = {input_name: input_name} | {one.name: name for one, name in zip(graph.output, outputs, strict=True)}
    for node in graph.node:
        node.input[:] = [names.get(one, one and f"{one}.") for one in node.input]
        node.output[:] = [names.get(one, one and f"{one}.") for one in node.output]
    for one in graph.initializer:
        one.name = f"{one.name}."
    for one in graph.output:
        one.name = names[one.name]
    del graph.value_info[:]
