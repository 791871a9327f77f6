"""Which classes got worse: words for the largest changes, and a small matrix of differences."""

from __future__ import annotations

from dataclasses import dataclass

from argosy_controller.pipeline.report import Confusion
from argosy_controller.pipeline.report_page.words import short

_MOST_CLASSES = 12
_MOST_WORDS = 5
_SHORT_LABEL = 3


@dataclass(frozen=True)
class Cell:
    """A difference of counts. `tone`: worse or better with its strength 1 to 4 (`w2`), empty for none."""

    text: str
    tone: str
    title: str


@dataclass(frozen=True)
class Matrix:
    """Rows are true classes, columns answers."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    left_out: int


@dataclass(frozen=True)
class ClassChanges:
    """What became of the classes of one variant."""

    headline: str
    worse: tuple[str, ...]
    better: tuple[str, ...]
    matrix: Matrix | None


def changes(found: Confusion) -> ClassChanges | None:
    """None for counts that are no square of the labels' size: a report from elsewhere may hold anything."""
    size = len(found.labels)
    if size == 0 or any(len(half) != size or any(len(row) != size for row in half) for half in (found.before, found.after)):
        return None
    gains = [found.after[i][i] - found.before[i][i] for i in range(size)]
    worse = sorted((i for i in range(size) if gains[i] < 0), key=lambda i: gains[i])
    better = sorted((i for i in range(size) if gains[i] > 0), key=lambda i: -gains[i])
    return ClassChanges(
        headline=_headline(found, worse, better),
        worse=tuple(_words(found, i) for i in worse[:_MOST_WORDS]),
        better=tuple(_words(found, i) for i in better[:_MOST_WORDS]),
        matrix=_matrix(found) if found.before != found.after else None,
    )


def _headline(found: Confusion, worse: list[int], better: list[int]) -> str:
    size = len(found.labels)
    before, after = (sum(half[i][i] for i in range(size)) for half in (found.before, found.after))
    if not worse and not better:
        return "No class has more or fewer right answers than before."
    total = sum(map(sum, found.before))
    return (
        f"{len(worse)} of {size} classes got worse, {len(better)} better; {before:,} of {total:,} examples were right before, {after:,} are now. "
        "A change of one or two examples in a class can be chance."
    )


def _words(found: Confusion, i: int) -> str:
    before, after, total = found.before[i][i], found.after[i][i], sum(found.before[i])
    moved = [(found.after[i][j] - found.before[i][j], j) for j in range(len(found.labels)) if j != i]
    sign = 1 if after < before else -1
    most, where = max(((sign * moves, j) for moves, j in moved), default=(0, i))
    text = f"“{short(found.labels[i], 40)}”: {before} of {total} right before, {after} now"
    if most <= 0:
        return text
    taken = f"{most} {'more' if sign > 0 else 'fewer'} taken for “{short(found.labels[where], 40)}”"
    return f"{text}; {taken}"


def _matrix(found: Confusion) -> Matrix:
    size = len(found.labels)
    moved = [[found.after[i][j] - found.before[i][j] for j in range(size)] for i in range(size)]
    weight = [sum(abs(moved[i][j]) + abs(moved[j][i]) for j in range(size)) for i in range(size)]
    shown = sorted(sorted(range(size), key=lambda i: -weight[i])[:_MOST_CLASSES])
    largest = max((abs(moved[i][j]) for i in shown for j in shown), default=0)
    longest = max(len(found.labels[i]) for i in shown)
    names = {i: found.labels[i] if longest <= _SHORT_LABEL else str(place) for place, i in enumerate(shown, start=1)}
    rows = tuple((_row_name(found, names, i, longest), tuple(_cell(found, moved[i][j], i, j, largest) for j in shown)) for i in shown)
    return Matrix(tuple(names[i] for i in shown), rows, size - len(shown))


def _row_name(found: Confusion, names: dict[int, str], i: int, longest: int) -> str:
    return names[i] if longest <= _SHORT_LABEL else f"{names[i]} {short(found.labels[i], 16)}"


def _cell(found: Confusion, moved: int, i: int, j: int, largest: int) -> Cell:
    title = f"“{short(found.labels[i], 40)}” answered “{short(found.labels[j], 40)}”: {found.before[i][j]} before, {found.after[i][j]} now"
    if moved == 0:
        return Cell("", "same" if i == j else "", title)
    worse = (moved < 0) if i == j else (moved > 0)
    strength = max(1, round(4 * abs(moved) / largest))
    return Cell(f"{moved:+d}".replace("-", "\N{MINUS SIGN}"), f"{'w' if worse else 'b'}{strength}", title)
