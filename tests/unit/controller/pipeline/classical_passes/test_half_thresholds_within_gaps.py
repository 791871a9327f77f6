"""Thresholds of 16 bits: by hand, as a law, and no training example on another way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume
from hypothesis import given as drawn
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from argosy_controller.pipeline.classical.half_thresholds import half_within, rounded_thresholds

_VALUES = st.floats(-1e5, 1e5, allow_nan=False)


@pytest.mark.parametrize(
    ("threshold", "least", "below", "half"),
    [
        (0.1, 0.0, 1.0, 0.0999755859375),  # the nearest: 1638 / 2^14
        (0.1, 0.09998, 1.0, 0.10003662109375),  # the next one, since the nearest would send 0.09998 right
        (0.1, 0.09998, 0.10003, None),  # none lies between
        (0.1, 0.0999755859375, 1.0, 0.0999755859375),  # a value equal to the threshold goes left
        (1e6, 7e4, 2e6, None),  # beyond 65504
        (0.5, 0.4999, 0.5001, 0.5),
    ],
)
def test_nearest_half_in_the_gap(threshold: float, least: float, below: float, half: float | None) -> None:
    assert half_within(threshold, least, below) == half


@drawn(st.lists(_VALUES, min_size=3, max_size=3).map(sorted), st.floats(width=16, allow_nan=False, allow_infinity=False))
def test_found_half_lies_in_the_gap_and_is_found_where_there_is_one(values: list[float], other: float) -> None:
    least, threshold, below = values
    assume(threshold < below)
    found = half_within(threshold, least, below)
    if found is not None:
        assert least <= found < below
        assert float(np.float16(found)) == found
    assert found is not None or not least <= other < below


@pytest.mark.parametrize("scaled", [False, True])
def test_training_data_keep_their_answers_exactly(given: Any, applied: Any, scaled: bool) -> None:
    forest = RandomForestClassifier(5)
    model, context, notes = given(make_pipeline(StandardScaler(), forest) if scaled else forest)
    result = applied("round-thresholds", model, context)
    rows = torch.from_numpy(context.data.train.inputs["features"])
    assert torch.equal(result(rows)[0], model(rows)[0])
    halves = total = 0
    for tree in (one.tree_ for one in result.estimator.estimators_):
        thresholds = tree.threshold[tree.children_left >= 0]
        halves, total = halves + int((thresholds == thresholds.astype(np.float16)).sum()), total + len(thresholds)
    assert notes == [f"{halves} of {total} thresholds are 16-bit numbers, the others have none in their gap"]
    assert halves > 0.9 * total


def test_thresholds_stay_where_the_data_lie_closer_than_halves(given: Any) -> None:
    from sklearn.tree import DecisionTreeClassifier

    rows = np.array([[1000.1], [1000.2]], dtype=np.float32)
    tree = DecisionTreeClassifier().fit(rows, [0, 1]).tree_
    thresholds, count = rounded_thresholds(tree, rows)
    assert count == 0
    assert thresholds[0] == tree.threshold[0]
