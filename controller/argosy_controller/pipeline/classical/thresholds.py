"""Thresholds in float32 by which trees, and naive Bayes of zeros and ones, decide exactly as scikit-learn does.

scikit-learn compares a float32 value x with a float64 threshold t. The largest float32 that is not above t decides every x in
the same way. A scaler in front works column by column and never turns the order of values round, so `scaled(x) <= t` is
`x <= t'` for the largest float32 t' with `scaled(t') <= t`: it is looked for by bisection over all float32 with the fitted
scaler itself, rounding and all. Nothing is left of the scaler then.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from argosy_controller.pipeline.classical.families import final, members, steps
from argosy_controller.pipeline.task import Array

_LARGEST = int(np.float32(np.finfo(np.float32).max).view(np.int32))
Transform = Callable[[Array], Array]


def exact(estimator: Any) -> Any:
    """A copy of the tree or forest, without what stood in front of it, that decides in float32 on the raw columns."""
    found = copy.deepcopy(final(estimator))
    scalers = [one for _, one in steps(estimator)]
    for tree in members(found):
        inner = tree.children_left >= 0
        limits = rounded_down(tree.threshold[inner])
        if scalers:
            limits = before(limits, tree.feature[inner], found.n_features_in_, lambda rows: _scaled(scalers, rows))
        tree.threshold[inner] = limits
    return found


def of_columns(estimator: Any, limit: float) -> Array:
    """For every column the largest float32 whose value behind the scalers is not above the limit."""
    width = estimator.n_features_in_
    limits, scalers = np.full(width, limit, np.float32), [one for _, one in steps(estimator)]
    return before(limits, np.arange(width), width, lambda rows: _scaled(scalers, rows)) if scalers else limits


def rounded_down(thresholds: Array) -> Array:
    """The largest float32 that is not above each float64."""
    near = thresholds.astype(np.float32)
    found: Array = np.where(near.astype(np.float64) > thresholds, np.nextafter(near, np.float32(-np.inf)), near)
    return found


def before(thresholds: Array, columns: Array, width: int, transform: Transform) -> Array:
    """For each threshold on a column of `transform(rows)` the one on the same column of the rows themselves.

    Args:
        columns: of each threshold.
        width: columns in all.
        transform: (rows, width) float32 to the same shape, column by column, never falling.
    """
    place = np.zeros(len(thresholds), np.int64)
    for column in range(width):
        here = np.flatnonzero(columns == column)
        place[here] = np.arange(len(here))
    limits = np.zeros((place.max(initial=-1) + 1, width), np.float32)
    limits[place, columns] = thresholds
    found: Array = _bisected(limits, transform)[place, columns]
    return found


def _bisected(limits: Array, transform: Transform) -> Array:
    """The largest float32 whose image is not above the limit; the smallest where every image is."""
    low, high = np.full(limits.shape, -_LARGEST, np.int64), np.full(limits.shape, _LARGEST, np.int64)
    while (low < high).any():
        middle = (low + high + 1) >> 1
        fits = transform(_value(middle)) <= limits
        low, high = np.where(fits, middle, low), np.where(fits, high, middle - 1)
    return _value(low)


def _value(rank: Array) -> Array:
    """float32 by their rank in order, 0 for 0."""
    bits = np.where(rank < 0, -rank, rank).astype(np.int32).view(np.float32)
    found: Array = np.where(rank < 0, -bits, bits)
    return found


def _scaled(scalers: list[Any], rows: Array) -> Array:
    with np.errstate(over="ignore"):  # far out, where no data are
        for one in scalers:
            rows = one.transform(rows)
    return rows.astype(np.float32)
