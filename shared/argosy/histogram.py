"""Latency sketches: base-2 exponential histograms, as OTLP and Prometheus native histograms define them.

At scale `s` bucket `i` holds values in `(base**i, base**(i+1)]` with `base = 2**(2**-s)`. Scale 6 gives a relative error
of at most 0.55 % at a bucket's middle. Merging is exact, also across scales: lowering the scale by one joins bucket
pairs, so a full spool can lose resolution and never counts. Values are whole nanoseconds or bytes; 0 has its own count.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

SCALE = 6


#: Below this scale one bucket holds all 64-bit values, above the other no sender is sensible.
LOWEST_SCALE, HIGHEST_SCALE = -6, 20
# Floating logarithms are off by far less than this; nearer to a boundary than that, whole numbers decide.
_NEAR_BOUNDARY = 1e-9


def bucket_index(value: int, scale: int = SCALE) -> int:
    """The bucket of a positive value; exact also on and beside boundaries, where floating logarithms alone would be off by one."""
    if scale <= 0:
        return ((value - 1).bit_length() - 1) >> -scale
    if value & (value - 1) == 0:
        return ((value.bit_length() - 1) << scale) - 1
    position = math.log2(value) * (1 << scale)
    nearest = round(position)
    if abs(position - nearest) < _NEAR_BOUNDARY:
        return nearest - 1 if value ** (1 << scale) <= 1 << nearest else nearest
    return math.ceil(position) - 1


def bucket_upper(index: int, scale: int = SCALE) -> float:
    """The upper, inclusive boundary of a bucket."""
    return float(2.0 ** ((index + 1) * 2.0**-scale))


@dataclass
class Histogram:
    """Counts per bucket. Mutable while recording, by one owner; merge copies, never aliases.

    Attributes:
        scale: resolution, SCALE when fresh, lower after `coarsen`.
        zeros: how many recorded values were 0.
        buckets: index to count; only non-zero counts.
        total: sum of all recorded values.
    """

    scale: int = SCALE
    zeros: int = 0
    total: int = 0
    buckets: dict[int, int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many values were recorded."""
        return self.zeros + sum(self.buckets.values())

    def record(self, value: int, times: int = 1) -> None:
        """Adds a value (>= 0; negative values, which only a clock fault gives, count as 0)."""
        self.total += max(value, 0) * times
        if value <= 0:
            self.zeros += times
            return
        index = bucket_index(value, self.scale)
        self.buckets[index] = self.buckets.get(index, 0) + times

    def coarsen(self, scale: int) -> Histogram:
        """The same counts at a lower or equal scale.

        Raises:
            ValueError: a higher scale was asked for; resolution cannot come back.
        """
        if scale > self.scale:
            raise ValueError(f"cannot refine a histogram from scale {self.scale} to {scale}")
        shift = self.scale - scale
        buckets: dict[int, int] = {}
        for index, count in self.buckets.items():
            buckets[index >> shift] = buckets.get(index >> shift, 0) + count
        return Histogram(scale, self.zeros, self.total, buckets)

    def merge(self, other: Histogram) -> Histogram:
        """A new histogram with the counts of both, at the lower of the two scales."""
        scale = min(self.scale, other.scale)
        one, two = self.coarsen(scale), other.coarsen(scale)
        for index, count in two.buckets.items():
            one.buckets[index] = one.buckets.get(index, 0) + count
        return Histogram(scale, one.zeros + two.zeros, one.total + two.total, one.buckets)

    def quantile(self, q: float) -> float | None:
        """The value below which a share `q` in [0, 1] of the recorded values lies; None when nothing was recorded.

        The answer is the geometric middle of the bucket that holds it, so at scale 6 it is within 0.55 %.

        Raises:
            ValueError: `q` is no share.
        """
        if not 0 <= q <= 1:
            raise ValueError(f"a quantile is a share in [0, 1], not {q}")
        count = self.count
        if count == 0:
            return None
        rank = max(1, math.ceil(q * count))
        seen = self.zeros
        if rank <= seen:
            return 0.0
        for index in sorted(self.buckets):
            seen += self.buckets[index]
            if rank <= seen:
                return float(2.0 ** ((index + 0.5) * 2.0**-self.scale))
        raise AssertionError("counts do not add up")

    def share_above(self, index: int) -> float | None:
        """The exact share of values above bucket `index`'s upper boundary; None when nothing was recorded."""
        count = self.count
        return None if count == 0 else sum(n for i, n in self.buckets.items() if i > index) / count


def merged(histograms: Iterable[Histogram]) -> Histogram:
    """All of them in one; empty for none."""
    result = Histogram()
    for one in histograms:
        result = result.merge(one)
    return result


def from_counts(scale: int, zeros: int, total: int, buckets: Mapping[int, int]) -> Histogram:
    """A histogram from decoded parts, checked: hostile senders may put anything into them.

    Raises:
        ValueError: a scale outside [-6, 20], a negative count, or a bucket outside what 64-bit values can reach.
    """
    if not LOWEST_SCALE <= scale <= HIGHEST_SCALE or zeros < 0 or total < 0:
        raise ValueError("histogram scale, zero count or total out of range")
    highest = 64 << scale if scale >= 0 else 64 >> -scale
    if any(count <= 0 or not -1 <= index <= highest for index, count in buckets.items()):
        raise ValueError("histogram has a bucket or count out of range")
    return Histogram(scale, zeros, total, dict(buckets))
