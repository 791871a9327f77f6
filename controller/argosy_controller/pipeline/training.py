"""Trains a model, every source of randomness seeded. Used for first training and by every pass that trains."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from argosy.errors import InvalidInput
from argosy_controller.pipeline.options import TrainingConfig
from argosy_controller.pipeline.sources.graphs import kind_of
from argosy_controller.pipeline.task import Split, Task, blaming

#: From the student, a batch's inputs and its targets to the number that training makes small.
Loss = Callable[[nn.Module, tuple[torch.Tensor, ...], torch.Tensor], torch.Tensor]
#: Called with the student, the steps done and the steps in all, after each step of the optimiser.
AfterStep = Callable[[nn.Module, int, int], None]

#: Called with a model in training after each epoch; it leaves the model as it is, and may raise to end the training.
Onlooker = Callable[[nn.Module], None]
_onlooker: ContextVar[Onlooker | None] = ContextVar("onlooker", default=None)


@contextmanager
def looked_on(onlooker: Onlooker) -> Iterator[None]:
    """Within this, every training has an onlooker: a search ends by it what is hopeless, whichever pass trains."""
    token = _onlooker.set(onlooker)
    try:
        yield
    finally:
        _onlooker.reset(token)


def fit(
    model: nn.Module,
    task: Task,
    split: Split,
    training: TrainingConfig,
    *,
    seed: int,
    on_epoch: Callable[[int, int], None],
    loss: Loss | None = None,
    after_step: AfterStep | None = None,
) -> nn.Module:
    """A trained copy of the model, in evaluation mode; the model given stays as it was.

    Weights that are exactly 0 in a matrix or kernel stay 0, so fine-tuning keeps what pruning cut (Han et al. 2015,
    arXiv:1506.02626, section 3). The cosine is one half period (Loshchilov and Hutter 2017, arXiv:1608.03983, equation 5).

    An estimator of scikit-learn fits itself, whatever `training` says, and stays as it is where it was fitted before.

    Args:
        training: 0 epochs return a copy.
        on_epoch: called with (finished, total) after each.
        loss: in place of the loss that `training` names.
        after_step: for passes that change weights while they are trained (gradual pruning, clipping).

    Raises:
        InvalidInput: the task's loss or model raised, or the loss is not finite.
    """
    torch.manual_seed(seed)
    if kind_of(model) == "estimator":
        return _fitted(model, split, seed)
    student = copy.deepcopy(model).train()
    inputs = tensors(split)
    targets = torch.from_numpy(np.ascontiguousarray(split.targets))
    size = training.batch_size or task.batch_size
    steps = max(1, training.epochs * len(_batches(torch.arange(len(split)), size)))
    optimiser, schedule = _optimiser(student, training, steps)
    masks = _cut_weights(student)
    objective = loss or named_loss(task, training)
    random = torch.Generator().manual_seed(seed)
    done = 0
    for epoch in range(training.epochs):
        for batch in _batches(torch.randperm(len(split), generator=random), size):
            optimiser.zero_grad(set_to_none=True)
            seen = task.augment(tuple(one[batch] for one in inputs), random)
            _finite(objective, student, seen, targets[batch], task).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            _cut_again(masks)
            done += 1
            if after_step is not None:
                after_step(student, done, steps)
        on_epoch(epoch + 1, training.epochs)
        if (onlooker := _onlooker.get()) is not None:
            onlooker(student)
    return student.eval()


def _fitted(model: nn.Module, split: Split, seed: int) -> nn.Module:
    from argosy_controller.pipeline.classical.fitted import Fitted

    assert isinstance(model, Fitted)
    return model.fitted_on(split, seed)


def _batches(order: torch.Tensor, size: int) -> list[torch.Tensor]:
    """Parts of the given size; a last one of a single example, of which batch norm can learn nothing, joins the one before."""
    parts = list(order.split(size))  # type: ignore[no-untyped-call]
    return parts if len(parts) < 2 or len(parts[-1]) > 1 else [*parts[:-2], torch.cat(parts[-2:])]


def tensors(split: Split) -> tuple[torch.Tensor, ...]:
    """A split's inputs, each (examples, ...), in the order of their names."""
    return tuple(torch.from_numpy(np.ascontiguousarray(array)) for array in split.inputs.values())


def forward(model: nn.Module, inputs: list[torch.Tensor] | tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """The model's outputs as a tuple, whether it returns one tensor or several."""
    result = model(*inputs)
    return tuple(result) if isinstance(result, (tuple, list)) else (result,)


def named_loss(task: Task, training: TrainingConfig) -> Loss:
    """The loss that a configuration names: the task's, cross-entropy, or focal loss.

    Focal loss (Lin et al. 2017, arXiv:1708.02002, equation 4, alpha 1): `-(1 - p)^gamma log p` of the right class.
    """

    def of_task(model: nn.Module, inputs: tuple[torch.Tensor, ...], targets: torch.Tensor) -> torch.Tensor:
        return task.loss(forward(model, inputs), targets)

    def cross_entropy(model: nn.Module, inputs: tuple[torch.Tensor, ...], targets: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(forward(model, inputs)[0], targets.long())

    def focal(model: nn.Module, inputs: tuple[torch.Tensor, ...], targets: torch.Tensor) -> torch.Tensor:
        return focal_loss(forward(model, inputs)[0], targets.long(), training.focal_gamma)

    return {"task": of_task, "cross-entropy": cross_entropy, "focal": focal}[training.loss]


def focal_loss(logits: torch.Tensor, targets: torch.Tensor, gamma: float) -> torch.Tensor:
    """Mean focal loss of logits (examples, classes) against class numbers (examples,); gamma 0 is the cross-entropy."""
    log_p = functional.log_softmax(logits, dim=-1).gather(-1, targets[..., None])[..., 0]
    return -((1 - log_p.exp()) ** gamma * log_p).mean()


def _optimiser(
    model: nn.Module, training: TrainingConfig, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    weights, rate, decay = list(model.parameters()), training.learning_rate, training.weight_decay
    optimiser: torch.optim.Optimizer
    match training.optimiser:
        case "adam":
            optimiser = torch.optim.Adam(weights, lr=rate, weight_decay=decay)
        case "adamw":
            optimiser = torch.optim.AdamW(weights, lr=rate, weight_decay=decay)
        case "sgd":
            optimiser = torch.optim.SGD(weights, lr=rate, momentum=training.momentum, weight_decay=decay)
        case "adagrad":
            optimiser = torch.optim.Adagrad(weights, lr=rate, weight_decay=decay)
    if training.schedule == "cosine":
        return optimiser, torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    return optimiser, torch.optim.lr_scheduler.ConstantLR(optimiser, factor=1.0)


def _finite(objective: Loss, model: nn.Module, inputs: tuple[torch.Tensor, ...], targets: torch.Tensor, task: Task) -> torch.Tensor:
    with blaming(f"training of task {task.name!r} failed"):
        loss = objective(model, inputs, targets)
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
