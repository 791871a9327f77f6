"""LSTM, GRU and RNN, written out, answer as onnxruntime's; what they have and we have not is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper
from onnx_files import model_of, same

from argosy.errors import InvalidInput

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
OUTPUTS = {"LSTM": ("y", "h", "c"), "GRU": ("y", "h"), "RNN": ("y", "h")}


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.7, shape).astype(np.float32)


def layer(kind: str, ways: int, inputs: int, hidden: int) -> dict[str, np.ndarray]:
    gates = GATES[kind] * hidden
    return {"w": numbers(ways, gates, inputs), "r": numbers(ways, gates, hidden, seed=1), "b": numbers(ways, 2 * gates, seed=2)}


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize(("kind", "options"), [("LSTM", {}), ("GRU", {"linear_before_reset": 1}), ("GRU", {}), ("RNN", {})])
@settings(max_examples=4, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(steps=st.integers(1, 4), inputs=st.integers(1, 4), hidden=st.integers(1, 4), states=st.booleans(), bias=st.booleans())
def test_recurrent_layer(
    kind: str, options: dict[str, Any], direction: str, steps: int, inputs: int, hidden: int, states: bool, bias: bool
) -> None:
    ways = 2 if direction == "bidirectional" else 1
    weights = layer(kind, ways, inputs, hidden)
    given_inputs = {"x": numbers(steps, 2, inputs, seed=3)}
    shapes: dict[str, list[Any]] = {"x": [steps, "batch", inputs]}
    names = ["x", "w", "r", "b" if bias else ""]
    if states:
        for name in ("h0", "c0")[: 2 if kind == "LSTM" else 1]:
            given_inputs[name] = numbers(ways, 2, hidden, seed=4)
            shapes[name] = [ways, "batch", hidden]
        names += ["", *(name for name in given_inputs if name != "x")]
    node = helper.make_node(kind, names, list(OUTPUTS[kind]), hidden_size=hidden, direction=direction, **options)
    same(model_of([node], given_inputs, weights, OUTPUTS[kind], shapes=shapes), given_inputs)


def test_batch_that_is_the_second_dimension_stays_free_where_the_file_names_it() -> None:
    weights = layer("LSTM", 1, 3, 2)
    x = {"x": numbers(4, 1, 3), "h": numbers(1, 1, 2, seed=1), "c": numbers(1, 1, 2, seed=2)}
    shapes = {"x": [4, "batch", 3], "h": [1, "batch", 2], "c": [1, "batch", 2]}
    node = helper.make_node("LSTM", ["x", "w", "r", "b", "", "h", "c"], ["y"], hidden_size=2)
    nodes = [helper.make_node("Transpose", ["z"], ["x"], perm=[1, 0, 2]), node]
    content = model_of(nodes, {"z": x["x"].transpose(1, 0, 2), "h": x["h"], "c": x["c"]}, weights, shapes=shapes | {"z": ["batch", 4, 3]})
    first = {"z": x["x"].transpose(1, 0, 2), "h": x["h"], "c": x["c"]}
    other = {"z": numbers(5, 4, 3), "h": numbers(1, 5, 2), "c": numbers(1, 5, 2)}
    assert same(content, first, [other]).free_batch


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"activations": ["Relu", "Tanh", "Tanh"]}, "has activations ['Relu', 'Tanh', 'Tanh']"),
        ({"clip": 1.0}, "has clip = 1.0"),
        ({"input_forget": 1}, "has input_forget = 1"),
    ],
)
def test_options_that_are_not_written_out_are_refused(options: dict[str, Any], says: str) -> None:
    x = {"x": numbers(2, 1, 3)}
    node = helper.make_node("LSTM", ["x", "w", "r"], ["y"], hidden_size=2, name="memory", **options)
    with pytest.raises(InvalidInput, match=r"operator 'LSTM' \(node 'memory'\)") as caught:
        same(model_of([node], x, layer("LSTM", 1, 3, 2), free=False), x)
    assert says in str(caught.value)


def test_too_many_steps_are_refused() -> None:
    x = {"x": numbers(1025, 1, 1)}
    node = helper.make_node("RNN", ["x", "w", "r"], ["y"], hidden_size=1)
    with pytest.raises(InvalidInput, match="takes 1025 steps, and at most 1024"):
        same(model_of([node], x, layer("RNN", 1, 1, 1), free=False), x)
