"""Statistics of benchmarks that measure two things in alternation, so that what else the machine does hits both."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence


def median_ratio(pairs: Sequence[tuple[float, float]]) -> float:
    """Median over pairs of first by second."""
    return statistics.median(one / other for one, other in pairs)


def interval(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """95 % percentile bootstrap interval of `median_ratio`."""
    draw = random.Random(0)
    drawn = sorted(median_ratio([draw.choice(pairs) for _ in pairs]) for _ in range(2000))
    return drawn[49], drawn[1949]


def percentile(values: Sequence[float], q: float) -> float:
    """The value below which a share q of `values` lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


def interval_text(pairs: Sequence[tuple[float, float]]) -> str:
    """For the name of a figure."""
    low, high = interval(pairs)
    return f"ratio's 95 % interval {low:.3f} to {high:.3f}, {len(pairs)} alternating pairs"
