"""From a compressed model to measured variants: exported, checked against the model, scored, timed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from argosy.errors import ArgosyError, InvalidInput
from argosy.protocol.card import TensorSpec
from argosy_controller.pipeline.exporters import EXPORTERS
from argosy_controller.pipeline.exporters.interface import Exporter, Source
from argosy_controller.pipeline.exporters.refusals import refusal
from argosy_controller.pipeline.files.engines import Engine, open_model
from argosy_controller.pipeline.files.probes import COUNT
from argosy_controller.pipeline.numbers.comparison import Scored, confusion, drop
from argosy_controller.pipeline.numbers.evaluation import judged, predict, requests
from argosy_controller.pipeline.processes.messages import Tell
from argosy_controller.pipeline.recipes.recipe import Variant
from argosy_controller.pipeline.task import Array, Data, Split, Task, blaming
from argosy_controller.pipeline.training import forward
from argosy_controller.pipeline.variants import Measured, measured

#: Of an output's size, what converting to single precision may change: another order of additions, not more.
_LARGEST_LOSS = 1e-4
_BATCH = 128
_NOT_HERE = "not measured here: no engine on this machine runs the format {}; it was converted, not run"


def before_passes(model: nn.Module, task: Task, split: Split) -> Scored:
    """The trained model before any pass, judged in torch: what every variant is compared with.

    Raises:
        InvalidInput: the model does not run, returns other outputs than the task names, or the metric cannot be.
    """
    with blaming(f"the model of task {task.name!r} does not run on the test data"), torch.no_grad():
        parts = [forward(model, [torch.from_numpy(one) for one in request.values()]) for request in requests(split, _BATCH)]
    if len(parts[0]) != len(task.outputs):
        raise InvalidInput(f"the model of task {task.name!r} returns {len(parts[0])} outputs, and the task names {', '.join(task.outputs)}")
    outputs = {name: torch.cat([part[i] for part in parts]).numpy() for i, name in enumerate(task.outputs)}
    return judged(task, outputs, split.targets)


def measured_variant(variant: Variant, source: Source, task: Task, data: Data, before: Scored, tell: Tell) -> Measured:
    """Exports one variant and finds out all about it, but for how long it takes (`variants.timed`).

    Raises:
        InvalidInput: the model does not convert, or `score` is wrong.
        ArgosyError: the converter made something else of the model.
    """
    exporter = EXPORTERS[variant.use]
    tell(f"export {variant.name}", 0, 1)
    file = _exported(exporter, source, variant)
    tell(f"export {variant.name}", 1, 1)
    engine = open_model(exporter.format, file)
    if engine is None:
        return _unmeasured(variant, exporter, file, source)
    tell(f"measure {variant.name}", 0, 1)
    _check_names(variant, engine, source)
    probes = list(requests(data.test.take(slice(0, COUNT))))
    if exporter.precision in ("fp32", "packed"):
        _check_numbers(variant, engine, source, probes)
    after = judged(task, predict(engine, data.test), data.test.targets)
    found = measured(variant.name, exporter.precision, exporter.format, file, engine, probes, after.accuracy, source.notes.get(file, []))
    tell(f"measure {variant.name}", 1, 1)
    return replace(found, drop=drop(task.judged_by, before, after), confusion=confusion(task.labels, before, after))


def _exported(exporter: Exporter[Any], source: Source, variant: Variant) -> Path:
    try:
        return source.file(exporter, variant.config)
    except ArgosyError:
        raise
    except Exception as error:
        raise InvalidInput(f"the model does not convert to {exporter.name}: {refusal(error)}") from error


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


def _unmeasured(variant: Variant, exporter: Exporter[Any], file: Path, source: Source) -> Measured:
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
        notes=[_NOT_HERE.format(exporter.format), *source.notes.get(file, [])],
    )


def _spec(name: str, tensor: torch.Tensor) -> TensorSpec:
    return TensorSpec(name=name, dtype=str(tensor.dtype).removeprefix("torch."), shape=list(tensor.shape))
