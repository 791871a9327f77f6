"""Models of the zoo as versions of one variant each, with what their source answers; barely trained, for answers, not for accuracy."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from argosy.protocol.card import Card
from argosy.protocol.codec import from_json
from argosy_controller.pipeline.building import build
from argosy_controller.pipeline.compressing import compressed
from argosy_controller.pipeline.measuring import answers
from argosy_controller.pipeline.processes.messages import BuildRequest
from argosy_controller.pipeline.recipes.recipe import read_recipe
from argosy_controller.pipeline.task import Split, checked_data, load_task

SEED = 5
#: Requests that a device is asked: the first of the held-out examples.
ASKED = 4


@dataclass(frozen=True)
class Made:
    """A built model.

    Attributes:
        cards: by variant.
        bundles: by variant, folders that can be registered.
        asked: the requests' inputs.
        wanted: what the source answers to them.
    """

    name: str
    cards: dict[str, Card]
    bundles: dict[str, Path]
    asked: Split
    wanted: Mapping[str, Any]


def made(
    name: str, task: Path, variants: Sequence[str], out: Path, hyperparameters: Mapping[str, int], settings: Mapping[str, str]
) -> Made:
    """Builds a task with a recipe of these variants, in this process, and asks its source.

    Args:
        hyperparameters: of the task; those that it does not have are left out.
    """
    known = load_task(task, dict(settings)).hyperparameters()
    lines = [f"{key} = {value}" for key, value in hyperparameters.items() if key in known]
    out.mkdir(parents=True)
    recipe = out / "recipe.toml"
    recipe.write_text("\n".join(["[task]", *lines, *(f'[[variants]]\nuse = "{one}"' for one in variants)]))
    (out / "bundle").mkdir()
    request = BuildRequest(task=str(task), recipe=str(recipe), out=str(out / "bundle"), model=name, settings=dict(settings), seed=SEED)
    with warnings.catch_warnings():  # converters warn as they like
        warnings.simplefilter("ignore")
        build(request, _quiet)
        asked, wanted = _source(task, recipe, dict(settings))
    bundles = {one: _alone(out / "bundle", one, out / one) for one in variants}
    cards = {one: from_json(Card, (folder / "variants" / one / "card.json").read_bytes()) for one, folder in bundles.items()}
    return Made(name, cards, bundles, asked, wanted)


def _source(folder: Path, path: Path, settings: dict[str, str]) -> tuple[Split, Mapping[str, Any]]:
    recipe, task = read_recipe(path), load_task(folder, settings)
    task.set_hyperparameters(recipe.hyperparameters)
    data = checked_data(task, SEED)
    model = compressed(recipe.steps, task, data, SEED, path.parent, _quiet).model
    asked = data.test.take(slice(0, ASKED))
    return asked, answers(model, task, asked)


def _alone(bundle: Path, variant: str, to: Path) -> Path:
    shutil.copytree(bundle / "variants" / variant, to / "variants" / variant)
    report = msgspec.json.decode((bundle / "report.json").read_bytes())
    report["variants"] = [one for one in report["variants"] if one["name"] == variant]
    (to / "report.json").write_bytes(msgspec.json.encode(report))
    return to


def requests_for(card: Card, asked: Split) -> list[dict[str, Any]]:
    """One request an example, in the dtypes that the card declares."""
    count = len(asked)
    return [
        {spec.name: np.ascontiguousarray(asked.inputs[spec.name][i : i + 1].astype(spec.dtype)) for spec in card.inputs}
        for i in range(count)
    ]


def allowed(card: Card) -> float:
    """How far an answer may be from the source's: as far as this file's was where it was made, and as another machine's may be."""
    assert card.parity is not None and card.parity.max_abs_diff is not None and card.probes is not None
    return card.parity.max_abs_diff + card.probes.atol


def _quiet(stage: str, done: int, total: int) -> None:
    del stage, done, total
