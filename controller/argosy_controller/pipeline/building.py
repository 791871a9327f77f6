"""A build, inside its process: data, training, passes, exports, measurements, goals, bundle; in this order."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import torch

from argosy.errors import GoalsNotMet
from argosy.names import check_name
from argosy_controller.pipeline.compressing import Compressed, compressed, untrained
from argosy_controller.pipeline.exporters.interface import Source
from argosy_controller.pipeline.goals import Judgement, judge, require
from argosy_controller.pipeline.intervals import METHOD
from argosy_controller.pipeline.lineage import fingerprint, machine, packages, sha256_file, spelled
from argosy_controller.pipeline.measuring import measured_variant
from argosy_controller.pipeline.messages import BuildRequest, Tell
from argosy_controller.pipeline.recipe import Recipe, read_recipe
from argosy_controller.pipeline.remembering import remembering, take_bundle
from argosy_controller.pipeline.report import Report, write_report
from argosy_controller.pipeline.task import TASK_FILE, Data, checked_data, load_task
from argosy_controller.pipeline.variants import VARIANTS_FOLDER, Measured, row, write_variant

#: One thread trains small models about as fast as several, and leaves the machine usable.
THREADS = 1


def build(request: BuildRequest, tell: Tell) -> None:
    """Runs a build into the folder `request.out`, which exists and is empty.

    Raises:
        InvalidInput, NotFound: recipe, task or settings are wrong.
        GoalsNotMet: report.json was written, variants were removed.
    """
    torch.set_num_threads(THREADS)
    recipe = read_recipe(Path(request.recipe))
    task = load_task(Path(request.task), request.settings)
    task.set_hyperparameters(recipe.hyperparameters)
    model_name = check_name("model", request.model or task.name)
    tell("data", 0, 1)
    data = checked_data(task, request.seed)
    tell("data", 1, 1)
    memory = remembering(request, task, THREADS)
    key = memory.whole(request, model_name, recipe, memory.first(task, data, request.seed, untrained(task, request.seed))) if memory else ""
    if memory and take_bundle(memory, key, Path(request.out)):
        return tell("everything, from the cache", 1, 1)
    made = compressed(recipe.steps, task, data, request.seed, Path(request.recipe).parent, tell, memory)
    with tempfile.TemporaryDirectory() as scratch:
        source = Source(made.model, task.outputs, data.calibrating, data.judging, task, Path(scratch))
        found = [measured_variant(one, source, task, data, tell) for one in recipe.variants]
        _finish(request, recipe, model_name, found, _lineage(request, recipe, data), made)
    if memory:
        memory.cache.keep_folder(key, Path(request.out))


def _lineage(request: BuildRequest, recipe: Recipe, data: Data) -> dict[str, str]:
    versions = ", ".join(f"{name} {version}" for name, version in packages().items())
    return {
        "task": Path(request.task).name,
        "task_sha256": sha256_file(Path(request.task) / TASK_FILE),
        "recipe": Path(request.recipe).name,
        "recipe_sha256": sha256_file(Path(request.recipe)),
        "passes": spelled(recipe.steps),
        "settings": ", ".join(f"{key}={_portable(value)}" for key, value in sorted(request.settings.items())),
        "seed": str(request.seed),
        "data_sha256": fingerprint(data),
        "packages": versions,
        **machine(THREADS),
    }


def _portable(value: str) -> str:
    """A setting without the builder's folders: cards travel to devices, and the data have a fingerprint of their own."""
    return Path(value).name if "/" in value else value


def _finish(request: BuildRequest, recipe: Recipe, model: str, found: list[Measured], lineage: dict[str, str], made: Compressed) -> None:
    out = Path(request.out)
    cards = [write_variant(out, model, one, (), lineage) for one in found]
    judged = [
        judgement
        for one, wish in zip(found, recipe.variants, strict=True)
        for judgement in judge(one.name, wish.goals, one.accuracy, one.length)
    ]
    report = Report(
        kind="build",
        model=model,
        summary=recipe.summary,
        variants=[row(card, one.notes) for card, one in zip(cards, found, strict=True)],
        goals=judged,
        interval=METHOD,
        steps=list(made.steps),
        lineage=lineage,
    )
    write_report(out, report)
    _require(judged, out)


def _require(judged: list[Judgement], out: Path) -> None:
    try:
        require(judged)
    except GoalsNotMet:
        shutil.rmtree(out / VARIANTS_FOLDER)
        raise
