"""Estimators answer alike in few bits: which of their layers stay float is found without labels, from the answers themselves.

Where columns have different units, a fitted estimator may rest on small differences of large numbers, and no way to choose
scales saves it. How much that is shows in the answers to calibration examples, which cost nothing here: the models are small.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from argosy_controller.pipeline.task import Array

#: Share of the labels that may be others.
LABELS = 0.01
#: How far the first output may move (root of the mean square), as a share of its own standard deviation: a regressor's values, and
#: a classifier's scores or probabilities, of which most of the movement changes no order (votes move by whole numbers).
VALUES, SCORES = 0.05, 0.2


def strayed(wanted: Mapping[str, Array], got: Mapping[str, Array]) -> float:
    """How far answers are from those of the float file; 1.0 is as far as they may be.

    Args:
        wanted: outputs by name, examples first, in the order of the file: numbers, and of a classifier labels.
    """
    first, *labels = wanted
    numbers = wanted[first].astype(np.float64)
    moved = np.sqrt(np.mean((got[first].astype(np.float64) - numbers) ** 2)) / max(float(numbers.std(0).mean()), 1e-12)
    others = max((float(np.mean(wanted[name] != got[name])) for name in labels), default=0.0)
    return max(float(moved) / (SCORES if labels else VALUES), others / LABELS)
