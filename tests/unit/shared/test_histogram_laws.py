from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argosy.histogram import HIGHEST_SCALE, LOWEST_SCALE, SCALE, Histogram, bucket_index, bucket_upper, from_counts, merged
from argosy.protocol.telemetry import from_sketch, to_sketch

VALUES = st.one_of(
    st.integers(0, 1 << 40), st.integers(0, 2000), st.integers(0, 40).map(lambda n: (1 << n) + 1), st.integers(0, 40).map(lambda n: 1 << n)
)
LISTS = st.lists(VALUES, max_size=60)
SCALES = st.integers(LOWEST_SCALE, SCALE)
HISTOGRAMS = st.builds(lambda values, scale: recorded(values).coarsen(scale), LISTS, SCALES)


def recorded(values: list[int]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram


def holds(index: int, scale: int, value: int) -> bool:
    """Whether `value` lies in (base**index, base**(index + 1)], decided in whole numbers."""
    if scale >= 0:
        power = value ** (1 << scale)
        return Fraction(2) ** index < power <= Fraction(2) ** (index + 1)
    width = 1 << -scale
    return Fraction(2) ** (index * width) < value <= Fraction(2) ** ((index + 1) * width)


@given(st.integers(1, 1 << 64), SCALES)
def test_a_value_lies_in_its_bucket_exactly(value: int, scale: int) -> None:
    assert holds(bucket_index(value, scale), scale, value)


@pytest.mark.parametrize("power", [0, 1, 2, 10, 30, 52, 53, 54, 63, 64])
@pytest.mark.parametrize("scale", [-6, -1, 0, 1, 6])
def test_boundaries_are_exact_at_and_beside_powers_of_two(power: int, scale: int) -> None:
    for value in (2**power - 1, 2**power, 2**power + 1):
        assert value < 1 or holds(bucket_index(value, scale), scale, value)


@given(st.integers(-1, 64 << SCALE))
def test_every_bucket_ends_where_the_next_begins(index: int) -> None:
    upper = bucket_upper(index)
    inside, outside = math.floor(upper * (1 - 1e-12)), math.ceil(upper * (1 + 1e-12))
    assert inside < 1 or bucket_index(inside) <= index
    assert bucket_index(outside) > index


@given(HISTOGRAMS, HISTOGRAMS)
def test_merge_is_commutative(one: Histogram, two: Histogram) -> None:
    assert one.merge(two) == two.merge(one)


@given(HISTOGRAMS, HISTOGRAMS, HISTOGRAMS)
def test_merge_is_associative(one: Histogram, two: Histogram, three: Histogram) -> None:
    assert one.merge(two).merge(three) == one.merge(two.merge(three))


@given(HISTOGRAMS, HISTOGRAMS)
def test_merge_loses_no_count_and_aliases_nothing(one: Histogram, two: Histogram) -> None:
    before = one.count
    both = one.merge(two)
    both.record(7)
    assert both.count == before + two.count + 1
    assert one.count == before


@given(LISTS, LISTS)
def test_merging_equals_recording_everything_in_one(one: list[int], two: list[int]) -> None:
    assert recorded(one).merge(recorded(two)) == recorded(one + two)


@given(HISTOGRAMS, HISTOGRAMS, SCALES)
def test_coarsening_commutes_with_merging(one: Histogram, two: Histogram, scale: int) -> None:
    scale = min(scale, one.scale, two.scale)
    assert one.merge(two).coarsen(scale) == one.coarsen(scale).merge(two.coarsen(scale))


@given(LISTS, SCALES)
def test_coarsening_equals_recording_at_the_lower_scale(values: list[int], scale: int) -> None:
    low = Histogram(scale)
    for value in values:
        low.record(value)
    assert recorded(values).coarsen(scale) == low


def test_resolution_does_not_come_back() -> None:
    with pytest.raises(ValueError, match="cannot refine"):
        Histogram(2).coarsen(3)


@given(st.lists(VALUES, min_size=1, max_size=60), st.floats(0, 1))
def test_a_quantile_is_within_055_percent(values: list[int], q: float) -> None:
    exact = sorted(values)[max(1, math.ceil(q * len(values))) - 1]
    answer = recorded(values).quantile(q)
    assert answer is not None
    assert abs(answer - exact) <= 0.0055 * exact


@given(HISTOGRAMS)
def test_quantiles_exist_at_every_scale_and_never_fall(histogram: Histogram) -> None:
    answers = [histogram.quantile(q) for q in (0.0, 0.5, 0.95, 0.99, 1.0)]
    assert answers == sorted(answers, key=lambda value: value or 0.0)
    assert all((value is None) == (histogram.count == 0) for value in answers)


@pytest.mark.parametrize("q", [-0.1, 1.1, math.nan])
def test_a_quantile_that_is_no_share_is_refused(q: float) -> None:
    with pytest.raises(ValueError, match="share"):
        recorded([1]).quantile(q)


@given(LISTS, st.integers(-1, 64 << SCALE))
def test_the_share_above_a_boundary_is_exact(values: list[int], index: int) -> None:
    share = recorded(values).share_above(index)
    above = sum(1 for value in values if value > 0 and bucket_index(value) > index)
    assert share == (above / len(values) if values else None)


def test_zero_and_a_clock_that_went_back_count_as_zero() -> None:
    histogram = recorded([0, -5, 3])
    assert (histogram.zeros, histogram.count, histogram.total, histogram.quantile(0.5)) == (2, 3, 3, 0.0)


@given(VALUES, st.integers(1, 1000))
def test_recording_many_times_at_once_is_recording_them_one_by_one(value: int, times: int) -> None:
    at_once = Histogram()
    at_once.record(value, times)
    assert at_once == recorded([value] * times)


def test_nothing_merged_is_empty() -> None:
    assert merged([]) == Histogram()
    assert Histogram().quantile(0.5) is None


@given(HISTOGRAMS)
def test_the_wire_form_gives_the_same_histogram(histogram: Histogram) -> None:
    assert from_sketch(to_sketch(histogram)) == histogram


HOSTILE = [
    (LOWEST_SCALE - 1, 0, 0, {}),
    (HIGHEST_SCALE + 1, 0, 0, {}),
    (6, -1, 0, {}),
    (6, 0, -1, {}),
    (6, 0, 0, {3: 0}),
    (6, 0, 0, {3: -1}),
    (6, 0, 0, {-2: 1}),
    (6, 0, 0, {(64 << 6) + 1: 1}),
    (0, 0, 0, {65: 1}),
    (-6, 0, 0, {2: 1}),
]


@pytest.mark.parametrize("parts", HOSTILE)
def test_hostile_parts_are_refused(parts: tuple[int, int, int, dict[int, int]]) -> None:
    with pytest.raises(ValueError, match="out of range"):
        from_counts(*parts)


@given(st.integers(LOWEST_SCALE, HIGHEST_SCALE), st.data())
def test_whatever_is_accepted_can_be_merged_and_asked(scale: int, data: st.DataObject) -> None:
    highest = 64 << scale if scale >= 0 else 64 >> -scale
    buckets = data.draw(st.dictionaries(st.integers(-1, highest), st.integers(1, 1 << 50), max_size=5))
    histogram = from_counts(scale, 1, 5, buckets).merge(recorded([1, 1 << 40]))
    assert histogram.count == 3 + sum(buckets.values())
    assert 0 <= (histogram.quantile(1.0) or 0) < math.inf
    assert bucket_upper(highest, scale) < math.inf
