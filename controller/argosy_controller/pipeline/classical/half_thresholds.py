"""Thresholds of trees as 16-bit floating-point numbers where no training example then goes another way.

A threshold may lie anywhere in the gap between the largest value that goes left and the smallest that goes right; trees
put it in the middle. Where the gap holds a number of binary16 (IEEE 754), the nearest such number takes its place. What
it is worth: 13 of 32 bits of each such threshold are 0, which packs well; and it is the same number in every precision,
so that no runtime rounds it across an example.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_NO_CHILD = -1


def half_within(threshold: float, least: float, below: float) -> float | None:
    """The binary16 number nearest to the threshold with least <= number < below; None when the gap holds none."""
    with np.errstate(over="ignore"):
        nearest = np.float16(threshold)
        side = np.float16(np.inf if float(nearest) < threshold else -np.inf)
        around = (float(nearest), float(np.nextafter(nearest, side)))  # one on each side: the gap holds the threshold itself
    return next((one for one in around if np.isfinite(one) and least <= one < below), None)


def rounded_thresholds(tree: Any, rows: NDArray[np.float32]) -> tuple[NDArray[np.float64], int]:
    """A Tree's thresholds (nodes,) rounded where the rows (rows, features) allow it, and how many are binary16 numbers then.

    Thresholds of leaves stay as they are and are not counted.
    """
    found, count = tree.threshold.copy(), 0
    waiting = [(0, np.arange(len(rows)))]
    while waiting:
        node, here = waiting.pop()
        if tree.children_left[node] == _NO_CHILD:
            continue
        values = rows[here, tree.feature[node]].astype(np.float64)
        goes_left = values <= tree.threshold[node]
        half = half_within(float(tree.threshold[node]), values[goes_left].max(initial=-np.inf), values[~goes_left].min(initial=np.inf))
        if half is not None:
            found[node], count = half, count + 1
        waiting += [(tree.children_left[node], here[goes_left]), (tree.children_right[node], here[~goes_left])]
    return found, count
