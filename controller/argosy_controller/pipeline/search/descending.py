"""The hypergradient at a candidate's point: for each training that has open dimensions, of the validation loss at its end."""

from __future__ import annotations

from torch import nn

from argosy.errors import ArgosyError, InvalidInput
from argosy_controller.pipeline.caching.remembering import Memory
from argosy_controller.pipeline.compressing import compressed, untrained
from argosy_controller.pipeline.options import TrainingConfig
from argosy_controller.pipeline.recipes.recipe import Recipe, Search
from argosy_controller.pipeline.search.hypergradients import Hypergradient, implicit, unrolled
from argosy_controller.pipeline.search.space import Dimension
from argosy_controller.pipeline.spelling import first_line
from argosy_controller.pipeline.task import Data, Task
from argosy_controller.pipeline.training import fit


def hypergradients(
    search: Search, recipe: Recipe, task: Task, data: Data, seed: int, memory: Memory, given: nn.Module | None = None
) -> dict[str, float]:
    """The gradient by every dimension.

    Args:
        recipe: at the point.
        data: with a validation part.
        seed: of the build.
        memory: what comes before a training is taken from it.
        given: a trained model in place of the task's.

    Raises:
        InvalidInput: torch cannot differentiate through this model's training.
    """
    found: dict[str, float] = {}
    for stage in dict.fromkeys(one.path[:-1] for one in search.space.dimensions):
        open_here = [one for one in search.space.dimensions if one.path[:-1] == stage]
        start, training, its_seed = _start(open_here[0], recipe, task, data, seed, memory, given)
        names = tuple(str(one.path[-1]) for one in open_here)
        gradient = _differentiated(search.config.gradient, start, task, data, training, names, its_seed).gradient
        found |= {one.name: gradient[str(one.path[-1])] for one in open_here}
    return found


def _start(
    one: Dimension, recipe: Recipe, task: Task, data: Data, seed: int, memory: Memory, given: nn.Module | None
) -> tuple[nn.Module, TrainingConfig, int]:
    """The model before a training, how it is trained, and the training's seed, as `compressing.compressed` has them."""
    if one.path[0] == "task":
        if given is not None:
            raise InvalidInput(f"{one.name!r} has no gradient: the model comes trained, so there is no first training")
        return untrained(task, seed), task.training, seed
    number = next(index for index, step in enumerate(recipe.steps) if step.place == one.path[1])
    config = recipe.steps[number].config
    assert isinstance(config, TrainingConfig)
    before = compressed(recipe.steps[:number], task, data, seed, memory.recipe_folder, _silent, memory, given)
    return before.model, config, seed + number + 1


def _differentiated(
    how: str, start: nn.Module, task: Task, data: Data, training: TrainingConfig, names: tuple[str, ...], seed: int
) -> Hypergradient:
    assert data.validation is not None
    try:
        if how == "unrolled":
            return unrolled(start, task, data.train, data.validation, training, names, seed)
        ended = fit(start, task, data.train, training, seed=seed, on_epoch=lambda done, total: None)
        return implicit(ended, task, data.train, data.validation, training, names)
    except ArgosyError:
        raise
    except (RuntimeError, NotImplementedError) as error:
        raise InvalidInput(
            f"torch cannot differentiate through the training of this model ({first_line(error)}): take method bayes"
        ) from error


def _silent(stage: str, done: int, total: int) -> None:
    """Nobody looks."""
