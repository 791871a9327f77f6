"""Charts as geometry: pure functions from measurements to points that a template draws as inline SVG.

Latency is drawn on a logarithmic axis: what matters is how many times slower something became. Coordinates are in the
units of the chart's viewBox; nothing here knows colours.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from argosy.histogram import Histogram
from argosy_controller.views.format import as_latency, as_time
from argosy_controller.views.latency import Moment

WIDTH = 640.0
#: Of a row in a table, which is drawn much smaller.
ROW_WIDTH = 220.0
#: Bins of a density: 8 for each doubling; coarser than what was measured, so that few values already give a shape.
_BIN_SCALE = 3
_LABEL_WIDTH = 120.0


@dataclass(frozen=True)
class Tick:
    """A mark on an axis."""

    at: float
    label: str


@dataclass(frozen=True)
class Mark:
    """A vertical line with a label. `anchor` as in SVG."""

    x: float
    label: str
    anchor: str


@dataclass(frozen=True)
class Curve:
    """One side of a comparison: `line` and `area` are SVG path data."""

    line: str
    area: str
    mark: Mark


@dataclass(frozen=True)
class Density:
    """How latencies were spread, before and after."""

    width: float
    height: float
    base: float
    before: Curve | None
    after: Curve | None
    ticks: tuple[Tick, ...]


@dataclass(frozen=True)
class Lines:
    """Percentiles over time. `p50` and `p95` are SVG path data; `marks` are moments when something changed."""

    width: float
    height: float
    left: float
    base: float
    p50: str
    p95: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class Pair:
    """Before and after of one device, as x coordinates and text."""

    name: str
    before_x: float | None
    after_x: float | None
    before: str
    after: str
    ratio: str
    slower: bool


@dataclass(frozen=True)
class Pairs:
    """Devices compared with themselves on one shared axis."""

    width: float
    rows: tuple[Pair, ...]
    ticks: tuple[Tick, ...]


@dataclass(frozen=True)
class Segment:
    """A piece of a split bar: x and width in percent."""

    name: str
    x: float
    width: float
    count: int


def density(before: Histogram | None, after: Histogram | None, height: float = 190.0) -> Density | None:
    """Two latency histograms (nanoseconds) over each other; None when both are empty."""
    measured = [one for one in (before, after) if one is not None and one.count > one.zeros]
    if not measured:
        return None
    low = min(_quantile(one, 0.002) for one in measured) / 1.25
    high = max(_quantile(one, 0.995) for one in measured) * 1.25
    base = height - 24.0
    shares = [_shares(one, low, high) for one in measured]
    top = max(max(share.values()) for share in shares)
    marks = _apart([_log_x(_quantile(one, 0.95), low, high, 0.0, WIDTH) for one in measured])
    curves = {
        id(one): _curve(share, low, high, base, top, Mark(x, f"p95 {as_latency(_quantile(one, 0.95))}", anchor))
        for one, share, (x, anchor) in zip(measured, shares, marks, strict=True)
    }
    ticks = tuple(Tick(_log_x(value, low, high, 0.0, WIDTH), as_latency(value)) for value in nice_values(low, high, 6))
    return Density(WIDTH, height, base, curves.get(id(before)), curves.get(id(after)), ticks)


def lines(moments: Sequence[Moment], start: float, end: float, changes: Mapping[float, str], height: float = 190.0) -> Lines | None:
    """Percentiles over time; None for fewer than two moments. `changes`: time to label."""
    shown = [one for one in moments if start <= one.at <= end]
    if len(shown) < 2:
        return None
    left, right, base, top = 70.0, WIDTH - 8.0, height - 24.0, 12.0
    low, high = min(one.p50 for one in shown) / 1.3, max(one.p95 for one in shown) * 1.3

    def x(at: float) -> float:
        return left + (right - left) * (at - start) / (end - start)

    def y(value: float) -> float:
        return _log_x(value, low, high, base, top)

    gap = 4 * max((end - start) / max(len(shown), 1), 1.0)
    return Lines(
        WIDTH,
        height,
        left,
        base,
        _polyline([(one.at, x(one.at), y(one.p50)) for one in shown], gap),
        _polyline([(one.at, x(one.at), y(one.p95)) for one in shown], gap),
        tuple(Tick(x(at), as_time(at)) for at in (start + (end - start) * part for part in (0.08, 0.36, 0.64, 0.92))),
        tuple(Tick(y(value), as_latency(value)) for value in nice_values(low, high, 4)),
        _readable([(x(at), label) for at, label in sorted(changes.items()) if start <= at <= end]),
    )


def pairs(devices: Iterable[tuple[str, float | None, float | None]]) -> Pairs | None:
    """p95 before and after (nanoseconds) per device; None when nothing was measured."""
    listed = list(devices)
    values = [value for _, before, after in listed for value in (before, after) if value]
    if not values:
        return None
    low, high = min(values) / 1.4, max(values) * 1.4
    rows = tuple(_pair(name, before, after, low, high) for name, before, after in listed)
    return Pairs(
        ROW_WIDTH, rows, tuple(Tick(_log_x(value, low, high, 8.0, ROW_WIDTH - 8), as_latency(value)) for value in nice_values(low, high, 5))
    )


def split(counts: Mapping[str, int]) -> tuple[Segment, ...]:
    """A bar of counts, in their order; empty for none."""
    total = sum(counts.values())
    segments, x = [], 0.0
    for name, count in counts.items():
        if count:
            width = 100.0 * count / total
            segments.append(Segment(name, round(x, 2), round(width, 2), count))
            x += width
    return tuple(segments)


def nice_values(low: float, high: float, most: int) -> list[float]:
    """At most `most` round values (1, 2, 5 times powers of ten) inside a logarithmic range."""
    for steps in ((1, 1.5, 2, 3, 4, 5, 7), (1, 2, 5), (1, 3), (1,)):
        found = [
            step * 10.0**power
            for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
            for step in steps
            if low <= step * 10.0**power <= high
        ]
        if len(found) <= most:
            return found
    return found[:: max(1, len(found) // most)]


def _pair(name: str, before: float | None, after: float | None, low: float, high: float) -> Pair:
    ratio = after / before if before and after else None
    return Pair(
        name,
        _log_x(before, low, high, 8.0, ROW_WIDTH - 8) if before else None,
        _log_x(after, low, high, 8.0, ROW_WIDTH - 8) if after else None,
        as_latency(before),
        as_latency(after),
        "" if ratio is None else f"{ratio:.2f}×",
        ratio is not None and ratio > 1.1,
    )


def _quantile(histogram: Histogram, q: float) -> float:
    return max(histogram.quantile(q) or 1.0, 1.0)


def _log_x(value: float, low: float, high: float, start: float, end: float) -> float:
    share = (math.log(value) - math.log(low)) / (math.log(high) - math.log(low))
    return round(start + (end - start) * min(max(share, 0.0), 1.0), 1)


def _shares(histogram: Histogram, low: float, high: float) -> dict[int, float]:
    """Share of the values per bin, for every bin in range: also the empty ones, where the curve touches the ground."""
    coarse = histogram.coarsen(min(histogram.scale, _BIN_SCALE))
    per_octave = 1 << coarse.scale if coarse.scale >= 0 else 1
    first, last = math.floor(math.log2(low) * per_octave), math.ceil(math.log2(high) * per_octave)
    return {index: coarse.buckets.get(index, 0) / histogram.count * per_octave for index in range(first, last + 1)}


def _curve(shares: Mapping[int, float], low: float, high: float, base: float, top: float, mark: Mark) -> Curve:
    per_octave = 1 << _BIN_SCALE
    points = []
    for index, share in shares.items():
        middle = min(max(2.0 ** ((index + 0.5) / per_octave), low), high)
        points.append((_log_x(middle, low, high, 0.0, WIDTH), round(base - (base - 40.0) * share / top, 1)))
    path = " L".join(f"{x} {y}" for x, y in points)
    return Curve(f"M{path}", f"M{points[0][0]} {base} L{path} L{points[-1][0]} {base} Z", mark)


def _apart(xs: Sequence[float]) -> list[tuple[float, str]]:
    """Where the labels of one or two marks go, so that they do not lie on each other or outside."""
    if len(xs) == 2 and abs(xs[0] - xs[1]) < 250:
        left_first = xs[0] <= xs[1]
        sides = ["end", "start"] if left_first else ["start", "end"]
        if min(xs) < 200:
            sides = ["start", "start"]
        elif max(xs) > WIDTH - 200:
            sides = ["end", "end"]
        return list(zip(xs, sides, strict=True))
    return [(x, "end" if x > WIDTH - 200 else "start") for x in xs]


def _readable(marks: Sequence[tuple[float, str]]) -> tuple[Mark, ...]:
    """Marks whose labels do not lie on each other: of some that are close the last keeps its label."""
    following = [*(x for x, _ in marks), math.inf][1:]
    return tuple(
        Mark(x, label if after - x > _LABEL_WIDTH else "", "start" if x < WIDTH / 2 else "end")
        for (x, label), after in zip(marks, following, strict=True)
    )


def _polyline(points: Sequence[tuple[float, float, float]], gap: float) -> str:
    """Path data; where nothing was measured for longer than `gap` seconds the line is broken."""
    parts, last = [], -math.inf
    for at, x, y in points:
        parts.append(f"{'M' if at - last > gap else 'L'}{x:.1f} {y:.1f}")
        last = at
    return " ".join(parts)
