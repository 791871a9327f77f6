"""Goals are judged at the bad end, and say what a test set of this size cannot show."""

from __future__ import annotations

import math

import pytest

from argosy.errors import GoalsNotMet, InvalidInput
from argosy.protocol.card import Accuracy, Timing
from argosy_controller.pipeline.numbers.figures import Figures
from argosy_controller.pipeline.numbers.goals import Goals, check_goals, judge, require
from argosy_controller.pipeline.numbers.intervals import clopper_pearson, paired_difference
from argosy_controller.pipeline.numbers.metrics import BUILT_IN, Metric, right_or_wrong
from argosy_controller.pipeline.report import Drop


def _accuracy(right: int, examples: int) -> Accuracy:
    low, high = clopper_pearson(right, examples)
    return Accuracy(metric="accuracy", value=right / examples, low=low, high=high, examples=examples)


def _drop(lost: int, won: int, examples: int) -> Drop:
    low, high = paired_difference(lost, won, examples)
    return Drop(metric="accuracy", value=(lost - won) / examples, low=low, high=high, examples=examples, method="", lost=lost, won=won)


def test_a_test_set_too_small_says_how_many_examples_would_decide() -> None:
    (one,) = judge("v", Goals(accuracy_at_least=0.95), Figures(bytes=1, accuracy=_accuracy(97, 100)))
    assert one.met is False
    assert one.examples == 100
    assert one.examples_to_decide is not None
    enough = one.examples_to_decide
    assert clopper_pearson(math.floor(0.97 * enough), enough)[0] >= 0.95
    assert clopper_pearson(math.floor(0.97 * (enough * 0.98)), int(enough * 0.98))[0] < 0.95
    with pytest.raises(GoalsNotMet, match=f"100 examples are too few to decide, about {enough:,} would"):
        require([one])


def test_a_perfect_score_on_few_examples_is_too_few_to_decide() -> None:
    (one,) = judge("v", Goals(accuracy_at_least=0.99), Figures(bytes=1, accuracy=_accuracy(100, 100)))
    assert one.met is False
    assert one.examples_to_decide == pytest.approx(math.log(0.025) / math.log(0.99), rel=0.006)  # 368


def test_a_missed_goal_that_no_score_could_have_reached_says_so() -> None:
    (one,) = judge("v", Goals(accuracy_at_least=0.99), Figures(bytes=1, accuracy=_accuracy(98, 100)))
    assert one.examples_to_decide is None
    assert one.note == "not even 100 right answers of 100 would prove it: 368 examples are the least"


def test_a_plainly_missed_goal_says_nothing_of_examples() -> None:
    (one,) = judge("v", Goals(accuracy_at_least=0.9), Figures(bytes=1, accuracy=_accuracy(800, 1000)))
    assert (one.examples_to_decide, one.note) == (None, "")


def test_drop_is_judged_at_its_high_end_and_says_how_many_would_decide() -> None:
    figures = Figures(bytes=1, drop=_drop(3, 1, 719))
    (met,) = judge("v", Goals(accuracy_drop_at_most=0.02), figures)
    assert figures.drop is not None
    assert (met.met, met.judged) == (True, figures.drop.high)
    (few,) = judge("v", Goals(accuracy_drop_at_most=0.005), figures)
    assert few.met is False
    assert few.examples_to_decide is not None
    scale = few.examples_to_decide / 719
    assert paired_difference(math.ceil(3 * scale), math.floor(scale), few.examples_to_decide)[1] <= 0.00501


def test_error_of_a_share_is_what_is_missing_to_one() -> None:
    (one,) = judge("v", Goals(error_at_most=0.0164), Figures(bytes=1, accuracy=_accuracy(9850, 10_000)))
    assert one.value == pytest.approx(0.015)
    assert one.judged == pytest.approx(1 - clopper_pearson(9850, 10_000)[0])
    assert one.met is False
    assert one.examples_to_decide is not None
    assert one.examples_to_decide > 10_000


def test_error_metric_is_judged_at_its_high_end_and_scaled_to_decide() -> None:
    rmse = Accuracy(metric="rmse", value=2.0, low=1.8, high=2.3, examples=100, higher_is_better=False)
    (one,) = judge("v", Goals(error_at_most=2.1), Figures(bytes=1, accuracy=rmse, best=math.inf, counted=False))
    assert (one.met, one.judged, one.examples_to_decide) == (False, 2.3, 900)
    (met,) = judge("v", Goals(error_at_most=2.3), Figures(bytes=1, accuracy=rmse, best=math.inf, counted=False))
    assert met.met is True


def test_speed_and_size_are_judged_as_measured() -> None:
    goals = Goals(p50_us_at_most=20, p99_us_at_most=50, macs_at_most=100, parameters_at_most=10, not_zero_at_most=5)
    figures = Figures(bytes=1, timing=Timing(runtime="onnxruntime", p50_us=19, p99_us=51), macs=100, parameters=11, not_zero=5)
    assert {one.goal: one.met for one in judge("v", goals, figures)} == {
        "p50_us_at_most": True,
        "p99_us_at_most": False,
        "macs_at_most": True,
        "parameters_at_most": False,
        "not_zero_at_most": True,
    }


def test_what_cannot_be_measured_here_decides_nothing() -> None:
    goals = Goals(p50_us_at_most=20, accuracy_drop_at_most=0.01, error_at_most=0.1)
    rows = judge("coreml-fp16", goals, Figures(bytes=1))
    assert [one.met for one in rows] == [None, None, None]
    require(rows)


@pytest.mark.parametrize(
    ("goals", "metric", "says"),
    [
        (Goals(accuracy_at_least=0.9), BUILT_IN["rmse"], "less is better: use error_at_most"),
        (Goals(metric_at_least=2.0), BUILT_IN["auc"], "at most 1: ask for less"),
        (Goals(error_at_most=0.1), Metric("psnr", lambda outputs, targets: 30.0, high=math.inf), "has no best value"),
    ],
)
def test_a_goal_that_cannot_be_asked_is_refused_before_training(goals: Goals, metric: Metric, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        check_goals(goals, metric)


def test_goals_that_fit_are_not_refused() -> None:
    check_goals(Goals(accuracy_at_least=0.9, error_at_most=0.1), right_or_wrong("accuracy", lambda outputs, targets: targets))
    check_goals(Goals(error_at_most=3.0), BUILT_IN["rmse"])
