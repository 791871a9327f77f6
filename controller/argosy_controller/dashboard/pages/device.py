"""One device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlmodel import Session

from argosy_controller.dashboard.charts import Lines, lines
from argosy_controller.dashboard.words import Age, Badge, EventLine, SlotLine, age, device_badge, event_line, label_texts, slot_line
from argosy_controller.views.devices import DeviceView, one_device
from argosy_controller.views.events import EventQuery, EventView, list_events
from argosy_controller.views.format import as_bytes, as_count, as_duration, as_latency, as_share
from argosy_controller.views.latency import SPAN_S, recent
from argosy_controller.views.telemetry import LatencyQuery, LatencyView, latency

MOST_EVENTS = 8


@dataclass(frozen=True)
class Fact:
    """A name and what it is."""

    name: str
    value: str


@dataclass(frozen=True)
class VersionLine:
    """What a version did here."""

    content: str
    variant: str
    requests: str
    failed: str
    p50: str
    p95: str
    p99: str
    last: Age


@dataclass(frozen=True)
class DevicePage:
    """Page data."""

    name: str
    badge: Badge
    labels: tuple[str, ...]
    seen: Age
    slots: tuple[SlotLine, ...]
    facts: tuple[Fact, ...]
    chart: Lines | None
    versions: tuple[VersionLine, ...]
    events: tuple[EventLine, ...]


def page(session: Session, name: str, now: float) -> DevicePage:
    """One device now.

    Raises:
        NotFound: there is none of that name.
    """
    device = one_device(session, name)
    happened = list_events(session, EventQuery(limit=30, device=name))
    measured = recent(session, now, device=name)
    return DevicePage(
        name=name,
        badge=device_badge(device),
        labels=label_texts(device.labels),
        seen=age(device.last_seen, now),
        slots=tuple(slot_line(slot, view) for slot, view in device.slots.items()),
        facts=_facts(device, now),
        chart=lines(measured.moments, now - SPAN_S, now, _changes(happened)),
        versions=tuple(_version(one, now) for one in latency(session, LatencyQuery(device=name))),
        events=tuple(event_line(one, now) for one in happened[: -MOST_EVENTS - 1 : -1]),
    )


def _facts(device: DeviceView, now: float) -> tuple[Fact, ...]:
    runtimes = ", ".join(f"{one.name} {one.version}" for one in device.runtimes)
    behind = "" if device.generation == device.reported_generation else f", the device knows {device.reported_generation}"
    return (
        Fact("Runtimes", runtimes or "not heard yet"),
        Fact("Precisions", ", ".join(device.precisions) or "any"),
        Fact("Machine", device.machine or "not heard yet"),
        Fact("Memory", as_bytes(device.memory_bytes) if device.memory_bytes else "not heard yet"),
        Fact("Agent", device.agent or "not heard yet"),
        Fact("Desired state", f"generation {device.generation}{behind}"),
        Fact("Enrolled", age(device.enrolled, now).text),
        Fact("Certificate", f"ends in {as_duration(device.certificate_until - now)}" if device.certificate_until > now else "has expired"),
    )


def _changes(events: Sequence[EventView]) -> Mapping[float, str]:
    """Moments at which what serves changed."""
    return {one.at: one.kind.replace("-", " ") for one in events if one.kind in ("swapped", "went-back")}


def _version(one: LatencyView, now: float) -> VersionLine:
    return VersionLine(
        f"{one.model}@{one.version}",
        one.variant,
        as_count(one.requests),
        as_share(one.errors / one.requests) if one.requests else "–",
        as_latency(one.p50_ns),
        as_latency(one.p95_ns),
        as_latency(one.p99_ns),
        age(one.last, now),
    )
