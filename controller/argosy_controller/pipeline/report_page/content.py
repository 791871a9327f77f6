"""What the page shows, as plain data: everything that a template only lays out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from argosy.protocol.card import Accuracy
from argosy_controller.pipeline.numbers.goals import Judgement
from argosy_controller.pipeline.report import Report, Step, VariantReport
from argosy_controller.pipeline.report_page import words
from argosy_controller.pipeline.report_page.candidates import Candidates, candidates
from argosy_controller.pipeline.report_page.confusion import ClassChanges, changes
from argosy_controller.pipeline.report_page.layers import LayerTable, layer_table
from argosy_controller.pipeline.report_page.pictures import Scatter, size_picture, speed_picture
from argosy_controller.pipeline.report_page.standing import (
    Picks,
    Verdict,
    by,
    goal_words,
    letter,
    missed,
    p50,
    picks,
    speed_against,
    told_apart,
    verdict,
)
from argosy_controller.pipeline.report_page.words import NONE, Metric, metric_of, short
from argosy_controller.views.format import as_bytes

_MOST_VARIANTS = 60


@dataclass(frozen=True)
class Tile:
    """A number with what it is about."""

    label: str
    value: str
    note: str


@dataclass(frozen=True)
class Speed:
    """A variant in one runtime."""

    runtime: str
    p50: str
    p99: str
    against: str
    tone: str


@dataclass(frozen=True)
class VariantRow:
    """One variant. `fate`: ok, bad or nothing; `picked`: why it is one to ship."""

    letter: str
    name: str
    form: str
    picked: tuple[str, ...]
    fate: str
    accuracy: str
    interval: str
    drop: str
    drop_interval: str
    drop_tone: str
    size: str
    smaller: str
    speeds: tuple[Speed, ...]
    notes: tuple[str, ...]
    sha256: str


@dataclass(frozen=True)
class GoalLine:
    """One goal: what was wanted, what came out."""

    wanted: str
    found: str
    result: str
    tone: str
    note: str


@dataclass(frozen=True)
class GoalRow:
    """The goals of one variant."""

    letter: str
    variant: str
    goals: tuple[GoalLine, ...]


@dataclass(frozen=True)
class StepRow:
    """What a step left of the model; shares are of the model after training. `notes`: what it decided by itself."""

    step: str
    options: str
    notes: tuple[str, ...]
    parameters: str
    parameters_share: float
    not_zero: str
    not_zero_share: float
    macs: str
    macs_share: float
    time: str


@dataclass(frozen=True)
class NamedChanges:
    """Class changes of one variant."""

    letter: str
    variant: str
    changes: ClassChanges
    open: bool


@dataclass(frozen=True)
class Page:
    """The whole page."""

    model: str
    kind: str
    summary: str
    metric: Metric
    verdict: Verdict
    tiles: tuple[Tile, ...]
    pictures: tuple[Scatter, ...]
    variants: tuple[VariantRow, ...]
    variants_left_out: int
    has_drops: bool
    drop_method: str
    examples: int
    interval: str
    goals: tuple[GoalRow, ...]
    changes: tuple[NamedChanges, ...]
    layers: tuple[LayerTable, ...]
    steps: tuple[StepRow, ...]
    candidates: Candidates | None
    lineage: tuple[tuple[str, str], ...]
    reproduce: str


def page_of(report: Report) -> Page:
    """The page of a report; parts that the report lacks are empty."""
    metric = metric_of(report)
    best = picks(report, metric)
    shown = report.variants[:_MOST_VARIANTS]
    drops = [one.drop for one in report.variants if one.drop]
    return Page(
        model=short(report.model),
        kind=short(report.kind, 20),
        summary=report.summary,
        metric=metric,
        verdict=verdict(report, metric, best),
        tiles=_tiles(report, metric, best),
        pictures=tuple(one for one in (size_picture(report, metric, best), speed_picture(report, metric, best)) if one),
        variants=tuple(_variant(report, metric, best, index, one) for index, one in enumerate(shown)),
        variants_left_out=len(report.variants) - len(shown),
        has_drops=bool(drops),
        drop_method=drops[0].method if drops else "",
        examples=max((one.accuracy.examples for one in report.variants if one.accuracy), default=0),
        interval=report.interval,
        goals=_goals(report, metric),
        changes=_changes(shown, best),
        layers=_layers(shown, metric, best),
        steps=_steps(report.steps),
        candidates=candidates(report, metric) if report.search else None,
        lineage=tuple((short(key.replace("_", " "), 40), value) for key, value in list(report.lineage.items())[:60] if value),
        reproduce=report.reproduce,
    )


def _tiles(report: Report, metric: Metric, best: Picks) -> tuple[Tile, ...]:
    found = []
    base = report.baseline
    if base:
        value = metric.measured(base.accuracy) if base.accuracy else f"{words.count(base.parameters)}"
        note = f"{as_bytes(base.bytes)} in single precision, {words.count(base.parameters)} parameters"
        found.append(Tile(f"Trained model, {metric.name}" if base.accuracy else "Trained model, parameters", value, note))
    if best.smallest:
        found.append(Tile("Smallest", as_bytes(best.smallest.bytes), _smaller_note(report, best.smallest)))
    if best.fastest:
        runtime = min(best.fastest.timings, key=lambda one: one.p50_us).runtime
        found.append(
            Tile("Fastest here", words.latency(p50(best.fastest) or 0), f"{short(best.fastest.name)}, median in {short(runtime, 30)}")
        )
    if best.smallest and best.smallest.accuracy and not best.most_accurate and len(report.variants) > 1:
        found.append(
            Tile(f"{metric.name.capitalize()} of each", metric.measured(best.smallest.accuracy), "of all that ran here and miss no goal")
        )
    if best.most_accurate and best.most_accurate.accuracy:
        found.append(Tile("Most accurate", metric.measured(best.most_accurate.accuracy), _accurate_note(best)))
    return tuple(found)


def _smaller_note(report: Report, one: VariantReport) -> str:
    ratio = report.baseline.bytes / one.bytes if report.baseline and one.bytes else 0
    return f"{short(one.name)}{f', {words.times(ratio)} smaller than trained' if ratio > 1 else ''}"


def _accurate_note(best: Picks) -> str:
    one, small = best.most_accurate, best.smallest
    assert one is not None and one.accuracy is not None
    if small is None or one is small:
        return short(one.name)
    if told_apart(one, small):
        return f"{short(one.name)}, beyond chance better than {short(small.name)}"
    return f"{short(one.name)}; not told apart from {short(small.name)} on {one.accuracy.examples:,} examples"


def _variant(report: Report, metric: Metric, best: Picks, index: int, one: VariantReport) -> VariantRow:
    judged = [goal.met for goal in report.goals if goal.variant == one.name]
    base = report.baseline.bytes if report.baseline else 0
    return VariantRow(
        letter=letter(index),
        name=short(one.name),
        form=short(f"{one.format} {one.precision}", 40),
        picked=tuple(best.reasons(one.name)),
        fate="bad" if one.name in missed(report) else "ok" if any(judged) else "",
        accuracy=metric.measured(one.accuracy) if one.accuracy else NONE,
        interval=metric.interval(one.accuracy) if one.accuracy else "",
        drop=metric.dropped(one.drop) if one.drop else NONE,
        drop_interval=metric.interval(one.drop) if one.drop else "",
        drop_tone="bad" if one.drop and one.drop.low > 0 else "ok" if one.drop and one.drop.high < 0 else "",
        size=as_bytes(one.bytes),
        smaller=f"{words.times(base / one.bytes)} smaller" if base > one.bytes > 0 else "",
        speeds=tuple(_speed(report, one, index) for index in range(min(len(one.timings), 10))),
        notes=_notes(one),
        sha256=one.sha256[:12],
    )


def _notes(one: VariantReport) -> tuple[str, ...]:
    """Whether it answers as its model does comes first."""
    if one.parity is None:
        return tuple(one.notes[:20])
    return (words.parity(one.parity), *(note for note in one.notes[:20] if note != one.parity.reason))


def _speed(report: Report, one: VariantReport, index: int) -> Speed:
    timing = one.timings[index]
    against, tone = speed_against(one, timing, report.variants)
    return Speed(short(timing.runtime, 30), words.latency(timing.p50_us), words.latency(timing.p99_us), against, tone)


def _goals(report: Report, metric: Metric) -> tuple[GoalRow, ...]:
    """By variant; those that miss one come first."""
    letters = {one.name: letter(index) for index, one in enumerate(report.variants)}
    scores = {one.name: one.accuracy for one in report.variants}
    rows: dict[str, list[GoalLine]] = {}
    for one in report.goals[: 10 * _MOST_VARIANTS]:
        rows.setdefault(one.variant, []).append(_goal(one, metric, scores.get(one.variant)))
    out = missed(report)
    order = sorted(rows, key=lambda name: name not in out)
    return tuple(GoalRow(letters.get(name, ""), short(name), tuple(rows[name])) for name in order)


def _goal(one: Judgement, metric: Metric, score: Accuracy | None) -> GoalLine:
    half = (score.high - score.low) / 2 if score else 0.001
    result = "not measured" if one.met is None else "met" if one.met else f"missed by {by(one, metric)}"
    return GoalLine(
        wanted=f"{goal_words(one.goal, metric)} {words.target(one.goal, one.target, metric)}",
        found=_found(one, metric, half),
        result=result,
        tone="" if one.met is None else "ok" if one.met else "bad",
        note=_undecided(one),
    )


def _undecided(one: Judgement) -> str:
    """A test set too small to decide says so."""
    if one.note or not one.examples_to_decide:
        return one.note
    return f"the test set is too small to decide: about {one.examples_to_decide:,} examples would"


def _found(one: Judgement, metric: Metric, half_width: float) -> str:
    if one.value is None or one.judged is None:
        return "nothing was measured here"
    told = words.objective(one.goal, one.value, metric, half_width)
    if one.judged == one.value:
        return told
    wanted, judged = words.target(one.goal, one.target, metric), words.objective(one.goal, one.judged, metric, half_width)
    # Rounded onto the goal itself the figure would not show on which side it is.
    while words.round_text(judged) == words.round_text(wanted) and one.judged != one.target and half_width > 1e-7:
        half_width /= 10
        judged = words.objective(one.goal, one.judged, metric, half_width)
    return f"{told}, at worst {judged}"


def _opened(found: Sequence[VariantReport], best: Picks) -> str:
    """Whose details are open at first: of the one to ship, else of the first that has any."""
    names = [one.name for one in found]
    return best.smallest.name if best.smallest and best.smallest.name in names else next(iter(names), "")


def _changes(shown: Sequence[VariantReport], best: Picks) -> tuple[NamedChanges, ...]:
    found = [(index, one, changes(one.confusion)) for index, one in enumerate(shown) if one.confusion]
    first = _opened([one for _, one, what in found if what], best)
    return tuple(NamedChanges(letter(index), short(one.name), what, one.name == first) for index, one, what in found if what)


def _layers(shown: Sequence[VariantReport], metric: Metric, best: Picks) -> tuple[LayerTable, ...]:
    first = _opened([one for one in shown if one.layers], best)
    return tuple(layer_table(letter(index), one, metric, one.name == first) for index, one in enumerate(shown) if one.layers)


def _steps(steps: list[Step]) -> tuple[StepRow, ...]:
    if not steps:
        return ()
    first = steps[0]
    return tuple(
        StepRow(
            step=short(one.step, 40),
            options=words.options(one.options),
            notes=tuple(short(text, 200) for text in one.notes[:10]),
            parameters=words.count(one.parameters),
            parameters_share=_share(one.parameters, first.parameters),
            not_zero=words.count(one.not_zero),
            not_zero_share=_share(one.not_zero, first.parameters),
            macs=words.count(one.macs),
            macs_share=_share(one.macs or 0, first.macs or 0),
            time=words.seconds(one.seconds) if one.seconds else NONE,
        )
        for one in steps[:100]
    )


def _share(part: float, whole: float) -> float:
    """In percent, at most 100: the length of a bar."""
    return round(min(100 * part / whole, 100), 1) if whole > 0 else 0.0
