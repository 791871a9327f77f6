"""A build, inside its process: data, training, passes, exports, measurements, goals, bundle; in this order."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from torch import nn

from argosy.errors import ArgosyError, GoalsNotMet, InvalidInput
from argosy.names import check_name
from argosy.protocol.card import TensorSpec
from argosy_controller.pipeline.engines import Engine, open_model
from argosy_controller.pipeline.evaluation import accuracy, requests
from argosy_controller.pipeline.exporters import EXPORTERS
from argosy_controller.pipeline.exporters.interface import Exporter, Source
from argosy_controller.pipeline.goals import Judgement, judge, require
from argosy_controller.pipeline.intervals import METHOD
from argosy_controller.pipeline.lineage import fingerprint, machine, packages, sha256_file, spelled
from argosy_controller.pipeline.messages import BuildRequest, Tell
from argosy_controller.pipeline.passes import PASSES
from argosy_controller.pipeline.passes.interface import Context
from argosy_controller.pipeline.probes import COUNT
from argosy_controller.pipeline.recipe import Recipe, Step, Variant, read_recipe
from argosy_controller.pipeline.spelling import first_line
from argosy_controller.pipeline.task import TASK_FILE, Array, Data, Task, blaming, checked_data, load_task
from argosy_controller.pipeline.training import fit, forward
from argosy_controller.pipeline.variants import VARIANTS_FOLDER, Measured, measured, row, write_report, write_variant

#: One thread trains small models about as fast as several, and leaves the machine usable.
THREADS = 1
#: Of an output's size, what converting to single precision may change: another order of additions, not more.
_LARGEST_LOSS = 1e-4
_NOT_HERE = "not measured here: no engine on this machine runs the format {}; it was converted, not run"


def build(request: BuildRequest, tell: Tell) -> None:
    """Runs a build into the folder `request.out`, which exists and is empty.

    Raises:
        InvalidInput, NotFound: recipe, task or settings are wrong.
        GoalsNotMet: report.json was written, variants were removed.
    """
    torch.set_num_threads(THREADS)
    recipe = read_recipe(Path(request.recipe))
    task = load_task(Path(request.task), request.settings)
    model_name = check_name("model", request.model or task.name)
    tell("data", 0, 1)
    data = checked_data(task, request.seed)
    tell("data", 1, 1)
    model, history = _compressed(recipe, task, data, request.seed, tell)
    with tempfile.TemporaryDirectory() as scratch:
        source = Source(model, task.outputs, data.calibrating, Path(scratch))
        found = [_variant(one, source, task, data, tell) for one in recipe.variants]
        _finish(request, recipe, model_name, found, _lineage(request, recipe, data), history)


def _compressed(recipe: Recipe, task: Task, data: Data, seed: int, tell: Tell) -> tuple[nn.Module, list[dict[str, Any]]]:
    """The trained model after all passes, and what each step did to it."""
    model = _trained(task, data, seed, lambda done, total: tell("train", done, total))
    history = [{"step": "train", "options": {"epochs": task.epochs, "learning_rate": task.learning_rate}, **_size(model)}]
    for number, step in enumerate(recipe.steps, start=1):
        start = time.monotonic()
        model = _applied(step, model, Context(task, data, seed + number, _teller(tell, step.use)))
        options = msgspec.structs.asdict(step.config)
        history.append({"step": step.use, "options": options, **_size(model), "seconds": round(time.monotonic() - start, 2)})
    return model, history


def _teller(tell: Tell, stage: str) -> Callable[[int, int], None]:
    return lambda done, total: tell(stage, done, total)


def _trained(task: Task, data: Data, seed: int, on_epoch: Callable[[int, int], None]) -> nn.Module:
    torch.manual_seed(seed)
    with blaming(f"model() of task {task.name!r} failed"):
        model = task.model(seed)
    if not isinstance(model, nn.Module):
        raise InvalidInput(f"model() of task {task.name!r} must return a torch.nn.Module, not {type(model).__name__}")
    return fit(model, task, data.train, epochs=task.epochs, learning_rate=task.learning_rate, seed=seed, on_epoch=on_epoch)


def _applied(step: Step, model: nn.Module, ctx: Context) -> nn.Module:
    ctx.on_step(0, 1)
    try:
        return PASSES[step.use].apply(model, step.config, ctx)
    except ArgosyError:
        raise
    except Exception as error:
        raise InvalidInput(f"pass {step.use} does not apply to this model: {type(error).__name__}: {first_line(error)}") from error


def _size(model: nn.Module) -> dict[str, int]:
    parameters = list(model.parameters())
    return {"parameters": sum(one.numel() for one in parameters), "not_zero": sum(int(one.count_nonzero()) for one in parameters)}


def _variant(variant: Variant, source: Source, task: Task, data: Data, tell: Tell) -> Measured:
    exporter = EXPORTERS[variant.use]
    tell(f"export {variant.name}", 0, 1)
    file = _exported(exporter, source)
    tell(f"export {variant.name}", 1, 1)
    engine = open_model(exporter.format, file)
    if engine is None:
        return _unmeasured(variant, exporter, file, source)
    tell(f"measure {variant.name}", 0, 1)
    _check_names(variant, engine, source)
    probes = list(requests(data.test.take(slice(0, COUNT))))
    if exporter.precision == "fp32":
        _check_numbers(variant, engine, source, probes)
    found = measured(variant.name, exporter.precision, exporter.format, file, engine, probes, accuracy(engine, task, data.test), [])
    tell(f"measure {variant.name}", 1, 1)
    return found


def _exported(exporter: Exporter, source: Source) -> Path:
    try:
        return source.file(exporter)
    except Exception as error:
        raise InvalidInput(f"the model does not convert to {exporter.name}: {type(error).__name__}: {first_line(error)}") from error


def _check_names(variant: Variant, engine: Engine, source: Source) -> None:
    """A converter that renamed or reordered tensors would make devices answer wrongly: better no version at all."""
    for kind, specs, wanted in (("inputs", engine.inputs, source.calibration.inputs), ("outputs", engine.outputs, source.outputs)):
        names = [one.name for one in specs]
        if names != list(wanted):
            raise ArgosyError(f"variant {variant.name} came out with {kind} {names} instead of {list(wanted)}: its converter renamed them")


def _check_numbers(variant: Variant, engine: Engine, source: Source, probes: list[dict[str, Array]]) -> None:
    """In single precision nothing may be lost: a converter that computes something else is caught here."""
    for request in probes:
        with torch.no_grad():
            wanted = forward(source.model, [torch.from_numpy(one) for one in request.values()])
        got = engine.run(request)
        for name, tensor in zip(source.outputs, wanted, strict=True):
            off, size = np.abs(got[name] - tensor.numpy()).max(), max(1.0, float(tensor.abs().max()))
            if not off <= _LARGEST_LOSS * size:
                raise ArgosyError(f"variant {variant.name} does not compute what the model computes: output {name!r} is off by {off:.3g}")


def _unmeasured(variant: Variant, exporter: Exporter, file: Path, source: Source) -> Measured:
    example = source.example(1)
    with torch.no_grad():
        results = forward(source.model, list(example.values()))
    return Measured(
        name=variant.name,
        format=exporter.format,
        precision=exporter.precision,
        file=file,
        inputs=[_spec(name, one) for name, one in example.items()],
        outputs=[_spec(name, one) for name, one in zip(source.outputs, results, strict=True)],
        notes=[_NOT_HERE.format(exporter.format)],
    )


def _spec(name: str, tensor: torch.Tensor) -> TensorSpec:
    return TensorSpec(name=name, dtype=str(tensor.dtype).removeprefix("torch."), shape=list(tensor.shape))


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


def _finish(
    request: BuildRequest, recipe: Recipe, model: str, found: list[Measured], lineage: dict[str, str], history: list[dict[str, Any]]
) -> None:
    out = Path(request.out)
    cards = [write_variant(out, model, one, (), lineage) for one in found]
    judged = [
        judgement
        for one, wish in zip(found, recipe.variants, strict=True)
        for judgement in judge(one.name, wish.goals, one.accuracy, one.length)
    ]
    variants = [row(card, one.notes) for card, one in zip(cards, found, strict=True)]
    report = {"kind": "build", "model": model, "summary": recipe.summary, "variants": variants, "goals": judged, "interval": METHOD}
    write_report(out, {**report, "steps": history, "lineage": lineage})
    _require(judged, out)


def _require(judged: list[Judgement], out: Path) -> None:
    try:
        require(judged)
    except GoalsNotMet:
        shutil.rmtree(out / VARIANTS_FOLDER)
        raise
