"""In which order a forest's trees are worth keeping, and forests of fewer trees.

Ordered aggregation (Martinez-Munoz, Hernandez-Lobato and Suarez, An analysis of ensemble pruning techniques based on ordered
aggregation, IEEE PAMI 2009; the greedy rule is that of Caruana et al., Ensemble selection from libraries of models, ICML
2004, each tree at most once): the next tree is always the one with which the mean answer comes nearest to the targets. Nearness
is the squared error, of probabilities (Brier's score) as of values, since counts of right answers tie too often.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def tree_answers(forest: Any, rows: NDArray[np.float32]) -> Floats:
    """What each tree answers for each row: (trees, rows, classes), or (trees, rows, 1) of a regressor."""
    if hasattr(forest, "classes_"):
        return np.stack([one.predict_proba(rows) for one in forest.estimators_])
    return np.stack([one.predict(rows).reshape(len(rows), 1) for one in forest.estimators_])


def order_of_worth(answers: Floats, wanted: Floats) -> list[int]:
    """All trees, the most useful first; of two that are as useful the one that came first.

    Args:
        answers: (trees, rows, columns).
        wanted: (rows, columns): the targets' classes as ones among zeros, or values.
    """
    flat = answers.reshape(len(answers), -1)
    products, right = flat @ flat.T, flat @ wanted.reshape(-1)
    power = np.diag(products)
    chosen: list[int] = []
    with_sum, sum_power, sum_right = np.zeros(len(flat)), 0.0, 0.0  # products of the sum so far: with each tree, itself, the targets
    left = np.ones(len(flat), dtype=bool)
    for count in range(1, len(flat) + 1):
        error = (sum_power + 2 * with_sum + power) / count**2 - 2 * (sum_right + right) / count
        best = int(np.where(left, error, np.inf).argmin())
        chosen.append(best)
        left[best] = False
        sum_power += 2 * with_sum[best] + power[best]
        sum_right += right[best]
        with_sum = with_sum + products[best]
    return chosen


def with_trees(forest: Any, kept: Sequence[int]) -> Any:
    """A copy of a forest that has only those trees, in the order in which they stood."""
    result = copy.copy(forest)
    result.estimators_ = [copy.deepcopy(forest.estimators_[number]) for number in sorted(kept)]
    result.n_estimators = len(result.estimators_)
    return result
