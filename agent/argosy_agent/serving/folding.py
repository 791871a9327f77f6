"""Many durations into a histogram at once, in vector operations: a Python loop would hold up the serving threads."""

from __future__ import annotations

from array import array

import numpy as np

from argosy.histogram import Histogram


def fold(durations: array[int], into: Histogram) -> None:
    """Records durations (nanoseconds, >= 0) in `into`; the same buckets as `Histogram.record` gives.

    Buckets are (base**i, base**(i+1)], so powers of two lie at the upper end of theirs; numpy's log2 is exact for them.
    """
    values = np.frombuffer(durations, dtype=np.int64) if durations else np.empty(0, np.int64)
    positive = values[values > 0]
    into.zeros += len(values) - len(positive)
    into.total += int(positive.sum())
    indices = np.ceil(np.log2(positive) * (1 << into.scale)).astype(np.int64) - 1
    found, counts = np.unique(indices, return_counts=True)
    for index, count in zip(found.tolist(), counts.tolist(), strict=True):
        into.buckets[index] = into.buckets.get(index, 0) + count
