"""FitNets: a layer of the student first learns to tell what a layer of the teacher gives (Romero et al. 2015, arXiv:1412.6550)."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import msgspec
import torch
from torch import nn
from torch.nn import functional

from argosy.errors import InvalidInput
from argosy_controller.pipeline.methods.surgery import example
from argosy_controller.pipeline.methods.teachers import Teacher, TorchTeacher
from argosy_controller.pipeline.passes.distil import DistilConfig
from argosy_controller.pipeline.passes.interface import Context
from argosy_controller.pipeline.spelling import nearest
from argosy_controller.pipeline.training import fit, forward

_CONVOLUTIONS = {3: nn.Conv1d, 4: nn.Conv2d}


def learnt_hint(
    student: nn.Module, teacher: Teacher, config: DistilConfig, ctx: Context, on_epoch: Callable[[int, int], None]
) -> nn.Module:
    """A copy of the student whose layers up to the guided one were trained on the mean squared error to the teacher's layer.

    Raises:
        InvalidInput: a layer is missing or not named, gives no tensor, or the teacher is a file.
    """
    if not isinstance(teacher, TorchTeacher):
        raise InvalidInput("pass distil: an ONNX file shows none of its layers; leave out the hints, or name a task's folder as teacher")
    _check_layer(student, config.hint_student, "hint_student")
    _check_layer(teacher.model, config.hint_teacher, "hint_teacher")
    own = copy.deepcopy(student).eval()
    inputs = example(ctx.data.train, 2)
    with torch.no_grad():
        shapes = [features(*one, inputs).shape for one in ((own, config.hint_student), (teacher.model, config.hint_teacher))]
    torch.manual_seed(ctx.seed)
    pair = _Guided(own, config.hint_student, regressor(*shapes))

    def loss(model: nn.Module, inputs: tuple[torch.Tensor, ...], targets: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            hint = features(teacher.model, config.hint_teacher, inputs)
        return functional.mse_loss(model(*inputs), hint)

    training = msgspec.structs.replace(config, epochs=config.hint_epochs)
    guided = fit(pair, ctx.task, ctx.data.train, training, seed=ctx.seed, on_epoch=on_epoch, loss=loss)
    return guided.get_submodule("student")


def _check_layer(model: nn.Module, name: str, option: str) -> None:
    names = [one for one, _ in model.named_modules() if one]
    if name not in names:
        raise InvalidInput(f"pass distil: {option} names layer {name!r}, which is not there{nearest(name, names)}")


def features(model: nn.Module, name: str, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """What a layer gives, the last time that it is called.

    Raises:
        InvalidInput: it gives no tensor, or is not called.
    """
    seen: list[Any] = []
    hook = model.get_submodule(name).register_forward_hook(lambda layer, given, made: seen.append(made))
    try:
        forward(model, inputs)
    finally:
        hook.remove()
    if not seen or not isinstance(seen[-1], torch.Tensor):
        raise InvalidInput(f"pass distil: layer {name!r} gives no tensor that could be a hint: name another")
    return seen[-1]


class _Guided(nn.Module):
    """The student up to its guided layer, and the regressor from there to the hint."""

    def __init__(self, student: nn.Module, layer: str, regressor: nn.Module) -> None:
        super().__init__()
        self.student, self.regressor, self._layer = student, regressor, layer

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        told: torch.Tensor = self.regressor(features(self.student, self._layer, inputs))
        return told


def regressor(guided: torch.Size, hint: torch.Size) -> nn.Module:
    """The smallest layer from features of one shape (batch, channels, ...) to another.

    For maps it is a convolution whose kernel takes away what the student's map is larger (FitNets, section 2.2).

    Raises:
        InvalidInput: no such layer is there.
    """
    if len(guided) == len(hint) == 2:
        return nn.Linear(guided[1], hint[1])
    kernel = tuple(one - two + 1 for one, two in zip(guided[2:], hint[2:], strict=False))
    if len(guided) != len(hint) or len(hint) not in _CONVOLUTIONS or min(kernel) < 1:
        raise InvalidInput(
            f"pass distil: the student's layer gives {list(guided[1:])} and the teacher's {list(hint[1:])}: name layers with as many "
            "dimensions, the student's map not the smaller one"
        )
    return _CONVOLUTIONS[len(hint)](guided[1], hint[1], kernel)  # type: ignore[arg-type]
