"""What was measured and what happened."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query

from argosy_controller.api.deps import Admin, PartsDep, Viewer
from argosy_controller.views.events import AuditView, EventQuery, EventView, list_audit, list_events
from argosy_controller.views.status import StatusView, status_of
from argosy_controller.views.telemetry import LatencyQuery, LatencyView, latency

router = APIRouter(tags=["observing"])
Limit = Annotated[int, Query(ge=1, le=1000)]


@router.get("/telemetry")
def telemetry(
    parts: PartsDep,
    _: Viewer,
    model: str | None = None,
    version: int | None = None,
    device: str | None = None,
    by: Literal["version", "variant", "device"] = "variant",
    since_s: Annotated[float | None, Query(gt=0)] = None,
) -> list[LatencyView]:
    """Latency percentiles, exact up to 0.55 %, with request and error counts."""
    since = None if since_s is None else parts.clock() - since_s
    with parts.database.read() as session:
        return latency(session, LatencyQuery(model=model, version=version, device=device, by=by, since=since))


@router.get("/events")
def events(
    parts: PartsDep,
    _: Viewer,
    limit: Limit = 50,
    after: int | None = None,
    device: str | None = None,
    kind: str | None = None,
    rollout: int | None = None,
) -> list[EventView]:
    """Events in the order in which they arrived, newest last."""
    with parts.database.read() as session:
        return list_events(session, EventQuery(limit=limit, after=after, device=device, kind=kind, rollout=rollout))


@router.get("/audit")
def audit(parts: PartsDep, _: Admin, limit: Limit = 50) -> list[AuditView]:
    """Who changed what, newest first."""
    with parts.database.read() as session:
        return list_audit(session, limit)


@router.get("/status")
def status(parts: PartsDep, _: Viewer) -> StatusView:
    """Whether everything runs, and how the fleet is."""
    return status_of(parts)
