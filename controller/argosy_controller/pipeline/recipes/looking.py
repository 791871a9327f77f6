"""Looks at a task, inside its process, for the facts that a first recipe depends on; nothing is trained."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from argosy_controller.pipeline.numbers.intervals import drop_is_below, most_mistakes
from argosy_controller.pipeline.numbers.sizes import parameters
from argosy_controller.pipeline.processes.messages import SuggestRequest, Tell
from argosy_controller.pipeline.recipes import RECIPE_FILE
from argosy_controller.pipeline.recipes.suggesting import TaskFacts, drop_beyond, smallest_drop, suggestion
from argosy_controller.pipeline.recipes.suggesting_classical import Estimator
from argosy_controller.pipeline.sources.graphs import kind_of
from argosy_controller.pipeline.task import Data, Task, blaming, checked_data, load_task, task_model
from argosy_controller.pipeline.training import forward

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d)
_RECURRENT = (nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention)
_SLOW = (nn.Sigmoid, nn.Tanh)


def suggest(request: SuggestRequest, tell: Tell) -> None:
    """Writes recipe.toml into the folder `request.out`.

    Raises:
        InvalidInput, NotFound: the task is wrong, its data are, or its model does not take them.
    """
    torch.set_num_threads(1)
    task = load_task(Path(request.task), request.settings)
    tell("data", 0, 1)
    data = checked_data(task, request.seed)
    tell("data", 1, 1)
    model = task_model(task, request.seed) if task.has_model else None
    facts = task_facts(task, data, model)
    drop = smallest_drop(facts.test, drop_is_below) if facts.share else _bounded_drop(task, data)
    (Path(request.out) / RECIPE_FILE).write_text(suggestion(facts, request.aim, drop), encoding="utf-8")


def task_facts(task: Task, data: Data, model: nn.Module | None) -> TaskFacts:
    """The facts of a task with its data and its model, which is asked once to see whether it takes them."""
    estimator = _estimator(model, data)
    if model is not None and not estimator:
        _ask(task, data, model)
    metric = task.judged_by
    return TaskFacts(
        name=task.name,
        metric=metric.name,
        share=metric.per_example,
        bounded=metric.low >= 0 and metric.high <= 1,
        train=len(data.train),
        test=len(data.test),
        parameters=parameters(model) if model is not None else 0,
        convolutions=_count(model, _CONVOLUTIONS),
        dense=_count(model, (nn.Linear,)),
        recurrent=_count(model, _RECURRENT),
        slow_activations=_count(model, _SLOW),
        floats=all(array.dtype.kind == "f" for array in data.train.inputs.values()),
        epochs=task.training.epochs,
        batch_size=task.training.batch_size,
        learning_rate=task.training.learning_rate,
        estimator=estimator,
        validation=data.validation is not None,
    )


def _estimator(model: nn.Module | None, data: Data) -> Estimator:
    """What kind of scikit-learn's a model is; empty for a network.

    Raises:
        InvalidInput: it does not take the task's data.
    """
    if model is None or kind_of(model) != "estimator":
        return ""
    from argosy_controller.pipeline.classical import families
    from argosy_controller.pipeline.classical.fitted import Fitted

    assert isinstance(model, Fitted)
    families.check_data(model.estimator, data.train)
    groups: dict[Estimator, tuple[type[object], ...]] = {
        "tree": families.TREES,
        "forest": families.FORESTS,
        "machine": families.MACHINES,
        "perceptron": families.PERCEPTRONS,
        "linear": families.LINEAR,
    }
    return next((name for name, kinds in groups.items() if isinstance(families.final(model.estimator), kinds)), "other")


def _bounded_drop(task: Task, data: Data) -> float | None:
    """For a metric that is no share: from what its test set proves when there is no mistake in it."""
    metric = task.judged_by
    if metric.proven is None:
        return drop_beyond(most_mistakes(len(data.test)))
    with blaming(f"the targets of task {task.name!r} do not suit its metric"):
        return drop_beyond(metric.high - metric.proven(data.test.targets))


def _count(model: nn.Module | None, kinds: tuple[type[nn.Module], ...]) -> int:
    return sum(isinstance(one, kinds) for one in model.modules()) if model is not None else 0


def _ask(task: Task, data: Data, model: nn.Module) -> None:
    example = [torch.from_numpy(array.copy()) for array in data.train.take(slice(0, 2)).inputs.values()]
    with blaming(f"the model of task {task.name!r} does not take its data"), torch.no_grad():
        forward(model.eval(), example)
