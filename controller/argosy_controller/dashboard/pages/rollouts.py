"""All rollouts, and what is needed to start one."""

from __future__ import annotations

from dataclasses import dataclass

from sqlmodel import Session

from argosy_controller.dashboard.charts import Segment, split
from argosy_controller.dashboard.words import Age, Badge, age, rollout_badge
from argosy_controller.views.models import list_models
from argosy_controller.views.rollouts import RolloutView, list_rollouts


@dataclass(frozen=True)
class RolloutLine:
    """A rollout."""

    number: int
    title: str
    selector: str
    badge: Badge
    reason: str
    stage: str
    segments: tuple[Segment, ...]
    confirmed: str
    created: Age


@dataclass(frozen=True)
class RolloutsPage:
    """Page data. `versions` can be started; `chosen` is one of them or empty."""

    rollouts: tuple[RolloutLine, ...]
    versions: tuple[str, ...]
    chosen: str


def page(session: Session, now: float, chosen: str = "") -> RolloutsPage:
    """Rollouts, newest first."""
    versions = [f"{one.model}@{number}" for one in list_models(session) for number in range(one.newest, 0, -1)]
    return RolloutsPage(tuple(_line(one, now) for one in list_rollouts(session, 100)), tuple(versions[:200]), chosen)


def _line(one: RolloutView, now: float) -> RolloutLine:
    return RolloutLine(
        one.rollout,
        f"{one.model}@{one.version}",
        one.selector,
        rollout_badge(one.state),
        one.reason,
        f"{one.stage} of {len(one.stages)}",
        split(one.counts),
        f"{one.counts['confirmed']} of {one.devices_total}",
        age(one.created, now),
    )
