"""A build: how far it is, which goals it met, what it printed, its report."""

from __future__ import annotations

from dataclasses import dataclass

from sqlmodel import Session

from argosy.errors import NotFound
from argosy_controller.dashboard.pages.builds import Meter, build_badge, made, meter, took
from argosy_controller.dashboard.words import Age, Badge, age
from argosy_controller.jobs.places import Places
from argosy_controller.pipeline.numbers.goals import Judgement
from argosy_controller.pipeline.report import Report
from argosy_controller.views.builds import BuildView, log_tail, one_build
from argosy_controller.views.reports import report_of_build

_LINES = 60
_TONES = {"failed": "bad", "cancelled": "warn", "succeeded": "ok"}


@dataclass(frozen=True)
class Fact:
    """A line of what is known."""

    name: str
    value: str


@dataclass(frozen=True)
class GoalLine:
    """A goal of a variant: what was asked, what was measured, whether that was enough."""

    variant: str
    goal: str
    target: str
    measured: str
    judged: str
    badge: Badge
    note: str


@dataclass(frozen=True)
class BuildPage:
    """Page data. `reason` is one sentence; `log` the end of what it printed."""

    number: int
    title: str
    badge: Badge
    tone: str
    reason: str
    open: bool
    meter: Meter | None
    model: str
    made: str
    by: str
    queued: Age
    took: str
    facts: tuple[Fact, ...]
    goals: tuple[GoalLine, ...]
    log: str
    report: bool


def page(session: Session, places: Places, number: int, now: float) -> BuildPage:
    """One build now.

    Raises:
        NotFound: there is no such build.
    """
    one = one_build(session, places, number, now)
    report = _report(session, places, number)
    lines = log_tail(session, places, number).text.splitlines()
    return BuildPage(
        number=number,
        title=one.task,
        badge=build_badge(one.state),
        tone=_TONES.get(one.state, "info"),
        reason=one.reason.partition("\n")[0],  # a table of goals follows it, which the page draws itself
        open=one.state in ("queued", "running"),
        meter=meter(one),
        model=one.model if one.version else "",
        made=made(one),
        by=one.created_by,
        queued=age(one.created, now),
        took=took(one, now),
        facts=tuple(_facts(one)),
        goals=tuple(_goal(each) for each in report.goals) if report else (),
        log="\n".join(lines[-_LINES:]),
        report=report is not None,
    )


def _report(session: Session, places: Places, number: int) -> Report | None:
    try:
        return report_of_build(session, places, number)
    except NotFound:
        return None


def _facts(one: BuildView) -> list[Fact]:
    settings = ", ".join(f"{key}={value}" for key, value in sorted(one.settings.items()))
    return [
        Fact("task", one.task),
        Fact("recipe", one.recipe),
        Fact("model", one.model or "the task's own name"),
        Fact("seed", str(one.seed)),
        *([Fact("settings", settings)] if settings else []),
        Fact("cache", "used" if one.cached else "not used"),
    ]


def _goal(one: Judgement) -> GoalLine:
    badge = {True: Badge("met", "ok"), False: Badge("missed", "bad"), None: Badge("not measured")}[one.met]
    note = one.note or (f"missed by {_number(one.missed_by)}" if one.met is False else "")
    return GoalLine(one.variant, one.goal.replace("_", " "), _number(one.target), _number(one.value), _number(one.judged), badge, note)


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) > 1 else f"{value:.4g}"
