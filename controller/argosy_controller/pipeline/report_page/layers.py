"""Layers of a variant: where the bytes are, and which of them cost the accuracy."""

from __future__ import annotations

from dataclasses import dataclass

from argosy_controller.pipeline.report import Layer, VariantReport
from argosy_controller.pipeline.report_page import words
from argosy_controller.pipeline.report_page.words import NONE, Metric, short
from argosy_controller.views.format import as_bytes

_MOST = 60


@dataclass(frozen=True)
class Bar:
    """A figure with its bar: length in percent of the longest. `tone`: bad, ok or nothing."""

    text: str
    length: float
    tone: str = ""


@dataclass(frozen=True)
class LayerRow:
    """One layer."""

    name: str
    kind: str
    shape: str
    bits: str
    bytes: Bar
    macs: Bar
    sparsity: Bar
    error: Bar
    cost: Bar
    note: str


@dataclass(frozen=True)
class LayerTable:
    """All layers of one variant; columns that nobody measured are not shown. `note`: what is true of every one of them."""

    letter: str
    variant: str
    headline: str
    note: str
    rows: tuple[LayerRow, ...]
    left_out: int
    has_macs: bool
    has_error: bool
    has_cost: bool
    open: bool


def layer_table(letter: str, variant: VariantReport, metric: Metric, opened: bool) -> LayerTable:
    """The layers in the model's order."""
    layers = variant.layers
    most_bytes = max((one.bytes for one in layers), default=0)
    most_macs = max((one.macs or 0 for one in layers), default=0)
    most_cost = max((abs(one.accuracy_cost or 0.0) for one in layers), default=0.0)
    shared = layers[0].note if len({one.note for one in layers}) == 1 else ""
    return LayerTable(
        letter=letter,
        variant=short(variant.name),
        headline=_headline(layers, metric),
        note=shared,
        rows=tuple(_row(one, metric, most_bytes, most_macs, most_cost, "" if shared else one.note) for one in layers[:_MOST]),
        left_out=max(len(layers) - _MOST, 0),
        has_macs=any(one.macs is not None for one in layers),
        has_error=any(one.error_share is not None for one in layers),
        has_cost=any(one.accuracy_cost is not None for one in layers),
        open=opened,
    )


def _headline(layers: list[Layer], metric: Metric) -> str:
    total = sum(one.bytes for one in layers)
    largest = max(layers, key=lambda one: one.bytes)
    parts = [f"{_called(largest)} holds {words.share(largest.bytes / total)} of the weights' bytes"] if total else []
    costly = max(layers, key=lambda one: one.accuracy_cost or 0.0)
    if costly.accuracy_cost and costly.accuracy_cost > 0:
        parts.append(f"{_called(costly)} costs the most {metric.name} ({_cost(costly.accuracy_cost, costly.accuracy_cost, metric)})")
    wrong = max(layers, key=lambda one: one.error_share or 0.0)
    if wrong.error_share:
        parts.append(f"{_called(wrong)} makes {words.share(wrong.error_share)} of the output's error")
    return "; ".join(parts) + "." if parts else ""


def _called(one: Layer) -> str:
    """Names alone are often numbers."""
    return f"{short(one.kind, 20)} {short(one.name, 40)}".strip()


def _cost(value: float, most: float, metric: Metric) -> str:
    """With as many digits as the largest one needs."""
    return metric.difference(value, most / 2)


def _row(one: Layer, metric: Metric, most_bytes: int, most_macs: int, most_cost: float, note: str) -> LayerRow:
    cost = one.accuracy_cost
    return LayerRow(
        name=short(one.name),
        kind=short(one.kind, 30),
        shape="×".join(map(str, one.shape[:8])),
        bits=f"{one.bits:.3g}",
        bytes=Bar(as_bytes(one.bytes), _length(one.bytes, most_bytes)),
        macs=Bar(words.count(one.macs), _length(one.macs or 0, most_macs)),
        sparsity=Bar(words.share(one.sparsity), _length(one.sparsity, 1)),
        error=Bar(NONE if one.error_share is None else words.share(one.error_share), _length(one.error_share or 0, 1)),
        cost=Bar(
            NONE if cost is None else _cost(cost, most_cost, metric),
            _length(abs(cost or 0), most_cost),
            "" if not cost else "bad" if cost > 0 else "ok",
        ),
        note=note,
    )


def _length(value: float, most: float) -> float:
    return round(min(max(100 * value / most, 0.0), 100.0), 1) if most > 0 else 0.0
