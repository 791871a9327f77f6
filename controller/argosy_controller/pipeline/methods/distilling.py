"""Training with a teacher: soft targets, hints, and how both come from the data's order."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from argosy.errors import InvalidInput
from argosy_controller.pipeline.methods.hints import learnt_hint
from argosy_controller.pipeline.methods.teachers import Teacher, find_teacher, teacher_task
from argosy_controller.pipeline.passes.distil import DistilConfig
from argosy_controller.pipeline.passes.interface import Context
from argosy_controller.pipeline.task import Split, Task
from argosy_controller.pipeline.training import Loss, fit, forward, looked_on, named_loss

#: Answers of a teacher that are kept while the student is trained.
_MOST_BYTES = 1 << 30
_CHUNK = 256
#: How far sums of a teacher's outputs may be from 1, for these to be probabilities.
_SUM_ERROR = 1e-3


def distilled(model: nn.Module, config: DistilConfig, ctx: Context) -> nn.Module:
    """A copy of the model, trained with the teacher that the options name."""
    another = teacher_task(config.teacher, ctx)
    told = _Told(
        ctx.on_step, ((another.training.epochs if another else 0), config.hint_epochs if config.hint_student else 0, config.epochs)
    )
    with looked_on(_nobody):  # a search must not judge a teacher
        teacher = find_teacher(config.teacher, another, model, ctx, told.stage(0))
    student = _anew(model, ctx.seed) if config.fresh else model
    if config.hint_student or config.hint_teacher:
        with looked_on(_nobody):  # nor a student that gives hints yet, not answers
            student = learnt_hint(student, teacher, config, ctx, told.stage(1))
    numbered = Split(ctx.data.train.inputs, np.arange(len(ctx.data.train)))
    loss = _loss(teacher, config, ctx)
    return fit(student, ctx.task, numbered, config, seed=ctx.seed, on_epoch=told.stage(2), loss=loss)


def _nobody(model: nn.Module) -> None:
    """Looks at nothing."""


class _Told:
    """Counts the epochs of teacher, hint and student as one."""

    def __init__(self, on_step: Callable[[int, int], None], epochs: tuple[int, ...]) -> None:
        self._on_step, self._epochs = on_step, epochs

    def stage(self, number: int) -> Callable[[int, int], None]:
        before = sum(self._epochs[:number])
        return lambda done, total: self._on_step(before + done, sum(self._epochs))


def _anew(model: nn.Module, seed: int) -> nn.Module:
    """A copy with weights drawn as each layer draws them when it is made."""
    torch.manual_seed(seed)
    student = copy.deepcopy(model)
    for name, layer in student.named_modules():
        if hasattr(layer, "reset_parameters"):
            layer.reset_parameters()
        elif next(layer.parameters(recurse=False), None) is not None:
            raise InvalidInput(
                f"pass distil cannot start layer {name!r} ({type(layer).__name__}) anew: give it reset_parameters(), or leave out fresh = true"
            )
    return student


def _loss(teacher: Teacher, config: DistilConfig, ctx: Context) -> Loss:
    """The loss of a batch whose targets are the examples' numbers in the training data."""
    targets = torch.from_numpy(np.ascontiguousarray(ctx.data.train.targets))
    hard, soft = named_loss(ctx.task, config), soft_loss(config)
    known = None if _varies(ctx.task) else _all_answers(teacher, ctx.data.train)

    def loss(model: nn.Module, inputs: tuple[torch.Tensor, ...], numbers: torch.Tensor) -> torch.Tensor:
        outputs = forward(model, inputs)
        taught = teacher.answers(inputs) if known is None else known[numbers]
        _check_shapes(outputs[0], taught)
        labels = hard(_Answered(outputs), inputs, targets[numbers]) if config.hard_weight else outputs[0].new_zeros(())
        return config.hard_weight * labels + (1 - config.hard_weight) * soft(outputs[0], taught)

    return loss


class _Answered(nn.Module):
    """Gives outputs that were computed already, so that a loss which calls a model does not compute them twice."""

    def __init__(self, outputs: tuple[torch.Tensor, ...]) -> None:
        super().__init__()
        self._outputs = outputs

    def forward(self, *_: Any) -> tuple[torch.Tensor, ...]:
        return self._outputs


def _varies(task: Task) -> bool:
    """Whether a training example looks different each time, so that the teacher must be asked each time."""
    return type(task).augment is not Task.augment


def _all_answers(teacher: Teacher, train: Split) -> torch.Tensor:
    inputs = [np.ascontiguousarray(one) for one in train.inputs.values()]
    parts: list[torch.Tensor] = []
    for start in range(0, len(train), _CHUNK):
        parts.append(teacher.answers(tuple(torch.from_numpy(one[start : start + _CHUNK]) for one in inputs)))
        _check_size(parts[0], len(train))
    answers = torch.cat(parts)
    if not bool(torch.isfinite(answers).all()):
        raise InvalidInput("pass distil: the teacher's answers are not all finite (NaN or infinity): it cannot teach")
    return answers


def _check_size(part: torch.Tensor, examples: int) -> None:
    size = part[0].numel() * part.element_size() * examples
    if size > _MOST_BYTES:
        raise InvalidInput(f"pass distil: the teacher's answers to {examples} examples take {size} bytes, at most {_MOST_BYTES} are kept")


def _check_shapes(student: torch.Tensor, teacher: torch.Tensor) -> None:
    if student.shape != teacher.shape:
        one, two = list(student.shape[1:]), list(teacher.shape[1:])
        raise InvalidInput(f"pass distil: the student gives {one} for an example and the teacher {two}: they must answer the same question")


def soft_loss(config: DistilConfig) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """From the student's and the teacher's first outputs to how unlike they are.

    Of probabilities: `T^2 KL(softmax(teacher / T) || softmax(student / T))`, mean over examples. T^2 keeps the gradients' size when T
    changes (Hinton et al. 2015, section 2.1).
    """
    if config.match == "outputs":
        return functional.mse_loss

    def of_probabilities(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        if student.dim() < 2 or student.shape[-1] < 2:
            raise InvalidInput('pass distil compares probabilities of two classes or more: for this model write match = "outputs"')
        wanted = functional.log_softmax(_logits(teacher) / config.temperature, dim=-1).flatten(0, -2)
        given = functional.log_softmax(student / config.temperature, dim=-1).flatten(0, -2)
        return config.temperature**2 * functional.kl_div(given, wanted, reduction="batchmean", log_target=True)

    return of_probabilities


def _logits(answers: torch.Tensor) -> torch.Tensor:
    """A teacher may give probabilities: their logarithms are logits."""
    if bool((answers >= 0).all()) and bool(((answers.sum(-1) - 1).abs() < _SUM_ERROR).all()):
        return answers.clamp_min(1e-12).log()
    return answers
