"""Ranges of activations: against cases computed by hand, and as laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from argosy.errors import InvalidInput
from argosy_controller.pipeline.exporters.calibration import BINS, Histogram, chosen_range, divergence, observed_ranges, squared_error
from argosy_controller.pipeline.exporters.options import Method

METHODS: list[Method] = ["minmax", "percentile", "entropy", "mse"]


def _histogram(values: np.ndarray) -> Histogram:
    low, high = float(values.min()), float(values.max())
    return Histogram(np.histogram(values, BINS, (low, high))[0], low, high)


def test_minmax_covers_all_batches() -> None:
    batches = [{"a": np.float32([1, 2])}, {"a": np.float32([-3, 0]), "b": np.float32([5])}]
    assert observed_ranges(lambda: batches, "minmax", 99.99, False) == {"a": (-3.0, 2.0), "b": (5.0, 5.0)}
    assert observed_ranges(lambda: batches, "minmax", 99.99, True) == {"a": (-3.0, 3.0), "b": (-5.0, 5.0)}


def test_percentile_cuts_the_same_share_at_both_ends() -> None:
    """1,000 values 0 to 999, 98 %: 10 go at each end; a bin is 999 / 4096 wide."""
    low, high = chosen_range(_histogram(np.arange(1000.0)), "percentile", 98)
    assert low == pytest.approx(10, abs=0.5)
    assert high == pytest.approx(989, abs=0.5)


def test_percentile_of_100_is_minmax() -> None:
    histogram = _histogram(np.random.default_rng(0).normal(size=1000))
    assert chosen_range(histogram, "percentile", 100) == (histogram.low, histogram.high)


def test_squared_error_of_values_on_the_steps_is_nearly_0_and_of_cut_values_is_their_distance() -> None:
    """Two bins at 0.25 and 0.75, 4 steps from 0 to 1: both are steps. To 0.5: the second is off by 0.25, 7 times."""
    histogram = Histogram(np.array([3, 7]), 0.0, 1.0)
    assert squared_error(histogram, 0.0, 1.0, steps=4) == pytest.approx(0)
    assert squared_error(histogram, 0.0, 0.5, steps=2) == pytest.approx(7 * 0.25**2)


def test_divergence_of_a_distribution_that_levels_keep_is_0() -> None:
    assert divergence(Histogram(np.full(64, 5), 1.0, 2.0), 1.0, 2.0, levels=8) == pytest.approx(0)


def test_divergence_against_a_hand_computed_case() -> None:
    """Bins 1, 3, 2, 2 in 2 levels: q is 2, 2, 2, 2; P = 1/8 3/8 1/4 1/4, Q = 1/4 each."""
    expected = 1 / 8 * np.log(1 / 2) + 3 / 8 * np.log(3 / 2)
    assert divergence(Histogram(np.array([1, 3, 2, 2]), 1.0, 2.0), 1.0, 2.0, levels=2) == pytest.approx(expected)


@pytest.mark.parametrize("method", ["mse", "entropy"])
def test_a_far_outlier_is_cut_and_a_flat_distribution_is_not(method: Method) -> None:
    random = np.random.default_rng(0)
    outlier = np.append(random.normal(0, 1, 1_000_000).clip(-3, 3), 12.0)
    assert chosen_range(_histogram(outlier), method)[1] < 9
    flat = random.uniform(-1, 1, 100_000)
    assert chosen_range(_histogram(flat), method) == pytest.approx((-1, 1), abs=0.05)


def test_mse_is_never_worse_than_minmax() -> None:
    for seed in range(5):
        histogram = _histogram(np.random.default_rng(seed).standard_t(3, 5000))
        assert squared_error(histogram, *chosen_range(histogram, "mse")) <= squared_error(histogram, histogram.low, histogram.high)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=50), st.sampled_from(METHODS), st.booleans())
def test_every_range_lies_in_what_was_seen(values: list[float], method: Method, symmetric: bool) -> None:
    array = np.float32(values)
    low, high = observed_ranges(lambda: [{"a": array}], method, 99.0, symmetric)["a"]
    reach = float(np.abs(array).max()) * (1 + 1e-6)
    assert low <= high
    assert -reach <= low and high <= reach
    if symmetric:
        assert low == -high


def test_the_order_of_examples_does_not_matter() -> None:
    values = np.random.default_rng(1).normal(size=(8, 100)).astype(np.float32)
    for method in METHODS:
        one = observed_ranges(lambda: [{"a": part} for part in values], method, 99.9, False)
        two = observed_ranges(lambda: [{"a": values[::-1]}], method, 99.9, False)
        assert one == two


def test_a_tensor_that_is_not_finite_is_refused_by_name() -> None:
    with pytest.raises(InvalidInput, match="'exp' of the model becomes NaN or infinite on calibration data"):
        observed_ranges(lambda: [{"exp": np.float32([1, np.inf])}], "minmax", 99.9, False)
