"""Support-vector reduction: coefficients by hand, exactness where nothing is lost, and the goal."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris
from sklearn.svm import SVC, SVR

from argosy_controller.pipeline.classical.support_vectors import Machine, machine_of, order_of_use, refitted, with_machine


def _linear(one: Any, two: Any) -> Any:
    return one @ two.T


def test_coefficient_of_one_vector_for_two_worked_out_by_hand() -> None:
    """Vectors 1 and 3 with coefficients 0.5 and 0.5 make the weight 2, which 5 makes with 0.4; with 5 and -0.4 it is 0."""
    machine = Machine(np.array([[1.0], [3.0], [5.0]]), np.array([[0.5, 0.5, -0.4]]), (2, 1), _linear)
    fewer = refitted(machine, [np.array([[2.0]]), np.zeros((0, 1))])
    assert fewer.counts == (1, 0)
    np.testing.assert_allclose(fewer.coefficients, [[0.0]], atol=1e-9)
    alone = refitted(Machine(np.array([[1.0], [3.0]]), np.array([[0.5, 0.5]]), (2,), _linear), [np.array([[5.0]])])
    np.testing.assert_allclose(alone.coefficients, [[0.4]])


def test_vector_that_explains_most_is_chosen_first() -> None:
    """Sums are 3 a with a = (1, 0) and 1 b with b = (0, 1); c = (0.9, 0.1) is not used, but near a: it comes last."""
    vectors = np.array([[0.0, 1.0], [1.0, 0.0], [0.9, 0.1]])
    assert order_of_use(vectors @ vectors.T, np.array([[0.0, 3.0, 0.0], [1.0, 0.0, 0.0]])) == [1, 0, 2]


@pytest.mark.parametrize("kernel", ["rbf", "poly", "sigmoid", "linear"])
@pytest.mark.parametrize("classes", [2, 3])
def test_all_vectors_give_the_same_decisions(kernel: Any, classes: int) -> None:
    table = load_iris()
    rows = (table.data - table.data.mean(0))[table.target < classes][:, :2]
    svm = SVC(kernel=kernel, gamma=0.2, coef0=0.1).fit(rows, table.target[table.target < classes])
    machine = machine_of(svm)
    same = with_machine(svm, refitted(machine, [machine.vectors[group] for group in machine.groups]))
    np.testing.assert_allclose(same.decision_function(rows), svm.decision_function(rows), atol=1e-3)
    np.testing.assert_array_equal(same.predict(rows), svm.predict(rows))


def test_linear_machine_needs_no_more_vectors_than_columns() -> None:
    table = load_iris()
    svm = SVC(kernel="linear").fit(table.data, table.target)
    machine = machine_of(svm)
    orders = [
        order_of_use(_linear(vectors, vectors), machine.coefficients[:, group])
        for group in machine.groups
        for vectors in [machine.vectors[group]]
    ]
    fewer = [machine.vectors[group][order[:4]] for group, order in zip(machine.groups, orders, strict=True)]
    smaller = with_machine(svm, refitted(machine, fewer))
    np.testing.assert_allclose(smaller.decision_function(table.data), svm.decision_function(table.data), atol=1e-6)
    assert len(smaller.support_vectors_) < len(svm.support_vectors_)


@pytest.mark.parametrize("method", ["select", "centres"])
def test_goal_keeps_fewer_vectors_the_more_may_be_lost(given: Any, applied: Any, method: str) -> None:
    model, context, notes = given(SVC())
    counts = [
        len(applied("reduce-vectors", model, context, method=method, drop_at_most=drop).estimator.support_vectors_) for drop in (0.0, 1.0)
    ]
    assert len(model.estimator.support_vectors_) > counts[0] >= counts[1] == 2
    assert notes[0] == f"{counts[0]} of {len(model.estimator.support_vectors_)} support vectors, by 70 validation examples"


def test_regressor_keeps_its_curve_with_a_quarter_of_its_vectors(given: Any, applied: Any) -> None:
    model, context, _ = given(SVR(C=10))
    smaller = applied("reduce-vectors", model, context, share=0.25)
    rows = torch.from_numpy(context.data.test.inputs["features"])
    assert (smaller(rows)[0] - model(rows)[0]).abs().mean() < 0.05
    assert len(smaller.estimator.support_vectors_) <= 0.25 * len(model.estimator.support_vectors_) + 1
