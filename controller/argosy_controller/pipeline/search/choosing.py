"""Which trial wins, and which are on the front. Pure; the report quotes RULE."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

RULE = (
    "of the trials that miss the fewest goals of the judged variant (at the bad end of the interval on validation data), "
    "those on the Pareto front, and of these the best in the first objective, then in the others, then the earliest"
)


@dataclass(frozen=True)
class Candidate:
    """A complete trial.

    Attributes:
        values: by objective.
        missed: how many goals it misses.
    """

    number: int
    values: Mapping[str, float]
    missed: int = 0


def costs(values: Mapping[str, float], objectives: Sequence[str], larger_is_better: Mapping[str, bool]) -> tuple[float, ...]:
    """The objectives' values, turned so that less is better in each."""
    return tuple(-values[one] if larger_is_better[one] else values[one] for one in objectives)


def front(found: Sequence[Candidate], objectives: Sequence[str], larger_is_better: Mapping[str, bool]) -> set[int]:
    """Numbers of the candidates that no other dominates: better in one objective and no worse in the rest."""
    points = {one.number: costs(one.values, objectives, larger_is_better) for one in found}
    return {number for number, own in points.items() if not any(_dominates(other, own) for other in points.values())}


def _dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


def winner(found: Sequence[Candidate], objectives: Sequence[str], larger_is_better: Mapping[str, bool]) -> Candidate | None:
    """The candidate that RULE chooses; None when there is none."""
    fewest = min((one.missed for one in found), default=0)
    eligible = [one for one in found if one.missed == fewest]
    best = front(eligible, objectives, larger_is_better)
    chosen = [one for one in eligible if one.number in best]
    return min(chosen, key=lambda one: (costs(one.values, objectives, larger_is_better), one.number), default=None)
