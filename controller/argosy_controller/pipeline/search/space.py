"""What a recipe leaves open: dimensions with choices or ranges, and points in them. Pure, and without torch.

width = { choices = [16, 32, 64] }
learning_rate = { low = 1e-4, high = 1e-2, log = true }      # steps = 5 makes it five values, which a grid needs
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from argosy.errors import InvalidInput
from argosy_controller.pipeline.recipes.toml_lines import Path as KeyPath
from argosy_controller.pipeline.spelling import nearest

Value = bool | int | float | str
Point = dict[str, Value]
_KEYS = ("choices", "low", "high", "log", "steps")
_MOST_CHOICES = 1000
_NOT_OPEN = {"passes": ("use",), "variants": ("use", "name", "goals")}


@dataclass(frozen=True)
class Dimension:
    """One option whose value is open.

    Attributes:
        name: "finetune.learning_rate"; a pass that comes twice is "finetune-2" the second time.
        path: where it stands in the recipe's document.
        choices: the values; empty for a range without steps.
        low, high: of a range, both included; both 0 for choices that were listed.
        log: the range is even in the logarithm.
        integer: only whole numbers.
        ordered: the choices are the steps of a range.
    """

    name: str
    path: KeyPath
    choices: tuple[Value, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    integer: bool = False
    ordered: bool = False

    @property
    def extremes(self) -> tuple[Value, ...]:
        """Values that, when they all are allowed, allow every other."""
        return self.choices or (self._number(self.low), self._number(self.high))

    def at(self, share: float) -> Value:
        """The value at a share of the range, 0 to 1; of choices, the one whose turn it is."""
        if self.choices:
            return self.choices[min(int(share * len(self.choices)), len(self.choices) - 1)]
        if self.integer:  # every whole number has the same share
            low, high = self._ends(self.low, self.high + 1)
            return min(int(self.high), max(int(self.low), math.floor(self._back(low + share * (high - low)))))
        low, high = self._ends(self.low, self.high)
        return self.rounded(self._back(low + share * (high - low)))

    def rounded(self, value: float) -> float:
        """A real number of the range with six digits: people read and copy it."""
        return float(min(self.high, max(self.low, float(f"{value:.6g}"))))

    def share(self, value: float) -> float:
        """Where a value of a range of real numbers stands in it: the inverse of `at`."""
        low, high = self._ends(self.low, self.high)
        (place,) = self._ends(value)
        return (place - low) / (high - low)

    def slope(self, value: float) -> float:
        """How fast `at` grows with the share, at a value: what turns a gradient by the value into one by the share."""
        low, high = self._ends(self.low, self.high)
        return (high - low) * (value if self.log else 1.0)

    def _ends(self, *values: float) -> tuple[float, ...]:
        return tuple(math.log(one) for one in values) if self.log else values

    def _back(self, place: float) -> float:
        return math.exp(place) if self.log else place

    def _number(self, value: float) -> Value:
        return round(value) if self.integer else float(value)


@dataclass(frozen=True)
class Space:
    """All dimensions, in the order of the recipe."""

    dimensions: tuple[Dimension, ...]

    def grid(self) -> Iterator[Point]:
        """Every combination; the last dimension changes fastest."""
        names = [one.name for one in self.dimensions]
        return (dict(zip(names, values, strict=True)) for values in product(*(one.choices for one in self.dimensions)))

    @property
    def grid_size(self) -> int:
        """How many points a grid has; 0 when a range has no steps."""
        return math.prod(len(one.choices) for one in self.dimensions)

    def at(self, shares: Sequence[float]) -> Point:
        """The point at a share of every dimension."""
        return {one.name: one.at(share) for one, share in zip(self.dimensions, shares, strict=True)}

    def first(self) -> Point:
        """Every dimension at its first value."""
        return {one.name: one.extremes[0] for one in self.dimensions}


class WrongDimension(InvalidInput):
    """A table is no dimension; `path` says where it stands."""

    def __init__(self, path: KeyPath, text: str) -> None:
        super().__init__(text)
        self.path = path


def open_options(document: Mapping[str, Any], takes_table: Callable[[KeyPath], bool]) -> list[tuple[str, KeyPath, dict[str, Any]]]:
    """Every option that has a table in place of its value: name, place, table.

    Args:
        takes_table: whether a table is what the option at a place takes.
    """
    found = _tables_in("task", ("task",), document.get("task"), ())
    for section in ("passes", "variants"):
        tables = document.get(section)
        seen: list[str] = []
        for index, table in enumerate(tables if isinstance(tables, list) else []):
            owner = _owner(section, table, seen)
            found += _tables_in(owner, (section, index), table, _NOT_OPEN[section])
    return [one for one in found if not takes_table(one[1])]


def _owner(section: str, table: object, seen: list[str]) -> str:
    use = table.get("name", table.get("use")) if isinstance(table, dict) else None
    seen.append(str(use))
    count = seen.count(str(use))
    return f"{use}-{count}" if count > 1 and section == "passes" else str(use)


def _tables_in(owner: str, path: KeyPath, table: object, fixed: Sequence[str]) -> list[tuple[str, KeyPath, dict[str, Any]]]:
    options = table.items() if isinstance(table, dict) else ()
    return [(f"{owner}.{key}", (*path, key), value) for key, value in options if isinstance(value, dict) and key not in fixed]


def read_dimension(name: str, path: KeyPath, table: Mapping[str, Any], integer: bool) -> Dimension:
    """A dimension from its table.

    Args:
        integer: the option takes whole numbers only.

    Raises:
        WrongDimension: one sentence, without file and line.
    """
    for key in table:
        if key not in _KEYS:
            raise WrongDimension(path, f"{path[-1]!r} to be searched has an unknown key {key!r}{nearest(key, _KEYS)}")
    if "choices" in table:
        return _of_choices(name, path, table)
    return _of_range(name, path, table, integer)


def _of_choices(name: str, path: KeyPath, table: Mapping[str, Any]) -> Dimension:
    choices = table["choices"]
    if len(table) > 1:
        raise WrongDimension(path, f"{path[-1]!r} to be searched has choices and more: give choices alone, or low and high")
    if not isinstance(choices, list) or not 1 <= len(choices) <= _MOST_CHOICES or not all(isinstance(one, Value) for one in choices):
        raise WrongDimension(path, f"choices of {path[-1]!r} must be a list of values, as [16, 32, 64]")
    if len({(type(one), one) for one in choices}) < len(choices):
        raise WrongDimension(path, f"choices of {path[-1]!r} name a value twice: {choices}")
    return Dimension(name=name, path=path, choices=tuple(choices))


def _of_range(name: str, path: KeyPath, table: Mapping[str, Any], integer: bool) -> Dimension:
    key, low, high = path[-1], table.get("low"), table.get("high")
    log, steps = table.get("log", False), table.get("steps", 0)
    if not (_is_number(low) and _is_number(high)):
        raise WrongDimension(path, f"{key!r} to be searched needs choices = [...], or low = ... and high = ... that are numbers")
    assert isinstance(low, (int, float)) and isinstance(high, (int, float))
    if not low < high:
        raise WrongDimension(path, f"{key!r}: low is {low} and high is {high}: low must be less than high")
    if not isinstance(log, bool) or (log and low <= 0):
        raise WrongDimension(path, f"{key!r}: log must be true or false, and true needs low above 0 (it is {low})")
    if type(steps) is not int or (steps and not 2 <= steps <= _MOST_CHOICES):
        raise WrongDimension(path, f"{key!r}: steps must be a whole number from 2 to {_MOST_CHOICES}")
    whole = Dimension(name=name, path=path, low=low, high=high, log=log, integer=integer)
    return _stepped(whole, steps) if steps else whole


def _stepped(whole: Dimension, steps: int) -> Dimension:
    """As many values, evenly over the range and with both ends; fewer where whole numbers coincide."""
    real = replace(whole, integer=False)
    values = [real.at(index / (steps - 1)) for index in range(steps)]
    ends = (whole.low, *values[1:-1], whole.high)
    found = dict.fromkeys(round(float(one)) if whole.integer else float(one) for one in ends)
    return replace(whole, choices=tuple(found), ordered=True)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def filled(document: Mapping[str, Any], space: Space, point: Mapping[str, Value]) -> dict[str, Any]:
    """The document with the point's values in place of the tables, and without [search]."""
    result = copy.deepcopy({key: value for key, value in document.items() if key != "search"})
    for one in space.dimensions:
        table: Any = result
        for key in one.path[:-1]:
            table = table[key]
        table[one.path[-1]] = point[one.name]
    return result


def check_grid(space: Space, trials: int) -> None:
    """Whether all points of the space can be tried.

    Raises:
        WrongDimension: a range has no steps, or there are too many points.
    """
    for one in space.dimensions:
        if not one.choices:
            raise WrongDimension(one.path, f"{one.path[-1]!r}: method grid needs steps = ... or choices = [...]")
    if space.grid_size > trials:
        raise WrongDimension(
            ("search",), f"the grid has {space.grid_size} points, and at most {trials} are tried: take fewer steps, or method random"
        )
