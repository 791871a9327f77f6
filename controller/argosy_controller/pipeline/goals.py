"""Whether a recipe's goals were reached, judged at the bad end of what was measured."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import msgspec
from msgspec import Meta

from argosy.errors import GoalsNotMet
from argosy.protocol.card import Accuracy


class Goals(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What must be reached; None asks nothing.

    Attributes:
        accuracy_at_least: of the task's metric, judged at the low end of its 95 % interval.
        bytes_at_most: size of the model file.
    """

    accuracy_at_least: Annotated[float, Meta(ge=0, le=1)] | None = None
    bytes_at_most: Annotated[int, Meta(ge=1)] | None = None


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """One goal of one variant.

    Attributes:
        goal: its name in the recipe.
        target: the number asked for.
        value: what was measured; None: it could not be measured here, so the goal decides nothing.
        judged: the bad end of the value's interval, which was compared.
        met: None when nothing was measured.
        missed_by: how far `judged` is on the wrong side, 0 when met.
    """

    variant: str
    goal: str
    target: float
    value: float | None
    judged: float | None
    met: bool | None
    missed_by: float = 0.0


def judge(variant: str, goals: Goals, accuracy: Accuracy | None, length: int) -> list[Judgement]:
    """All goals of one variant; `length` is the model file's size in bytes."""
    found = []
    if goals.accuracy_at_least is not None:
        value, low = (accuracy.value, accuracy.low) if accuracy else (None, None)
        found.append(_judged(variant, "accuracy_at_least", goals.accuracy_at_least, value, low, sign=1))
    if goals.bytes_at_most is not None:
        found.append(_judged(variant, "bytes_at_most", goals.bytes_at_most, length, length, sign=-1))
    return found


def _judged(variant: str, goal: str, target: float, value: float | None, judged: float | None, sign: int) -> Judgement:
    missed = 0.0 if judged is None else max(0.0, sign * (target - judged))
    met = None if judged is None else missed == 0.0
    return Judgement(variant=variant, goal=goal, target=target, value=value, judged=judged, met=met, missed_by=missed)


def require(judgements: Iterable[Judgement]) -> None:
    """Passes when every goal that could be judged was met.

    Raises:
        GoalsNotMet: one sentence, and below it a table of all goals: which, of which variant, by how much.
    """
    rows = list(judgements)
    missed = [one for one in rows if one.met is False]
    if missed:
        many = f"{len(missed)} of {len(rows)} goals were not met" if len(missed) > 1 else f"1 of {len(rows)} goals was not met"
        raise GoalsNotMet(f"{many}, so no version was made: change the recipe or its goals.\n{table(rows)}")


def table(rows: Iterable[Judgement]) -> str:
    """All judgements as aligned plain text."""
    lines = [("variant", "goal", "target", "measured", "judged at", "result")]
    lines += [(one.variant, one.goal, _number(one.target), _number(one.value), _number(one.judged), _result(one)) for one in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if value <= 1 else f"{value:,.0f}"


def _result(one: Judgement) -> str:
    if one.met is None:
        return "not measured here"
    return "met" if one.met else f"missed by {_number(one.missed_by)}"
