"""Gradients of the loss on a few training examples, without a step of training: what saliencies are made of."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from argosy.errors import InvalidInput
from argosy_controller.pipeline.passes.interface import Context
from argosy_controller.pipeline.task import Split, blaming
from argosy_controller.pipeline.training import Loss, tensors


def sample(split: Split, count: int, seed: int) -> Split:
    """`count` examples without repetition, or all where there are fewer; the same for the same seed."""
    order = np.random.default_rng(seed).permutation(len(split))
    return split.take(np.sort(order[:count]))


def gradients(model: nn.Module, loss: Loss, ctx: Context, examples: int, *, training: bool) -> Iterator[tuple[nn.Module, int]]:
    """After each batch, a copy of the model whose parameters carry the gradient of the batch's mean loss, and the batch's size.

    Args:
        examples: how many of the training examples.
        training: batch statistics and dropout as in training, for a model that was never trained; else as in evaluation.

    Raises:
        InvalidInput: the task's loss or model raised, or a gradient is not finite.
    """
    torch.manual_seed(ctx.seed)
    twin = copy.deepcopy(model).train(training)
    seen = sample(ctx.data.train, examples, ctx.seed)
    for start in range(0, len(seen), ctx.task.batch_size):
        part = seen.take(slice(start, start + ctx.task.batch_size))
        inputs = tensors(part)
        twin.zero_grad(set_to_none=True)
        with blaming(f"the loss of task {ctx.task.name!r} failed"):
            loss(twin, inputs, torch.from_numpy(np.ascontiguousarray(part.targets))).backward()  # type: ignore[no-untyped-call]
        _check(twin, ctx)
        yield twin, len(part)


def _check(model: nn.Module, ctx: Context) -> None:
    found = [one.grad for one in model.parameters() if one.grad is not None]
    if not all(bool(torch.isfinite(one).all()) for one in found):
        raise InvalidInput(f"gradients of task {ctx.task.name!r} are not finite: look at the data, or train the model again")


def gradient(parameter: torch.Tensor) -> torch.Tensor:
    """A parameter's gradient in double precision; zeros where the loss does not depend on it."""
    return torch.zeros_like(parameter, dtype=torch.float64) if parameter.grad is None else parameter.grad.double()
