"""Events and the audit log as operators see them."""

from __future__ import annotations

from dataclasses import dataclass

from sqlmodel import Session, col, select

from argosy_controller.db.tables import AuditRow, EventRow


@dataclass(frozen=True)
class EventView:
    """Something that happened, on a device or here (`device` empty)."""

    id: int
    at: float
    device: str
    kind: str
    text: str
    slot: str
    code: str
    rollout: int | None


@dataclass(frozen=True)
class AuditView:
    """Who changed what."""

    at: float
    account: str
    action: str
    subject: str
    detail: str


@dataclass(frozen=True)
class EventQuery:
    """Which events: the newest `limit`, or with `after` those that came later than that id."""

    limit: int = 50
    after: int | None = None
    device: str | None = None
    kind: str | None = None
    rollout: int | None = None


def list_events(session: Session, query: EventQuery) -> list[EventView]:
    """Events in the order in which they arrived, newest last."""
    id_ = col(EventRow.id)
    statement = select(EventRow).limit(query.limit)
    statement = statement.order_by(id_.desc()) if query.after is None else statement.where(id_ > query.after).order_by(id_)
    for column, value in ((EventRow.device, query.device), (EventRow.kind, query.kind), (EventRow.rollout, query.rollout)):
        if value is not None:
            statement = statement.where(col(column) == value)
    rows = list(session.exec(statement))
    return [_event(row) for row in (reversed(rows) if query.after is None else rows)]


def list_audit(session: Session, limit: int) -> list[AuditView]:
    """The audit log, newest first."""
    rows = session.exec(select(AuditRow).order_by(col(AuditRow.id).desc()).limit(limit))
    return [AuditView(row.at, row.account, row.action, row.subject, row.detail) for row in rows]


def _event(row: EventRow) -> EventView:
    return EventView(row.id or 0, row.at, row.device, row.kind, row.text, row.slot, row.code, row.rollout)
