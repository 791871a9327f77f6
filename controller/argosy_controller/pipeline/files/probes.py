"""Golden probes: a few real inputs with what this very file answered, and how far another machine's answer may be off.

A device proves a candidate by them before it may serve. Two things must hold: rounding by another processor or another
release of the runtime passes, and another model fails. How much rounding matters is a property of the model, so it is
measured: the same file answers the same probes with other kernels (engines.open_model, `plain`), which differ from the
usual ones as much as runtimes do (LiteRT without XNNPACK gives the TFLite runtime's 2.14 answers to the bit). The
tolerance is the larger of

 - three times the largest difference that was seen, and
 - a share of the spread (largest minus smallest) of all expected numbers: 1e-4 for fp32, 1e-2 for fp16, 5e-2 for int8 and int4.

Outputs of 8 and 16 bits (quantised numbers) may be off by three times the steps that were seen, at least by 2. Labels
(32 and 64 bits, texts, booleans) must be equal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from argosy.protocol.card import Probes
from argosy_controller.pipeline.task import Array

COUNT = 8
#: Precisions whose arithmetic is in single precision come under the first.
_SHARE_OF_SPREAD = {"fp32": 1e-4, "packed": 1e-4, "fp16": 1e-2, "int16x8": 1e-2, "int4": 5e-2, "int8": 5e-2, "int8-dynamic": 5e-2}
_SAFETY = 3
_LEAST_STEPS = 2
_RTOL = 1e-4

Tensors = Mapping[str, Array]


def tolerance(expected: Sequence[Tensors], other: Sequence[Tensors], precision: str) -> Probes:
    """How far answers may be off.

    Args:
        expected: outputs by name, one mapping per probe.
        other: the same from other kernels; empty when they cannot run the file.
        precision: one of argosy.protocol.card.PRECISIONS.
    """
    numbers = [array[np.isfinite(array)] for one in expected for array in one.values() if array.dtype.kind == "f"]
    flat = np.concatenate([np.zeros(0), *(one.ravel() for one in numbers)])
    spread = float(np.ptp(flat)) if flat.size else 0.0
    seen = _largest_difference(expected, other, "f")
    steps = _SAFETY * int(_largest_difference(expected, other, "iu"))
    has_steps = any(_is_quantised(array) for one in expected for array in one.values())
    return Probes(
        count=len(expected),
        atol=max(_SHARE_OF_SPREAD[precision] * spread, _SAFETY * seen, 1e-6),
        rtol=_RTOL,
        steps=max(_LEAST_STEPS, steps) if has_steps else 0,
    )


def _largest_difference(expected: Sequence[Tensors], other: Sequence[Tensors], kinds: str) -> float:
    largest = 0.0
    for one, two in zip(expected, other, strict=False):
        for name, array in one.items():
            if array.dtype.kind in kinds and (array.dtype.kind == "f" or _is_quantised(array)) and array.size:
                off = np.abs(array.astype(np.float64) - two[name].astype(np.float64))
                largest = max(largest, float(np.nanmax(np.where(np.isfinite(off), off, 0.0))))
    return largest


def _is_quantised(array: Array) -> bool:
    return array.dtype.kind in "iu" and array.dtype.itemsize <= 2


def write_probes(path: Path, inputs: Sequence[Tensors], outputs: Sequence[Tensors]) -> None:
    """Writes `in.NAME` and `out.NAME` arrays of shape (count, *tensor); the same probes give the same bytes."""
    arrays = {f"in.{name}": np.stack([one[name] for one in inputs]) for name in inputs[0]}
    arrays |= {f"out.{name}": np.stack([one[name] for one in outputs]) for name in outputs[0]}
    with path.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def passes(got: Tensors, expected: Tensors, probes: Probes) -> bool:
    """Whether answers are near enough, as argosy.protocol.card.Probes defines it."""
    return all(_near(got[name], array, probes) for name, array in expected.items())


def _near(got: Array, expected: Array, probes: Probes) -> bool:
    if got.shape != expected.shape or got.dtype.kind != expected.dtype.kind:
        return False
    if _is_quantised(expected):
        return bool((np.abs(got.astype(np.int64) - expected.astype(np.int64)) <= probes.steps).all())
    if expected.dtype.kind != "f":
        return bool(np.array_equal(got, expected))
    return bool(np.allclose(got, expected, rtol=probes.rtol, atol=probes.atol, equal_nan=True))
