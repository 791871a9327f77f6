"""What an import is to make of a ready file, checked before anything is opened. No torch here."""

from __future__ import annotations

from pathlib import Path

import msgspec

from argosy.errors import InvalidInput
from argosy_controller.pipeline.exporters import EXPORTERS
from argosy_controller.pipeline.exporters.absent import ABSENT
from argosy_controller.pipeline.numbers.goals import Goals
from argosy_controller.pipeline.processes.messages import ImportRequest
from argosy_controller.pipeline.recipes.recipe import Recipe, Variant, read_recipe
from argosy_controller.pipeline.spelling import nearest

NO_TARGETS = "an import brings inputs and no right answers, so nothing can be judged by accuracy: write a task, and build it with --from"
_NO_SAMPLE = (
    "variants are made and compared on real inputs: give some with --sample FILE.npz, one array per input (a few hundred examples are good)"
)
_DEFAULT = ("onnx-fp32", "tflite-fp32")


def check_wishes(request: ImportRequest) -> Recipe:
    """The variants that are asked for, with their goals, and the passes before.

    Raises:
        InvalidInput, NotFound: a variant is not known or asked for twice, the sample is missing, or the recipe wants what only a
            task can give.
    """
    recipe = read_recipe(Path(request.recipe)) if request.recipe else Recipe(summary="", hyperparameters={}, steps=(), variants=())
    if recipe.search is not None or recipe.hyperparameters:
        raise InvalidInput(
            f"{Path(request.recipe).name} has [search] or [task]: these are for builds of a task, leave them out of an import"
        )
    uses = request.variants or ([] if recipe.variants else _DEFAULT)
    if not request.sample:
        raise InvalidInput(_NO_SAMPLE)
    found = (*recipe.variants, *(_variant(use) for use in uses))
    names = [one.name for one in found]
    for name in names:
        if names.count(name) > 1:
            raise InvalidInput(f"variant {name!r} is asked for twice: give it once, or another name = ... in the recipe")
    for one in found:
        _check_goals(one)
    return msgspec.structs.replace(recipe, variants=found)


def _variant(use: str) -> Variant:
    if use not in EXPORTERS:
        raise InvalidInput(f"there is no variant {use!r:.80}{ABSENT.get(use) or nearest(use, EXPORTERS)}")
    return Variant(use=use, name=use, goals=Goals(), config=EXPORTERS[use].config())


def _check_goals(variant: Variant) -> None:
    for goal in ("accuracy_at_least", "metric_at_least", "error_at_most", "accuracy_drop_at_most"):
        if getattr(variant.goals, goal) is not None:
            raise InvalidInput(f"{goal} of variant {variant.name!r} cannot be asked: {NO_TARGETS}")
    if getattr(variant.config, "mixed_drop_at_most", None) is not None:
        raise InvalidInput(f"mixed_drop_at_most of variant {variant.name!r} cannot be asked: {NO_TARGETS}; keep_float_at_most needs none")
