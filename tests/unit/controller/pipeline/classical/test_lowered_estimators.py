"""Estimators by torch's operators answer as scikit-learn does: each family by hand where that can be done, and on tables."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from classical_cases import CLASSIFIERS, REGRESSORS, SCALERS, fitted
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from argosy_controller.pipeline.classical.families import usual_outputs
from argosy_controller.pipeline.classical.fitted import Fitted
from argosy_controller.pipeline.classical.lowering import lowered
from argosy_controller.pipeline.classical.lowering.machines import Polynomial, Votes

pytestmark = pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
COLUMN = np.array([[0.0], [1.0], [2.0], [3.0]], np.float32)


def _asked(model: Fitted, rows: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """What scikit-learn answers, and what the network does."""
    given = torch.from_numpy(rows)
    found = model.network()(given)
    return [one.numpy() for one in model(given)], [one.numpy() for one in (found if isinstance(found, tuple) else (found,))]


def _check_alike(model: Fitted, rows: np.ndarray) -> None:
    wanted, found = _asked(model, rows)
    assert [(one.shape, one.dtype) for one in found] == [(one.shape, one.dtype) for one in wanted]
    assert np.abs(found[0] - wanted[0]).max() <= 1e-4 * max(1.0, 0.1 * np.abs(wanted[0]).max())
    assert len(wanted) == 1 or np.array_equal(found[1], wanted[1])


@pytest.mark.parametrize("data", ["iris", "breast_cancer"])
@pytest.mark.parametrize("family", CLASSIFIERS)
def test_classifier_answers_as_scikit_learn_on_a_real_table(family: str, data: str) -> None:
    model, split = fitted(family, data, "none" if family == "multinomial" else "standard")
    _check_alike(model, split.inputs["features"])


@pytest.mark.parametrize("scaler", SCALERS)
def test_zeros_and_ones_are_those_of_scikit_learn_behind_a_scaler_that_puts_values_at_the_limit(scaler: str) -> None:
    model, split = fitted("bernoulli", "breast_cancer", scaler)
    _check_alike(model, split.inputs["features"])


@pytest.mark.parametrize("family", REGRESSORS)
def test_regressor_answers_as_scikit_learn_on_a_real_table(family: str) -> None:
    model, split = fitted(family, "diabetes", "standard")
    _check_alike(model, split.inputs["features"])


def test_logistic_regression_by_hand() -> None:
    model = LogisticRegression().fit(COLUMN, [0, 0, 1, 1])
    model.coef_, model.intercept_ = np.array([[2.0]]), np.array([-3.0])
    probabilities, label = lowered(model)(torch.tensor([[1.0], [2.0]]))
    assert probabilities[:, 1].tolist() == pytest.approx([1 / (1 + np.e), np.e / (1 + np.e)])
    assert label.tolist() == [0, 1]


def test_line_by_hand() -> None:
    assert lowered(LinearRegression().fit(COLUMN, [1, 3, 5, 7]))(torch.tensor([[10.0]])).tolist() == [[pytest.approx(21.0)]]


def test_tree_by_hand() -> None:
    network = lowered(DecisionTreeRegressor().fit(COLUMN, [5.0, 5.0, 7.0, 9.0]))
    assert network(torch.tensor([[-1.0], [1.5], [1.6], [2.5], [2.6]]))[:, 0].tolist() == [5, 5, 7, 7, 9]


@pytest.mark.parametrize("count", [1, 3])
def test_tree_of_one_leaf_says_the_same_to_all(count: int) -> None:
    network = lowered(DecisionTreeRegressor(max_depth=1).fit(COLUMN, [2.0] * 4))
    assert network(torch.zeros(count, 1)).tolist() == [[2.0]] * count


def test_trees_of_different_depth_walk_together() -> None:
    forest = RandomForestClassifier(3, random_state=0).fit(np.repeat(COLUMN, 20, 0), np.repeat([0, 1, 0, 1], 20))
    forest.estimators_[1] = DecisionTreeClassifier().fit(COLUMN, [0.0, 0.0, 1.0, 1.0])
    assert len({one.tree_.max_depth for one in forest.estimators_}) > 1
    _check_alike(Fitted(forest, "x", ("probabilities", "label")), COLUMN)


def test_evenly_divided_trees_name_the_first_class() -> None:
    forest = RandomForestClassifier(10, random_state=0).fit(COLUMN, [0, 0, 1, 1])
    for number, member in enumerate(forest.estimators_):
        forest.estimators_[number] = type(member)().fit(COLUMN, [0.0, 1.0, 0.0, 1.0] if number % 2 else [1.0, 0.0, 1.0, 0.0])
    probabilities, label = lowered(forest)(torch.from_numpy(COLUMN))
    assert probabilities.tolist() == [[0.5, 0.5]] * 4
    assert label.tolist() == [0] * 4


def test_gaussian_by_hand() -> None:
    model = GaussianNB(var_smoothing=0.0).fit(np.array([[-1.0], [1.0], [1.0], [3.0]]), [0, 0, 1, 1])  # both variances 1, means 0 and 2
    probabilities, label = lowered(model)(torch.tensor([[1.0], [2.0]]))
    assert probabilities[:, 1].tolist() == pytest.approx([0.5, np.e**2 / (1 + np.e**2)], abs=1e-6)
    assert label[1] == 1


def test_gaussian_keeps_what_a_column_that_never_varied_would_drown() -> None:
    random = np.random.default_rng(0)
    columns = np.stack([random.normal([0, 3], 1, (100, 2)).T.ravel(), np.zeros(200)], axis=1).astype(np.float32)
    model = Fitted(GaussianNB().fit(columns.astype(np.float64), np.repeat([0, 1], 100)), "x", ("probabilities", "label"))
    columns[:, 1] = 5.0  # a billion deviations from either class
    _check_alike(model, columns)


def test_votes_by_hand() -> None:
    """Of three classes the pairs (0, 1), (0, 2), (1, 2): 0 beats 1, 2 beats 0, 1 beats 2; all tie, and the first has the label."""
    network = Votes(torch.nn.Identity(), 3, by_scores=False)
    scores, label = network(torch.tensor([[1.0, -4.0, 2.0]]))
    assert label.tolist() == [0]
    sums = np.array([1 - 4, -1 + 2, 4 - 2])
    assert scores[0].tolist() == pytest.approx((1 + sums / (3 * (abs(sums) + 1))).tolist())
    assert Votes(torch.nn.Identity(), 3, by_scores=True)(torch.tensor([[1.0, -4.0, 2.0]]))[1].tolist() == [2]


@pytest.mark.parametrize("degree", [1, 2, 3, 5])
def test_polynomial_is_the_power_less_the_one_at_the_mean(degree: int) -> None:
    vectors, rows = np.array([[1.0, 2.0], [3.0, 0.0]]), np.array([[2.0, -1.0]])
    found = Polynomial(vectors, 0.5, 1.0, degree)(torch.from_numpy(rows.astype(np.float32)))
    wanted = (0.5 * rows @ vectors.T + 1) ** degree - (0.5 * rows @ vectors.mean(0) + 1) ** degree
    assert found.numpy() == pytest.approx(wanted)


def test_second_class_has_the_label_on_the_line_itself() -> None:
    model = SVC(kernel="linear").fit(COLUMN, [0, 0, 1, 1])
    scores, label = lowered(model)(torch.tensor([[1.4], [1.6]]))
    assert label.tolist() == [0, 1]
    assert scores[:, 0].tolist() == pytest.approx((-scores[:, 1]).tolist())
    assert usual_outputs(model) == ("scores", "label")
