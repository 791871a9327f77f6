"""From a task to a compressed model: first training, then the recipe's passes, each with what it did."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from argosy.errors import ArgosyError, InvalidInput
from argosy_controller.pipeline import recipe as recipes
from argosy_controller.pipeline.lineage import chosen
from argosy_controller.pipeline.messages import Tell
from argosy_controller.pipeline.options import Config
from argosy_controller.pipeline.passes import PASSES
from argosy_controller.pipeline.passes.interface import Context
from argosy_controller.pipeline.report import Step
from argosy_controller.pipeline.sizes import macs, not_zero, parameters
from argosy_controller.pipeline.spelling import first_line
from argosy_controller.pipeline.task import Data, Task, blaming
from argosy_controller.pipeline.training import fit


@dataclass(frozen=True)
class Compressed:
    """What comes out of training and passes.

    Attributes:
        original: trained, before the first pass.
        model: after the last; in evaluation mode, as `original`.
    """

    original: nn.Module
    model: nn.Module
    steps: tuple[Step, ...]


def compressed(steps: tuple[recipes.Step, ...], task: Task, data: Data, seed: int, folder: Path, tell: Tell) -> Compressed:
    """Trains the task's model and applies the passes in order.

    Args:
        seed: of the training; pass number i (from 1) gets seed + i.
        folder: of the recipe.

    Raises:
        InvalidInput: the task's code raised, the model has weights that are not finite, or a pass does not apply.
    """
    original = trained(task, data, seed, _teller(tell, "train"))
    told = [_step("train", task.training, original, data, 0.0)]
    model = original
    for number, step in enumerate(steps, start=1):
        start = time.monotonic()
        model = _applied(step, model, Context(task, data, seed + number, _teller(tell, step.use), original, folder))
        told.append(_step(step.use, step.config, model, data, time.monotonic() - start))
    return Compressed(original, model, tuple(told))


def trained(task: Task, data: Data, seed: int, on_epoch: Callable[[int, int], None]) -> nn.Module:
    """The task's model after its first training."""
    torch.manual_seed(seed)
    with blaming(f"model() of task {task.name!r} failed"):
        model = task.model(seed)
    if not isinstance(model, nn.Module):
        raise InvalidInput(f"model() of task {task.name!r} must return a torch.nn.Module, not {type(model).__name__}")
    _check_finite(model, f"the model of task {task.name!r}")
    return fit(model, task, data.train, task.training, seed=seed, on_epoch=on_epoch)


def _teller(tell: Tell, stage: str) -> Callable[[int, int], None]:
    return lambda done, total: tell(stage, done, total)


def _applied(step: recipes.Step, model: nn.Module, ctx: Context) -> nn.Module:
    ctx.on_step(0, 1)
    try:
        result = PASSES[step.use].apply(model, step.config, ctx)
    except ArgosyError:
        raise
    except Exception as error:
        raise InvalidInput(f"pass {step.use} does not apply to this model: {type(error).__name__}: {first_line(error)}") from error
    _check_finite(result, f"the model after pass {step.use}")
    return result


def _check_finite(model: nn.Module, what: str) -> None:
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise InvalidInput(f"{what} has values that are not finite (NaN or infinity) in {name!r}: load or train it again")


def _step(name: str, config: Config, model: nn.Module, data: Data, seconds: float) -> Step:
    example = tuple(torch.from_numpy(one[:1].copy()) for one in data.train.inputs.values())
    return Step(
        step=name,
        options=chosen(config),
        parameters=parameters(model),
        not_zero=not_zero(model),
        macs=macs(model, example)[""],
        seconds=round(seconds, 2),
    )
