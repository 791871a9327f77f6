"""What was measured in one window: topic `telemetry`, MessagePack, spooled while offline."""

from __future__ import annotations

import msgspec

from argosy.histogram import Histogram, from_counts
from argosy.protocol.codec import Count, Message, Seconds


class Sketch(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A histogram on the wire: bucket counts as index-count pairs, ascending."""

    scale: int
    zeros: Count
    total: Count
    buckets: list[tuple[int, Count]]


class Resources(msgspec.Struct, frozen=True, kw_only=True):
    """Of the agent's processes together: proportional memory in bytes, processor time used in the window in seconds."""

    memory_bytes: Count = 0
    cpu_s: Seconds = 0.0
    temperature_c: float | None = None


class Window(Message, frozen=True, kw_only=True):
    """One slot and one version in one interval; an interval with a swap in it gives two windows.

    Attributes:
        boot, sequence: with the device, the key by which a repeated window is recognised.
        start: seconds since 1970; `duration_s` its length.
        requests: all requests that ended in the window, failed ones included.
        errors: the failed ones.
        latency: nanoseconds of the successful ones.
    """

    device: str
    boot: str
    sequence: Count
    slot: str
    model: str
    version: Count
    variant: str
    start: Seconds
    duration_s: Seconds
    requests: Count
    errors: Count
    latency: Sketch
    resources: Resources = Resources()


def to_sketch(histogram: Histogram) -> Sketch:
    """For the wire."""
    return Sketch(scale=histogram.scale, zeros=histogram.zeros, total=histogram.total, buckets=sorted(histogram.buckets.items()))


def from_sketch(sketch: Sketch) -> Histogram:
    """From the wire, checked.

    Raises:
        ValueError: parts out of range; see argosy.histogram.from_counts.
    """
    return from_counts(sketch.scale, sketch.zeros, sketch.total, dict(sketch.buckets))
