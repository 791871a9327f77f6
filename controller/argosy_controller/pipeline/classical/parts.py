"""Pipelines of scikit-learn taken apart and put together again: the step that decides, its trees, the rows that reach it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from argosy_controller.pipeline.classical.families import FORESTS, final, steps


def with_final(estimator: Any, last: Any) -> Any:
    """A copy of a pipeline with another last step, or that step where there is no pipeline."""
    if final(estimator) is estimator:
        return last
    result = copy.copy(estimator)
    result.steps = [*estimator.steps[:-1], (estimator.steps[-1][0], last)]
    return result


def reaching_final(estimator: Any, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows (rows, columns) as the scalers in front hand them to the last step, rounded to single precision as trees do."""
    for _, scaler in steps(estimator):
        rows = scaler.transform(rows)
    return np.ascontiguousarray(rows, dtype=np.float32)


def with_changed_trees(last: Any, change: Callable[[int, Any], Any]) -> Any:
    """A copy of a tree or forest, every Tree replaced by what `change` makes of its number and itself.

    What `change` gives is a new Tree; the old ones stay as they are.
    """
    if not isinstance(last, FORESTS):
        return _with_tree(last, change(0, last.tree_))
    result = copy.copy(last)
    result.estimators_ = [_with_tree(one, change(number, one.tree_)) for number, one in enumerate(last.estimators_)]
    return result


def _with_tree(estimator: Any, tree: Any) -> Any:
    result = copy.copy(estimator)
    result.tree_ = tree
    return result
