"""What an operator is given, by parameter, in the form in which it wants it; and where operators are looked up."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from argosy.errors import InvalidInput
from argosy_controller.pipeline.task import Array

#: Texts stay numpy arrays; numbers are tensors.
Value = torch.Tensor | Array
#: Numbers that one result may have: a program that asks for more is no model.
MOST_NUMBERS = 1 << 28


@dataclass(frozen=True)
class Given:
    """The arguments of one operator. Half-precision tensors come in single precision: results are rounded, not the way there.

    Attributes:
        dtype: of the first result, as the program declares it.
        results: how many the operator gives.
    """

    arguments: Mapping[str, Sequence[Value]]
    dtype: torch.dtype
    results: int = 1

    def has(self, name: str) -> bool:
        """Whether a parameter is there."""
        return name in self.arguments

    def tensors(self, name: str) -> list[torch.Tensor]:
        """All tensors of a parameter that takes several."""
        return [_single(one) for one in self.arguments[name] if isinstance(one, torch.Tensor)]

    def tensor(self, name: str) -> torch.Tensor:
        """One tensor.

        Raises:
            InvalidInput: the operator lacks it.
        """
        found = self.tensors(name) if self.has(name) else []
        if len(found) != 1:
            raise InvalidInput(f"it lacks the parameter {name!r}")
        return found[0]

    def optional(self, name: str) -> torch.Tensor | None:
        """One tensor, if it is there."""
        return self.tensor(name) if self.has(name) else None

    def number(self, name: str, default: float) -> float:
        """A single number."""
        return float(self.tensor(name).item()) if self.has(name) else default

    def integer(self, name: str, default: int) -> int:
        """A single integer."""
        return int(self.tensor(name).item()) if self.has(name) else default

    def integers(self, name: str, default: Sequence[int] = ()) -> list[int]:
        """Integers, flat."""
        return [int(one) for one in self.tensor(name).reshape(-1).tolist()] if self.has(name) else list(default)

    def flag(self, name: str, default: bool = False) -> bool:
        """A truth value."""
        return bool(self.tensor(name).item()) if self.has(name) else default

    def flags(self, name: str, count: int) -> list[bool]:
        """Truth values; all false where there are none."""
        return [bool(one) for one in self.tensor(name).tolist()] if self.has(name) else [False] * count

    def text(self, name: str, default: str = "") -> str:
        """A text."""
        return str(self.arguments[name][0]) if self.has(name) else default


Answer = torch.Tensor | Sequence[torch.Tensor]
Kernel = Callable[[Given], Answer]


def _single(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.float() if tensor.dtype == torch.float16 else tensor


def bounded(shape: Sequence[int]) -> list[int]:
    """A shape that a result may have.

    Raises:
        InvalidInput: it is impossible, or more than a model needs.
    """
    if any(one < 0 for one in shape) or math.prod(shape) > MOST_NUMBERS:
        raise InvalidInput(f"it asks for a tensor of shape {list(shape)}")
    return list(shape)


def only(what: str, value: object, *known: object) -> None:
    """Refuses an option that no kernel here has.

    Raises:
        InvalidInput: it is none of those known.
    """
    if value not in known:
        raise InvalidInput(f"its {what} {value!r:.80} is not known here")
