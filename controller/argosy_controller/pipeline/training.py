"""Trains a model: Adam, a cosine schedule, every source of randomness seeded. Used for first training and fine-tuning."""

from __future__ import annotations

import copy
from collections.abc import Callable
from math import ceil

import numpy as np
import torch
from torch import nn

from argosy.errors import InvalidInput
from argosy_controller.pipeline.task import Split, Task, blaming


def fit(
    model: nn.Module,
    task: Task,
    split: Split,
    *,
    epochs: int,
    learning_rate: float,
    seed: int,
    on_epoch: Callable[[int, int], None],
) -> nn.Module:
    """A trained copy of the model, in evaluation mode; the model given stays as it was.

    Weights that are exactly 0 in a matrix or kernel stay 0, so fine-tuning keeps what pruning cut (Han et al. 2015,
    arXiv:1506.02626, section 3). Adam (Kingma and Ba 2015), the rate falling to 0 along half a cosine
    (Loshchilov and Hutter 2017, arXiv:1608.03983, equation 5, one period).

    Args:
        epochs: how often every example is seen; 0 returns a copy.
        on_epoch: called with (finished, total) after each.

    Raises:
        InvalidInput: the task's loss or model raised, or the loss is not finite.
    """
    torch.manual_seed(seed)
    student = copy.deepcopy(model).train()
    inputs = [torch.from_numpy(np.ascontiguousarray(array)) for array in split.inputs.values()]
    targets = torch.from_numpy(np.ascontiguousarray(split.targets))
    order = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(student.parameters(), lr=learning_rate)
    steps = max(1, epochs * ceil(len(split) / task.batch_size))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    masks = _cut_weights(student)
    for epoch in range(epochs):
        for batch in torch.randperm(len(split), generator=order).split(task.batch_size):  # type: ignore[no-untyped-call]
            optimiser.zero_grad(set_to_none=True)
            _loss(student, task, [one[batch] for one in inputs], targets[batch]).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            _cut_again(masks)
        on_epoch(epoch + 1, epochs)
    return student.eval()


def forward(model: nn.Module, inputs: list[torch.Tensor]) -> tuple[torch.Tensor, ...]:
    """The model's outputs as a tuple, whether it returns one tensor or several."""
    result = model(*inputs)
    return tuple(result) if isinstance(result, (tuple, list)) else (result,)


def _loss(model: nn.Module, task: Task, inputs: list[torch.Tensor], targets: torch.Tensor) -> torch.Tensor:
    with blaming(f"training of task {task.name!r} failed"):
        loss = task.loss(forward(model, inputs), targets)
    if not torch.isfinite(loss):
        raise InvalidInput(f"the loss of task {task.name!r} is not finite: lower the learning rate, or look at the data")
    return loss


def _cut_weights(model: nn.Module) -> list[tuple[nn.Parameter, torch.Tensor]]:
    kernels = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    return [(one, one.detach() != 0) for one in kernels if bool((one == 0).any())]


@torch.no_grad()
def _cut_again(masks: list[tuple[nn.Parameter, torch.Tensor]]) -> None:
    for parameter, mask in masks:
        parameter.mul_(mask)
