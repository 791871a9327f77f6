"""What every runtime adapter offers, and the check of inputs against the card that they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from argosy.errors import ArgosyError, InvalidInput
from argosy.protocol.card import TensorSpec

Array = NDArray[Any]
_STRING_KINDS = "OUS"
#: How many accepted shapes an input remembers; a free dimension has no end of them.
_MAX_SEEN = 64


class ModelFailed(ArgosyError):
    """The runtime raised an error while it ran a model on inputs that fit the card."""


class Session(Protocol):
    """A loaded model. `run` may be called from any thread, from several at once."""

    @property
    def signature(self) -> Signature:
        """What `run` accepts."""

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Runs the model.

        Args:
            inputs: by the card's names, exactly the card's dtypes and shapes (None is free). Strings are arrays of `str`.

        Returns:
            Outputs by the card's names, in the card's order.

        Raises:
            InvalidInput: a name, dtype or shape is not the card's.
            ModelFailed: the runtime could not run the model on them.
        """


class Signature:
    """Checks inputs against a card's list of tensors, fast for what it has seen before."""

    def __init__(self, specs: Sequence[TensorSpec]) -> None:
        self._specs = {spec.name: spec for spec in specs}
        self._seen: dict[str, set[tuple[Any, tuple[int, ...]]]] = {spec.name: set() for spec in specs}

    def check(self, inputs: Mapping[str, Array]) -> None:
        """Returns if inputs fit.

        Raises:
            InvalidInput: they do not; names the input, what was expected and what came.
        """
        seen = self._seen
        if len(inputs) == len(seen):
            for name, value in inputs.items():
                try:
                    if (value.dtype, value.shape) not in seen[name]:
                        break
                except (KeyError, AttributeError):
                    break
            else:
                return
        self._check_each(inputs)

    def accepts(self, inputs: Mapping[str, Array]) -> bool:
        """Whether inputs fit."""
        try:
            self.check(inputs)
        except InvalidInput:
            return False
        return True

    def _check_each(self, inputs: Mapping[str, Array]) -> None:
        known = ", ".join(repr(name) for name in self._specs)
        for name in inputs:
            if name not in self._specs:
                raise InvalidInput(f"the model has no input {name!r:.80}: it takes {known}")
        for name, spec in self._specs.items():
            if name not in inputs:
                raise InvalidInput(f"input {name!r} is missing: the model takes {known}")
            self._check_one(spec, inputs[name])

    def _check_one(self, spec: TensorSpec, value: object) -> None:
        if not isinstance(value, np.ndarray):
            raise InvalidInput(f"input {spec.name!r} is a {type(value).__name__}, not a numpy array: wrap it in numpy.asarray(...)")
        if not same_dtype(spec.dtype, value.dtype):
            raise InvalidInput(f"input {spec.name!r} has dtype {value.dtype}, the model takes {spec.dtype}: convert it with .astype")
        if not fits(spec.shape, value.shape):
            raise InvalidInput(f"input {spec.name!r} has shape {list(value.shape)}, the model takes {shape_text(spec.shape)}")
        if value.dtype.kind == "O":
            if not all(isinstance(item, str) for item in value.flat):
                raise InvalidInput(f"input {spec.name!r} holds objects that are not str: the model takes strings")
        elif len(self._seen[spec.name]) < _MAX_SEEN:
            self._seen[spec.name].add((value.dtype, value.shape))


def is_string(dtype: str) -> bool:
    """Whether a card's dtype name means strings: `object`, `str`, `string`, or numpy's `str160`."""
    return dtype == "object" or dtype.startswith("str")


def same_dtype(expected: str, got: np.dtype[Any]) -> bool:
    """Whether an array's dtype is the one that a card names; any kind of string is a string, byte order is native."""
    if is_string(expected):
        return got.kind in _STRING_KINDS
    return got.name == expected and got.isnative


def fits(expected: Sequence[int | None], got: Sequence[int]) -> bool:
    """Whether a shape is one that a card allows; None is a free dimension."""
    return len(expected) == len(got) and all(want is None or want == have for want, have in zip(expected, got, strict=True))


def shape_text(shape: Sequence[int | None]) -> str:
    """A shape for people: `[any, 1, 8, 8]`."""
    return "[" + ", ".join("any" if size is None else str(size) for size in shape) + "]"


def first_line(error: Exception) -> str:
    """What a runtime's error says, short enough for a sentence."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:300]
