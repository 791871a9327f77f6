"""The cells of the matrix, from what builds reported: pure, so that its rules can be tested without a build."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from argosy.protocol.card import Parity
from argosy_controller.pipeline.report import VariantReport

#: In single precision a file may be off by this much; of classical models so many examples must keep their label.
LARGEST_DIFFERENCE, LEAST_AGREEMENT = 1e-4, 0.999
#: By so much less may the older runtime agree with the model than the newer one, where its kernels round otherwise.
ROUNDING = 0.05
#: How exporters' notes begin that say why a file's batch is not free.
ONE_AT_A_TIME = "takes one example at a time"
NEWER, OLDER = "ai-edge-litert", "tflite-runtime"
RUNTIMES = ("onnxruntime", NEWER, OLDER)


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
        fault: what no reason excuses: a device would be offered what it cannot run, or would answer wrongly.
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
    fault: str = ""


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
    barred = bool(row.needs.runtimes) and OLDER not in row.needs.runtimes
    also = older.parity if older and not barred else None
    return Cell(
        model=model,
        variant=row.name,
        format=row.format,
        precision=row.precision,
        bytes=row.bytes,
        max_abs_diff=_worst(max, newer.max_abs_diff, also and also.max_abs_diff),
        agreement=_worst(min, newer.agreement, also and also.agreement),
        accuracy_drop=Drop(row.drop.value, row.drop.low, row.drop.high, row.drop.metric) if row.drop else None,
        runtimes=[one for one in RUNTIMES if one in newer.verified_by or (also is not None and one in also.verified_by)],
        verified_by=[*newer.verified_by, *(also.verified_by if also else [])],
        reason="; ".join(one for one in (newer.reason, *_of_older(older, barred, row), *_of_batch(row)) if one),
        source=newer.source,
        examples=min([newer.examples, *([also.examples] if also else [])]),
        shipped=shipped,
        fault="" if barred or older is None else _fault(newer, older),
    )


def _worst(choose: Any, *values: float | None) -> float | None:
    known = [one for one in values if one is not None]
    return choose(known) if known else None


def _of_older(older: Older | None, barred: bool, row: VariantReport) -> list[str]:
    """What is to be said where the older runtime did not verify a file; its card keeps such a file from it."""
    if older is None:
        return []
    told = next((one for one in row.notes if OLDER in one), f"for {', '.join(row.needs.runtimes)} alone")
    return [older.not_asked, told if barred and not older.not_asked else ""]


def _of_batch(row: VariantReport) -> list[str]:
    """Why a file takes one example at a time, where it does."""
    return [one for one in row.notes if one.startswith(ONE_AT_A_TIME)]


def _fault(newer: Parity, older: Older) -> str:
    if older.refused:
        return f"{OLDER} 2.14.0 does not run it, and its card does not say so: {older.refused}"
    if older.parity is None or newer.agreement is None or older.parity.agreement is None:
        return ""
    if older.parity.agreement < newer.agreement - ROUNDING:
        return f"{OLDER} 2.14.0 gives {older.parity.agreement:.1%} the model's class, {NEWER} {newer.agreement:.1%}, and its card does not say so"
    return ""


def problem(one: Cell) -> str:
    """What is wrong with a cell, in one sentence; empty when nothing is."""
    where = f"{one.model}, {one.variant}"
    if one.bytes is None:
        if one.shipped:
            return f"{where}: its recipe names this variant, and it does not build: {one.reason}"
        return "" if one.reason else f"{where}: there is no file, and no reason is given"
    if one.fault:
        return f"{where}: {one.fault}"
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
