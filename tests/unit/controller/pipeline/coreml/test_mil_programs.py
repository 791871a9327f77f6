"""Whole programs by hand: constants in and beside them, rounding, batches; and what is refused, with a sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from argosy.errors import InvalidInput
from argosy.protocol.card import TensorSpec
from argosy_controller.pipeline.coreml.engine import MilEngine
from argosy_controller.pipeline.files.engines import open_model, why_not

WEIGHTS = "model.mlpackage/Data/com.apple.CoreML/weights/weight.bin"
ROWS = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
Pack = Callable[..., Path]
Blob = Callable[..., bytes]


def test_program_answers_batches_with_constants_in_it_and_beside_it(model: Any, pack: Pack, blob: Blob) -> None:
    model.blob("w", 2, 64).constant("b", [0.5, 0.5])
    model.add("mul", "y", x="x", y="w").add("add", "z", x="y", y="b").gives("z")
    engine = MilEngine(pack(model, {WEIGHTS: blob([10.0, 100.0])}))
    assert engine.inputs == [TensorSpec(name="x", dtype="float32", shape=[None, 2])]
    assert engine.outputs == [TensorSpec(name="z", dtype="float32", shape=[None, 2])]
    assert engine.run({"x": ROWS})["z"].tolist() == [[10.5, 200.5], [30.5, 400.5]]
    assert (engine.runtime, engine.interprets) == ("MIL interpreter", True)


def test_half_precision_is_rounded_once_after_each_operator(model: Any, pack: Pack) -> None:
    model.constant("one", [1.0, 1.0], dtype=10)
    model.add("cast", "h", dtype=10, x="x").add("add", "s", dtype=10, x="h", y="one").add("sub", "d", dtype=10, x="s", y="one")
    model.add("cast", "z", x="d").gives("z")
    small = np.array([[2.0**-11, 2.0**-10]], np.float32)  # half the distance of half-precision numbers above 1, and all of it
    assert MilEngine(pack(model)).run({"x": small})["z"].tolist() == [[0.0, 2.0**-10]]


def test_values_that_two_operators_take_and_outputs_in_the_middle_stay(model: Any, pack: Pack) -> None:
    model.add("relu", "a", x="x").add("square", "b", x="a").add("add", "c", x="a", y="b").gives("a", "c")
    found = MilEngine(pack(model)).run({"x": ROWS})
    assert (found["a"].tolist(), found["c"].tolist()) == ([[1.0, 2.0], [3.0, 4.0]], [[2.0, 6.0], [12.0, 20.0]])


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (np.zeros((2, 3), np.float32), r"input 'x' takes float32 of shape \[None, 2\], not float32 of shape \[2, 3\]"),
        (np.full((1, 2), 2**24 + 1), "input 'x' takes float32"),
    ],
)
def test_engine_refuses_inputs_that_do_not_fit(model: Any, pack: Pack, given: Any, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        MilEngine(pack(model.add("relu", "z", x="x").gives("z"))).run({"x": given})


def _unknown(model: Any) -> None:
    model.add("crystal_ball", "z", x="x").gives("z")


def _narrow(model: Any) -> None:
    model.add("relu", "z", shape=(None, 3), x="x").gives("z")


def _backwards(model: Any) -> None:
    model.add("relu", "z", x="y").add("relu", "y", x="x").gives("z")


def _without_output(model: Any) -> None:
    model.add("relu", "y", x="x").gives("z")


def _without_parameter(model: Any) -> None:
    model.add("add", "z", x="x").gives("z")


def _outside(model: Any) -> None:
    model.blob("w", 2, 4096).add("mul", "z", x="x", y="w").gives("z")


def _larger(model: Any) -> None:
    model.blob("w", 3, 64).add("mul", "z", x="x", y="w").gives("z")


def _elsewhere(model: Any) -> None:
    model.blob("w", 2, 64, file="@model_path/../../../../etc/passwd").add("mul", "z", x="x", y="w").gives("z")


def _few(model: Any) -> None:
    model.constant("w", [1.0]).type.tensorType.dimensions[0].constant.size = 1 << 40
    model.add("mul", "z", x="x", y="w").gives("z")


def _of_texts(model: Any) -> None:
    model.constant("w", [1.0]).type.tensorType.dataType = 2
    model.add("mul", "z", x="x", y="w").gives("z")


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (_unknown, "the interpreter has no operator 'crystal_ball'"),
        (_narrow, r"operator 'relu' \('z'\) cannot be run here: its result has the shape \[1, 2\], and the program says \[None, 3\]"),
        (_backwards, r"operator 'relu' \('z'\) takes 'y', which nothing before it gives"),
        (_without_output, "its program has no output 'z'"),
        (_without_parameter, r"operator 'add' \('z'\) cannot be run here: it lacks the parameter 'y'"),
        (_outside, "the program looks for weights at 4096 in a file of 136 bytes"),
        (_larger, "the weights at 64 are not the 3 numbers of float32 that the program expects there"),
        (_elsewhere, "which is not in the package"),
        (_few, r"a constant of the program has 1 numbers and the shape \[1099511627776\]"),
        (_of_texts, "a constant of str is written as floats in the program"),
    ],
)
def test_program_that_cannot_be_run_is_not_opened_and_says_why(
    model: Any, pack: Pack, blob: Blob, write: Callable[[Any], None], says: str
) -> None:
    write(model)
    path = pack(model, {WEIGHTS: blob([1.0, 2.0])})
    assert open_model("coreml", path) is None
    with pytest.raises(InvalidInput, match=says) as caught:
        MilEngine(path)
    assert why_not("coreml", path) == str(caught.value)


@pytest.mark.parametrize("wrong", [{"mark": 1}, {"kind": 1}, {"length": 1 << 60}, {"start": 1 << 60}, {"start": 132}])
def test_weights_whose_header_lies_are_refused(model: Any, pack: Pack, blob: Blob, wrong: dict[str, int]) -> None:
    model.blob("w", 2, 64).add("mul", "z", x="x", y="w").gives("z")
    with pytest.raises(InvalidInput, match=r"the weights at 64 (are not the 2 numbers|end outside)"):
        MilEngine(pack(model, {WEIGHTS: blob([1.0, 2.0], **wrong)}))


class Predicting:
    """Stands for Core ML: doubles what it is given, and keeps the package that it was opened with."""

    def __init__(self, path: str, compute_units: Any) -> None:
        self.names = sorted(one.name for one in Path(path).rglob("*"))

    def predict(self, inputs: dict[str, Any]) -> dict[str, Any]:
        return {"z": inputs["x"].astype(np.float64) * 2}


def test_macos_asks_core_ml_itself(model: Any, pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    import coremltools

    monkeypatch.setattr(coremltools.models, "MLModel", Predicting)
    monkeypatch.setattr("sys.platform", "darwin")
    engine = open_model("coreml", pack(model.add("relu", "z", x="x").gives("z")))
    assert engine is not None
    found = engine.run({"x": ROWS})["z"]
    assert (engine.runtime, engine.interprets, found.dtype, found.tolist()) == ("coreml", False, np.float32, [[2.0, 4.0], [6.0, 8.0]])
