"""Gradients of the validation loss by hyperparameters of training.

Unrolled: the tangent of the weights by each hyperparameter goes along with every step of training (forward mode: Franceschi et
al. 2017, arXiv:1703.01785, equations 5 to 7; the same number as Maclaurin et al. 2015, arXiv:1502.03492, have backwards,
without keeping the steps). Exact for the training as it runs; costs about three trainings a hyperparameter.

Implicit: where training ended, the gradient of the training loss is nearly 0, and the implicit function theorem tells how the
weights would move (Lorraine et al. 2020, arXiv:1911.02590, theorem 1; by conjugate gradients as Pedregosa 2016,
arXiv:1602.02355). Cheap, and as good as training came to its end.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from math import ceil
from types import MethodType
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, grad, jvp
from torch.nn import functional

from argosy_controller.pipeline.options import TrainingConfig
from argosy_controller.pipeline.search.optimisers import Tensors, first_moments, updated
from argosy_controller.pipeline.task import Split, Task
from argosy_controller.pipeline.training import focal_loss, forward, tensors

Batch = tuple[tuple[torch.Tensor, ...], torch.Tensor]
#: Values of the hyperparameters by name: learning_rate, weight_decay, focal_gamma; each a scalar tensor.
Hyper = dict[str, torch.Tensor]
_MOST_EXAMPLES = 2048
_MOST_ITERATIONS = 100


@dataclass(frozen=True)
class Hypergradient:
    """The validation loss after training, and its gradient by hyperparameter."""

    loss: float
    gradient: dict[str, float]


def unrolled(
    model: nn.Module, task: Task, train: Split, validation: Split, training: TrainingConfig, names: tuple[str, ...], seed: int
) -> Hypergradient:
    """Through the steps of the training that `training.fit` does with the same arguments.

    Args:
        names: of the hyperparameters, fields of `training`.
    """
    student = _plain_norms(copy.deepcopy(model).train())
    step = _Step(student, task, training, len(train))
    weights = {name: one.detach().clone() for name, one in student.named_parameters() if one.requires_grad}
    buffers = {name: one.detach().clone() for name, one in student.named_buffers() if one.is_floating_point()}
    state: Any = (weights, buffers, first_moments(training.optimiser, weights))
    hyper = {name: torch.tensor(float(getattr(training, name)), dtype=torch.float64) for name in names}
    tangents = {name: _zeros(state) for name in names}
    for number, batch in enumerate(_batches(task, train, training, seed)):
        random = torch.get_rng_state()
        after = state
        for name in names:
            torch.set_rng_state(random)  # every tangent sees the same dropout
            ones = {key: torch.ones_like(one) if key == name else torch.zeros_like(one) for key, one in hyper.items()}
            found: Any = jvp(partial(step, batch=batch, number=number), (state, hyper), (tangents[name], ones))
            after, tangents[name] = found
        state = _detached(after)
        tangents = {name: _detached(one) for name, one in tangents.items()}
    loss, by_weights, by_buffers = _validation(student, state[0], state[1], task, validation)
    return Hypergradient(loss, {name: _dot(by_weights, one[0]) + _dot(by_buffers, one[1]) for name, one in tangents.items()})


def _plain_norms(model: nn.Module) -> nn.Module:
    """Batch norms as plain arithmetic: torch's own cannot be differentiated by the running statistics, which move with the weights."""
    for one in model.modules():
        if isinstance(one, nn.modules.batchnorm._BatchNorm) and one.track_running_stats and one.momentum is not None:
            one.forward = MethodType(_normalised, one)  # type: ignore[method-assign]
    return model


def _normalised(norm: Any, values: torch.Tensor) -> torch.Tensor:
    """Ioffe and Szegedy 2015, arXiv:1502.03167, algorithms 1 and 2, with torch's running statistics."""
    mean, variance = norm.running_mean, norm.running_var
    if norm.training:
        dims = [0, *range(2, values.dim())]
        mean, variance = values.mean(dims), values.var(dims, unbiased=False)
        count = values.numel() // values.shape[1]
        norm.running_mean.mul_(1 - norm.momentum).add_(norm.momentum * mean)
        norm.running_var.mul_(1 - norm.momentum).add_(norm.momentum * variance * count / max(1, count - 1))
    wide = (1, -1, *[1] * (values.dim() - 2))
    even: torch.Tensor = (values - mean.view(wide)) / torch.sqrt(variance.view(wide) + norm.eps)
    if norm.weight is not None:
        even = even * norm.weight.view(wide) + norm.bias.view(wide)
    return even


class _Step:
    """One step of training as a function of weights, buffers, moments and hyperparameters."""

    def __init__(self, model: nn.Module, task: Task, training: TrainingConfig, examples: int) -> None:
        self._model, self._training = model, training
        self._objective = _objective(task, training)
        self._steps = max(1, training.epochs * ceil(examples / (training.batch_size or task.batch_size)))
        kernels = {name: one for name, one in model.named_parameters() if one.dim() > 1 and bool((one == 0).any())}
        self._masks = {name: (one.detach() != 0) for name, one in kernels.items()}

    def __call__(self, state: Any, hyper: Hyper, batch: Batch, number: int) -> Any:
        weights, buffers, moments = state

        def loss(inner: Tensors) -> tuple[torch.Tensor, Tensors]:
            moving = {name: one.clone() for name, one in buffers.items()}
            outputs = _called(self._model, {**inner, **moving}, batch[0])
            return self._objective(outputs, batch[1], hyper), moving

        slopes, moved = grad(loss, has_aux=True)(weights)
        rate = hyper.get("learning_rate", self._training.learning_rate) * self._scale(number)
        decay = hyper.get("weight_decay", self._training.weight_decay)
        weights, moments = updated(self._training, weights, slopes, moments, rate, decay)
        weights = {name: one * self._masks[name] if name in self._masks else one for name, one in weights.items()}
        return weights, moved, moments

    def _scale(self, number: int) -> float:
        return (1 + math.cos(math.pi * number / self._steps)) / 2 if self._training.schedule == "cosine" else 1.0


def implicit(
    model: nn.Module, task: Task, train: Split, validation: Split, training: TrainingConfig, names: tuple[str, ...], damping: float = 1e-3
) -> Hypergradient:
    """At the end of a training.

    Args:
        model: trained; the gradient of its training loss is taken for 0.
        names: of hyperparameters that the training loss depends on: weight_decay (not of adamw), focal_gamma.
        damping: added to the Hessian's diagonal, in which directions without curvature would have no bound.
    """
    student = copy.deepcopy(model).eval()
    weights = {name: one.detach().clone().requires_grad_() for name, one in student.named_parameters() if one.requires_grad}
    buffers = {name: one.detach() for name, one in student.named_buffers()}
    hyper = {name: torch.tensor(float(getattr(training, name)), dtype=torch.float64, requires_grad=True) for name in names}
    slopes = _training_slopes(student, weights, buffers, task, train, training, hyper)
    held = {name: one.detach() != 0 for name, one in weights.items() if one.dim() > 1 and bool((one == 0).any())}

    def product(vector: Tensors) -> Tensors:
        found = torch.autograd.grad(
            list(slopes.values()),
            list(weights.values()),
            [vector[name] for name in slopes],
            retain_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )
        return {
            name: one + damping * vector[name]
            for name, one in zip(weights, _masked(dict(zip(weights, found, strict=True)), held).values(), strict=True)
        }

    loss, slope, _ = _validation(student, weights, buffers, task, validation)
    solved = _solved(product, _masked(slope, held))
    mixed = torch.autograd.grad(
        list(slopes.values()), list(hyper.values()), [solved[name] for name in slopes], allow_unused=True, materialize_grads=True
    )
    return Hypergradient(loss, {name: -float(one) for name, one in zip(names, mixed, strict=True)})


def _training_slopes(
    student: nn.Module, weights: Tensors, buffers: Tensors, task: Task, train: Split, training: TrainingConfig, hyper: Hyper
) -> Tensors:
    """The gradient of the training loss by the weights, weight decay included, as a function that can be differentiated."""
    part = train.take(slice(0, _MOST_EXAMPLES))
    outputs = _called(student, {**weights, **buffers}, tensors(part))
    loss = _objective(task, training)(outputs, torch.from_numpy(part.targets), hyper)
    found = torch.autograd.grad(loss, list(weights.values()), create_graph=True, allow_unused=True, materialize_grads=True)
    decay = hyper.get("weight_decay", torch.tensor(training.weight_decay, dtype=torch.float64))
    decay = decay * 0 if training.optimiser == "adamw" else decay
    return {name: one + decay.to(one.dtype) * weights[name] for name, one in zip(weights, found, strict=True)}


def _solved(product: Callable[[Tensors], Tensors], wanted: Tensors) -> Tensors:
    """The x with product(x) = wanted, by conjugate gradients (Hestenes and Stiefel 1952); ends early where curvature is not positive."""
    solution = {name: torch.zeros_like(one) for name, one in wanted.items()}
    rest = dict(wanted)
    way = dict(rest)
    size = first = _dot(rest, rest)
    for _ in range(_MOST_ITERATIONS):
        if size <= 1e-20 * first:
            break
        along = product(way)
        curvature = _dot(way, along)
        if curvature <= 0:
            break
        step = size / curvature
        solution = {name: one + step * way[name] for name, one in solution.items()}
        rest = {name: one - step * along[name] for name, one in rest.items()}
        size, before = _dot(rest, rest), size
        way = {name: one + size / before * way[name] for name, one in rest.items()}
    return solution


def _objective(task: Task, training: TrainingConfig) -> Callable[[tuple[torch.Tensor, ...], torch.Tensor, Hyper], torch.Tensor]:
    """The loss that `training.named_loss` names, of outputs, with the focal gamma open."""

    def focal(outputs: tuple[torch.Tensor, ...], targets: torch.Tensor, hyper: Hyper) -> torch.Tensor:
        gamma = hyper.get("focal_gamma", torch.tensor(training.focal_gamma))
        return focal_loss(outputs[0], targets.long(), gamma.to(outputs[0].dtype))  # type: ignore[arg-type]

    def cross_entropy(outputs: tuple[torch.Tensor, ...], targets: torch.Tensor, hyper: Hyper) -> torch.Tensor:
        return functional.cross_entropy(outputs[0], targets.long())

    def of_task(outputs: tuple[torch.Tensor, ...], targets: torch.Tensor, hyper: Hyper) -> torch.Tensor:
        return task.loss(outputs, targets)

    return {"task": of_task, "cross-entropy": cross_entropy, "focal": focal}[training.loss]


def _batches(task: Task, split: Split, training: TrainingConfig, seed: int) -> Iterator[Batch]:
    """The batches that `training.fit` takes, in its order."""
    inputs, targets = tensors(split), torch.from_numpy(np.ascontiguousarray(split.targets))
    torch.manual_seed(seed)
    random = torch.Generator().manual_seed(seed)
    for _ in range(training.epochs):
        order: torch.Tensor = torch.randperm(len(split), generator=random)
        for batch in order.split(training.batch_size or task.batch_size):  # type: ignore[no-untyped-call]
            yield task.augment(tuple(one[batch] for one in inputs), random), targets[batch]


def _validation(model: nn.Module, weights: Tensors, buffers: Tensors, task: Task, split: Split) -> tuple[float, Tensors, Tensors]:
    """The task's own loss on the validation data, and its gradients by the weights and by the buffers."""
    model.eval()
    state = {**weights, **buffers}
    leaves = {name: one.detach().requires_grad_(one.is_floating_point()) for name, one in state.items()}
    part = split.take(slice(0, _MOST_EXAMPLES))
    loss = task.loss(_called(model, leaves, tensors(part)), torch.from_numpy(part.targets))
    wanted = {name: one for name, one in leaves.items() if one.requires_grad}
    found = torch.autograd.grad(loss, list(wanted.values()), allow_unused=True, materialize_grads=True)
    slopes = dict(zip(wanted, found, strict=True))
    return float(loss.detach()), {name: slopes[name] for name in weights}, {name: slopes[name] for name in buffers if name in slopes}


def _called(model: nn.Module, state: Tensors, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return forward(lambda *given: functional_call(model, state, given), inputs)  # type: ignore[arg-type]


def _zeros(state: Any) -> Any:
    return torch.utils._pytree.tree_map(torch.zeros_like, state)


def _detached(state: Any) -> Any:
    return torch.utils._pytree.tree_map(lambda one: one.detach(), state)


def _masked(state: Tensors, masks: Mapping[str, torch.Tensor]) -> Tensors:
    """Weights that pruning cut do not move."""
    return {name: one * masks[name] if name in masks else one for name, one in state.items()}


def _dot(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> float:
    return sum(float((one[name] * other[name]).sum()) for name in one)
