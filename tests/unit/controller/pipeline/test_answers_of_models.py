"""What a model must answer before anything is made of it: rows for every example, whatever the values."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from argosy.errors import InvalidInput
from argosy_controller.pipeline.measuring import answers
from argosy_controller.pipeline.task import Task


class Gives(nn.Module):
    """What a function makes of the images."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.function(image)


@pytest.mark.parametrize(("rows", "function"), [(40, lambda x: x.mean((2, 3))), (80, lambda x: torch.cat([x, x]).mean((2, 3)))])
def test_one_row_for_each_example_or_as_many_for_each(task: Task, rows: int, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
    assert answers(Gives(function), task, task.data(0).test)["logits"].shape == (rows, 1)


@pytest.mark.parametrize(
    "function",
    [lambda x: x[:17].mean((2, 3)), lambda x: x[x.mean((1, 2, 3)) > 9].mean((2, 3)), lambda x: x.mean()],
    ids=["some", "none", "one"],
)
def test_rows_for_some_examples_are_told_of(task: Task, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
    with pytest.raises(InvalidInput, match=r"gives \d+ rows of output 'logits' for 40 examples: an output has one row for each example"):
        answers(Gives(function), task, task.data(0).test)
