"""From what a tensor's values were to the range that its quantised form covers. Pure numpy, the same for every format.

Values are seen twice: once for their ends, and, for methods that cut the ends, once for a histogram between them. So the
result depends on the examples alone, not on their order or on batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from argosy.errors import InvalidInput
from argosy_controller.pipeline.exporters.options import Method
from argosy_controller.pipeline.task import Array

BINS = 4096
#: Into how many levels entropy merges bins: Migacz's choice. Far more bins than levels, or every cut looks free.
_ENTROPY_LEVELS = 128
_SHRINKS = np.linspace(1.0, 0.2, 81)
_ROUNDS = 2

Range = tuple[float, float]
#: Goes once through the calibration data: per batch, the values of tensors by name.
Observe = Callable[[], Iterable[Mapping[str, Array]]]
Cost = Callable[[float, float], float]


@dataclass(frozen=True)
class Histogram:
    """How often values fell into each of equal bins from `low` to `high`."""

    counts: NDArray[np.int64]
    low: float
    high: float

    @property
    def edges(self) -> NDArray[np.float64]:
        """Bins' ends, one more than bins."""
        return np.linspace(self.low, self.high, len(self.counts) + 1)

    @property
    def centres(self) -> NDArray[np.float64]:
        """Bins' middles."""
        return (self.edges[:-1] + self.edges[1:]) / 2


def observed_ranges(observe: Observe, method: Method, percentile: float, symmetric: bool) -> dict[str, Range]:
    """The range of each float tensor.

    Args:
        percentile: of `percentile`: percent of the values that the range covers.
        symmetric: ranges are -x to x.

    Raises:
        InvalidInput: a tensor holds values that are not finite.
    """
    ends = _ends(observe())
    if method == "minmax":
        return {name: _symmetric(one) if symmetric else one for name, one in ends.items()}
    return {name: chosen_range(one, method, percentile, symmetric) for name, one in _histograms(observe(), ends).items()}


def chosen_range(histogram: Histogram, method: Method, percentile: float = 99.99, symmetric: bool = False) -> Range:
    """The range that a method chooses for values distributed so."""
    whole = (histogram.low, histogram.high)
    if histogram.low == histogram.high or method == "minmax":
        return _symmetric(whole) if symmetric else whole
    if method == "percentile":
        return _percentile(histogram, percentile, symmetric)
    cost = {"mse": squared_error, "entropy": divergence}[method]
    return _cheapest(lambda low, high: cost(histogram, low, high), whole, symmetric)


def _ends(batches: Iterable[Mapping[str, Array]]) -> dict[str, Range]:
    ends: dict[str, Range] = {}
    for batch in batches:
        for name, array in batch.items():
            if array.size:
                low, high = float(array.min()), float(array.max())
                if not np.isfinite([low, high]).all():
                    raise InvalidInput(f"tensor {name!r} of the model becomes NaN or infinite on calibration data: it cannot be quantised")
                old = ends.get(name, (low, high))
                ends[name] = (min(low, old[0]), max(high, old[1]))
    return ends


def _histograms(batches: Iterable[Mapping[str, Array]], ends: Mapping[str, Range]) -> dict[str, Histogram]:
    counts = {name: np.zeros(BINS, np.int64) for name in ends}
    for batch in batches:
        for name, array in batch.items():
            if array.size and ends[name][0] < ends[name][1]:
                counts[name] += np.histogram(array, BINS, ends[name])[0]
    return {name: Histogram(counts[name], *ends[name]) for name in ends}


def _symmetric(ends: Range) -> Range:
    reach = max(abs(ends[0]), abs(ends[1]))
    return (-reach, reach)


def _percentile(histogram: Histogram, percent: float, symmetric: bool) -> Range:
    """Cuts equal shares at both ends; symmetric: one share of the absolute values."""
    if symmetric:
        order = np.argsort(np.abs(histogram.centres), kind="stable")
        total = np.cumsum(histogram.counts[order]) / histogram.counts.sum()
        reach = float(np.abs(histogram.centres)[order][np.searchsorted(total, percent / 100)])
        return (-reach, reach)
    total = np.cumsum(histogram.counts) / histogram.counts.sum()
    cut = (1 - percent / 100) / 2
    low = histogram.edges[np.searchsorted(total, cut, side="right")] if cut > 0 else histogram.low
    high = histogram.edges[1:][np.searchsorted(total, 1 - cut)] if cut > 0 else histogram.high
    return (float(low), float(high))


def squared_error(histogram: Histogram, low: float, high: float, steps: int = 255) -> float:
    """Sum of squared errors when values are rounded to `steps` equal steps from `low` to `high`, which include 0."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / steps
    zero = np.round(-low / scale)
    rounded = np.clip(np.round(histogram.centres / scale) + zero, 0, steps)
    return float(histogram.counts @ ((rounded - zero) * scale - histogram.centres) ** 2)


def divergence(histogram: Histogram, low: float, high: float, levels: int = _ENTROPY_LEVELS) -> float:
    """Kullback-Leibler divergence between the distribution cut to a range and the same in `levels` levels (Migacz 2017).

    0 is exact in every range, and after a ReLU most values are 0: its bin counts as much as its neighbours, or the spike
    would be all that is seen.
    """
    counts = _without_zeros(histogram)
    start, end = (int(one) - 1 for one in np.searchsorted(histogram.edges, (low, high), side="right"))
    start = min(max(start, 0), len(counts) - 1)
    end = max(min(end, len(counts)), start + 1)
    window = counts[start:end]
    cut = window.copy()
    cut[0] += counts[:start].sum()
    cut[-1] += counts[end:].sum()
    level = np.arange(len(window)) * levels // len(window)
    filled = cut > 0
    per_level, share = np.bincount(level, window, levels), np.bincount(level[filled], minlength=levels)
    merged = np.where(filled, (per_level / np.maximum(share, 1))[level], 0.0)
    p, q = cut[filled] / cut.sum(), np.maximum(merged[filled], 1e-9) / max(merged.sum(), 1e-9)
    return float((p * np.log(p / q)).sum())


def _without_zeros(histogram: Histogram) -> NDArray[np.float64]:
    counts = histogram.counts.astype(np.float64)
    if histogram.low <= 0 <= histogram.high:
        zero = min(int(np.searchsorted(histogram.edges, 0.0, side="right")) - 1, len(counts) - 1)
        beside = [counts[i] for i in (zero - 1, zero + 1) if 0 <= i < len(counts)]
        counts[zero] = min(counts[zero], max(beside))
    return counts


def _cheapest(cost: Cost, whole: Range, symmetric: bool) -> Range:
    """Moves one end inwards while that is cheaper, then the other, twice over; symmetric: both ends together."""
    if symmetric:
        reach = _symmetric(whole)[1]
        best = min(_SHRINKS, key=lambda share: cost(-reach * share, reach * share))
        return (-reach * float(best), reach * float(best))
    low, high = whole
    for _ in range(_ROUNDS):
        if high > 0:
            high = whole[1] * float(min(_SHRINKS, key=lambda share: cost(low, whole[1] * share)))
        if low < 0:
            low = whole[0] * float(min(_SHRINKS, key=lambda share: cost(whole[0] * share, high)))
    return (low, high)
