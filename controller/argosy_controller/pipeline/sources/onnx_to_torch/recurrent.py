"""LSTM, GRU and RNN with their gates written out, step by step: Core ML's converter refuses torch's own.

Equations as in ONNX's operator reference; gates stand in the order of the file's weights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional

from argosy_controller.pipeline.sources.onnx_to_torch.building import At, rank
from argosy_controller.pipeline.sources.onnx_to_torch.values import Undecided, Unsupported, Value, sizes_value

MOST_STEPS = 1024


@dataclass(frozen=True)
class _Cell:
    """Of one direction: what is given to each step.

    Attributes:
        inputs: (steps, batch, gates * hidden) of the inputs' part of every gate, with its bias.
        weight, bias: of the hidden state's part.
    """

    at: At
    inputs: Value
    weight: Value
    bias: Value | None
    hidden: int

    def gates(self, step: int, state: Value, parts: int) -> tuple[list[Value], list[Value]]:
        """The inputs' and the state's part of each gate."""
        mine = self.at.call(torch.select, self.inputs, 0, step)
        own = self.at.call(functional.linear, state, self.weight, self.bias)
        return self._split(mine, parts), self._split(own, parts)

    def _split(self, x: Value, parts: int) -> list[Value]:
        several = self.at.call(torch.split, x, self.hidden, -1)
        return [self.at.builder.part(several, i) for i in range(parts)]


#: From a cell, a step's number and the states to the new states, the hidden one first.
Step = Callable[[_Cell, int, tuple[Value, ...]], tuple[Value, ...]]


def lstm_step(cell: _Cell, step: int, states: tuple[Value, ...]) -> tuple[Value, ...]:
    """Gates: input, output, forget, cell."""
    at = cell.at
    mine, own = cell.gates(step, states[0], 4)
    i, o, f, c = (at.call(torch.add, a, b) for a, b in zip(mine, own, strict=True))
    kept = at.call(torch.mul, at.call(torch.sigmoid, f), states[1])
    fresh = at.call(torch.mul, at.call(torch.sigmoid, i), at.call(torch.tanh, c))
    memory = at.call(torch.add, kept, fresh)
    return at.call(torch.mul, at.call(torch.sigmoid, o), at.call(torch.tanh, memory)), memory


def gru_step(cell: _Cell, step: int, states: tuple[Value, ...]) -> tuple[Value, ...]:
    """Gates: update, reset, hidden; the reset is applied after the matrix (linear_before_reset)."""
    at = cell.at
    (z, r, h), (hz, hr, hh) = cell.gates(step, states[0], 3)
    update = at.call(torch.sigmoid, at.call(torch.add, z, hz))
    reset = at.call(torch.sigmoid, at.call(torch.add, r, hr))
    fresh = at.call(torch.tanh, at.call(torch.add, h, at.call(torch.mul, reset, hh)))
    change = at.call(torch.mul, update, at.call(torch.sub, states[0], fresh))
    return (at.call(torch.add, fresh, change),)


def gru_step_reset_first(cell: _Cell, step: int, states: tuple[Value, ...]) -> tuple[Value, ...]:
    """The same with the reset applied to the state, before the matrix."""
    at = cell.at
    (z, r, h), (hz, hr, _) = cell.gates(step, states[0], 3)
    update = at.call(torch.sigmoid, at.call(torch.add, z, hz))
    reset = at.call(torch.sigmoid, at.call(torch.add, r, hr))
    rows = at.call(torch.narrow, cell.weight, 0, 2 * cell.hidden, cell.hidden)
    bias = None if cell.bias is None else at.call(torch.narrow, cell.bias, 0, 2 * cell.hidden, cell.hidden)
    own = at.call(functional.linear, at.call(torch.mul, reset, states[0]), rows, bias)
    fresh = at.call(torch.tanh, at.call(torch.add, h, own))
    change = at.call(torch.mul, update, at.call(torch.sub, states[0], fresh))
    return (at.call(torch.add, fresh, change),)


def rnn_step(cell: _Cell, step: int, states: tuple[Value, ...]) -> tuple[Value, ...]:
    """One gate."""
    (mine,), (own,) = cell.gates(step, states[0], 1)
    return (cell.at.call(torch.tanh, cell.at.call(torch.add, mine, own)),)


def recurrent(gates: int, states: int, step: Step, names: list[str]) -> Callable[..., tuple[Value, ...]]:
    """An operator of this family.

    Args:
        states: how many each step hands on.
        names: of the activations that it must have.
    """

    def apply(
        at: At,
        x: Value,
        weight: Value,
        hidden_weight: Value,
        bias: Value | None = None,
        lengths: Value | None = None,
        *initial: Value | None,
    ) -> tuple[Value, ...]:
        _check(at, x, lengths, initial, states, names)
        steps = at.builder.size(x, 0)
        if not isinstance(steps, int):
            raise Undecided("goes over as many steps as the batch is large")
        if steps > MOST_STEPS:
            raise Unsupported(f"takes {steps} steps, and at most {MOST_STEPS} are written out")
        hidden = int(at.get("hidden_size") or at.ints(sizes_value(at.shape(hidden_weight)), "sizes")[-1])
        chosen = gru_step_reset_first if step is gru_step and not at.get("linear_before_reset", 0) else step
        ways = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[at.get("direction", "forward")]
        found = []
        for number, backwards in enumerate(ways):
            cell = _cell(at, number, gates, hidden, x, weight, hidden_weight, bias)
            first = _initial(at, number, states, initial, x, hidden)
            found.append(_run(cell, first, steps, backwards, chosen))
        return _together(at, found, states)

    return apply


def _check(at: At, x: Value, lengths: Value | None, initial: tuple[Value | None, ...], states: int, names: list[str]) -> None:
    ways = 2 if at.get("direction") == "bidirectional" else 1
    given = [one.lower() for one in at.get("activations", names * ways)]
    if given != [one.lower() for one in names * ways]:
        raise Unsupported(f"has activations {at.get('activations')}, and only {names} convert")
    at.plain(clip=None, input_forget=0, layout=0)
    if lengths is not None and set(at.ints(lengths, "lengths")) != {at.builder.size(x, 0)}:
        raise Unsupported("has sequences of different lengths")
    if len([one for one in initial[states:] if one is not None]):
        raise Unsupported("has peepholes")


def _cell(at: At, number: int, gates: int, hidden: int, x: Value, weight: Value, own: Value, bias: Value | None) -> _Cell:
    mine, theirs = at.call(torch.select, weight, 0, number), at.call(torch.select, own, 0, number)
    both = None if bias is None else at.call(torch.select, bias, 0, number)
    parts = [None if both is None else at.call(torch.narrow, both, 0, i * gates * hidden, gates * hidden) for i in (0, 1)]
    return _Cell(at, at.call(functional.linear, x, mine, parts[0]), theirs, parts[1], hidden)


def _initial(at: At, number: int, states: int, given: tuple[Value | None, ...], x: Value, hidden: int) -> tuple[Value, ...]:
    found: list[Value] = []
    for i in range(states):
        state = given[i] if i < len(given) else None
        if state is not None:
            found.append(at.call(torch.select, state, 0, number))
        else:
            found.append(at.builder.call(torch.zeros, (at.builder.size(x, 1), hidden)))
    return tuple(found)


def _run(cell: _Cell, states: tuple[Value, ...], steps: int, backwards: bool, step: Step) -> tuple[list[Value], tuple[Value, ...]]:
    """The hidden state of every step, in the order of the inputs, and the last states."""
    hidden: list[Value] = []
    for number in range(steps)[::-1] if backwards else range(steps):
        states = step(cell, number, states)
        hidden.append(states[0])
    return hidden[::-1] if backwards else hidden, states


def _together(at: At, found: list[tuple[list[Value], tuple[Value, ...]]], states: int) -> tuple[Value, ...]:
    """Y (steps, directions, batch, hidden), and each last state (directions, batch, hidden)."""
    each = [at.call(torch.stack, hidden, 0) for hidden, _ in found]
    assert all(rank(one) == 3 for one in each)
    return (at.call(torch.stack, each, 1), *(at.call(torch.stack, [last[i] for _, last in found], 0) for i in range(states)))


OPERATORS = {
    "LSTM": recurrent(4, 2, lstm_step, ["Sigmoid", "Tanh", "Tanh"]),
    "GRU": recurrent(3, 1, gru_step, ["Sigmoid", "Tanh"]),
    "RNN": recurrent(1, 1, rnn_step, ["Tanh"]),
}
