"""Scales, round ticks and labels that do not lie on each other, for pictures whose width is not known.

Across, coordinates are percent of the picture's width, so that one SVG serves a phone and a wide screen with letters of the same
size; down, they are pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

#: Width in pixels for which labels are kept apart: the narrowest; on wider screens they only move away from each other.
NARROW = 290.0
_STEPS = ((1, 1.5, 2, 3, 4, 5, 7), (1, 2, 5), (1, 3), (1,))
#: Where a label may stand beside its point, best first: pixels across and down, and how it is anchored.
_PLACES = (
    (9.0, 4.0, "start"),
    (-9.0, 4.0, "end"),
    (0.0, -10.0, "middle"),
    (0.0, 19.0, "middle"),
    (9.0, -9.0, "start"),
    (-9.0, -9.0, "end"),
    (9.0, 17.0, "start"),
    (-9.0, 17.0, "end"),
    (22.0, 4.0, "start"),
    (-22.0, 4.0, "end"),
    (22.0, -16.0, "start"),
    (-22.0, -16.0, "end"),
    (22.0, 24.0, "start"),
    (-22.0, 24.0, "end"),
)
#: Beyond this nothing that is measured here lies.
_LARGEST = 1e15
_LETTER = 9.0
_LINE = 12.0
_DOT = 6.0


@dataclass(frozen=True)
class Tick:
    """A mark on an axis."""

    at: float
    label: str


@dataclass(frozen=True)
class Segment:
    """A straight piece of a line."""

    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True)
class Scale:
    """From values in [low, high] to coordinates in [start, end]; logarithmic where ratios count."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """The coordinate; values outside stop at the border."""
        place = _place(value, self.low, self.high, self.log)
        return round(self.start + (self.end - self.start) * min(max(place, 0.0), 1.0), 2)

    def holds(self, value: float) -> bool:
        """Whether the value is inside."""
        return self.low <= value <= self.high

    def values(self, most: int) -> list[float]:
        """At most so many round values inside."""
        return log_values(self.low, self.high, most) if self.log else even_values(self.low, self.high, most)


def _place(value: float, low: float, high: float, log: bool) -> float:
    if log:
        return (math.log(max(value, 1e-300)) - math.log(low)) / (math.log(high) - math.log(low))
    return (value - low) / (high - low)


def drawable(*values: float | None, log: bool = False) -> bool:
    """Whether values can stand on an axis: a report from elsewhere may hold any numbers."""
    return all(one is not None and abs(one) < _LARGEST and (not log or one > 1 / _LARGEST) for one in values)


def log_scale(values: Sequence[float], start: float, end: float) -> Scale:
    """A logarithmic scale around positive values, with room at both ends."""
    low, high = min(values), max(values)
    room = max((high / low) ** 0.08, 1.12)
    return Scale(low / room, high * room, start, end, log=True)


def even_scale(values: Sequence[float], start: float, end: float, least: float) -> Scale:
    """A linear scale around values; `least` is the smallest range that it shows."""
    low, high = min(values), max(values)
    missing = max(least - (high - low), 0.0) / 2
    room = 0.06 * max(high - low, least)
    return Scale(low - missing - room, high + missing + room, start, end)


def log_values(low: float, high: float, most: int) -> list[float]:
    """Round values (1, 2, 5 times powers of ten) inside a logarithmic range."""
    found: list[float] = []
    for steps in _STEPS:
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        found = [step * 10.0**power for power in powers for step in steps if low <= step * 10.0**power <= high]
        if len(found) <= most:
            return found
    return found[:: math.ceil(len(found) / most)]


def even_values(low: float, high: float, most: int) -> list[float]:
    """Round values at equal distances inside a linear range."""
    rough = (high - low) / max(most, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(index * step, 12) for index in range(first, math.floor(high / step + 1e-9) + 1)]


def digits_of(values: Sequence[float]) -> int:
    """Decimals that tell round values apart, at most 4."""
    return next((places for places in range(5) if all(abs(round(one, places) - one) < 1e-9 for one in values)), 4)


@dataclass(frozen=True)
class Label:
    """Where a point's label stands, in pixels from the point."""

    dx: float
    dy: float
    anchor: str


def labels(points: Sequence[tuple[float, float, str]]) -> list[Label]:
    """A place for each label, so that it lies on no other and on no point, where that can be had.

    Args:
        points: across in percent, down in pixels, and the text.
    """
    taken = [(x / 100 * NARROW - _DOT, y - _DOT, x / 100 * NARROW + _DOT, y + _DOT) for x, y, _ in points]
    found = []
    for x, y, text in points:
        place, box = _free(x / 100 * NARROW, y, text, taken)
        taken.append(box)
        found.append(Label(*place))
    return found


Box = tuple[float, float, float, float]


def _free(x: float, y: float, text: str, taken: list[Box]) -> tuple[tuple[float, float, str], Box]:
    boxes = [(place, _box(x, y, text, place)) for place in _PLACES]
    inside = [one for one in boxes if one[1][0] >= 0 and one[1][2] <= NARROW] or boxes
    return min(inside, key=lambda one: sum(_overlap(one[1], other) for other in taken))


def _box(x: float, y: float, text: str, place: tuple[float, float, str]) -> Box:
    dx, dy, anchor = place
    width = _LETTER * len(text)
    left = x + dx - {"start": 0.0, "middle": width / 2, "end": width}[anchor]
    return (left, y + dy - _LINE + 2, left + width, y + dy + 2)


def _overlap(one: Box, other: Box) -> float:
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    return across * down if across > 0 and down > 0 else 0.0
