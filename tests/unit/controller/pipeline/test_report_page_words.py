"""What the report's page says: which variant to ship and why, no more digits than were measured."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from argosy.protocol.card import Accuracy, Parity, Timing
from argosy_controller.pipeline.numbers.goals import Judgement
from argosy_controller.pipeline.report import Baseline, Confusion, Report, VariantReport
from argosy_controller.pipeline.report_page.confusion import changes
from argosy_controller.pipeline.report_page.content import page_of
from argosy_controller.pipeline.report_page.drawing import Scale, even_scale, even_values, labels, log_scale, log_values
from argosy_controller.pipeline.report_page.words import Metric, digits, metric_of, round_text, short, visible

sys.path.insert(0, str(Path(__file__).parents[3] / "support"))
from rich_report import rich_report


def _accuracy(value: float, half: float = 0.01, metric: str = "accuracy", better: bool = True) -> Accuracy:
    return Accuracy(metric=metric, value=value, low=value - half, high=value + half, examples=1000, higher_is_better=better)


def _variant(name: str, size: int, p50_us: float | None, score: Accuracy | None = None) -> VariantReport:
    kind, precision = name.split("-")
    timings = [] if p50_us is None else [Timing(runtime="onnxruntime", p50_us=p50_us, p99_us=2 * p50_us)]
    score = _accuracy(0.97) if score is None and p50_us is not None else score
    return VariantReport(name=name, format=kind, precision=precision, sha256="0" * 64, bytes=size, accuracy=score, timings=timings)


def _goal(variant: str, met: bool | None, missed_by: float = 0.0) -> Judgement:
    value = None if met is None else 0.94 if not met else 0.97
    return Judgement(variant=variant, goal="accuracy_at_least", target=0.95, value=value, judged=value, met=met, missed_by=missed_by)


def _report(*variants: VariantReport, goals: tuple[Judgement, ...] = (), kind: str = "build") -> Report:
    return Report(kind=kind, model="digits", summary="", variants=list(variants), goals=list(goals))


def test_advice_is_one_variant_where_the_smallest_is_the_fastest() -> None:
    page = page_of(_report(_variant("onnx-fp32", 100_000, 40.0), _variant("onnx-int8", 30_000, 20.0)))
    assert page.verdict.advice.startswith("Ship onnx-int8: the smallest (30.0 kB) and the fastest here (20.0 µs).")
    assert [one.picked for one in page.variants] == [(), ("smallest", "fastest")]


def test_advice_names_both_where_small_is_slow_and_says_whether_accuracy_decides() -> None:
    page = page_of(_report(_variant("onnx-fp32", 100_000, 40.0), _variant("onnx-int8", 30_000, 58.0, _accuracy(0.965))))
    assert "onnx-int8 where size counts (30.0 kB, 58.0 µs), onnx-fp32 where speed counts (100 kB, 40.0 µs)" in page.verdict.advice
    assert "cannot be told apart on 1,000 examples" in page.verdict.advice


def test_variants_that_are_equally_accurate_have_no_most_accurate_one() -> None:
    page = page_of(_report(_variant("onnx-fp32", 100_000, 40.0), _variant("onnx-int8", 30_000, 58.0)))
    assert "Both are as accurate, on 1,000 examples." in page.verdict.advice
    assert page.tiles[-1].label == "Accuracy of each"


def test_accuracy_decides_only_beyond_chance() -> None:
    page = page_of(_report(_variant("onnx-fp32", 100_000, 40.0), _variant("onnx-int8", 30_000, 58.0, _accuracy(0.90))))
    assert "onnx-fp32 is the most accurate, beyond chance" in page.verdict.advice


def test_slower_than_single_precision_is_shown_as_slower() -> None:
    page = page_of(_report(_variant("onnx-fp32", 100_000, 40.0), _variant("onnx-int8", 30_000, 60.0)))
    assert (page.variants[1].speeds[0].against, page.variants[1].speeds[0].tone) == ("1.50× slower than onnx-fp32", "bad")


def test_speeds_closer_than_two_runs_are_the_same() -> None:
    page = page_of(_report(_variant("onnx-fp32", 100_000, 40.0), _variant("onnx-int8", 30_000, 41.0)))
    assert page.variants[1].speeds[0].against == "as fast as onnx-fp32"
    assert page.variants[1].picked[:2] == ("smallest", "fastest")


def test_variant_that_misses_a_goal_is_never_one_to_ship() -> None:
    small, large = _variant("onnx-int8", 30_000, 20.0, _accuracy(0.94)), _variant("onnx-fp32", 100_000, 40.0)
    page = page_of(_report(large, small, goals=(_goal("onnx-fp32", True), _goal("onnx-int8", False, 0.01))))
    assert page.verdict.tone == "bad"
    assert page.verdict.sentence == "1 of 2 goals missed: onnx-int8 misses accuracy at least 95 % by 1.0 points."
    assert "No version was made" in page.verdict.advice
    assert page.variants[1].picked == ()
    assert page.goals[0].variant == "onnx-int8"


@pytest.mark.parametrize(
    ("goals", "kind", "sentence"),
    [
        ((True,), "build", "1 goal met."),
        ((True, True), "build", "All 2 goals met."),
        ((True, None), "build", "1 goal met; 1 could not be measured here."),
        ((None,), "build", "None of the 1 goal could be judged here."),
        ((), "build", "The recipe sets no goals: 1 variant made."),
        ((), "import", "An import is measured, not judged: 1 variant made."),
    ],
)
def test_verdict_says_what_became_of_the_goals(goals: tuple[bool | None, ...], kind: str, sentence: str) -> None:
    report = _report(_variant("onnx-fp32", 100, 40.0), goals=tuple(_goal("onnx-fp32", met) for met in goals), kind=kind)
    assert page_of(report).verdict.sentence == sentence


def test_test_set_too_small_says_how_many_would_do() -> None:
    goal = msgspec.structs.replace(_goal("onnx-fp32", False, 0.01), examples=100, examples_to_decide=2400, note="")
    assert "about 2,400 examples would" in page_of(_report(_variant("onnx-fp32", 1, 40.0), goals=(goal,))).goals[0].goals[0].note


def test_rounding_never_hides_on_which_side_of_a_goal_a_figure_is() -> None:
    goal = Judgement(variant="onnx-fp32", goal="accuracy_at_least", target=0.95, value=0.96, judged=0.9499, met=False, missed_by=0.0001)
    found = page_of(_report(_variant("onnx-fp32", 1, 40.0), goals=(goal,))).goals[0].goals[0]
    assert "at worst 94.99 %" in found.found


@pytest.mark.parametrize("half", [0.02, 0.011, 0.003, 0.0004, 0.2])
def test_score_has_no_more_digits_than_its_interval_supports(half: float) -> None:
    text = Metric("accuracy", True, True).measured(_accuracy(0.912345678, half))
    last = 10.0 ** -len(text.removesuffix(" %").partition(".")[2])
    assert 100 * half / 30 <= last or digits(100 * half) == 0
    assert last <= max(100 * half / 3, 1.0)


def test_error_metrics_are_plain_numbers_of_which_less_is_better() -> None:
    small = _variant("onnx-int8", 30, 20.0, _accuracy(2.5, 0.2, "rmse", better=False))
    report = _report(_variant("onnx-fp32", 100, 20.0, _accuracy(1.5, 0.2, "rmse", better=False)), small)
    page = page_of(report)
    assert metric_of(report) == Metric("rmse", False, False)
    assert (page.variants[0].accuracy, page.variants[0].interval) == ("1.50", "1.30 to 1.70")
    assert "most accurate" in page.variants[0].picked


def test_empty_report_is_still_a_page() -> None:
    page = page_of(_report())
    assert page.verdict.sentence.endswith("0 variants made.")
    assert page.pictures == () and page.candidates is None and page.steps == ()


def test_page_of_a_whole_report_has_every_part() -> None:
    page = page_of(rich_report())
    assert len(page.pictures) == 2 and len(page.variants) == 7 and len(page.goals) == 7
    assert [one.variant for one in page.layers if one.open] == ["tflite-int8"]
    assert [one.variant for one in page.changes if one.open] == ["tflite-int8"]
    assert page.candidates is not None and len(page.candidates.histories) == 2
    assert {one.state for one in page.candidates.histories[0].marks} == {"front", "chosen", ""}
    assert [one.macs_share for one in page.steps] == [100.0, 26.8, 26.8]


def test_front_holds_those_that_none_beats_and_not_those_that_miss_a_goal() -> None:
    states = {one.letter: one.state for one in page_of(rich_report()).pictures[0].points}
    assert states == {"A": "pick", "B": "front", "C": "front", "D": "off", "E": "pick", "F": "missed"}


def test_drop_whose_interval_holds_zero_is_not_called_a_loss() -> None:
    rows = {one.name: one for one in page_of(rich_report()).variants}
    assert (rows["onnx-fp32"].drop, rows["onnx-fp32"].drop_interval, rows["onnx-fp32"].drop_tone) == ("0.3 points", "−0.2 to 0.8", "")
    assert rows["tflite-int4"].drop_tone == "bad"


def test_classes_that_got_worse_are_named_with_where_they_went() -> None:
    found = changes(Confusion(labels=["cat", "dog"], before=[[9, 1], [2, 8]], after=[[6, 4], [1, 9]]))
    assert found is not None and found.matrix is not None
    assert found.worse == ("“cat”: 9 of 10 right before, 6 now; 3 more taken for “dog”",)
    assert found.better == ("“dog”: 8 of 10 right before, 9 now; 1 fewer taken for “cat”",)
    assert [[cell.text for cell in cells] for _, cells in found.matrix.rows] == [["−3", "+3"], ["−1", "+1"]]
    assert [[cell.tone[:1] for cell in cells] for _, cells in found.matrix.rows] == [["w", "w"], ["b", "b"]]


def test_matrix_of_many_classes_shows_those_that_changed_most() -> None:
    size = 100
    before = [[5 if i == j else 0 for j in range(size)] for i in range(size)]
    after = [list(row) for row in before]
    after[70][70], after[70][71] = 1, 4
    found = changes(Confusion(labels=[f"class {i}" for i in range(size)], before=before, after=after))
    assert found is not None and found.matrix is not None
    assert (len(found.matrix.rows), found.matrix.left_out) == (12, 88)
    assert any("class 70" in name for name, _ in found.matrix.rows)


@pytest.mark.parametrize("before", [[], [[1, 2]], [[1], [2]], [[1, 2], [3]]])
def test_counts_that_fit_no_labels_are_left_out(before: list[list[int]]) -> None:
    assert changes(Confusion(labels=["a", "b"], before=before, after=[[1, 2], [3, 4]])) is None


def test_bytes_of_the_trained_model_say_how_much_smaller_a_variant_is() -> None:
    report = msgspec.structs.replace(
        _report(_variant("onnx-int8", 25_000, 20.0)), baseline=Baseline(accuracy=None, parameters=25_000, bytes=100_000)
    )
    assert page_of(report).variants[0].smaller == "4.0× smaller"


@given(st.floats(1e-6, 1e12), st.floats(1.0001, 1e6), st.integers(1, 8))
def test_logarithmic_ticks_are_few_and_inside(low: float, ratio: float, most: int) -> None:
    found = log_values(low, low * ratio, most)
    assert len(found) <= most
    assert all(low <= value <= low * ratio for value in found)


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(2, 8))
def test_even_ticks_are_few_and_inside(low: float, span: float, most: int) -> None:
    found = even_values(low, low + span, most)
    assert len(found) <= most + 1
    assert all(low - 1e-6 * span <= value <= low + span * (1 + 1e-6) for value in found)


@given(st.lists(st.floats(1e-3, 1e9), min_size=1, max_size=20))
def test_scales_keep_every_value_inside_and_in_order(values: list[float]) -> None:
    for scale in (log_scale(values, 4, 96), even_scale(values, 4, 96, 0.01)):
        assert isinstance(scale, Scale)
        places = [scale.at(value) for value in sorted(values)]
        assert places == sorted(places)
        assert all(4 <= place <= 96 for place in places)
        assert all(scale.holds(value) for value in values)


def test_labels_of_points_in_one_place_do_not_lie_on_each_other() -> None:
    found = labels([(50.0, 100.0, "A"), (50.5, 100.0, "B"), (51.0, 101.0, "C")])
    assert len({(one.dx, one.dy, one.anchor) for one in found}) == 3


@given(st.text(max_size=200))
def test_visible_text_holds_nothing_that_hides_or_turns(text: str) -> None:
    assert all(one in "\n\t" or one.isprintable() or one == "\N{REPLACEMENT CHARACTER}" or one.isspace() for one in visible(text))


def test_long_texts_are_cut_and_say_so() -> None:
    assert visible("x" * 10_000).endswith("… (10,000 characters)")
    assert short("x" * 100) == "x" * 59 + "…"


@pytest.mark.parametrize(
    ("text", "rounded"), [("20.0 kB", "20 kB"), ("1.50 ms", "1.5 ms"), ("100 kB", "100 kB"), ("0.0 points", "0 points")]
)
def test_round_figures_lose_their_zeros(text: str, rounded: str) -> None:
    assert round_text(text) == rounded


def test_a_file_that_answers_as_its_model_does_says_on_how_many_inputs() -> None:
    found = Parity(source="torch", verified_by=["onnxruntime"], examples=256, max_abs_diff=4.77e-6, agreement=1.0)
    one = msgspec.structs.replace(_variant("onnx-fp32", 100_000, 40.0), parity=found, notes=["int8 is slower here"])
    (row,) = page_of(_report(one)).variants
    assert row.notes == (
        "beside torch on 256 inputs: the same class for 100 %, largest difference 4.8e-06 (onnxruntime)",
        "int8 is slower here",
    )


def test_a_file_that_nothing_here_runs_says_so_once() -> None:
    found = Parity(source="torch", reason="not measured here: no engine runs it")
    one = msgspec.structs.replace(_variant("coreml-fp16", 50_000, None), parity=found, notes=["not measured here: no engine runs it"])
    (row,) = page_of(_report(one)).variants
    assert row.notes == ("not verified here: no engine runs it",)
