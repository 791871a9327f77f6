"""Rollouts as operators see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func
from sqlmodel import Session, col, select

from argosy.errors import NotFound
from argosy_controller.db.tables import RolloutDeviceRow, RolloutRow
from argosy_controller.rollouts.loading import held_of

STATES = ("told", "confirmed", "went_back", "lost", "excluded")


@dataclass(frozen=True)
class PartView:
    """One device's part. `stage` counts from 1; `deadline` 0 while its clock does not run."""

    device: str
    stage: int
    state: str
    reason: str
    variant: str
    told: float
    deadline: float
    ended: float | None
    previous: str


@dataclass(frozen=True)
class RolloutView:
    """A rollout. `stage` counts from 1; `counts` by state of the devices; `devices` is empty in lists."""

    rollout: int
    state: str
    reason: str
    model: str
    version: int
    slot: str
    selector: str
    stages: list[float]
    stage: int
    devices_total: int
    counts: dict[str, int]
    devices: list[PartView]
    created: float
    created_by: str
    ended: float | None
    deadline_s: float
    health_window_s: float


def list_rollouts(session: Session, limit: int = 50, model: str | None = None) -> list[RolloutView]:
    """Rollouts, newest first."""
    query = select(RolloutRow).order_by(col(RolloutRow.id).desc()).limit(limit)
    if model is not None:
        query = query.where(col(RolloutRow.model) == model)
    rows = session.exec(query).all()
    counts = _counts(session, [row.id for row in rows if row.id is not None])
    return [_view(row, counts.get(row.id or 0, {}), []) for row in rows]


def one_rollout(session: Session, number: int) -> RolloutView:
    """One rollout with its devices.

    Raises:
        NotFound: there is no such rollout.
    """
    row = session.get(RolloutRow, number)
    if row is None:
        raise NotFound(f"there is no rollout {number}: see 'controller rollouts list'")
    query = select(RolloutDeviceRow).where(col(RolloutDeviceRow.rollout) == number)
    parts = session.exec(query.order_by(col(RolloutDeviceRow.stage), RolloutDeviceRow.device)).all()
    return _view(row, _counts(session, [number]).get(number, {}), [_part(one) for one in parts])


def _counts(session: Session, numbers: Sequence[int]) -> dict[int, dict[str, int]]:
    query = (
        select(RolloutDeviceRow.rollout, RolloutDeviceRow.state, func.count())
        .where(col(RolloutDeviceRow.rollout).in_(numbers))
        .group_by(col(RolloutDeviceRow.rollout), col(RolloutDeviceRow.state))
    )
    found: dict[int, dict[str, int]] = {}
    for rollout, state, count in session.exec(query):
        found.setdefault(rollout, {})[state] = count
    return found


def _view(row: RolloutRow, counts: dict[str, int], devices: list[PartView]) -> RolloutView:
    return RolloutView(
        rollout=row.id or 0,
        state=row.state,
        reason=row.reason,
        model=row.model,
        version=row.version,
        slot=row.slot,
        selector=row.selector,
        stages=list(row.stages),
        stage=row.stage + 1,
        devices_total=sum(counts.values()),
        counts={state: counts.get(state, 0) for state in STATES},
        devices=devices,
        created=row.created,
        created_by=row.created_by,
        ended=row.ended,
        deadline_s=row.deadline_s,
        health_window_s=float(row.gates.get("window_s", 0.0)),
    )


def _part(row: RolloutDeviceRow) -> PartView:
    held = held_of(row.previous)
    previous = f"{held.content.model}@{held.content.version} {held.content.variant}" if held else ""
    return PartView(row.device, row.stage + 1, row.state, row.reason, row.variant, row.told, row.deadline or 0.0, row.ended, previous)
