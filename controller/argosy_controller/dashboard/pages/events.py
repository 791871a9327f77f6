"""What happened, and who changed what."""

from __future__ import annotations

from dataclasses import dataclass

from sqlmodel import Session

from argosy_controller.dashboard.words import Age, EventLine, age, event_line
from argosy_controller.views.events import EventQuery, list_audit, list_events

MOST = 200


@dataclass(frozen=True)
class AuditLine:
    """A change."""

    age: Age
    account: str
    action: str
    subject: str
    detail: str


@dataclass(frozen=True)
class EventsPage:
    """Page data. `device` and `kind` are the filters, empty for all."""

    events: tuple[EventLine, ...]
    audit: tuple[AuditLine, ...]
    device: str
    kind: str


def page(session: Session, now: float, device: str = "", kind: str = "") -> EventsPage:
    """Events and changes, newest first."""
    events = list_events(session, EventQuery(limit=MOST, device=device or None, kind=kind or None))
    audit = list_audit(session, 50)
    return EventsPage(
        tuple(event_line(one, now) for one in reversed(events)),
        tuple(AuditLine(age(one.at, now), one.account or "a device", one.action, one.subject, one.detail) for one in audit),
        device,
        kind,
    )
