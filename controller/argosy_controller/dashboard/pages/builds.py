"""All builds on the controller."""

from __future__ import annotations

from dataclasses import dataclass

from sqlmodel import Session

from argosy_controller.dashboard.words import Age, Badge, age
from argosy_controller.jobs.places import Places
from argosy_controller.views.builds import BuildView, list_builds
from argosy_controller.views.format import as_duration

_TONES = {"queued": "", "running": "busy", "succeeded": "ok", "failed": "bad", "cancelled": "warn"}
_MOST = 100
_LONGEST_REASON = 160


@dataclass(frozen=True)
class Meter:
    """How far a stage is. `percent` from 0 to 100; `text` says it in words, with the time left."""

    stage: str
    percent: float
    text: str


@dataclass(frozen=True)
class BuildLine:
    """A build."""

    number: int
    title: str
    recipe: str
    badge: Badge
    reason: str
    meter: Meter | None
    model: str
    made: str
    took: str
    queued: Age


@dataclass(frozen=True)
class BuildsPage:
    """Page data."""

    builds: tuple[BuildLine, ...]
    hidden: bool


def page(session: Session, places: Places, now: float) -> BuildsPage:
    """Builds, newest first."""
    found = list_builds(session, places, now, _MOST + 1)
    return BuildsPage(tuple(_line(one, now) for one in found[:_MOST]), len(found) > _MOST)


def build_badge(state: str) -> Badge:
    """How a build stands."""
    return Badge(state, _TONES.get(state, ""))


def meter(one: BuildView) -> Meter | None:
    """How far a running build is; None for others."""
    if one.state != "running" or not one.total:
        return None
    left = "" if one.left_s is None else f", {as_duration(one.left_s)} left"
    return Meter(one.stage, round(100 * min(one.done / one.total, 1.0), 1), f"{one.done} of {one.total}{left}")


def took(one: BuildView, now: float) -> str:
    """How long it has run, or ran."""
    return "–" if one.started is None else as_duration((one.ended or now) - one.started)


def made(one: BuildView) -> str:
    """What came out of it: `digits@3`; empty for nothing yet."""
    return f"{one.model}@{one.version}" if one.version else "kept for its publisher" if one.fetchable else ""


def _line(one: BuildView, now: float) -> BuildLine:
    first = one.reason.split("\n", 1)[0]
    return BuildLine(
        number=one.build,
        title=one.task,
        recipe=one.recipe,
        badge=build_badge(one.state),
        reason=first if len(first) <= _LONGEST_REASON else f"{first[:_LONGEST_REASON]}…",
        meter=meter(one),
        model=one.model if one.version else "",
        made=made(one),
        took=took(one, now),
        queued=age(one.created, now),
    )
