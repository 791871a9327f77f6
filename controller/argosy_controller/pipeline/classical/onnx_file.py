"""Fitted estimators as ONNX files, by skl2onnx."""

from __future__ import annotations

from typing import Any

from argosy_controller.pipeline.classical.families import CLASSIFIERS, FORESTS, TREES, final
from argosy_controller.pipeline.classical.thresholds import exact
from argosy_controller.pipeline.exporters.onnx_fp32 import OPSET

#: Of the operators of classical models (TreeEnsemble, SVM, Scaler): the one that onnxruntime has known since 1.17.
_ML_OPSET = 3


def onnx_bytes(estimator: Any, input_name: str, outputs: tuple[str, ...]) -> bytes:
    """The file: one input (any rows, columns) float32, outputs named and ordered as given."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    given = exact(estimator) if isinstance(final(estimator), (*TREES, *FORESTS)) else estimator
    last = final(given)
    options = {id(last): {"zipmap": False}} if isinstance(last, CLASSIFIERS) else None
    model = to_onnx(
        given,
        initial_types=[(input_name, FloatTensorType([None, last.n_features_in_]))],
        options=options,
        target_opset={"": OPSET, "ai.onnx.ml": _ML_OPSET},
    )
    return model.SerializeToString()
