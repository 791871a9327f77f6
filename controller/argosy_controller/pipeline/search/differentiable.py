"""Which dimensions have a hypergradient. Without torch: a recipe is checked by this."""

from __future__ import annotations

from collections.abc import Mapping

from argosy_controller.pipeline.options import TrainingConfig
from argosy_controller.pipeline.recipes.toml_lines import Path as KeyPath
from argosy_controller.pipeline.search.space import Dimension, Space, WrongDimension

_SMOOTH = ("learning_rate", "weight_decay", "focal_gamma")
_TAKE = "take method bayes, or give it one value"


def check_stages(space: Space, passes: Mapping[KeyPath, str]) -> None:
    """That every dimension belongs to a training that can be differentiated, and enters it smoothly.

    Args:
        passes: what the recipe's passes use, by their place in it.

    Raises:
        WrongDimension: one does not.
    """
    for one in space.dimensions:
        stage = "task" if one.path[0] == "task" else passes.get(one.path[:2], one.path[0])
        if stage not in ("task", "finetune") or one.path[-1] not in _SMOOTH:
            known = "learning_rate and weight_decay of [task]; learning_rate, weight_decay and focal_gamma of finetune"
            raise WrongDimension(one.path, f"{one.name!r} has no gradient (those that have: {known}): {_TAKE}")
        if one.choices:
            raise WrongDimension(one.path, f"{one.name!r} has single values, and a gradient needs a range: give low and high without steps")


def check_training(one: Dimension, training: TrainingConfig, implicit: bool) -> None:
    """That the training to which a dimension belongs lets it be differentiated.

    Raises:
        WrongDimension: one sentence.
    """
    key = one.path[-1]
    if key == "focal_gamma" and training.loss != "focal":
        raise WrongDimension(one.path, f'{one.name!r} has no gradient where the loss is not the focal one: write loss = "focal" beside it')
    if implicit and key == "learning_rate":
        raise WrongDimension(
            one.path, f'{one.name!r} has no implicit gradient, since where training ends does not depend on it: take gradient = "unrolled"'
        )
    if implicit and training.optimiser == "adamw" and key == "weight_decay":
        raise WrongDimension(
            one.path, f'{one.name!r} of adamw is no part of a loss, so it has no implicit gradient: take adam, or gradient = "unrolled"'
        )
