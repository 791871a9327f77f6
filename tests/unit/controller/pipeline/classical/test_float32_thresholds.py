"""Trees decide in float32, without the scaler in front of them, exactly as scikit-learn does with it in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier, RandomForestRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from argosy_controller.pipeline.classical.families import members, steps, usual_outputs
from argosy_controller.pipeline.classical.fitted import Fitted
from argosy_controller.pipeline.classical.thresholds import before, exact, rounded_down

FLOATS = st.floats(-1e6, 1e6, allow_nan=False)


@given(FLOATS, st.integers(-3, 3))
def test_threshold_rounded_down_decides_every_neighbour_alike(threshold: float, ulps: int) -> None:
    rounded = rounded_down(np.array([threshold]))[0]
    value = np.float32(threshold)
    for _ in range(abs(ulps)):
        value = np.nextafter(value, np.float32(np.inf if ulps > 0 else -np.inf))
    assert bool(value <= rounded) == bool(np.float64(value) <= threshold)


def test_threshold_between_two_float32_goes_to_the_lower_one() -> None:
    low, high = np.float32(0.1), np.nextafter(np.float32(0.1), np.float32(1))
    between = (float(low) + float(high)) / 2
    assert rounded_down(np.array([between, float(low)])).tolist() == [low, low]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.sampled_from([StandardScaler, MinMaxScaler, RobustScaler, MaxAbsScaler]))
def test_threshold_before_a_scaler_is_where_its_rounded_values_change_sides(seed: int, kind: type[Any]) -> None:
    random = np.random.default_rng(seed)
    scaler = kind().fit(random.normal(random.normal(0, 50), 10 ** random.uniform(-3, 3), (40, 3)))
    limits, columns = random.normal(0, 1, 12).astype(np.float32), random.integers(0, 3, 12)
    found = before(limits, columns, 3, scaler.transform)
    for limit, column, at in zip(limits, columns, found, strict=True):
        above = np.nextafter(at, np.float32(np.inf))
        rows = np.zeros((2, 3), np.float32)
        rows[:, column] = at, above
        assert (scaler.transform(rows)[:, column] <= limit).tolist() == [True, False]


def test_clipped_scaler_that_no_value_exceeds_sends_all_to_the_left() -> None:
    scaler = MinMaxScaler(clip=True).fit(np.array([[0.0], [1.0]]))
    assert before(np.array([1.0], np.float32), np.array([0]), 1, scaler.transform)[0] == np.finfo(np.float32).max


def _at_splits(estimator: Any, seed: int, count: int = 400) -> np.ndarray:
    """Rows whose values lie at thresholds, or one float32 above or below them."""
    at: list[list[float]] = [[0.0] for _ in range(estimator.n_features_in_)]
    for tree in members(exact(estimator)):
        for column, threshold in zip(tree.feature, tree.threshold, strict=True):
            if column >= 0:
                at[column].append(threshold)
    random = np.random.default_rng(seed)
    rows = np.stack([random.choice(one, count) for one in at], axis=1).astype(np.float32)
    sides = [rows, np.nextafter(rows, np.float32(np.inf)), np.nextafter(rows, np.float32(-np.inf))]
    return np.choose(random.integers(0, 3, rows.shape), sides).astype(np.float32)


KINDS = {
    "tree": DecisionTreeClassifier(random_state=0),
    "forest": RandomForestClassifier(10, random_state=0),
    "extra": ExtraTreesClassifier(10, random_state=0),
    "regressor": RandomForestRegressor(10, random_state=0),
}


@pytest.mark.parametrize("scaler", [None, StandardScaler(), MinMaxScaler(), RobustScaler()])
@pytest.mark.parametrize("kind", KINDS)
def test_inputs_at_split_points_get_scikit_learns_own_leaves(kind: str, scaler: Any) -> None:
    from onnxruntime import InferenceSession

    random = np.random.default_rng(7)
    columns = (random.normal(1000, 1, (300, 4)) * [1e-3, 1, 1e3, 0.1]).astype(np.float32)
    targets = (columns @ [1e3, 1, 1e-3, 10] > 3100).astype(int) + (columns[:, 1] > 1000)
    estimator = KINDS[kind] if scaler is None else make_pipeline(scaler, KINDS[kind])
    model = Fitted(estimator.fit(columns, targets), "features", usual_outputs(estimator))
    session, network = InferenceSession(model.onnx()), model.network()
    assert bool(steps(estimator)) == (scaler is not None)
    for seed in range(4):
        rows = _at_splits(model.estimator, seed)
        wanted = [one.numpy() for one in model(torch.from_numpy(rows))]
        answers = network(torch.from_numpy(rows))
        in_torch = answers if isinstance(answers, tuple) else (answers,)
        for found in ([one.numpy() for one in in_torch], session.run(None, {"features": rows})):
            assert np.allclose(found[0], wanted[0], atol=1e-5)
            assert len(wanted) == 1 or np.array_equal(found[1], wanted[1])
