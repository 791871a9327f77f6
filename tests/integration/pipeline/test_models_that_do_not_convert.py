"""A model that a format cannot hold gets one sentence: what, where, what to do; and nothing of it is left behind."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from argosy.errors import InvalidInput
from argosy_controller.pipeline.building import build
from argosy_controller.pipeline.processes.messages import BuildRequest

pytestmark = pytest.mark.integration

TASK = """
import numpy as np
import torch
from torch import nn

from argosy_controller.pipeline.task import Data, Split, Task

if not hasattr(torch.ops.argosy_tests, "doubled"):

    @torch.library.custom_op("argosy_tests::doubled", mutates_args=())
    def doubled(x: torch.Tensor) -> torch.Tensor:
        return x * 2

    doubled.register_fake(torch.empty_like)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x):
        y = self.layer(x)
        return ANSWER


class Bad(Task):
    name, outputs, epochs = "bad", OUTPUTS, 0

    def data(self, seed):
        random = np.random.default_rng(seed)
        rows = Split({"x": random.normal(size=(60, 4)).astype(np.float32)}, random.integers(0, 3, 60))
        return Data(train=rows, test=rows)

    def model(self, seed):
        return Net()
"""


def _refusal(folder: Path, use: str, answer: str, outputs: str = '("y",)') -> str:
    """What a build says of a network that returns `answer`; it leaves nothing."""
    (folder / "task.py").write_text(TASK.replace("ANSWER", answer).replace("OUTPUTS", outputs))
    (folder / "recipe.toml").write_text(f'[[variants]]\nuse = "{use}"\n')
    (folder / "out").mkdir()
    request = BuildRequest(task=str(folder), recipe=str(folder / "recipe.toml"), out=str(folder / "out"), model="bad", settings={}, seed=0)
    with pytest.raises(InvalidInput) as refused:
        build(request, lambda *_: None)
    assert list((folder / "out").iterdir()) == []
    message = str(refused.value)
    assert "\n" not in message
    assert len(message) < 300, textwrap.shorten(message, 1000)
    return message


@pytest.mark.filterwarnings("ignore")  # converters warn as they like
@pytest.mark.parametrize(
    ("use", "says"),
    [
        ("onnx-fp32", "the model does not convert to onnx-fp32: operator 'doubled' cannot be put into an ONNX file"),
        ("tflite-fp32", "the model does not convert to tflite-fp32: operator 'doubled' cannot be put into a TFLite file (task.py line"),
        ("coreml-fp32", "operator 'argosy_tests::doubled' cannot be put into a Core ML file (task.py line"),
    ],
)
def test_operator_of_ones_own_is_named(use: str, says: str, tmp_path: Path) -> None:
    assert says in _refusal(tmp_path, use, "torch.ops.argosy_tests.doubled(y)")


@pytest.mark.filterwarnings("ignore")
def test_shape_that_depends_on_values_is_told_of_where_a_format_has_none(tmp_path: Path) -> None:
    says = _refusal(tmp_path, "tflite-fp32", "y + torch.nonzero(x).sum()")
    assert "it makes tensors whose shapes depend on the values of its inputs" in says


@pytest.mark.parametrize("use", ["onnx-fp32", "tflite-fp32", "coreml-fp32"])
def test_output_that_has_not_one_row_for_each_example_is_told_of(use: str, tmp_path: Path) -> None:
    says = _refusal(tmp_path, use, "y[:17]")
    assert says == (
        "the model of task 'bad' gives 17 rows of output 'y' for 60 examples: an output has one row for each example, whatever the values"
    )


@pytest.mark.parametrize("use", ["onnx-fp32", "tflite-fp32", "coreml-fp32"])
@pytest.mark.parametrize(("outputs", "what"), [('("x",)', "'x' is an input and an output"), ('("y", "y")', "'y' names two outputs")])
def test_names_that_collide_are_told_of_before_anything_is_computed(use: str, outputs: str, what: str, tmp_path: Path) -> None:
    says = _refusal(tmp_path, use, "y", outputs)
    assert says == f"{what} of task 'bad', and a model file has each name once: rename one in task.py"
