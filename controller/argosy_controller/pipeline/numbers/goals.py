"""Whether a recipe's goals were reached, judged at the bad end of what was measured."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from argosy.errors import GoalsNotMet, InvalidInput
from argosy_controller.pipeline.numbers.intervals import SAME_METHOD, clopper_pearson, drop_is_below, enough_examples

if TYPE_CHECKING:
    from argosy_controller.pipeline.numbers.figures import Figures
    from argosy_controller.pipeline.numbers.metrics import Metric


class Goals(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What must be reached; None asks nothing."""

    accuracy_at_least: (
        Annotated[float, Meta(ge=0, le=1, description="the task's metric, of which more is better, at the low end of its 95 % interval")]
        | None
    ) = None
    metric_at_least: (
        Annotated[float, Meta(ge=-1e300, le=1e300, description="the same for a metric that is no share and may leave 0 to 1")] | None
    ) = None
    error_at_most: (
        Annotated[
            float,
            Meta(
                ge=0,
                le=1e300,
                description="1 less the accuracy, or an error metric (rmse, mae) itself, at the high end of its 95 % interval",
            ),
        ]
        | None
    ) = None
    accuracy_drop_at_most: (
        Annotated[
            float,
            Meta(ge=-1e300, le=1e300, description="how much worse than before any pass, paired, in the metric's unit, at the high end"),
        ]
        | None
    ) = None
    bytes_at_most: Annotated[int, Meta(ge=1, description="size of the model file")] | None = None
    p50_us_at_most: (
        Annotated[float, Meta(gt=0, description="median of a request in microseconds, measured here, warm, one thread")] | None
    ) = None
    p99_us_at_most: Annotated[float, Meta(gt=0, description="99th percentile of a request in microseconds, measured likewise")] | None = (
        None
    )
    macs_at_most: Annotated[int, Meta(ge=0, description="multiply-accumulates for one example")] | None = None
    parameters_at_most: Annotated[int, Meta(ge=0, description="weights and biases of the model after the passes")] | None = None
    not_zero_at_most: Annotated[int, Meta(ge=0, description="weights and biases that are not 0, after the passes")] | None = None


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """One goal of one variant.

    Attributes:
        goal: its name in the recipe.
        target: the number asked for.
        value: what was measured; None: it could not be measured here, so the goal decides nothing.
        judged: the bad end of the value's interval, which was compared.
        met: None when nothing was measured.
        missed_by: how far `judged` is on the wrong side, 0 when met.
        examples: of the test set, of goals that have an interval.
        examples_to_decide: the value is good enough and its interval is not: about so many examples would have decided.
        note: what a test set of this size cannot show, in words.
    """

    variant: str
    goal: str
    target: float
    value: float | None
    judged: float | None
    met: bool | None
    missed_by: float = 0.0
    examples: int | None = None
    examples_to_decide: int | None = None
    note: str = ""


def check_goals(goals: Goals, metric: Metric) -> None:
    """Before anything is trained: whether these goals can be asked of this metric.

    Raises:
        InvalidInput: a goal asks at least so much of an error, or an error of a metric without a best value.
    """
    least = goals.accuracy_at_least if goals.metric_at_least is None else goals.metric_at_least
    if least is not None and not metric.higher_is_better:
        raise InvalidInput(f"the goal asks for at least {least:g} of {metric.name}, of which less is better: use error_at_most")
    if goals.error_at_most is not None and metric.higher_is_better and not math.isfinite(metric.high):
        raise InvalidInput(f"error_at_most cannot be asked of {metric.name}, which has no best value: use metric_at_least")
    if least is not None and least > metric.high:
        raise InvalidInput(f"the goal asks for at least {least:g} of {metric.name}, which is at most {metric.high:g}: ask for less")


def judge(variant: str, goals: Goals, figures: Figures) -> list[Judgement]:
    """All goals of one variant."""
    timing = figures.timing
    plain: dict[str, float | None] = {
        "bytes_at_most": figures.bytes,
        "p50_us_at_most": timing.p50_us if timing else None,
        "p99_us_at_most": timing.p99_us if timing else None,
        "macs_at_most": figures.macs,
        "parameters_at_most": figures.parameters,
        "not_zero_at_most": figures.not_zero,
    }
    found = [_judge_metric(variant, name, getattr(goals, name), figures) for name in _OF_METRIC if getattr(goals, name) is not None]
    return found + [
        _judged(variant, name, getattr(goals, name), value, value, sign=-1)
        for name, value in plain.items()
        if getattr(goals, name) is not None
    ]


_AT_LEAST = ("accuracy_at_least", "metric_at_least")
_OF_METRIC = (*_AT_LEAST, "error_at_most", "accuracy_drop_at_most")


def _judge_metric(variant: str, goal: str, target: float, figures: Figures) -> Judgement:
    """One of the goals whose value has an interval."""
    if goal == "accuracy_drop_at_most":
        value, high = (figures.drop.value, figures.drop.high) if figures.drop else (None, None)
        return _with_examples(_judged(variant, goal, target, value, high, sign=-1), figures)
    accuracy = figures.accuracy
    if accuracy is None:
        return _judged(variant, goal, target, None, None, sign=1)
    if goal in _AT_LEAST:
        return _with_examples(_judged(variant, goal, target, accuracy.value, accuracy.low, sign=1), figures)
    value, bad = accuracy.value, accuracy.high
    if accuracy.higher_is_better:
        value, bad = figures.best - accuracy.value, figures.best - accuracy.low
    return _with_examples(_judged(variant, goal, target, value, bad, sign=-1), figures)


def _judged(variant: str, goal: str, target: float, value: float | None, judged: float | None, sign: int) -> Judgement:
    missed = 0.0 if judged is None else max(0.0, sign * (target - judged))
    met = None if judged is None else missed == 0.0
    return Judgement(variant=variant, goal=goal, target=target, value=value, judged=judged, met=met, missed_by=missed)


def _with_examples(one: Judgement, figures: Figures) -> Judgement:
    """Adds how many examples there were, and how many would have decided."""
    measured = figures.drop if one.goal == "accuracy_drop_at_most" else figures.accuracy
    if measured is None:
        return one
    one = msgspec.structs.replace(one, examples=measured.examples)
    if one.met:
        return one
    needed = _examples_to_decide(one, figures)
    return msgspec.structs.replace(one, examples_to_decide=needed, note=_note(one, needed, figures))


def _examples_to_decide(one: Judgement, figures: Figures) -> int | None:
    """The smallest test set with the same shares that meets the goal; None where none does."""
    assert one.value is not None and one.judged is not None and one.examples is not None
    margin = abs(one.target - one.value)
    good = one.value > one.target if one.goal in _AT_LEAST else one.value < one.target
    if not good or margin < 1e-12:
        return None
    drop, examples = figures.drop, one.examples
    if one.goal == "accuracy_drop_at_most" and drop is not None and drop.lost is not None and drop.won is not None:
        return _enough_for_drop(drop.lost, drop.won, examples, one.target)
    if one.goal != "accuracy_drop_at_most" and figures.counted:
        share, least = (one.value, one.target) if one.goal in _AT_LEAST else (1 - one.value, 1 - one.target)
        return enough_examples(lambda count: clopper_pearson(math.floor(share * count + 1e-9), count)[0] >= least, examples)
    same = one.goal == "accuracy_drop_at_most" and drop is not None and drop.method == SAME_METHOD
    wanted = examples * ((one.judged - one.value) / margin) ** (1 if same else 2)
    return math.ceil(wanted) if wanted < 1e12 else None


def _enough_for_drop(lost: int, won: int, examples: int, target: float) -> int | None:
    def decides(count: int) -> bool:
        scale = count / examples
        return drop_is_below(math.ceil(lost * scale - 1e-9), math.floor(won * scale + 1e-9), count, target)

    return enough_examples(decides, examples)


def _note(one: Judgement, needed: int | None, figures: Figures) -> str:
    if needed is not None:
        return f"{one.examples:,} examples are too few to decide, about {needed:,} would"
    if not figures.counted or one.goal == "accuracy_drop_at_most" or one.examples is None:
        return ""
    least = one.target if one.goal in _AT_LEAST else 1 - one.target
    proven = clopper_pearson(one.examples, one.examples)[0]
    if proven >= least:
        return ""
    if least >= 1:
        return "no number of examples can prove it"
    enough = math.ceil(math.log(0.025) / math.log(least))
    return f"not even {one.examples:,} right answers of {one.examples:,} would prove it: {enough:,} examples are the least"


def require(judgements: Iterable[Judgement]) -> None:
    """Passes when every goal that could be judged was met.

    Raises:
        GoalsNotMet: one sentence, and below it a table of all goals: which, of which variant, by how much.
    """
    rows = list(judgements)
    missed = [one for one in rows if one.met is False]
    if missed:
        many = f"{len(missed)} of {len(rows)} goals were not met" if len(missed) > 1 else f"1 of {len(rows)} goals was not met"
        raise GoalsNotMet(f"{many}, so no version was made: change the recipe or its goals.\n{table(rows)}")


def table(rows: Iterable[Judgement]) -> str:
    """All judgements as aligned plain text."""
    lines = [("variant", "goal", "target", "measured", "judged at", "result")]
    lines += [(one.variant, one.goal, _number(one.target), _number(one.value), _number(one.judged), _result(one)) for one in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    if abs(value) <= 1:
        return f"{value:.4f}"
    return f"{value:.4g}" if value != round(value) and abs(value) < 1000 else f"{value:,.0f}"


def _result(one: Judgement) -> str:
    if one.met is None:
        return "not measured here"
    result = "met" if one.met else f"missed by {_number(one.missed_by)}"
    return f"{result}: {one.note}" if one.note else result
