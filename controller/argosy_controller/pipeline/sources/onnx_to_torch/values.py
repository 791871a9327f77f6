"""What stands for a tensor of the file while it is imported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import fx


class Unsupported(Exception):
    """An operator or an option of it that has no counterpart here; the text ends the sentence "operator X of node Y"."""


class Undecided(Unsupported):
    """Something must be known while the file is imported, and is known only for a fixed batch."""


@dataclass(frozen=True)
class Const:
    """A tensor known now. `name` is of the initializer that it is; empty for one that was computed."""

    tensor: torch.Tensor
    name: str = ""


@dataclass(frozen=True)
class Live:
    """What a model's inputs decide.

    Attributes:
        node: that gives it.
        seen: what it was in each trial run: a tensor, an integer for a size, or a tuple of those.
        of: the model's inputs whose values (not only their shapes) have a part in it.
    """

    node: fx.Node
    seen: tuple[Any, ...]
    of: frozenset[str] = frozenset()

    @property
    def tensor(self) -> torch.Tensor:
        """In the first trial run."""
        found: torch.Tensor = self.seen[0]
        return found


Size: TypeAlias = "int | Live"


@dataclass(frozen=True)
class Sizes:
    """A tensor of integers of which at least one is the batch's, or computed from it; no tensor in the network.

    Attributes:
        scalar: of rank 0, else of rank 1.
    """

    items: tuple[Size, ...]
    scalar: bool = False


Value: TypeAlias = "Const | Live | Sizes"


def sizes_value(items: tuple[Size, ...], scalar: bool = False) -> Value:
    """As a constant where all are known."""
    known = [one for one in items if isinstance(one, int)]
    if len(known) < len(items):
        return Sizes(items, scalar)
    return Const(torch.tensor(known[0] if scalar else known, dtype=torch.int64))
