"""What a task may be judged by: the same figures as scikit-learn, weighed or copied, and a sentence for what cannot be."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score, r2_score, roc_auc_score, root_mean_squared_error

from argosy.errors import InvalidInput
from argosy_controller.pipeline.numbers.comparison import scored
from argosy_controller.pipeline.numbers.evaluation import judged
from argosy_controller.pipeline.numbers.metrics import BUILT_IN, Metric, f1
from argosy_controller.pipeline.task import Data, Split, Task

RANDOM = np.random.default_rng(5)
TARGETS = RANDOM.integers(0, 2, 300)
SCORES = np.round(RANDOM.normal(0, 1, 300) + TARGETS, 1)  # rounded: ties
LOGITS = np.stack([-SCORES, SCORES], axis=1).astype(np.float32)


def _r2(outputs: Any, targets: Any) -> float:
    return float(r2_score(targets, outputs["y"][:, 0]))


class Mine(Task):
    name = "mine"

    def data(self, seed: int) -> Data:
        return Data(train=Split({"x": LOGITS}, TARGETS), test=Split({"x": LOGITS}, TARGETS))


def _task(**attributes: Any) -> Task:
    task: Task = type("Mine", (Mine,), attributes)({})
    return task


def test_auc_counts_ties_half_as_scikit_learn_does() -> None:
    wanted = pytest.approx(roc_auc_score(TARGETS, SCORES))
    assert BUILT_IN["auc"].value({"y": SCORES[:, None]}, TARGETS) == wanted
    assert BUILT_IN["auc"].value({"y": SCORES}, TARGETS) == wanted
    assert BUILT_IN["auc"].value({"y": LOGITS}, TARGETS) == wanted


def test_auc_by_hand() -> None:
    # Of the four pairs, 0.8 beats 0.1 and 0.5, 0.5 beats 0.1 and ties with 0.5: 3.5 of 4.
    outputs, targets = {"y": np.array([0.1, 0.5, 0.5, 0.8])}, np.array([0, 0, 1, 1])
    assert BUILT_IN["auc"].value(outputs, targets) == 3.5 / 4


def test_f1_and_errors_are_scikit_learns() -> None:
    classes = RANDOM.integers(0, 5, 300)
    logits = {"y": np.eye(5)[classes] + RANDOM.normal(0, 0.6, (300, 5))}
    answered = logits["y"].argmax(axis=1)
    assert BUILT_IN["f1-macro"].value(logits, classes) == pytest.approx(f1_score(classes, answered, average="macro"))
    assert BUILT_IN["f1"].value({"y": LOGITS}, TARGETS) == pytest.approx(f1_score(TARGETS, SCORES > 0))
    assert f1(threshold=0.5).value({"y": SCORES}, TARGETS) == pytest.approx(f1_score(TARGETS, SCORES > 0.5))
    assert BUILT_IN["rmse"].value({"y": SCORES[:, None]}, TARGETS) == pytest.approx(root_mean_squared_error(TARGETS, SCORES))
    assert BUILT_IN["mae"].value({"y": SCORES[:, None]}, TARGETS) == pytest.approx(np.abs(TARGETS - SCORES).mean())


@given(st.lists(st.integers(0, 3), min_size=300, max_size=300), st.sampled_from(sorted(BUILT_IN)))
def test_weighing_examples_is_copying_them(weights: list[int], name: str) -> None:
    copied = np.repeat(np.arange(300), weights)
    metric = BUILT_IN[name]
    (weighed,) = metric.statistic({"y": LOGITS if "f1" in name else SCORES}, TARGETS)(np.array([weights], np.float64))
    if len(set(TARGETS[copied].tolist())) == 2:
        outputs = {"y": (LOGITS if "f1" in name else SCORES)[copied]}
        assert weighed == pytest.approx(metric.value(outputs, TARGETS[copied]))


def test_a_metric_of_ones_own_has_interval_and_draws() -> None:
    task = _task(metric=Metric("r2", _r2, low=-math.inf))
    found = judged(task, {"y": SCORES[:, None]}, SCORES + RANDOM.normal(0, 0.3, 300)).accuracy
    assert found.metric == "r2"
    assert -1 < found.low < found.value < found.high <= 1


def test_a_metric_of_ones_own_per_example_is_exact() -> None:
    near = Metric("within-0.5", lambda outputs, targets: np.abs(outputs["y"] - targets) < 0.5, per_example=True)
    found = judged(_task(metric=near), {"y": np.array([0.1, 2.0])}, np.zeros(2)).accuracy
    assert (found.value, found.examples) == (0.5, 2)
    assert found.low == pytest.approx(0.0126, abs=1e-4)


def test_a_score_of_ones_own_keeps_its_name_and_stays_exact() -> None:
    task = _task(metric="top-1", score=lambda self, outputs, targets: outputs["y"].argmax(axis=1) == targets)
    found = judged(task, {"y": LOGITS}, TARGETS)
    assert found.right is not None
    assert found.accuracy.metric == "top-1"


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ({"metric": "aucc"}, "did you mean 'auc'"),
        ({"metric": 3}, "which nothing here computes"),
        ({"metric": "auc", "score": lambda self, outputs, targets: targets == 1}, "keep one of the two"),
        ({"metric": Metric("loud", lambda outputs, targets: 7.0)}, "is 7, outside its range from 0 to 1"),
        ({"metric": Metric("none", lambda outputs, targets: math.nan)}, "not finite"),
        ({"metric": Metric("many", lambda outputs, targets: np.ones(3))}, "must return one number for a set of examples"),
        ({"metric": Metric("broken", lambda outputs, targets: 1 / 0)}, "metric 'broken' of task 'mine' failed: ZeroDivisionError"),
        ({"metric": Metric("share", lambda outputs, targets: 0.9, per_example=True)}, "one True or False per example"),
        ({"metric": "rmse"}, r"of shape \(300, 2\), with targets of shape \(300,\)"),
    ],
)
def test_says_what_is_wrong_with_a_metric(attributes: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidInput, match=says) as caught:
        judged(_task(**attributes), {"y": LOGITS}, TARGETS)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "outputs", "targets", "says"),
    [
        ("auc", np.zeros((4, 3)), np.array([0, 1, 0, 1]), "the first output has 3 columns"),
        ("auc", np.zeros(4), np.array([0, 1, 2, 1]), "takes targets 0 and 1"),
        ("auc", np.array([0, np.nan, 0, 0]), np.array([0, 1, 0, 1]), "not finite"),
        ("auc", np.zeros(4), np.zeros(4, int), "not finite on these examples"),
        ("f1", np.zeros(4), np.array([0, 1, 2, 1]), "takes targets 0 and 1"),
        ("f1-macro", np.zeros((4, 3)), np.zeros((4, 3)), "one class number per example"),
        ("mae", np.zeros((4, 2)), np.zeros(4), "make them alike"),
    ],
)
def test_says_what_a_built_in_metric_cannot_take(name: str, outputs: Any, targets: Any, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        scored(BUILT_IN[name], {"y": outputs}, targets)


def test_a_perfect_set_proves_no_more_than_its_size() -> None:
    targets = np.array([0, 1] * 50)
    auc = scored(BUILT_IN["auc"], {"y": targets * 2.0 - 1}, targets).accuracy
    binary = scored(BUILT_IN["f1"], {"y": targets * 2.0 - 1}, targets).accuracy
    macro = scored(BUILT_IN["f1-macro"], {"y": np.eye(2)[targets]}, targets).accuracy
    assert auc.low == pytest.approx(0.025 ** (1 / 50))
    assert 0.9 < macro.low < 1
    assert 0.9 < binary.low < 1
    assert auc.value == auc.high == binary.value == macro.value == 1


def test_where_draws_say_nothing_the_interval_is_the_whole_range() -> None:
    rare = np.array([1] + [0] * 19)  # two draws in five have no positive example at all
    found = scored(BUILT_IN["auc"], {"y": np.arange(20.0)}, rare).accuracy
    assert (found.low, found.high) == (0.0, 1.0)
