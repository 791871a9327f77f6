"""Latency over the last minutes, for pages that are asked for every two seconds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlmodel import Session, col, select

from argosy.histogram import Histogram
from argosy.protocol.telemetry import from_sketch
from argosy_controller.db.tables import WindowRow
from argosy_controller.telemetry.windows import sketch_of

SPAN_S = 900.0
_BINS = 60
#: Enough for 100 devices at one window every 10 s; a larger fleet shows a shorter time.
_MOST = 9000


@dataclass(frozen=True)
class Moment:
    """Percentiles of one time span, nanoseconds; `at` is its middle, seconds since 1970."""

    at: float
    p50: float
    p95: float


@dataclass(frozen=True)
class Recent:
    """What the last SPAN_S seconds held."""

    moments: tuple[Moment, ...]
    all: Histogram
    by_device: dict[str, Histogram]
    requests: int
    errors: int


def recent(session: Session, now: float, device: str | None = None) -> Recent:
    """The last minutes of the fleet, or of one device."""
    query = select(WindowRow).where(col(WindowRow.start) >= now - SPAN_S).order_by(col(WindowRow.start).desc()).limit(_MOST)
    if device is not None:
        query = query.where(col(WindowRow.device) == device)
    rows = session.exec(query).all()
    bins: dict[int, Histogram] = {}
    by_device: dict[str, Histogram] = {}
    everything = Histogram()
    for row in rows:
        histogram = from_sketch(sketch_of(row.latency))
        index = int((row.start + row.duration_s / 2 - (now - SPAN_S)) // (SPAN_S / _BINS))
        add(bins.setdefault(index, Histogram(histogram.scale)), histogram)
        add(by_device.setdefault(row.device, Histogram(histogram.scale)), histogram)
    for one in by_device.values():
        everything = everything.merge(one)
    moments = _moments(bins, now)
    return Recent(moments, everything, by_device, sum(row.requests for row in rows), sum(row.errors for row in rows))


def add(into: Histogram, other: Histogram) -> None:
    """Adds in place; the scales are made equal first (a spool that overflowed sends coarser ones)."""
    if into.scale != other.scale:
        merged = into.merge(other)
        into.scale, into.zeros, into.total, into.buckets = merged.scale, merged.zeros, merged.total, merged.buckets
        return
    into.zeros += other.zeros
    into.total += other.total
    for index, count in other.buckets.items():
        into.buckets[index] = into.buckets.get(index, 0) + count


def sum_of(rows: Iterable[WindowRow]) -> Histogram:
    """All latencies of these windows."""
    result = Histogram()
    for row in rows:
        add(result, from_sketch(sketch_of(row.latency)))
    return result


def _moments(bins: dict[int, Histogram], now: float) -> tuple[Moment, ...]:
    moments = []
    for index in sorted(bins):
        p50, p95 = bins[index].quantile(0.5), bins[index].quantile(0.95)
        if p50 and p95:
            moments.append(Moment(now - SPAN_S + (index + 0.5) * SPAN_S / _BINS, p50, p95))
    return tuple(moments)
