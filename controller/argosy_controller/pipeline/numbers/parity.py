"""How far a file's answers are from those of the model that it was made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from argosy.protocol.card import Parity
from argosy_controller.pipeline.task import Array

#: Real inputs that both answer; fewer only where there are fewer.
EXAMPLES = 256
#: What needs no reason; and the share of a number that the order of a few additions in float32 changes.
_SMALL, _LAST_DIGITS = 1e-4, 2e-6


def parity(source: str, wanted: Mapping[str, Array], got: Mapping[str, Array], verified_by: Sequence[str], classes: bool) -> Parity:
    """Compares answers to the same examples.

    Args:
        source: what gave `wanted`: `torch`, `scikit-learn`, `onnxruntime`.
        wanted, got: outputs by public name, one row an example.
        verified_by: what gave `got`.
        classes: the first output names a class for each example (or each place of a sequence) by its largest entry.
    """
    first = next(iter(wanted))
    largest = max((float(off.max(initial=0.0)) for off in _differences(wanted, got)), default=None)
    return Parity(
        source=source,
        verified_by=list(verified_by),
        examples=len(wanted[first]),
        max_abs_diff=largest,
        agreement=float(_same(wanted[first], got[first]).mean()) if classes and wanted[first].ndim > 1 else None,
        reason=_rounding(largest, wanted),
    )


def _rounding(largest: float | None, wanted: Mapping[str, Array]) -> str:
    """Large numbers of single precision differ by much and by nothing: their last digits."""
    size = max((float(np.abs(one).max(initial=0.0)) for one in wanted.values() if one.dtype.kind == "f"), default=0.0)
    if largest is None or not _SMALL < largest <= _LAST_DIGITS * size:
        return ""
    return f"its numbers are as large as {size:,.0f}, of which single precision keeps about seven digits"


def off_by(wanted: Mapping[str, Array], got: Mapping[str, Array], bound: float) -> tuple[str, float] | None:
    """The first output that is off by more than `bound` of its size (at least of 1), and by how much; None when all are near."""
    for name, array in wanted.items():
        if array.dtype.kind != "f":
            continue
        off, size = _difference(array, got[name]).max(initial=0.0), max(1.0, float(np.abs(array).max(initial=0.0)))
        if not off <= bound * size:
            return name, float(off)
    return None


def _differences(wanted: Mapping[str, Array], got: Mapping[str, Array]) -> list[NDArray[np.float64]]:
    """Of the outputs that are numbers; a class that differs is no difference of a size."""
    return [_difference(array, got[name]) for name, array in wanted.items() if array.dtype.kind == "f"]


def _difference(wanted: Array, got: Array) -> NDArray[np.float64]:
    """Where both are the same infinity, or no number, they are the same; where one is, they are infinitely far apart."""
    with np.errstate(invalid="ignore"):
        off: NDArray[np.float64] = np.abs(wanted.astype(np.float64) - got.astype(np.float64))
    off[(wanted == got) | (np.isnan(wanted) & np.isnan(got))] = 0.0
    off[np.isnan(off)] = np.inf
    return off


def _same(wanted: Array, got: Array) -> NDArray[np.bool_]:
    """Which examples get the same class, in every place."""
    same = wanted.argmax(axis=-1) == got.argmax(axis=-1)
    return np.asarray(same.reshape(len(same), -1).all(axis=1))
