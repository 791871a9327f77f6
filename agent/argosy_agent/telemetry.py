"""From the counts of worker and in-process users to windows, and to what the device gates look at. Owned by the event loop.

Every Counts enters exactly one window: it is added once, to the open window of its slot and content, and the window is
closed once.
"""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from argosy.histogram import Histogram, merged
from argosy.protocol.desired import SlotContent
from argosy.protocol.telemetry import Resources, Sketch, Window, from_sketch, to_sketch
from argosy_agent.health import Seen
from argosy_agent.messages import Counts

#: How far back "before" goes: the same device's own latency ahead of a swap, in seconds.
BEFORE_S = 60.0
_MAX_DROPPED_BYTES = 1 << 20
_MAX_DROPPED_FILES = 1000


_NOTHING = Seen(0, 0, Histogram())


@dataclass
class _Open:
    content: SlotContent
    start: float
    end: float
    requests: int = 0
    errors: int = 0
    latency: Histogram = field(default_factory=Histogram)


@dataclass
class _Watched:
    content: SlotContent
    since: float
    seen: Seen = _NOTHING


class Telemetry:
    """Adds up counts per slot and content.

    Args:
        device, boot: the key of windows, together with a sequence that counts up here.
    """

    def __init__(self, device: str, boot: str) -> None:
        self._device = device
        self._boot = boot
        self._sequence = 0
        self._open: dict[tuple[str, SlotContent], _Open] = {}
        self._recent: dict[str, deque[tuple[float, SlotContent, Histogram]]] = {}
        self._watched: dict[str, _Watched] = {}

    def add(self, counts: Iterable[Counts]) -> None:
        """Takes counts in; ones that do not add up are dropped whole."""
        for one in counts:
            try:
                latency = from_sketch(one.latency)
            except ValueError:
                continue
            if 0 <= one.errors <= one.requests:
                self._count(one, latency)

    def _count(self, one: Counts, latency: Histogram) -> None:
        end = one.start + one.duration_s
        entry = self._open.setdefault((one.slot, one.content), _Open(one.content, one.start, end))
        entry.start, entry.end = min(entry.start, one.start), max(entry.end, end)
        entry.requests += one.requests
        entry.errors += one.errors
        entry.latency = entry.latency.merge(latency)
        recent = self._recent.setdefault(one.slot, deque())
        recent.append((end, one.content, latency))
        while recent and recent[0][0] < end - BEFORE_S:
            recent.popleft()
        watched = self._watched.get(one.slot)
        if watched and watched.content == one.content:
            watched.seen = _joined(watched.seen, one, latency)

    def watch(self, slot: str, content: SlotContent, since: float) -> None:
        """Begins to count for a health window, from nothing; the same window again changes nothing."""
        watched = self._watched.get(slot)
        if watched is None or (watched.content, watched.since) != (content, since):
            self._watched[slot] = _Watched(content, since)

    def seen(self, slot: str, content: SlotContent) -> Seen:
        """What was counted since `watch`."""
        watched = self._watched.get(slot)
        return watched.seen if watched and watched.content == content else _NOTHING

    def before(self, slot: str, content: SlotContent) -> Histogram:
        """Latency of `content` in the slot over the last minute."""
        return merged(latency for _, whose, latency in self._recent.get(slot, ()) if whose == content)

    def close(self, resources: Resources) -> list[Window]:
        """The windows that are open, closed. Resources go into the first one, so that sums over windows hold."""
        windows: list[Window] = []
        for (slot, content), entry in sorted(self._open.items(), key=lambda item: item[1].start):
            windows.append(
                Window(
                    device=self._device, boot=self._boot, sequence=self._sequence, slot=slot, model=content.model, version=content.version,
                    variant=content.variant, start=entry.start, duration_s=max(0.0, entry.end - entry.start), requests=entry.requests,
                    errors=entry.errors, latency=to_sketch(entry.latency),
                    resources=resources if not windows else Resources(memory_bytes=resources.memory_bytes),
                )
            )  # fmt: skip
            self._sequence += 1
        self._open.clear()
        return windows


def _joined(seen: Seen, one: Counts, latency: Histogram) -> Seen:
    return Seen(seen.requests + one.requests, seen.errors + one.errors, seen.latency.merge(latency))


def histogram_of(sketch: Sketch | None) -> Histogram | None:
    """A stored sketch as a histogram; None for none, or for one that does not add up."""
    try:
        return None if sketch is None else from_sketch(sketch)
    except ValueError:
        return None


def dropped_counts(folder: Path) -> list[Counts]:
    """What in-process users dropped, each file read once and removed; files that are no counts are removed too."""
    found: list[Counts] = []
    for path in sorted(folder.glob("*.mp"))[:_MAX_DROPPED_FILES]:
        try:
            raw = path.read_bytes() if path.stat().st_size <= _MAX_DROPPED_BYTES else b""
            # Removed before it is counted: a crash in between loses a second of counts and never counts it twice.
            path.unlink()
            found.append(msgspec.msgpack.decode(raw, type=Counts))
        except (OSError, msgspec.DecodeError, ValueError):
            path.unlink(missing_ok=True)
    return found


_PSS = re.compile(rb"^Pss:\s+(\d+) kB", re.MULTILINE)


def memory_bytes(pids: Iterable[int]) -> int:
    """Proportional memory (PSS) of processes together, in bytes; those that are gone count nothing. 0 without /proc."""
    total = 0
    for pid in pids:
        try:
            match = _PSS.search(Path(f"/proc/{pid}/smaps_rollup").read_bytes())
        except OSError:
            continue
        total += int(match.group(1)) * 1024 if match else 0
    return total


def cpu_seconds(pids: Iterable[int]) -> float:
    """Processor time that processes have used since their start, user and system, in seconds."""
    ticks, total = os.sysconf("SC_CLK_TCK"), 0.0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += (int(fields[11]) + int(fields[12])) / ticks
    return total
