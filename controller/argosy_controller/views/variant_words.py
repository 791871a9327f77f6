"""A variant's parity and needs, and how people read them on the dashboard and in a terminal. Light to import."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from argosy_controller.views.format import as_bytes, as_count

NONE = "–"


@dataclass(frozen=True)
class ParityView:
    """How the file's answers differ from its model's; `verified_by` empty: not verified where the card was made, see `reason`."""

    source: str
    verified_by: list[str]
    examples: int
    max_abs_diff: float | None
    agreement: float | None
    reason: str


@dataclass(frozen=True)
class NeedsView:
    """What a device must have; `runtimes` empty: any for the format; numbers 0: none, or not measured."""

    runtimes: list[str]
    opset: int
    ml_opset: int
    operators: list[str]
    memory_bytes: int


def difference(parity: ParityView | None) -> str:
    """The largest difference of any number, for example `1.2e-06`."""
    if parity is None or parity.max_abs_diff is None:
        return NONE
    return f"{parity.max_abs_diff:#.2g}".rstrip(".") if parity.max_abs_diff else "0"


def same_class(parity: ParityView | None) -> str:
    """The share of equal labels, for example `99.9 %`; never rounded up to all.

    Examples:
        >>> same_class(ParityView("torch", ["onnxruntime"], 10_000, 0.1, 0.9999, ""))
        '99.9 %'
    """
    if parity is None or parity.agreement is None:
        return NONE
    return "100 %" if parity.agreement == 1 else f"{math.floor(1000 * parity.agreement) / 10:.1f} %"


def compared(parity: ParityView | None) -> str:
    """With what, on what and by what; or why not."""
    if parity is None:
        return "the file came ready: there is nothing to compare it with"
    if not parity.verified_by:
        why = parity.reason.removeprefix("not verified here: ").removeprefix("not measured here: ")
        return f"not verified here: {why}" if why else "not verified here"
    return f"with {parity.source} on {as_count(parity.examples)} inputs, run by {listed(parity.verified_by)}"


def needs(found: NeedsView, model_format: str) -> tuple[str, ...]:
    """What a device must have, but for the operators."""
    said = (
        f"{' or '.join(found.runtimes)} alone" if found.runtimes else f"any runtime for {model_format}",
        f"ONNX opset {found.opset}" if found.opset else "",
        f"ONNX-ML opset {found.ml_opset}" if found.ml_opset else "",
        f"{as_bytes(found.memory_bytes)} of memory" if found.memory_bytes else "",
    )
    return tuple(filter(None, said))


def operators(found: NeedsView) -> str:
    """Their number, for example `9 operators`; empty where they are not known."""
    count = len(found.operators)
    return f"{as_count(count)} operator{'s' if count > 1 else ''}" if count else ""


def listed(names: Sequence[str]) -> str:
    """For example `a, b and c`, of one name or more."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
