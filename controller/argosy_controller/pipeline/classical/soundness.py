"""Whether what an estimator learnt holds together: files may be damaged, and compiled code looks at nothing before it reads."""

from __future__ import annotations

from typing import Any

import numpy as np

from argosy.errors import InvalidInput
from argosy_controller.pipeline.classical.content import numbers
from argosy_controller.pipeline.classical.families import CLASSIFIERS, MACHINES, final, has_trees, members, steps
from argosy_controller.pipeline.task import Array


def check_sound(estimator: Any, what: str) -> None:
    """Looks a fitted estimator over.

    Args:
        what: names it in messages: a file, or the task's model.

    Raises:
        InvalidInput: it answers several questions at once or knows one class only, learnt from sparse data, or its numbers are
            not finite or contradict one another.
    """
    last = final(estimator)
    kind = type(last).__name__
    if _several(last):
        raise InvalidInput(f"{kind} in {what} has several targets: fit one estimator for each")
    if isinstance(last, CLASSIFIERS) and len(last.classes_) < 2:
        raise InvalidInput(f"{kind} in {what} was fitted on one class only: fit it on two classes or more")
    if any(not isinstance(one, np.ndarray) for one in _arrays(last)):
        raise InvalidInput(f"{kind} in {what} holds sparse numbers: fit it on dense data, or call densify()")
    for one in numbers(estimator):
        if not np.isfinite(one).all():
            raise InvalidInput(f"{kind} in {what} has numbers that are not finite (NaN or infinity): fit it again")
    if not _holds_together(estimator):
        raise InvalidInput(f"{kind} in {what} is damaged: its numbers contradict one another; fit and save it again")


def _several(last: Any) -> bool:
    """More than one target."""
    if isinstance(last, CLASSIFIERS):
        targets = getattr(getattr(last, "_label_binarizer", None), "y_type_", "")
        return not isinstance(last.classes_, np.ndarray) or str(targets).startswith("multilabel")
    rows = np.atleast_2d(last.coef_).shape[0] if isinstance(vars(last).get("coef_"), np.ndarray) else 1
    return rows != 1 or getattr(last, "n_outputs_", 1) != 1


def _arrays(last: Any) -> list[Any]:
    return [vars(last)[name] for name in ("coef_", "support_vectors_", "dual_coef_", "_dual_coef_") if name in vars(last)]


def _holds_together(estimator: Any) -> bool:
    last, columns = final(estimator), estimator.n_features_in_
    if any(one.n_features_in_ != columns for one in (last, *(step for _, step in steps(estimator)))):
        return False
    if has_trees(last):
        values = len(last.classes_) if isinstance(last, CLASSIFIERS) else 1
        return bool(members(last)) and all(_is_tree(one, columns, values) for one in members(last))
    if isinstance(last, MACHINES):
        return _is_machine(last, columns)
    return all(_fits(one, columns) for one in _arrays(last))


def _is_tree(tree: Any, columns: int, values: int) -> bool:
    """Children come after their parent, each has one, and inner nodes look at columns that there are."""
    left, right = tree.children_left, tree.children_right
    inner = left >= 0
    nodes = np.arange(tree.node_count)
    if (inner != (right >= 0)).any() or tree.value.shape != (tree.node_count, 1, values) or not len(nodes):
        return False
    children = np.concatenate([left[inner], right[inner]])
    apart = np.array_equal(np.sort(children), nodes[1:])
    below = bool((left[inner] > nodes[inner]).all() and (right[inner] > nodes[inner]).all())
    return apart and below and bool(((tree.feature[inner] >= 0) & (tree.feature[inner] < columns)).all()) and tree.max_depth == _depth(tree)


def _depth(tree: Any) -> int:
    depth = np.zeros(tree.node_count, np.int64)
    for node in np.flatnonzero(tree.children_left >= 0):
        depth[[tree.children_left[node], tree.children_right[node]]] = depth[node] + 1
    return int(depth.max())


def _is_machine(last: Any, columns: int) -> bool:
    vectors, coefficients = last.support_vectors_, last._dual_coef_
    classes = len(last.classes_) if isinstance(last, CLASSIFIERS) else 2
    counted = int(np.sum(last._n_support)) == len(vectors) if isinstance(last, CLASSIFIERS) else True
    return bool(
        vectors.ndim == 2
        and vectors.shape[1] == columns
        and coefficients.shape == (classes - 1, len(vectors))
        and last.dual_coef_.shape == coefficients.shape
        and last.intercept_.size == last._intercept_.size == classes * (classes - 1) // 2
        and len(last.support_) == len(vectors)
        and counted
    )


def _fits(coefficients: Array, columns: int) -> bool:
    return bool(coefficients.shape[-1] == columns)
