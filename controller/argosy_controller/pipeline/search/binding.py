"""A recipe's search against its task: what only the task and this machine can say, before anything is trained."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from argosy.errors import InvalidInput
from argosy_controller.pipeline.exporters import EXPORTERS
from argosy_controller.pipeline.files.engines import ENGINES
from argosy_controller.pipeline.options import TrainingConfig
from argosy_controller.pipeline.recipes.recipe import Recipe, Search, Variant
from argosy_controller.pipeline.search.differentiable import check_training
from argosy_controller.pipeline.search.settings import SearchConfig
from argosy_controller.pipeline.search.space import Dimension, Space
from argosy_controller.pipeline.spelling import nearest
from argosy_controller.pipeline.task import Task


def bound(recipe: Recipe, task: Task) -> Search:
    """The search with the task's hyperparameters known.

    Raises:
        InvalidInput: one is none of the task's, is of another type, or has no gradient where the method needs it.
    """
    search = recipe.search
    assert search is not None
    space = Space(tuple(_bound(one, task, search.name) for one in search.space.dimensions))
    if search.config.method == "gradient":
        for one in space.dimensions:
            check_training(one, _training(one, recipe, task), search.config.gradient == "implicit")
    return msgspec.structs.replace(search, space=space)


def _bound(one: Dimension, task: Task, file: str) -> Dimension:
    if one.path[0] != "task":
        return one
    known, name = task.hyperparameters(), str(one.path[1])
    if name not in known:
        raise InvalidInput(f"{file}: task {task.name!r} has no hyperparameter {name!r}{nearest(name, known)}")
    kind = type(known[name])
    if kind is float and not one.choices:
        return replace(one, integer=False)
    for value in one.choices or (one.low, one.high):
        if type(value) is not kind and not (kind is float and type(value) is int):
            raise InvalidInput(f"{file}: {one.name!r} may be {value!r}: task {task.name!r} takes values of type {kind.__name__}")
    return one


def _training(one: Dimension, recipe: Recipe, task: Task) -> TrainingConfig:
    """The training to which a dimension belongs."""
    if one.path[0] == "task":
        return task.training
    config = next(step.config for step in recipe.steps if step.place == one.path[1])
    assert isinstance(config, TrainingConfig)
    return config


def check_judged(variant: Variant, config: SearchConfig) -> None:
    """That the judged variant's file can be run here, where an objective needs it.

    Raises:
        InvalidInput: it cannot.
    """
    model_format = EXPORTERS[variant.use].format
    needed = [one for one in config.objectives if one in ("accuracy", "p50_us")]
    if needed and model_format not in ENGINES:
        raise InvalidInput(
            f"{needed[0]} of variant {variant.name!r} cannot be measured here: name one in another format as judge = ... of [search]"
        )
