"""A build, inside its process: data, training, passes, exports, measurements, goals, bundle; in this order."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from torch import nn

from argosy.names import check_name
from argosy_controller.pipeline.bundling import judgements, write_bundle
from argosy_controller.pipeline.caching.remembering import Memory, remembering, take_bundle
from argosy_controller.pipeline.compressing import Compressed, compressed, untrained
from argosy_controller.pipeline.exporters.interface import Source
from argosy_controller.pipeline.files.labels import check_labels, written_labels
from argosy_controller.pipeline.lineage import fingerprint, machine, packages, sha256_file, spelled
from argosy_controller.pipeline.measuring import held_out, measured_variant
from argosy_controller.pipeline.numbers.goals import check_goals
from argosy_controller.pipeline.numbers.layers import with_layers
from argosy_controller.pipeline.numbers.standard import Standard
from argosy_controller.pipeline.processes.messages import BuildRequest, Tell
from argosy_controller.pipeline.recipes.recipe import Recipe, read_recipe
from argosy_controller.pipeline.report import Report, SearchReport
from argosy_controller.pipeline.reproducing import build_command
from argosy_controller.pipeline.sources.opening import open_trained
from argosy_controller.pipeline.task import TASK_FILE, Data, Task, checked_data, load_task
from argosy_controller.pipeline.variants import Measured, timed, with_needs

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
    for one in recipe.variants:
        check_goals(one.goals, task.judged_by)
    model_name = check_name("model", request.model or task.name)
    tell("data", 0, 1)
    data = checked_data(task, request.seed)
    check_labels(task.labels, f"task {task.name!r}")
    tell("data", 1, 1)
    memory = remembering(request, task, THREADS)
    start, given = _start(request, task, data)
    key = memory.whole(request, model_name, recipe, memory.first(task, data, request.seed, start, given=given)) if memory else ""
    if memory and take_bundle(memory, key, Path(request.out)):
        return tell("everything, from the cache", 1, 1)
    recipe, search = _decided(request, recipe, task, data, memory, tell)
    if search is not None and recipe.hyperparameters:  # they may shape the data, and the model that was given
        task = load_task(Path(request.task), request.settings)
        task.set_hyperparameters(recipe.hyperparameters)
        data = checked_data(task, request.seed)
        start, given = _start(request, task, data)
    folder = Path(request.recipe).parent
    made = compressed(recipe.steps, task, data, request.seed, folder, tell, memory, start if given else None, start)
    with tempfile.TemporaryDirectory() as scratch:
        source = Source(made.model, task.outputs, data.calibrating, data.judging, task, Path(scratch))
        held = held_out(made.original, made.model, task, data.test)
        assert held.before is not None
        found = [measured_variant(one, source, task, held, tell) for one in recipe.variants]
        found = timed(with_needs([with_layers(one, made.original, source) for one in found]))
        lineage = _lineage(request, recipe, data, search)
        beside = written_labels(task.labels, Path(scratch))
        _finish(request, recipe, model_name, found, beside, lineage, made, Standard(task.judged_by, held.before.accuracy), search)
    if memory:
        memory.cache.keep_folder(key, Path(request.out))


def _decided(
    request: BuildRequest, recipe: Recipe, task: Task, data: Data, memory: Memory | None, tell: Tell
) -> tuple[Recipe, SearchReport | None]:
    """The recipe with nothing left open, and how that was decided; from here on the winner is built like any other recipe."""
    if recipe.search is None:
        return recipe, None
    from argosy_controller.pipeline.search.searching import searched

    found = searched(request, recipe, task, data, memory, tell)
    return found.recipe, found.report


def _start(request: BuildRequest, task: Task, data: Data) -> tuple[nn.Module, bool]:
    """The model that the build begins with, and whether it came trained, as a file."""
    if not request.trained:
        return untrained(task, request.seed), False
    return open_trained(Path(request.trained), task, data, request.seed, trust_pickle=request.trust_pickle), True


def _lineage(request: BuildRequest, recipe: Recipe, data: Data, search: SearchReport | None) -> dict[str, str]:
    versions = ", ".join(f"{name} {version}" for name, version in packages().items())
    return {
        "task": Path(request.task).name,
        "task_sha256": sha256_file(Path(request.task) / TASK_FILE),
        "recipe": Path(request.recipe).name,
        "recipe_sha256": sha256_file(Path(request.recipe)),
        **({"trained": f"{Path(request.trained).name} {sha256_file(Path(request.trained))}"} if request.trained else {}),
        **({"search": f"{search.method}, {len(search.trials)} candidates, number {search.chosen} built"} if search else {}),
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


def _finish(
    request: BuildRequest,
    recipe: Recipe,
    model: str,
    found: list[Measured],
    companions: list[Path],
    lineage: dict[str, str],
    made: Compressed,
    standard: Standard,
    search: SearchReport | None,
) -> None:
    report = Report(
        kind="build",
        model=model,
        summary=recipe.summary,
        variants=[],
        goals=judgements(recipe, found, lambda one: standard.figures(one, made.steps[-1])),
        interval=standard.interval,
        baseline=standard.baseline(made.steps[0]),
        steps=list(made.steps),
        search=search,
        lineage=lineage,
        reproduce=build_command(request),
    )
    write_bundle(Path(request.out), report, found, companions)
