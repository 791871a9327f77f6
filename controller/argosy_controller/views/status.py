"""How the whole controller is."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func
from sqlmodel import Session, col, select

import argosy
from argosy_controller.db.tables import BuildRow, DeviceRow, EventRow, RolloutRow
from argosy_controller.parts import Parts

DAY_S = 86400.0


@dataclass(frozen=True)
class StatusView:
    """Counts and health. `builds_open`: running or queued; `heard_since`: since when the fleet is heard over MQTT, None while it is not; `lab_mode`: publisher keys lie here."""

    version: str
    devices: int
    devices_online: int
    devices_revoked: int
    rollouts_running: int
    rollouts_paused: int
    builds_open: int
    refusals_day: int
    broker: str
    broker_up: bool
    heard_since: float | None
    lab_mode: bool
    root_keys_here: bool
    device_api: str
    mqtt: str


def status_of(parts: Parts) -> StatusView:
    """The state of everything."""
    with parts.database.read() as session:
        counts = _counts(session, parts.clock())
    return StatusView(
        version=argosy.__version__,
        **counts,
        broker=parts.broker.kind,
        # An external broker's own check connects to it; hearing the fleet says as much and costs nothing.
        broker_up=parts.link.listening_since is not None,
        heard_since=parts.link.listening_since,
        lab_mode=lab_mode(parts),
        root_keys_here=parts.folder.offline_keys.exists(),
        device_api=parts.endpoints.device_api,
        mqtt=parts.endpoints.mqtt,
    )


def lab_mode(parts: Parts) -> bool:
    """Whether this controller can sign models by itself, because it holds the publishers' key."""
    return parts.repository.lab_mode


def _counts(session: Session, now: float) -> dict[str, int]:
    alive = select(func.count()).select_from(DeviceRow).where(col(DeviceRow.revoked).is_(False))
    devices = session.exec(alive).one()
    online = session.exec(alive.where(col(DeviceRow.online))).one()
    revoked = session.exec(select(func.count()).select_from(DeviceRow).where(col(DeviceRow.revoked))).one()
    states = dict(session.exec(select(RolloutRow.state, func.count()).group_by(RolloutRow.state)).all())
    refusals = (
        select(func.count())
        .select_from(EventRow)
        .where(col(EventRow.code) != "", col(EventRow.kind) != "waiting", EventRow.at > now - DAY_S)
    )
    return {
        "devices": devices,
        "devices_online": online,
        "devices_revoked": revoked,
        "rollouts_running": states.get("running", 0),
        "rollouts_paused": states.get("paused", 0),
        "builds_open": session.exec(select(func.count()).select_from(BuildRow).where(col(BuildRow.state).in_(("queued", "running")))).one(),
        "refusals_day": session.exec(refusals).one(),
    }
