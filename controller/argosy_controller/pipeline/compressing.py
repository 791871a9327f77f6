"""From a task to a compressed model: first training, then the recipe's passes, each with what it did.

With a memory, what was computed before is not computed again: the trained model and the model after each pass that keeps
shapes are taken from the cache, so a build that was ended goes on near where it was. Passes that reshape run again.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from argosy.errors import ArgosyError, InvalidInput
from argosy_controller.pipeline.caching import kept_models
from argosy_controller.pipeline.caching.remembering import Memory
from argosy_controller.pipeline.lineage import chosen
from argosy_controller.pipeline.methods.surgery import example
from argosy_controller.pipeline.numbers.sizes import macs, not_zero, parameters
from argosy_controller.pipeline.options import Config
from argosy_controller.pipeline.passes import PASSES
from argosy_controller.pipeline.passes.interface import Context
from argosy_controller.pipeline.processes.messages import Tell
from argosy_controller.pipeline.recipes import recipe as recipes
from argosy_controller.pipeline.report import Step
from argosy_controller.pipeline.sources.graphs import kind_of
from argosy_controller.pipeline.spelling import first_line
from argosy_controller.pipeline.task import Data, Task, blaming, task_model
from argosy_controller.pipeline.training import fit

_KINDS = {"network": "layers of torch", "graph": "a whole ONNX graph", "estimator": "a fitted estimator of scikit-learn"}
_INSTEAD = {
    "network": "`controller recipes` says what each pass takes",
    "graph": "use variants that quantise it, or write model() in the task and give weights that fit it",
    "estimator": "`controller recipes` says what each pass takes",
}


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


def compressed(
    steps: tuple[recipes.Step, ...],
    task: Task,
    data: Data,
    seed: int,
    folder: Path,
    tell: Tell,
    memory: Memory | None = None,
    given: nn.Module | None = None,
    fresh: nn.Module | None = None,
) -> Compressed:
    """Trains the task's model and applies the passes in order.

    Args:
        given: a trained model, in evaluation mode; nothing is trained before the passes.
        fresh: what `untrained` made of this task and seed, where the caller made it already; it may be changed here.
        seed: of the training; pass number i (from 1) gets seed + i.
        folder: of the recipe.
        memory: of what was computed before; None computes everything.

    Raises:
        InvalidInput: the task's code raised, the model has weights that are not finite, or a pass does not apply.
    """
    model = next((one for one in (given, fresh) if one is not None), None)
    model = untrained(task, seed) if model is None else model
    key = memory.first(task, data, seed, model, given=given is not None) if memory else ""
    if given is not None:
        _check_finite(given, "the given model")
        original, told = given, [_step("given", Config(), given, data, 0.0)]
    else:
        stage = _first_stage(model)
        first = _Link(key, stage, False, lambda: _trained(model, task, data, seed, _teller(tell, stage)))
        original, seconds = _made(first, model, data, seed, tell, memory)
        told = [_first_step(task, original, data, seconds)]
    current = original
    for number, step in enumerate(steps, start=1):
        key = memory.after(key, step, seed + number) if memory else ""
        notes: list[str] = []
        ctx = Context(task, data, seed + number, _teller(tell, step.use), original, folder, notes.append)
        link = _Link(key, step.use, PASSES[step.use].reshapes, partial(_applied, step, current, ctx))
        current, seconds = _made(link, current, data, seed + number, tell, memory)
        told.append(_step(step.use, step.config, current, data, seconds, notes))
    _seed_all(seed)
    return Compressed(original, current, tuple(told))


@dataclass(frozen=True)
class _Link:
    """One step of the chain: the key of its result, and how that is made."""

    key: str
    stage: str
    reshapes: bool
    make: Callable[[], nn.Module]


def _made(link: _Link, before: nn.Module, data: Data, seed: int, tell: Tell, memory: Memory | None) -> tuple[nn.Module, float]:
    """A step's result, and the seconds that it took when it was computed."""
    known = memory.cache if memory is not None and not link.reshapes else None
    kept = kept_models.load(known, link.key, before) if known else None
    if kept is not None:
        tell(f"{link.stage}, from the cache", 1, 1)
        return kept
    _seed_all(seed)
    start = time.monotonic()
    model = link.make()
    seconds = round(time.monotonic() - start, 2)
    if known:
        kept_models.keep(known, link.key, before, model, example(data.train, 4), seconds)
    return model, seconds


def _seed_all(seed: int) -> None:
    """Before every step: what a step draws must not depend on whether the one before it ran or came from the cache."""
    torch.manual_seed(seed)
    np.random.seed(seed % (1 << 32))
    random.seed(seed)


def untrained(task: Task, seed: int) -> nn.Module:
    """The task's model before its first training."""
    _seed_all(seed)
    model = task_model(task, seed)
    _check_finite(model, f"the model of task {task.name!r}")
    return model


def _trained(model: nn.Module, task: Task, data: Data, seed: int, on_epoch: Callable[[int, int], None]) -> nn.Module:
    on_epoch(0, max(1, task.training.epochs))
    with blaming(f"training of task {task.name!r} failed"):
        return fit(model, task, data.train, task.training, seed=seed, on_epoch=on_epoch)


def trained(task: Task, data: Data, seed: int, on_epoch: Callable[[int, int], None]) -> nn.Module:
    """The task's model after its first training."""
    return fit(untrained(task, seed), task, data.train, task.training, seed=seed, on_epoch=on_epoch)


def _teller(tell: Tell, stage: str) -> Callable[[int, int], None]:
    return lambda done, total: tell(stage, done, total)


def _applied(step: recipes.Step, model: nn.Module, ctx: Context) -> nn.Module:
    ctx.on_step(0, 1)
    _check_takes(step.use, model)
    try:
        result = PASSES[step.use].apply(model, step.config, ctx)
    except ArgosyError:
        raise
    except Exception as error:
        raise InvalidInput(f"pass {step.use} does not apply to this model: {type(error).__name__}: {first_line(error)}") from error
    _check_finite(result, f"the model after pass {step.use}")
    return result


def _check_takes(use: str, model: nn.Module) -> None:
    takes, kind = PASSES[use].takes, kind_of(model)
    if kind not in takes:
        wanted = " or ".join(_KINDS[one] for one in sorted(takes))
        raise InvalidInput(f"pass {use} changes {wanted}, and this model is {_KINDS[kind]}: {_INSTEAD[kind]}")


def _check_finite(model: nn.Module, what: str) -> None:
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise InvalidInput(f"{what} has values that are not finite (NaN or infinity) in {name!r}: load or train it again")


def _first_stage(model: nn.Module) -> str:
    """What the first training is called: an estimator is fitted."""
    return "fit" if kind_of(model) == "estimator" else "train"


def _first_step(task: Task, original: nn.Module, data: Data, seconds: float) -> Step:
    """Of the first training; an estimator fits itself by its own options, whatever the task says of epochs."""
    stage = _first_stage(original)
    if stage == "train":
        return _step(stage, task.training, original, data, seconds)
    return _step(stage, Config(), original, data, seconds, [original.extra_repr()])


def _step(name: str, config: Config, model: nn.Module, data: Data, seconds: float, notes: Sequence[str] = ()) -> Step:
    return Step(
        step=name,
        options=chosen(config),
        parameters=parameters(model),
        not_zero=not_zero(model),
        macs=macs(model, example(data.train, 1))[""] or None,  # nothing is counted inside an ONNX graph
        seconds=seconds,
        notes=list(notes),
    )
