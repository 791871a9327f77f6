"""Intervals, goals, golden probes, timing: the arithmetic that decides."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from argosy.errors import GoalsNotMet, InvalidInput
from argosy.protocol.card import Accuracy, TensorSpec
from argosy_controller.pipeline.files.engines import Engine
from argosy_controller.pipeline.files.probes import passes, tolerance, write_probes
from argosy_controller.pipeline.numbers.evaluation import accuracy, timing
from argosy_controller.pipeline.numbers.figures import Figures
from argosy_controller.pipeline.numbers.goals import Goals, judge, require
from argosy_controller.pipeline.numbers.intervals import clopper_pearson
from argosy_controller.pipeline.task import Split, Task

GOOD = Accuracy(metric="accuracy", value=0.97, low=0.94, high=0.99, examples=100)


class Echo(Engine):
    """Answers with its input: a model whose logits are the request."""

    runtime = "echo"
    inputs = [TensorSpec(name="image", dtype="float32", shape=[None, 2])]
    outputs = [TensorSpec(name="logits", dtype="float32", shape=[None, 2])]

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        return {"logits": inputs["image"]}


@given(st.integers(1, 400), st.data())
def test_interval_holds_the_share_and_grows_with_confidence(examples: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, examples))
    low, high = clopper_pearson(right, examples)
    wider_low, wider_high = clopper_pearson(right, examples, 0.99)
    assert 0 <= wider_low <= low <= right / examples <= high <= wider_high <= 1


@pytest.mark.parametrize("share", [0.5, 0.9, 0.98])
def test_interval_covers_the_truth_at_least_95_percent_of_the_time(share: float) -> None:
    hits = np.random.default_rng(0).binomial(100, share, 4000)
    table = {int(one): clopper_pearson(int(one), 100) for one in set(hits.tolist())}
    covered = np.mean([table[int(one)][0] <= share <= table[int(one)][1] for one in hits])
    assert covered >= 0.945  # 0.95 less three standard errors of this simulation


def test_accuracy_counts_right_answers_in_batches_that_end_uneven(task: Task) -> None:
    logits = np.tile(np.array([[1, 0], [0, 1]], np.float32), (101, 1))
    targets = np.zeros(202, np.int64)
    found = accuracy(Echo(), task, Split({"image": logits}, targets))
    assert (found.value, found.examples) == (0.5, 202)
    assert found.low < 0.5 < found.high


def test_accuracy_refuses_a_score_that_is_not_one_answer_per_example(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task, "score", lambda outputs, targets: 0.9)
    with pytest.raises(InvalidInput, match="one True or False per example"):
        accuracy(Echo(), task, Split({"image": np.zeros((3, 2), np.float32)}, np.zeros(3)))


def test_goal_is_judged_at_the_intervals_bad_end() -> None:
    (judged,) = judge("v", Goals(accuracy_at_least=0.95), Figures(bytes=10, accuracy=GOOD))
    assert judged.value == 0.97
    assert judged.judged == 0.94
    assert judged.met is False
    assert judged.missed_by == pytest.approx(0.01)


def test_goal_on_what_was_not_measured_decides_nothing() -> None:
    rows = judge("coreml", Goals(accuracy_at_least=0.95, bytes_at_most=10), Figures(bytes=10))
    assert [one.met for one in rows] == [None, True]
    require(rows)


def test_missed_goals_are_told_in_a_table_with_variant_and_distance() -> None:
    rows = judge("onnx-int8", Goals(accuracy_at_least=0.95, bytes_at_most=1000), Figures(bytes=1234, accuracy=GOOD))
    with pytest.raises(GoalsNotMet) as caught:
        require(rows)
    text = str(caught.value)
    assert "2 of 2 goals were not met" in text
    assert "onnx-int8  accuracy_at_least  0.9500  0.9700    0.9400     missed by 0.0100" in text
    assert "missed by 234" in text


def test_tolerance_is_a_share_of_the_spread_and_of_what_other_kernels_answered() -> None:
    expected = [{"y": np.array([0.0, 10.0], np.float32)}]
    assert tolerance(expected, [], "fp32").atol == pytest.approx(1e-3)
    assert tolerance(expected, [], "int8").atol == pytest.approx(0.5)
    assert tolerance(expected, [{"y": np.array([0.0, 9.0], np.float32)}], "fp32").atol == pytest.approx(3.0)


def test_quantised_outputs_may_be_some_steps_off_and_labels_none() -> None:
    expected = {"q": np.array([10, -20], np.int8), "label": np.array([3])}
    rule = tolerance([expected], [{"q": np.array([12, -20], np.int8), "label": np.array([3])}], "int8")
    assert rule.steps == 6
    assert passes({"q": np.array([16, -20], np.int8), "label": np.array([3])}, expected, rule)
    assert not passes({"q": np.array([17, -20], np.int8), "label": np.array([3])}, expected, rule)
    assert not passes({"q": np.array([10, -20], np.int8), "label": np.array([4])}, expected, rule)


def test_text_labels_must_be_equal_and_survive_the_file_without_pickle(tmp_path: Path) -> None:
    answers = [{"label": np.array(["cat"])}, {"label": np.array(["horse"])}]
    write_probes(tmp_path / "p.npz", [{"x": np.zeros((1, 2))}] * 2, answers)
    with np.load(tmp_path / "p.npz", allow_pickle=False) as file:
        assert file["out.label"].tolist() == [["cat"], ["horse"]]
        assert file["in.x"].shape == (2, 1, 2)
    assert not passes({"label": np.array(["dog"])}, answers[0], tolerance(answers, [], "fp32"))


@given(st.floats(-100, 100), st.sampled_from(["fp32", "fp16", "int8"]))
def test_a_file_always_passes_its_own_probes(value: float, precision: str) -> None:
    expected = {"y": np.array([value, 0.0, np.inf, np.nan])}
    assert passes(expected, expected, tolerance([expected], [], precision))


def test_timing_leaves_out_warm_up_and_answers_in_microseconds() -> None:
    clock = itertools.count(step=5_000)
    found = timing(Echo(), [{"image": np.zeros((1, 2), np.float32)}], clock=lambda: next(clock))
    assert (found.runtime, found.p50_us, found.p99_us) == ("echo", 5.0, 5.0)


def test_timing_of_a_model_that_takes_seconds_stops_early() -> None:
    clock = itertools.count(step=3_000_000_000)
    calls: list[int] = []

    class Slow(Echo):
        def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
            calls.append(1)
            return super().run(inputs)

    assert timing(Slow(), [{"image": np.zeros((1, 2), np.float32)}], clock=lambda: next(clock)).p50_us == 3e6
    assert len(calls) == 5  # one to warm up, four until ten seconds are over
