"""Intervals cover the truth as often as they say: by counting all outcomes where they are exact, by simulation where not."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, multinomial, norm
from scipy.stats import bootstrap as scipys

from argosy_controller.pipeline.numbers.comparison import drop, scored
from argosy_controller.pipeline.numbers.intervals import bootstrap, clopper_pearson, drop_is_below, enough_examples, paired_difference
from argosy_controller.pipeline.numbers.metrics import BUILT_IN, right_or_wrong

SIMULATIONS = 400
#: Three standard errors of that many simulations at 95 %, and what BCa is known to fall short by on small sets.
TOLERANCE = 3 * (0.95 * 0.05 / SIMULATIONS) ** 0.5 + 0.01


@pytest.mark.parametrize("examples", [5, 40, 200])
def test_exact_interval_of_a_share_covers_every_share_at_least_95_percent(examples: int) -> None:
    ends = np.array([clopper_pearson(right, examples) for right in range(examples + 1)])
    for share in np.linspace(0.01, 0.99, 99):
        inside = (ends[:, 0] <= share) & (share <= ends[:, 1])
        assert binom.pmf(np.arange(examples + 1), examples, share)[inside].sum() >= 0.95


@pytest.mark.parametrize("examples", [6, 11])
def test_exact_interval_of_a_paired_drop_covers_every_drop_at_least_95_percent(examples: int) -> None:
    tables = [(lost, won) for lost, won in itertools.product(range(examples + 1), repeat=2) if lost + won <= examples]
    ends = np.array([paired_difference(lost, won, examples) for lost, won in tables])
    cells = np.array([(lost, won, examples - lost - won) for lost, won in tables])
    for differ, part in itertools.product((0.02, 0.1, 0.3, 0.6, 0.95), (0.0, 0.2, 0.5, 0.7, 1.0)):
        chances = [differ * part, differ * (1 - part), 1 - differ]
        truth = chances[0] - chances[1]
        inside = (ends[:, 0] - 1e-12 <= truth) & (truth <= ends[:, 1] + 1e-12)
        assert multinomial.pmf(cells, examples, chances)[inside].sum() >= 0.95


@pytest.mark.parametrize(("lost_share", "won_share"), [(0.0, 0.0), (0.01, 0.004), (0.05, 0.05), (0.08, 0.01)])
def test_paired_interval_of_a_thousand_examples_covers_the_truth(lost_share: float, won_share: float) -> None:
    random, covered, known = np.random.default_rng(1), 0, dict[tuple[int, int], tuple[float, float]]()
    for _ in range(SIMULATIONS):
        lost, won, _ = random.multinomial(1000, [lost_share, won_share, 1 - lost_share - won_share]).tolist()
        if (lost, won) not in known:
            truth = lost_share - won_share
            known[lost, won] = float(not drop_is_below(lost, won, 1000, truth)), float(not drop_is_below(won, lost, 1000, -truth))
        covered += all(known[lost, won])
    assert covered / SIMULATIONS >= 0.95 - 3 * (0.95 * 0.05 / SIMULATIONS) ** 0.5


def test_paired_interval_is_narrower_than_one_of_two_separate_shares() -> None:
    low, high = paired_difference(50, 40, 10_000)
    assert -0.001 < low < 0.001 < high < 0.0031
    first, second = clopper_pearson(9_800, 10_000), clopper_pearson(9_790, 10_000)
    assert high - low < 0.5 * ((first[1] - first[0]) + (second[1] - second[0]))


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 400), st.data())
def test_paired_interval_holds_the_drop_and_turns_over_with_the_models(examples: int, data: st.DataObject) -> None:
    lost = data.draw(st.integers(0, examples))
    won = data.draw(st.integers(0, examples - lost))
    low, high = paired_difference(lost, won, examples)
    assert -1 <= low <= (lost - won) / examples <= high <= 1
    assert paired_difference(won, lost, examples) == (-high, -low)


def test_no_difference_seen_is_not_no_difference() -> None:
    low, high = paired_difference(0, 0, 719)
    assert low == -high
    assert 3.5 / 719 < high < 7 / 719


def test_bca_is_scipys() -> None:
    sample = np.random.default_rng(0).exponential(1, 60)
    ours = bootstrap(lambda weights: weights @ sample / weights.sum(axis=1), 60, draws=20_000)
    theirs = scipys((sample,), np.mean, n_resamples=20_000, method="BCa", rng=1).confidence_interval
    assert ours == pytest.approx((theirs.low, theirs.high), rel=0.01)


def _tumours(random: Any, examples: int) -> tuple[Any, Any]:
    targets = (random.random(examples) < 0.3).astype(np.int64)
    return random.normal(0, 1, examples) + 1.5 * targets, targets


def test_bca_of_auc_covers_the_truth_about_95_percent() -> None:
    random, truth = np.random.default_rng(2), norm.cdf(1.5 / np.sqrt(2))
    covered = 0
    for seed in range(SIMULATIONS):
        scores, targets = _tumours(random, 100)
        found = bootstrap(BUILT_IN["auc"].statistic({"y": scores}, targets), 100, draws=600, seed=seed)
        assert found is not None
        covered += found[0] <= truth <= found[1]
    assert abs(covered / SIMULATIONS - 0.95) <= TOLERANCE


def test_bca_of_f1_covers_the_truth_about_95_percent() -> None:
    # Class 1 with chance 0.4, found with 0.8, and wrongly named with 0.1: F1 = 2 x .32 / (2 x .32 + .06 + .08).
    random, truth = np.random.default_rng(3), 0.64 / 0.78
    covered = 0
    for seed in range(SIMULATIONS):
        targets = (random.random(150) < 0.4).astype(np.int64)
        answers = np.where(targets == 1, random.random(150) < 0.8, random.random(150) < 0.1).astype(np.int64)
        found = bootstrap(BUILT_IN["f1"].statistic({"y": answers}, targets), 150, draws=600, seed=seed)
        assert found is not None
        covered += found[0] <= truth <= found[1]
    assert abs(covered / SIMULATIONS - 0.95) <= TOLERANCE


def test_bca_of_a_paired_drop_of_rmse_covers_the_truth_about_95_percent() -> None:
    random, covered = np.random.default_rng(4), 0
    metric = BUILT_IN["rmse"]
    truth = np.sqrt(1 + 0.3**2) - 1
    for seed in range(SIMULATIONS):
        first = random.normal(0, 1, 150)
        second = first + random.normal(0, 0.3, 150)
        one, other = (metric.statistic({"y": each}, np.zeros(150)) for each in (first, second))
        found = bootstrap(lambda weights, one=one, other=other: other(weights) - one(weights), 150, draws=600, seed=seed)  # type: ignore[misc]
        assert found is not None
        covered += found[0] <= truth <= found[1]
    assert abs(covered / SIMULATIONS - 0.95) <= TOLERANCE


def test_ten_thousand_examples_take_bounded_memory_and_the_same_seed_gives_the_same() -> None:
    scores, targets = _tumours(np.random.default_rng(5), 10_000)
    statistic = BUILT_IN["auc"].statistic({"y": scores}, targets)
    sizes: list[int] = []

    def watched(weights: Any) -> Any:
        sizes.append(weights.nbytes)
        return statistic(weights)

    assert bootstrap(watched, 10_000, draws=400) == bootstrap(statistic, 10_000, draws=400)
    assert max(sizes) <= 16_000_000


def test_drop_is_of_the_same_examples_and_tells_how_many_were_lost_and_won() -> None:
    targets = np.zeros(100, np.int64)
    before, after = np.tile([1.0, 0.0], (100, 1)), np.tile([1.0, 0.0], (100, 1))
    after[:5], before[99] = [0.0, 1.0], [0.0, 1.0]
    metric = right_or_wrong("accuracy", lambda outputs, wanted: outputs["y"].argmax(axis=1) == wanted)
    found = drop(metric, scored(metric, {"y": before}, targets), scored(metric, {"y": after}, targets))
    assert (found.lost, found.won, found.value) == (5, 1, 0.04)
    assert found.low < 0.04 < found.high
    right = BUILT_IN["f1-macro"]
    macro = drop(right, scored(right, {"y": before}, targets), scored(right, {"y": after}, targets))
    assert macro.lost is None
    assert "BCa" in macro.method


def test_drop_of_an_error_is_positive_when_it_grows() -> None:
    random, metric = np.random.default_rng(6), BUILT_IN["rmse"]
    targets, noise = random.normal(0, 1, 200), random.normal(0, 0.1, 200)
    good, bad = scored(metric, {"y": targets + noise}, targets), scored(metric, {"y": targets + 2 * noise}, targets)
    assert drop(metric, good, bad).low > 0
    assert drop(metric, bad, good).high < 0


def test_the_number_of_examples_that_would_decide_is_found_within_half_a_percent() -> None:
    found = enough_examples(lambda count: count >= 123_456, 100)
    assert found is not None
    assert 123_456 <= found <= 1.006 * 123_456
    assert enough_examples(lambda count: False, 100) is None
