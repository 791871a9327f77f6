"""Runs an ML program operator by operator in torch. It is not Core ML: it shows what the program computes, not how a device does.

Arithmetic is in single precision; the result of each operator is rounded to the dtype that the program declares. So a program
in half precision is computed as an engine would that keeps half-precision tensors and adds up in single precision, with one
rounding for each operator. Shapes and dtypes that the program declares are checked against what came out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from argosy.errors import InvalidInput
from argosy_controller.pipeline.coreml.operators import OPERATORS
from argosy_controller.pipeline.coreml.operators.given import MOST_NUMBERS, Given, Value
from argosy_controller.pipeline.coreml.program import Argument, Operation, Program, Reference, Result
from argosy_controller.pipeline.spelling import first_line
from argosy_controller.pipeline.task import Array

_UNPACKING = "constexpr_"


class Interpreter:
    """A program, ready to run: constants are tensors, packed weights are unpacked, and each value is forgotten after its last use."""

    def __init__(self, program: Program) -> None:
        """Prepares it.

        Raises:
            InvalidInput: an operator is not known here, or weights cannot be unpacked.
        """
        for one in program.operations:
            if one.kind not in OPERATORS:
                raise InvalidInput(f"the interpreter has no operator {one.kind!r:.80}")
        self._constants: dict[str, Value] = {name: _value(one) for name, one in program.constants.items()}
        self._literals: dict[int, Value] = {}
        for one in program.operations:
            if one.kind.startswith(_UNPACKING):
                self._constants |= self._answers(one, self._constants)
        self._program = program
        self._operations = [one for one in program.operations if not one.kind.startswith(_UNPACKING)]
        self._last = _last_uses(self._operations, [one.name for one in program.outputs])

    def run(self, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The program's outputs, by name.

        Raises:
            InvalidInput: an operator cannot do what it is asked; names it.
        """
        values: dict[str, Value] = {**self._constants, **inputs}
        with torch.no_grad():
            for place, one in enumerate(self._operations):
                values |= self._answers(one, values)
                for name in self._last.get(place, ()):
                    del values[name]
        return {one.name: torch.as_tensor(values[one.name]) for one in self._program.outputs}

    def _answers(self, one: Operation, values: Mapping[str, Value]) -> dict[str, Value]:
        arguments = {key: [self._resolved(each, values) for each in given] for key, given in one.arguments.items()}
        dtype = getattr(torch, one.results[0].dtype)
        try:
            found = OPERATORS[one.kind](Given(arguments, dtype, len(one.results)))
            answers = [found] if isinstance(found, torch.Tensor) else list(found)
            return {result.name: _declared(answer, result) for result, answer in zip(one.results, answers, strict=True)}
        except (InvalidInput, RuntimeError, ValueError, IndexError, TypeError, KeyError, ZeroDivisionError) as error:
            raise InvalidInput(f"operator {one.kind!r} ({one.name!r:.80}) cannot be run here: {first_line(error)}") from error

    def _resolved(self, argument: Argument, values: Mapping[str, Value]) -> Value:
        if isinstance(argument, Reference):
            return values[argument.name]
        key = id(argument)
        if key not in self._literals:
            self._literals[key] = _value(argument)
        return self._literals[key]


def _value(array: Array) -> Value:
    """Numbers as a tensor of their own; kinds that torch hardly computes with as wider ones."""
    if array.dtype.kind == "U":
        return array
    wider = {"uint16": "int32", "uint32": "int64", "uint64": "int64"}.get(str(array.dtype))
    native = array.astype(wider or array.dtype.newbyteorder("="))
    return torch.from_numpy(native.copy() if native is array else native)


def _declared(answer: torch.Tensor, result: Result) -> torch.Tensor:
    """The answer in the dtype that the program declares.

    Raises:
        InvalidInput: its shape is not the declared one.
    """
    fits = len(result.shape) == answer.dim() and all(two in (None, one) for one, two in zip(answer.shape, result.shape, strict=True))
    if not fits or answer.numel() > MOST_NUMBERS:
        raise InvalidInput(f"its result has the shape {list(answer.shape)}, and the program says {list(result.shape)}")
    return answer.to(getattr(torch, result.dtype))


def _last_uses(operations: Sequence[Operation], kept: Sequence[str]) -> dict[int, list[str]]:
    """By place in the program, the values that nothing after it takes. Constants and inputs stay."""
    made = {each.name: place for place, one in enumerate(operations) for each in one.results}
    last = dict(made)
    for place, one in enumerate(operations):
        last.update({name: place for name in one.needed if name in made})
    found: dict[int, list[str]] = {}
    for name, place in last.items():
        if name not in kept:
            found.setdefault(place, []).append(name)
    return found
