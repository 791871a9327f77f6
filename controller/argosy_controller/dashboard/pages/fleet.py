"""The fleet at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import Session

from argosy_controller.dashboard.charts import Lines, lines
from argosy_controller.dashboard.words import (
    Age,
    Badge,
    EventLine,
    SlotLine,
    Tile,
    age,
    device_badge,
    event_line,
    label_texts,
    rollout_badge,
    slot_line,
)
from argosy_controller.views.devices import DeviceView, list_devices
from argosy_controller.views.events import EventQuery, list_events
from argosy_controller.views.format import as_count, as_latency, as_share
from argosy_controller.views.latency import SPAN_S, Recent, recent
from argosy_controller.views.rollouts import RolloutView, list_rollouts
from argosy_controller.views.status import StatusView

#: More rows than a person reads; the page says so and offers the selector.
MOST_ROWS = 200


@dataclass(frozen=True)
class DeviceLine:
    """A row of the device table."""

    name: str
    badge: Badge
    labels: tuple[str, ...]
    slots: tuple[SlotLine, ...]
    runtimes: str
    p95: str
    seen: Age


@dataclass(frozen=True)
class RolloutLine:
    """A rollout under way."""

    number: int
    title: str
    badge: Badge
    reason: str


@dataclass(frozen=True)
class FleetPage:
    """Page data."""

    tiles: tuple[Tile, ...]
    selector: str
    devices: tuple[DeviceLine, ...]
    hidden: int
    enrolled: int
    chart: Lines | None
    under_way: tuple[RolloutLine, ...]
    events: tuple[EventLine, ...]


def page(session: Session, status: StatusView, now: float, selector: str = "*") -> FleetPage:
    """The fleet now.

    Raises:
        InvalidInput: the selector does not parse.
    """
    devices = list_devices(session, selector)
    measured = recent(session, now)
    open_rollouts = [one for one in list_rollouts(session, 20) if one.state in ("running", "paused")]
    return FleetPage(
        tiles=_tiles(status, measured, devices),
        selector=selector,
        devices=tuple(_line(one, measured, now) for one in sorted(devices, key=_order)[:MOST_ROWS]),
        hidden=max(0, len(devices) - MOST_ROWS),
        enrolled=status.devices + status.devices_revoked,
        chart=lines(measured.moments, now - SPAN_S, now, {}),
        under_way=tuple(_rollout(one) for one in open_rollouts),
        events=tuple(event_line(one, now) for one in reversed(list_events(session, EventQuery(limit=6)))),
    )


def _order(device: DeviceView) -> tuple[bool, bool, str]:
    """What needs attention comes first."""
    failing = any(slot.failure for slot in device.slots.values())
    return device.revoked, not failing and device.online, device.device


def _tiles(status: StatusView, measured: Recent, devices: Sequence[DeviceView]) -> tuple[Tile, ...]:
    offline = status.devices - status.devices_online
    serving = sum(1 for one in devices if one.online and any(slot.state == "serving" for slot in one.slots.values()))
    errors = measured.errors / measured.requests if measured.requests else 0.0
    return (
        Tile("Devices online", f"{status.devices_online}", f"{offline} offline" if offline else "all of the fleet", f"of {status.devices}"),
        Tile("Serving", f"{serving}", "online devices with a model that answers", "devices"),
        Tile("Requests", as_count(measured.requests), f"in the last {SPAN_S / 60:.0f} min, {as_share(errors)} failed"),
        Tile(
            "Latency p95",
            as_latency(measured.all.quantile(0.95)),
            f"p50 {as_latency(measured.all.quantile(0.5))}, last {SPAN_S / 60:.0f} min",
        ),
        Tile("Refusals", as_count(status.refusals_day), "by devices in the last 24 h", tone="warn" if status.refusals_day else ""),
    )


def _line(device: DeviceView, measured: Recent, now: float) -> DeviceLine:
    histogram = measured.by_device.get(device.device)
    return DeviceLine(
        device.device,
        device_badge(device),
        label_texts(device.labels),
        tuple(slot_line(slot, view) for slot, view in device.slots.items()),
        ", ".join(one.name for one in device.runtimes) or "–",
        as_latency(histogram.quantile(0.95)) if histogram else "–",
        age(device.last_seen, now),
    )


def _rollout(one: RolloutView) -> RolloutLine:
    title = f"{one.model}@{one.version} to {one.selector}"
    return RolloutLine(one.rollout, title, rollout_badge(one.state), one.reason)
