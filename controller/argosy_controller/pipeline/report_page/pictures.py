"""Accuracy against size and against latency, as points that a template draws."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from argosy.protocol.card import Accuracy
from argosy_controller.pipeline.report import Report, Trial, VariantReport
from argosy_controller.pipeline.report_page.drawing import Label, Scale, Segment, Tick, digits_of, drawable, even_scale, labels, log_scale
from argosy_controller.pipeline.report_page.standing import Picks, letter, missed, p50
from argosy_controller.pipeline.report_page.words import Metric, latency, round_text, short
from argosy_controller.views.format import as_bytes

HEIGHT = 262.0
_TOP, _BASE = 14.0, 232.0
_LEFT, _RIGHT = 4.0, 96.0
_MOST_TRIALS = 500


@dataclass(frozen=True)
class Point:
    """A variant: across in percent, down in pixels, whisker from `high` to `low`. `state`: pick, front, off or missed."""

    x: float
    y: float
    high: float
    low: float
    letter: str
    label: Label
    state: str
    title: str


@dataclass(frozen=True)
class Dot:
    """A candidate of the search, or the model before the passes."""

    x: float
    y: float
    title: str


@dataclass(frozen=True)
class Scatter:
    """One picture. `missing`: letters and names of variants that are not in it, and why."""

    title: str
    axis: str
    base: float
    height: float
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    points: tuple[Point, ...]
    front: tuple[Segment, ...]
    trials: tuple[Dot, ...]
    before: Dot | None
    level: float | None
    missing: str


def size_picture(report: Report, metric: Metric, best: Picks) -> Scatter | None:
    """Accuracy against bytes; None where nothing was scored."""
    return _scatter(
        report, metric, best, "bytes", lambda one: float(one.bytes), as_bytes, float(report.baseline.bytes) if report.baseline else None
    )


def speed_picture(report: Report, metric: Metric, best: Picks) -> Scatter | None:
    """Accuracy against the median latency; None where nothing was timed."""
    return _scatter(report, metric, best, "p50_us", p50, latency, None)


_TITLES = {
    "bytes": ("Accuracy and size", "size of the model file"),
    "p50_us": ("Accuracy and latency", "median latency of one request, this machine"),
}


def _scatter(
    report: Report,
    metric: Metric,
    best: Picks,
    key: str,
    across: Callable[[VariantReport], float | None],
    text: Callable[[float], str],
    before: float | None,
) -> Scatter | None:
    shown = [
        (index, one, value)
        for index, one in enumerate(report.variants)
        if (value := across(one)) is not None and drawable(value, log=True) and _scored(one.accuracy)
    ]
    if not shown:
        return None
    base = _base(report)
    before = before if before and drawable(before, log=True) else None
    xs = [value for _, _, value in shown] + ([before] if before and base else [])
    y = _y_scale([one for _, one, _ in shown], base, metric)
    trials = _trials(report, key)
    near = [one for one in trials if y.holds(one.values["accuracy"])]
    x = log_scale([*xs, *(one.values[key] for one in near)], _LEFT, _RIGHT)
    title, axis = _TITLES[key]
    inside = {index for index, _, _ in shown}
    left_out = [letter(index) for index in range(len(report.variants)) if index not in inside]
    return Scatter(
        title=title,
        axis=axis,
        base=_BASE,
        height=HEIGHT,
        x_ticks=tuple(Tick(x.at(value), round_text(text(value))) for value in x.values(4)),
        y_ticks=_y_ticks(y, metric),
        points=_points(report, metric, best, shown, x, y, text),
        front=_front(_able(report, shown), x, y, metric),
        trials=tuple(Dot(x.at(one.values[key]), y.at(one.values["accuracy"]), f"candidate {one.number}") for one in near),
        before=Dot(x.at(before), y.at(base.value), f"trained model: {metric.measured(base)}, {text(before)}") if before and base else None,
        level=y.at(base.value) if base else None,
        missing=_missing(left_out, len(trials) - len(near)),
    )


def _missing(letters: Sequence[str], candidates: int) -> str:
    parts = [f"Not measured here: {', '.join(letters[:30])}."] if letters else []
    parts += (
        [f"{candidates} candidates lie outside the picture."] if candidates > 1 else ["1 candidate lies outside the picture."] * candidates
    )
    return " ".join(parts)


def _scored(one: Accuracy | None) -> bool:
    return one is not None and drawable(one.value, one.low, one.high)


def _base(report: Report) -> Accuracy | None:
    """The accuracy before any pass, where it can be drawn."""
    found = report.baseline.accuracy if report.baseline else None
    return found if _scored(found) else None


def _y_scale(shown: Sequence[VariantReport], base: Accuracy | None, metric: Metric) -> Scale:
    scores = [one.accuracy for one in shown if one.accuracy]
    values = [end for one in scores for end in (one.value, one.low, one.high)] + ([base.value] if base else [])
    return even_scale(values, _BASE, _TOP, 0.01 if metric.percent else max(abs(max(values)) * 0.02, 1e-9))


def _y_ticks(scale: Scale, metric: Metric) -> tuple[Tick, ...]:
    values = [value for value in scale.values(5) if not metric.percent or value <= 1]
    factor, unit = (100, " %") if metric.percent else (1, "")
    places = digits_of([factor * value for value in values])
    return tuple(Tick(scale.at(value), f"{factor * value:.{places}f}{unit}") for value in values)


def _points(
    report: Report,
    metric: Metric,
    best: Picks,
    shown: Sequence[tuple[int, VariantReport, float]],
    x: Scale,
    y: Scale,
    text: Callable[[float], str],
) -> tuple[Point, ...]:
    out = missed(report)
    ahead = {index for index, _, _ in _ahead(_able(report, shown), metric)}
    found = []
    places = labels([(x.at(value), y.at(one.accuracy.value), letter(index)) for index, one, value in shown if one.accuracy])
    for (index, one, value), label in zip(shown, places, strict=True):
        assert one.accuracy is not None
        state = "missed" if one.name in out else "pick" if best.reasons(one.name) else "front" if index in ahead else "off"
        title = f"{short(one.name)}: {metric.measured(one.accuracy)} ({metric.interval(one.accuracy)}), {text(value)}"
        x_at, high, low = x.at(value), y.at(one.accuracy.high), y.at(one.accuracy.low)
        found.append(Point(x_at, y.at(one.accuracy.value), high, low, letter(index), label, state, title))
    return tuple(found)


def _able(report: Report, shown: Sequence[tuple[int, VariantReport, float]]) -> list[tuple[int, VariantReport, float]]:
    """Those that may be shipped; all of them where none may."""
    out = missed(report)
    return [item for item in shown if item[1].name not in out] or list(shown)


def _ahead(shown: Sequence[tuple[int, VariantReport, float]], metric: Metric) -> list[tuple[int, VariantReport, float]]:
    """Those that no other beats in one and equals in the other, from left to right."""
    sign = 1 if metric.higher_is_better else -1
    kept: list[tuple[int, VariantReport, float]] = []
    best = float("-inf")
    for item in sorted(shown, key=lambda item: (item[2], -sign * item[1].accuracy.value if item[1].accuracy else 0)):
        score = sign * item[1].accuracy.value if item[1].accuracy else best
        if score > best:
            kept.append(item)
            best = score
    return kept


def _front(shown: Sequence[tuple[int, VariantReport, float]], x: Scale, y: Scale, metric: Metric) -> tuple[Segment, ...]:
    """Steps: what accuracy one gets for so many bytes, or so much time."""
    corners = [(x.at(value), y.at(one.accuracy.value)) for _, one, value in _ahead(shown, metric) if one.accuracy]
    found = [Segment(corners[0][0], _BASE, corners[0][0], corners[0][1])]
    for (x1, y1), (x2, y2) in pairwise(corners):
        found += [Segment(x1, y1, x2, y1), Segment(x2, y1, x2, y2)]
    return (*found, Segment(corners[-1][0], corners[-1][1], 100.0, corners[-1][1]))


def _trials(report: Report, key: str) -> list[Trial]:
    if report.search is None:
        return []
    complete = [one for one in report.search.trials if one.state == "complete"]
    found = [one for one in complete if drawable(one.values.get(key), log=True) and drawable(one.values.get("accuracy"))]
    return found[:_MOST_TRIALS]
