"""What comes in from devices: bytes to checked facts. Pure; every sender may be hostile.

A fact is only what its topic's device may say of itself. What does not decode, names another device, or is out of range
becomes a `Hostile`, which is counted and told, never an exception.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from argosy.errors import InvalidInput
from argosy.names import check_name
from argosy.protocol.codec import from_json, from_msgpack
from argosy.protocol.reported import Event, Presence, Reported
from argosy.protocol.telemetry import Window, from_sketch
from argosy.topics import Channel, Topic
from argosy.trust import MAX_SLOTS

#: Largest payload accepted per channel, in bytes.
MAX_BYTES = {Channel.REPORTED: 256 << 10, Channel.PRESENCE: 4 << 10, Channel.EVENT: 16 << 10, Channel.TELEMETRY: 64 << 10}
_MAX_TEXT = 2000
_BOOT = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MAX_NUMBER = 1 << 53
_MAX_REFUSALS = 100
_LONGEST_WINDOW_S = 86400.0


@dataclass(frozen=True)
class Inbound:
    """A message as the broker delivered it. `receipt` goes back to the link once the message is safe in the database."""

    topic: Topic
    payload: bytes
    retained: bool
    at: float
    receipt: object = None


@dataclass(frozen=True)
class ReportFact:
    """A device's reported state; `raw` as it came. Retained ones may be old."""

    device: str
    at: float
    retained: bool
    report: Reported
    raw: bytes


@dataclass(frozen=True)
class PresenceFact:
    """A device is connected, or not."""

    device: str
    at: float
    retained: bool
    presence: Presence


@dataclass(frozen=True)
class EventFact:
    """Something happened once on a device."""

    device: str
    at: float
    event: Event


@dataclass(frozen=True)
class WindowFact:
    """A telemetry window with a sound histogram."""

    device: str
    at: float
    window: Window


@dataclass(frozen=True)
class Hostile:
    """A payload that an honest agent of a known version does not send."""

    device: str
    at: float
    text: str


Fact = ReportFact | PresenceFact | EventFact | WindowFact | Hostile


def read(message: Inbound) -> Fact:
    """The fact in a message."""
    device, channel = message.topic.device, message.topic.channel
    limit = MAX_BYTES.get(channel, 0)
    if len(message.payload) > limit:
        return Hostile(device, message.at, f"a {channel.value} message of {len(message.payload)} bytes, at most {limit} are allowed")
    try:
        return _READERS[channel](message)
    except (InvalidInput, ValueError, OverflowError) as error:
        return Hostile(device, message.at, f"a {channel.value} message was refused: {error}"[:_MAX_TEXT])


def _read_report(message: Inbound) -> ReportFact:
    report = from_json(Reported, message.payload)
    _same_device(message, report.device)
    _check_boot(report.boot)
    _check_numbers(report.generation, *(slot.generation for slot in report.slots.values()))
    if len(report.slots) > MAX_SLOTS or len(report.refusals) > _MAX_REFUSALS:
        raise InvalidInput("it names too many slots or refusals")
    for slot in report.slots:
        check_name("slot", slot)
    return ReportFact(message.topic.device, message.at, message.retained, report, message.payload)


def _read_presence(message: Inbound) -> PresenceFact:
    presence = from_json(Presence, message.payload)
    _same_device(message, presence.device)
    if presence.boot:
        _check_boot(presence.boot)
    return PresenceFact(message.topic.device, message.at, message.retained, presence)


def _read_event(message: Inbound) -> EventFact:
    event = from_json(Event, message.payload)
    _same_device(message, event.device)
    _check_boot(event.boot)
    _check_numbers(event.sequence)
    if not math.isfinite(event.at):
        raise InvalidInput("its time is no number")
    check_name("event", event.kind)
    if event.slot:
        check_name("slot", event.slot)
    return EventFact(message.topic.device, message.at, event)


def _read_window(message: Inbound) -> WindowFact:
    window = from_msgpack(Window, message.payload)
    _same_device(message, window.device)
    _check_boot(window.boot)
    for kind, name in (("slot", window.slot), ("model", window.model), ("variant", window.variant)):
        check_name(kind, name)
    _check_numbers(window.sequence, window.version, window.requests, window.errors, window.resources.memory_bytes)
    _check_measures(window)
    return WindowFact(message.topic.device, message.at, window)


def _check_measures(window: Window) -> None:
    histogram = from_sketch(window.latency)
    if window.errors > window.requests or histogram.count > window.requests:
        raise InvalidInput("it counts more failures or latencies than requests")
    if histogram.scale < 0 or histogram.total >= 1 << 63:
        # One window at a coarse scale would take the resolution of everything that it is merged with.
        raise InvalidInput("its histogram is too coarse or overflows")
    if not math.isfinite(window.start) or not 0 <= window.duration_s <= _LONGEST_WINDOW_S:
        raise InvalidInput("its time or length is out of range")
    if not 0 <= window.resources.cpu_s <= _MAX_NUMBER:
        raise InvalidInput("its processor time is out of range")


def _same_device(message: Inbound, named: str) -> None:
    if named != message.topic.device:
        raise InvalidInput(f"it names device {named!r:.80}, its topic another")


def _check_boot(boot: str) -> None:
    if not _BOOT.fullmatch(boot):
        raise InvalidInput("its boot is not 1 to 64 letters, digits, '-' or '_'")


def _check_numbers(*numbers: int) -> None:
    if any(not 0 <= number <= _MAX_NUMBER for number in numbers):
        raise InvalidInput("one of its numbers is out of range")


_READERS: dict[Channel, Callable[[Inbound], Fact]] = {
    Channel.REPORTED: _read_report,
    Channel.PRESENCE: _read_presence,
    Channel.EVENT: _read_event,
    Channel.TELEMETRY: _read_window,
}
