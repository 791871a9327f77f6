"""A search's history: the best so far, and everything that was tried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from argosy_controller.pipeline.report import Report, SearchReport, Trial
from argosy_controller.pipeline.report_page import words
from argosy_controller.pipeline.report_page.drawing import Scale, Segment, Tick, drawable, even_scale, log_scale
from argosy_controller.pipeline.report_page.words import NONE, Metric, short

_MOST = 300
_BASE, _TOP = 150.0, 12.0


@dataclass(frozen=True)
class Mark:
    """A candidate in the picture. `state`: front, chosen or nothing."""

    x: float
    y: float
    state: str
    title: str


@dataclass(frozen=True)
class History:
    """One objective over the candidates, in the order in which they were tried."""

    title: str
    base: float
    marks: tuple[Mark, ...]
    line: tuple[Segment, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


@dataclass(frozen=True)
class TrialRow:
    """One candidate. `tone`: ok for the chosen one, bad for a failed one."""

    number: int
    point: str
    values: tuple[str, ...]
    state: str
    tone: str
    time: str
    reason: str


@dataclass(frozen=True)
class Candidates:
    """A whole search."""

    headline: str
    judged_on: str
    objectives: tuple[str, ...]
    histories: tuple[History, ...]
    rows: tuple[TrialRow, ...]
    left_out: int


def candidates(report: Report, metric: Metric) -> Candidates:
    """The search of a report that has one."""
    search = report.search
    assert search is not None
    objectives = tuple(search.objectives[:6])
    histories = [_history(name, search, metric) for name in objectives]
    return Candidates(
        headline=_headline(search),
        judged_on=search.judged_on,
        objectives=tuple(_title(name, metric) for name in objectives),
        histories=tuple(one for one in histories if one),
        rows=tuple(_row(one, search, objectives, metric) for one in search.trials[:_MOST]),
        left_out=max(len(search.trials) - _MOST, 0),
    )


def _headline(search: SearchReport) -> str:
    states = [one.state for one in search.trials]
    parts = [f"{states.count('hopeless')} stopped early"] if "hopeless" in states else []
    parts += [f"{states.count('failed')} failed"] if "failed" in states else []
    rest = f" ({', '.join(parts)})" if parts else ""
    many = f"{len(states)} candidates were" if len(states) != 1 else "1 candidate was"
    return f"{many} tried by {short(search.method, 40)}{rest}; candidate {search.chosen} was built and measured once on the test data."


def _title(name: str, metric: Metric) -> str:
    usual = {"accuracy": metric.name, "bytes": "size", "p50_us": "median latency", "macs": "MACs", "not_zero": "weights not 0"}
    return usual.get(name, short(name, 30))


def _history(name: str, search: SearchReport, metric: Metric) -> History | None:
    """None with fewer than two figures: that is no history."""
    tried = [one for one in search.trials if one.state == "complete" and drawable(one.values.get(name), one.number)][: 10 * _MOST]
    if len(tried) < 2:
        return None
    better_up = name == "accuracy" and metric.higher_is_better
    values = [one.values[name] for one in tried]
    log = name != "accuracy" and drawable(*values, log=True) and max(values) > 2 * min(values)
    y = (
        log_scale(values, _BASE, _TOP)
        if log
        else even_scale(values, _BASE, _TOP, 0.01 if name == "accuracy" else max(abs(max(values)) * 0.02, 1e-9))
    )
    first, last = tried[0].number, max(one.number for one in tried)
    x = Scale(first - 0.5, last + 0.5, 1.0, 99.0)
    return History(
        title=f"{_title(name, metric)}: {'higher' if better_up else 'lower'} is better",
        base=_BASE,
        marks=tuple(_mark(one, name, search.chosen, x, y, metric) for one in tried),
        line=_best_so_far(tried, name, better_up, x, y),
        x_ticks=tuple(Tick(x.at(value), f"{value:.0f}") for value in x.values(6) if value == int(value)),
        y_ticks=tuple(Tick(y.at(value), words.target(name, value, metric)) for value in y.values(4)),
    )


def _mark(one: Trial, name: str, chosen: int, x: Scale, y: Scale, metric: Metric) -> Mark:
    state = "chosen" if one.number == chosen else "front" if one.front else ""
    title = f"candidate {one.number}: {words.objective(name, one.values[name], metric)}; {words.options(one.point)}"
    return Mark(x.at(one.number), y.at(one.values[name]), state, title)


def _best_so_far(tried: Sequence[Trial], name: str, better_up: bool, x: Scale, y: Scale) -> tuple[Segment, ...]:
    found: list[Segment] = []
    best, since = tried[0].values[name], x.at(tried[0].number)
    for one in tried[1:]:
        value = one.values[name]
        if (value > best) if better_up else (value < best):
            here = x.at(one.number)
            found += [Segment(since, y.at(best), here, y.at(best)), Segment(here, y.at(best), here, y.at(value))]
            best, since = value, here
    return (*found, Segment(since, y.at(best), 99.0, y.at(best)))


def _row(one: Trial, search: SearchReport, objectives: Sequence[str], metric: Metric) -> TrialRow:
    chosen = one.number == search.chosen
    state = "chosen" if chosen else "front" if one.front and one.state == "complete" else short(one.state, 30)
    return TrialRow(
        number=one.number,
        point=words.options(one.point),
        values=tuple(words.objective(name, one.values[name], metric) if name in one.values else NONE for name in objectives),
        state=state,
        tone="ok" if chosen else "bad" if one.state == "failed" else "info" if state == "front" else "",
        time=words.seconds(one.seconds) if one.seconds else NONE,
        reason=one.reason,
    )
