"""The database as frozen facts for `plan`: set-based, a handful of statements however many devices there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy
from sqlalchemy import func
from sqlmodel import Session, col, or_, select

from argosy.errors import InvalidInput
from argosy.protocol.codec import from_json
from argosy.protocol.desired import SlotContent
from argosy.protocol.reported import Reported
from argosy.selectors import parse_selector
from argosy_controller.db.tables import DesiredSlotRow, DeviceRow, RolloutDeviceRow, RolloutRow
from argosy_controller.fleet.desired import content_of_row
from argosy_controller.registry import catalogue
from argosy_controller.rollouts.facts import Device, Held, Part, PartState, Rollout, State

UNDER_WAY = (State.RUNNING.value, State.PAUSED.value)


@dataclass(frozen=True)
class DeviceFacts:
    """A device as it stands in its table, its report decoded."""

    name: str
    online: bool
    revoked: bool
    labels: Mapping[str, str]
    reported_generation: int
    report: Reported | None


def open_rollouts(session: Session) -> list[RolloutRow]:
    """Rollouts for which there may be something to do, oldest first: those under way, and ended ones that are still owed
    an answer or still owe a device something."""
    part, held, device = RolloutDeviceRow, DesiredSlotRow, DeviceRow
    owned = col(held.rollout) == RolloutRow.id
    open_parts = (
        select(part.rollout)
        .join(RolloutRow, col(RolloutRow.id) == part.rollout)
        .join(device, col(device.name) == part.device)
        .outerjoin(held, (col(held.device) == part.device) & (col(held.slot) == RolloutRow.slot))
        .where(
            or_(
                (col(RolloutRow.state) == State.ABORTED.value) & (col(part.state) == PartState.TOLD.value),
                (col(RolloutRow.state) == State.ABORTED.value) & col(part.state).in_(["lost", "went_back"]) & owned,
                (col(RolloutRow.state) == State.FINISHED.value) & col(part.state).in_(["told", "lost", "went_back"]) & owned,
                (col(RolloutRow.state) == State.FINISHED.value) & (col(part.state) == PartState.EXCLUDED.value) & _newest_of_its_slot(),
            ),
            col(device.revoked).is_(False) | (col(part.state) == PartState.TOLD.value),
        )
    )
    query = select(RolloutRow).where(or_(col(RolloutRow.state).in_(UNDER_WAY), col(RolloutRow.id).in_(open_parts)))
    return list(session.exec(query.order_by(col(RolloutRow.id))))


def _newest_of_its_slot() -> Any:
    """Only the newest finished rollout of a slot goes on reaching devices that could not be told."""
    other = RolloutRow.__table__.alias("other")  # type: ignore[attr-defined]
    newest = select(func.max(other.c.id)).where(other.c.slot == col(RolloutRow.slot), other.c.state == State.FINISHED.value)
    return col(RolloutRow.id) == newest.scalar_subquery()


def load_devices(session: Session) -> dict[str, DeviceFacts]:
    """Every device."""
    # Columns, not rows: a thousand devices are looked through every tick.
    table = DeviceRow.__table__.c  # type: ignore[attr-defined]
    query = sqlalchemy.select(table.name, table.online, table.revoked, table.labels, table.reported_generation, table.reported)
    rows = session.connection().execute(query)
    return {name: DeviceFacts(name, online, revoked, labels, seen, _decoded(raw)) for name, online, revoked, labels, seen, raw in rows}


def load_rollout(session: Session, row: RolloutRow) -> Rollout:
    """A rollout with its parts and the cards of its version."""
    assert row.id is not None
    variants = {variant.name: variant for variant in catalogue.version(session, row.model, row.version).variants}
    contents = {name: variant.content for name, variant in variants.items()}
    parts = session.exec(select(RolloutDeviceRow).where(col(RolloutDeviceRow.rollout) == row.id))
    return Rollout(
        id=row.id,
        model=row.model,
        version=row.version,
        slot=row.slot,
        stages=tuple(row.stages),
        cards=tuple(variant.card for variant in variants.values()),
        deadline_s=row.deadline_s,
        stage=row.stage,
        state=State(row.state),
        reason=row.reason,
        parts={part.device: _part(part, contents) for part in parts},
    )


def load_fleet(session: Session, row: RolloutRow, rollout: Rollout, devices: Mapping[str, DeviceFacts]) -> dict[str, Device]:
    """The devices that concern a rollout, seen through its slot. An ended one concerns only those that have a part."""
    held = {one.device: one for one in session.exec(select(DesiredSlotRow).where(col(DesiredSlotRow.slot) == row.slot))}
    busy = _busy(session, row)
    selector = parse_selector(row.selector)
    under_way = rollout.state in (State.RUNNING, State.PAUSED)
    fleet = {}
    for name, facts in devices.items():
        matches = selector.matches(name, facts.labels)
        if name in rollout.parts or (under_way and matches):
            fleet[name] = _seen(facts, row.slot, matches, held.get(name), busy.get(name))
    return fleet


def members_under_way(session: Session, slot: str, but: int | None = None) -> dict[str, int]:
    """Devices that a rollout under way has told about this slot, and which one; `but` is left out."""
    query = (
        select(RolloutDeviceRow.device, RolloutDeviceRow.rollout)
        .join(RolloutRow, col(RolloutRow.id) == RolloutDeviceRow.rollout)
        .where(RolloutRow.slot == slot, col(RolloutRow.state).in_(UNDER_WAY), RolloutDeviceRow.state != PartState.EXCLUDED.value)
    )
    return {device: rollout for device, rollout in session.exec(query) if rollout != but}


def held_of(previous: Mapping[str, Any] | None) -> Held | None:
    """What RolloutDeviceRow.previous says."""
    return None if previous is None else Held(msgspec.convert(previous, SlotContent), previous.get("rollout"))


def as_previous(held: Held | None) -> dict[str, Any] | None:
    """As it is kept in RolloutDeviceRow.previous."""
    return None if held is None else {**msgspec.structs.asdict(held.content), "rollout": held.rollout}


def _busy(session: Session, row: RolloutRow) -> dict[str, int]:
    return members_under_way(session, row.slot, but=row.id)


def _part(row: RolloutDeviceRow, contents: Mapping[str, SlotContent]) -> Part:
    return Part(
        device=row.device,
        stage=row.stage,
        state=PartState(row.state),
        content=contents.get(row.variant),
        generation=row.generation,
        deadline=row.deadline or None,
        previous=held_of(row.previous),
        reason=row.reason,
    )


def _seen(facts: DeviceFacts, slot: str, matches: bool, held: DesiredSlotRow | None, busy: int | None) -> Device:
    report = facts.report
    return Device(
        name=facts.name,
        online=facts.online,
        revoked=facts.revoked,
        matches=matches,
        capabilities=report.capabilities if report else None,
        report=report.slots.get(slot) if report else None,
        refusals=tuple(report.refusals) if report else (),
        reported_generation=facts.reported_generation,
        desired=Held(content_of_row(held), held.rollout) if held else None,
        busy=busy,
    )


def _decoded(raw: bytes | None) -> Reported | None:
    try:
        return None if raw is None else from_json(Reported, raw)
    except InvalidInput:
        return None  # checked on arrival; only a database from elsewhere holds such a row
