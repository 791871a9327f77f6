"""ONNX files of estimators: names and order as the task has them, labels that are indices, any batch, the same bytes again."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from classical_cases import fitted, table
from onnxruntime import InferenceSession
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC

from argosy_controller.pipeline.classical.families import usual_outputs
from argosy_controller.pipeline.classical.fitted import Fitted
from argosy_controller.pipeline.exporters.onnx_fp32 import OPSET

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
#: One for each way to a file: a node of trees, torch's exporter, skl2onnx with zero to two operators of ai.onnx.ml.
QUICK = ("forest", "svc-rbf", "logistic", "gaussian", "perceptron")


@pytest.mark.parametrize("data", ["iris", "breast_cancer"])
@pytest.mark.parametrize("family", QUICK)
def test_file_answers_as_scikit_learn_under_the_tasks_names(family: str, data: str) -> None:
    model, split = fitted(family, data, "standard")
    content = model.onnx()
    session = InferenceSession(content)
    rows = split.inputs["features"]
    assert [one.name for one in session.get_inputs()] == ["features"]
    assert [one.name for one in session.get_outputs()] == list(model.outputs)
    assert [one.type for one in session.get_outputs()] == ["tensor(float)", "tensor(int64)"]
    wanted = [one.numpy() for one in model(torch.from_numpy(rows))]
    for batch in (rows, rows[:1]):
        scores, label = session.run(None, {"features": batch})
        assert np.abs(scores - wanted[0][: len(batch)]).max() <= 1e-4
        assert np.array_equal(label, wanted[1][: len(batch)])
    assert model.onnx() == content


@pytest.mark.parametrize("family", ["ridge", "svr-rbf", "forest", "perceptron", "perceptron-poisson"])
def test_regressors_file_has_one_column(family: str) -> None:
    model, split = fitted(family, "diabetes", "standard")
    (found,) = InferenceSession(model.onnx()).run(["value"], split.inputs)
    wanted = model(torch.from_numpy(split.inputs["features"]))[0].numpy()
    assert found.shape == (442, 1)
    assert np.abs(found - wanted).max() <= 1e-3


@pytest.mark.parametrize("estimator", [RandomForestClassifier(5), SVC(), LogisticRegression(), MLPClassifier(max_iter=5)])
def test_classes_that_are_words_become_their_indices(estimator: Any) -> None:
    split = table("iris")
    words = np.array(["setosa", "versicolor", "virginica"])[split.targets]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # five epochs are not enough, and need not be
        estimator.fit(split.inputs["features"], words)
    model = Fitted(estimator, "features", usual_outputs(estimator))
    assert model.labels == ("setosa", "versicolor", "virginica")
    label = InferenceSession(model.onnx()).run(["label"], split.inputs)[0]
    assert label.dtype == np.int64
    assert np.array_equal(np.array(model.labels)[label], estimator.predict(split.inputs["features"]))


@pytest.mark.parametrize("names", [("label", "probabilities"), ("variable", "X"), ("sum", "sum.")])
@pytest.mark.parametrize("family", ["forest", "logistic", "gaussian"])
def test_names_within_a_file_are_in_no_outputs_way(family: str, names: tuple[str, str]) -> None:
    model, split = fitted(family, "iris")
    renamed = Fitted(model.estimator, "trees", names)
    session = InferenceSession(renamed.onnx())
    scores, label = session.run(None, {"trees": split.inputs["features"]})
    assert [one.name for one in session.get_outputs()] == list(names)
    assert scores.shape == (150, 3)
    assert label.shape == (150,)


def test_trees_file_holds_whole_leaves_and_one_node_for_all_trees() -> None:
    model, _ = fitted("forest", "iris", "standard")
    graph = onnx.load_from_string(model.onnx())
    assert [one.op_type for one in graph.graph.node] == ["TreeEnsembleRegressor", "Div", "ArgMax"]
    assert {one.domain: one.version for one in graph.opset_import} == {"": OPSET, "ai.onnx.ml": 3}
    weights = next(one.floats for one in graph.graph.node[0].attribute if one.name == "target_weights")
    assert set(weights) == {1.0}
