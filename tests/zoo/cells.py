"""The cells of the matrix, from what builds reported: pure, so that its rules can be tested without a build."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from argosy.protocol.card import Parity
from argosy_controller.pipeline.report import VariantReport

#: In single precision a file may be off by this much; of classical models so many examples must keep their label.
LARGEST_DIFFERENCE, LEAST_AGREEMENT = 1e-4, 0.999
NEWER, OLDER = "ai-edge-litert", "tflite-runtime"


class Drop(msgspec.Struct, frozen=True):
    """How much worse than the model, in the metric's own unit, with its 95 % interval."""

    value: float
    low: float
    high: float
    metric: str = ""


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One model in one form.

    Attributes:
        variant: as recipes call it.
        source: what answered for the model: torch, scikit-learn.
        examples: real inputs on which it was compared.
        runtimes: which run the file.
        verified_by: which of them, or what else, gave the answers that were compared.
        reason: why there is no file, why it was not verified, or why a difference is as large as it is.
        shipped: the model's recipe names this variant, so it must build.
    """

    model: str
    variant: str
    format: str
    precision: str
    bytes: int | None = None
    max_abs_diff: float | None = None
    agreement: float | None = None
    accuracy_drop: Drop | None = None
    runtimes: list[str] = []
    verified_by: list[str] = []
    reason: str = ""
    source: str = ""
    examples: int = 0
    shipped: bool = True


class Older(msgspec.Struct, frozen=True, kw_only=True):
    """What tflite-runtime said of a file: how near it came, or why it does not run it, or why it was not asked."""

    parity: Parity | None = None
    refused: str = ""
    not_asked: str = ""


def refused(model: str, variant: str, reason: str, shipped: bool) -> Cell:
    """The cell of a variant that could not be made."""
    kind, _, precision = variant.partition("-")
    return Cell(model=model, variant=variant, format=kind, precision=precision, reason=reason, shipped=shipped)


def cell(model: str, row: VariantReport, older: Older | None, shipped: bool) -> Cell:
    """The cell of a variant that was built.

    Args:
        older: of a TFLite file, what the older runtime said; None of others.
    """
    newer = row.parity or Parity(source="", reason="the report says nothing of it")
    also = older.parity if older else None
    return Cell(
        model=model,
        variant=row.name,
        format=row.format,
        precision=row.precision,
        bytes=row.bytes,
        max_abs_diff=_worst(max, newer.max_abs_diff, also and also.max_abs_diff),
        agreement=_worst(min, newer.agreement, also and also.agreement),
        accuracy_drop=Drop(row.drop.value, row.drop.low, row.drop.high, row.drop.metric) if row.drop else None,
        runtimes=_runtimes(newer, also),
        verified_by=[*newer.verified_by, *(also.verified_by if also else [])],
        reason=_joined(newer.reason, older, row),
        source=newer.source,
        examples=min([newer.examples, *([also.examples] if also else [])]),
        shipped=shipped,
    )


def _worst(choose: Any, *values: float | None) -> float | None:
    known = [one for one in values if one is not None]
    return choose(known) if known else None


def _runtimes(newer: Parity, older: Parity | None) -> list[str]:
    names = ("onnxruntime", NEWER, OLDER)
    return [one for one in names if one in newer.verified_by or (older is not None and one in older.verified_by)]


def _joined(reason: str, older: Older | None, row: VariantReport) -> str:
    parts = [reason]
    if older and older.refused:
        needs = f"its card asks for {', '.join(row.needs.runtimes)}" if row.needs.runtimes else "and its card does not say so"
        parts.append(f"{OLDER} 2.14.0 does not run it ({older.refused}); {needs}")
    if older and older.not_asked:
        parts.append(older.not_asked)
    return "; ".join(one for one in parts if one)


def problem(one: Cell) -> str:
    """What is wrong with a cell, in one sentence; empty when nothing is."""
    where = f"{one.model}, {one.variant}"
    if one.bytes is None:
        if one.shipped:
            return f"{where}: its recipe names this variant, and it does not build: {one.reason}"
        return "" if one.reason else f"{where}: there is no file, and no reason is given"
    if "does not say so" in one.reason:
        return f"{where}: {one.reason}"
    if one.max_abs_diff is None:
        return "" if one.reason else f"{where}: it was not verified, and no reason is given"
    return _inexact(one, where) if one.precision == "fp32" else ""


def _inexact(one: Cell, where: str) -> str:
    assert one.max_abs_diff is not None
    classical = one.source not in ("torch", "onnxruntime")
    if classical and one.agreement is not None and one.agreement < LEAST_AGREEMENT:
        return f"{where}: {one.agreement:.4%} of the labels are the model's, and {LEAST_AGREEMENT:.1%} must be"
    if one.max_abs_diff <= LARGEST_DIFFERENCE or (classical and one.reason):
        return ""
    return f"{where}: it is off by {one.max_abs_diff:.3g}, and at most {LARGEST_DIFFERENCE:g} is allowed"


def problems(cells: Sequence[Cell]) -> list[str]:
    """All of them."""
    return [found for one in cells if (found := problem(one))]
