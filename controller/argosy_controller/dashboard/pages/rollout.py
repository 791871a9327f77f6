"""A rollout: its stages, its devices, and latency before and after on those that have the version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import Session, col, select

from argosy.histogram import Histogram
from argosy_controller.dashboard.charts import Density, Pairs, Segment, density, pairs, split
from argosy_controller.dashboard.words import Age, Badge, EventLine, age, event_line, part_badge, ratio_text, rollout_badge
from argosy_controller.db.tables import WindowRow
from argosy_controller.views.events import EventQuery, list_events
from argosy_controller.views.format import as_duration
from argosy_controller.views.latency import sum_of
from argosy_controller.views.rollouts import PartView, RolloutView, one_rollout

#: Before counts what a device measured in this time before it was told, seconds.
BEFORE_S = 900.0
_MOST_WINDOWS = 8000
_MOST_DEVICES = 200


@dataclass(frozen=True)
class StageLine:
    """A stage. `filled` in percent of the bar; `label` is its share of the devices."""

    number: int
    label: str
    note: str
    filled: float
    current: bool


@dataclass(frozen=True)
class PartLine:
    """A device in the rollout."""

    device: str
    stage: int
    badge: Badge
    variant: str
    previous: str
    reason: str
    told: Age


@dataclass(frozen=True)
class RolloutPage:
    """Page data."""

    number: int
    title: str
    model: str
    badge: Badge
    reason: str
    selector: str
    slot: str
    by: str
    created: Age
    rules: str
    open: bool
    paused: bool
    stages: tuple[StageLine, ...]
    segments: tuple[Segment, ...]
    devices: tuple[PartLine, ...]
    hidden: int
    density: Density | None
    pairs: Pairs | None
    ratio: str
    events: tuple[EventLine, ...]


@dataclass(frozen=True)
class _Measured:
    """Of one device."""

    before: Histogram
    after: Histogram


def page(session: Session, number: int, now: float) -> RolloutPage:
    """One rollout now.

    Raises:
        NotFound: there is no such rollout.
    """
    one = one_rollout(session, number)
    measured = _measure(session, one)
    before, after = _sum([each.before for each in measured.values()]), _sum([each.after for each in measured.values()])
    return RolloutPage(
        number=number,
        title=f"{one.model}@{one.version}",
        model=one.model,
        badge=rollout_badge(one.state),
        reason=one.reason,
        selector=one.selector,
        slot=one.slot,
        by=one.created_by,
        created=age(one.created, now),
        rules=f"health window {as_duration(one.health_window_s)}, deadline {as_duration(one.deadline_s)}",
        open=one.state in ("running", "paused"),
        paused=one.state == "paused",
        stages=_stages(one),
        segments=split(one.counts),
        devices=tuple(_part(each, now) for each in one.devices[:_MOST_DEVICES]),
        hidden=max(0, len(one.devices) - _MOST_DEVICES),
        density=density(before, after),
        pairs=pairs((name, each.before.quantile(0.95), each.after.quantile(0.95)) for name, each in measured.items()),
        ratio=ratio_text(before, after),
        events=tuple(event_line(each, now) for each in reversed(list_events(session, EventQuery(limit=12, rollout=number)))),
    )


def _stages(one: RolloutView) -> tuple[StageLine, ...]:
    return tuple(_stage(one, index + 1, share) for index, share in enumerate(one.stages))


def _stage(one: RolloutView, number: int, share: float) -> StageLine:
    own = [part for part in one.devices if part.stage == number and part.state != "excluded"]
    confirmed = sum(part.state == "confirmed" for part in own)
    done = one.state == "finished" or number < one.stage
    filled = 100.0 if done and not own else 100.0 * confirmed / len(own) if own else 0.0
    note = (
        f"{confirmed} of {len(own)} devices confirmed" if own else "done" if done else "not started" if number > one.stage else "starting"
    )
    return StageLine(number, f"{100 * share:.0f} %", note, round(filled, 1), number == one.stage and one.state in ("running", "paused"))


def _part(one: PartView, now: float) -> PartLine:
    return PartLine(one.device, one.stage, part_badge(one.state), one.variant, one.previous, one.reason, age(one.told, now))


def _measure(session: Session, one: RolloutView) -> dict[str, _Measured]:
    """Before: the slot's windows until the device was told; after: those of the new version since. At most _MOST_DEVICES devices."""
    told = {part.device: part.told for part in one.devices[:_MOST_DEVICES] if part.told > 0}
    rows: dict[str, tuple[list[WindowRow], list[WindowRow]]] = {name: ([], []) for name in told}
    for row in _windows(session, one, list(told), min(told.values(), default=0.0) - BEFORE_S):
        mine = (row.model, row.version) == (one.model, one.version)
        at = told[row.device]
        if mine and row.start + row.duration_s >= at:
            rows[row.device][1].append(row)
        elif not mine and at - BEFORE_S <= row.start < at:
            rows[row.device][0].append(row)
    return {name: _Measured(sum_of(old), sum_of(new)) for name, (old, new) in rows.items() if old or new}


def _windows(session: Session, one: RolloutView, devices: Sequence[str], since: float) -> Sequence[WindowRow]:
    query = select(WindowRow).where(col(WindowRow.slot) == one.slot, col(WindowRow.device).in_(devices), col(WindowRow.start) >= since)
    if one.ended is not None:
        query = query.where(col(WindowRow.start) <= one.ended + BEFORE_S)
    return session.exec(query.order_by(col(WindowRow.start)).limit(_MOST_WINDOWS)).all()


def _sum(histograms: Sequence[Histogram]) -> Histogram:
    result = Histogram()
    for one in histograms:
        result = result.merge(one)
    return result
