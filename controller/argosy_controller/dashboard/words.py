"""The small pieces that pages are made of: badges, ages, tiles; each says in words and tone what a state means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from argosy.histogram import Histogram
from argosy_controller.views.devices import DeviceView, SlotView
from argosy_controller.views.events import EventView
from argosy_controller.views.format import as_age, as_bytes, as_moment


@dataclass(frozen=True)
class Badge:
    """A state. `tone` is ok, warn, bad, info, busy, or empty for neutral; the text alone says it too."""

    text: str
    tone: str = ""


@dataclass(frozen=True)
class Age:
    """A moment as people read it, with the exact one beside it."""

    text: str
    moment: str
    iso: str


@dataclass(frozen=True)
class Tile:
    """A number with its unit and what it is about."""

    label: str
    value: str
    note: str
    unit: str = ""
    tone: str = ""


@dataclass(frozen=True)
class EventLine:
    """An event of a list."""

    age: Age
    device: str
    badge: Badge
    text: str


@dataclass(frozen=True)
class SlotLine:
    """A slot of a device: what serves, what should, and how far an update is."""

    slot: str
    model: str
    content: str
    variant: str
    badge: Badge
    note: str


_ROLLOUTS = {"running": "busy", "paused": "warn", "finished": "ok", "aborted": "bad"}
_PARTS = {"told": "busy", "confirmed": "ok", "went_back": "bad", "lost": "warn", "excluded": ""}
_EVENTS = {
    "refused": "bad",
    "waiting": "warn",
    "went-back": "bad",
    "worker-died": "bad",
    "hostile": "bad",
    "confirmed": "ok",
    "swapped": "info",
    "fetched": "",
    "proved": "",
    "accepted": "",
    "started": "",
    "rollout-started": "info",
    "rollout-finished": "ok",
    "rollout-paused": "warn",
    "rollout-aborted": "bad",
    "rollout-resumed": "info",
}
_SLOTS = {"serving": "ok", "starting": "busy", "empty": "", "failed": "bad"}


def age(at: float, now: float) -> Age:
    """How long ago; `never` for 0."""
    return Age(as_age(at, now), as_moment(at) if at else "", as_moment(at).replace(" ", "T") + "Z" if at else "")


def device_badge(device: DeviceView) -> Badge:
    """Whether it is there."""
    if device.revoked:
        return Badge("revoked", "bad")
    if not device.heard:
        return Badge("never heard", "warn")
    return Badge("online", "ok") if device.online else Badge("offline", "warn")


def rollout_badge(state: str) -> Badge:
    """How a rollout stands."""
    return Badge(state, _ROLLOUTS.get(state, ""))


def part_badge(state: str) -> Badge:
    """How a device's part in a rollout stands."""
    return Badge(state.replace("_", " "), _PARTS.get(state, ""))


def event_line(event: EventView, now: float) -> EventLine:
    """One line of an event list."""
    tone = "bad" if event.code else _EVENTS.get(event.kind, "")
    return EventLine(age(event.at, now), event.device, Badge(event.kind.replace("-", " "), tone), event.text)


def slot_line(slot: str, view: SlotView) -> SlotLine:
    """One slot for people."""
    content = f"{view.model}@{view.version}" if view.model else "nothing"
    return SlotLine(slot, view.model, content, view.variant, Badge(view.state, _SLOTS.get(view.state, "")), _slot_note(view))


def _slot_note(view: SlotView) -> str:
    if view.progress is not None:
        told = f"{view.progress.phase} {view.model or ''}@{view.progress.version} {view.progress.variant}".replace(" @", " @")
        if view.progress.total_bytes:
            told += f", {as_bytes(view.progress.done_bytes)} of {as_bytes(view.progress.total_bytes)}"
        return told
    if view.failure is not None:
        return f"{view.failure.model}@{view.failure.version}: {view.failure.text}"
    if view.wanted is not None and view.wanted.sha256 != view.sha256:
        return f"should be {view.wanted.model}@{view.wanted.version} {view.wanted.variant}"
    return "" if view.confirmed or not view.model else "not confirmed yet"


def label_texts(labels: Mapping[str, str]) -> tuple[str, ...]:
    """Labels as chips."""
    return tuple(f"{key}={value}" for key, value in sorted(labels.items()))


def ratio_text(before: Histogram, after: Histogram) -> str:
    """How p95 changed, for example `0.71× of before`; empty without both."""
    old, new = before.quantile(0.95), after.quantile(0.95)
    return f"{new / old:.2f}× of before" if old and new else ""
