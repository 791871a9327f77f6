"""Cost-complexity pruning: prices by hand, and scikit-learn's own path for whole trees."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from argosy_controller.pipeline.classical.tree_pruning import collapse_alphas, without_branches


def test_prices_of_a_tree_worked_out_by_hand() -> None:
    """Eight rows: left 4 of class 0; right 3 of class 1 and 1 of class 0, split once more.

    Gini of the root: 1 - (5/8)^2 - (3/8)^2 = 0.46875. The right node has 1 - (3/4)^2 - (1/4)^2 = 0.375 with half of the
    weight: risk 0.1875. Its one split saves all of it: alpha 0.1875. The root saves 0.46875 - 0.1875 = 0.28125 then.
    """
    rows = np.array([[0], [1], [2], [3], [4], [5], [6], [7]], dtype=np.float32)
    tree = DecisionTreeClassifier().fit(rows, [0, 0, 0, 0, 1, 1, 1, 0]).tree_
    alphas = collapse_alphas(tree)
    assert sorted(alphas[np.isfinite(alphas)].tolist()) == pytest.approx([0.1875, 0.28125])
    smaller = without_branches(tree, alphas <= 0.2)
    assert (smaller.node_count, smaller.max_depth) == (3, 1)
    np.testing.assert_allclose(smaller.predict(rows[[0, 5, 7]])[:, :2], [[1, 0], [0.25, 0.75], [0.25, 0.75]])
    assert without_branches(tree, alphas <= 1).node_count == 1
    assert tree.node_count == 5


@settings(max_examples=25, deadline=None)
@drawn(st.integers(0, 1000), st.booleans())
def test_pruned_trees_are_those_of_scikit_learn(seed: int, regress: bool) -> None:
    random = np.random.default_rng(seed)
    rows, targets = random.normal(size=(60, 3)).astype(np.float32), random.integers(0, 3, 60)
    kind = DecisionTreeRegressor if regress else DecisionTreeClassifier
    grown = kind(random_state=seed).fit(rows, targets)
    path = grown.cost_complexity_pruning_path(rows, targets).ccp_alphas
    for alpha in (path[:-1] + path[1:])[:: max(1, len(path) // 4)] / 2:
        wanted = kind(random_state=seed, ccp_alpha=alpha).fit(rows, targets).tree_
        found = without_branches(grown.tree_, collapse_alphas(grown.tree_) <= alpha)
        assert found.node_count == wanted.node_count
        assert found.max_depth == wanted.max_depth
        np.testing.assert_array_equal(found.predict(rows), wanted.predict(rows))


def test_goal_prunes_as_far_as_validation_data_allow(given: Any, applied: Any) -> None:
    model, context, notes = given(DecisionTreeClassifier())
    gentle, bold = (applied("prune-tree", model, context, drop_at_most=drop) for drop in (0.0, 0.5))
    nodes = [one.estimator.tree_.node_count for one in (model, gentle, bold)]
    assert nodes[0] > nodes[1] >= nodes[2] == 1
    assert "by 70 validation examples" in notes[0]
    assert notes[1] == f"{nodes[1]} of {nodes[0]} nodes are left"


def test_given_alpha_needs_no_validation_data(given: Any, applied: Any, without_validation: Any) -> None:
    model, context, notes = given(RandomForestClassifier(5))
    smaller = applied("prune-tree", model, without_validation(context), alpha=0.01)
    assert len(smaller.weights()) == len(model.weights())
    assert sum(one.numel() for one in smaller.weights()) < sum(one.numel() for one in model.weights())
    assert len(notes) == 1
