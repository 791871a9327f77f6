"""From a compressed model to measured variants: exported, checked against the model, scored, timed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from argosy.errors import ArgosyError, InvalidInput
from argosy.protocol.card import Parity, TensorSpec
from argosy_controller.pipeline.exporters import EXPORTERS
from argosy_controller.pipeline.exporters.interface import Exporter, Source
from argosy_controller.pipeline.exporters.refusals import refusal
from argosy_controller.pipeline.files.engines import Engine, open_model
from argosy_controller.pipeline.files.probes import COUNT
from argosy_controller.pipeline.numbers.comparison import Scored, confusion, drop
from argosy_controller.pipeline.numbers.evaluation import judged, predict, requests
from argosy_controller.pipeline.numbers.parity import EXAMPLES, off_by, parity
from argosy_controller.pipeline.processes.messages import Tell
from argosy_controller.pipeline.recipes.recipe import Variant
from argosy_controller.pipeline.sources.graphs import runtime_of
from argosy_controller.pipeline.task import Array, Split, Task, blaming
from argosy_controller.pipeline.training import forward
from argosy_controller.pipeline.variants import Measured, measured

#: Of an output's size, what converting to single precision may change: another order of additions, not more.
_LARGEST_LOSS = 1e-4
_BATCH = 128
_NOT_HERE = "not measured here: no engine on this machine runs the format {}; it was converted, not run"


@dataclass(frozen=True)
class Held:
    """The held-out examples, and what models answered to them before any file was made.

    Attributes:
        before: of the trained model before the first pass: what every drop is against.
        finished: of the model after the last pass, to the first examples: what every file must answer.
    """

    split: Split
    before: Scored
    finished: Mapping[str, Array]


def held_out(original: nn.Module, finished: nn.Module, task: Task, split: Split) -> Held:
    """Asks both models. Raises as `before_passes`."""
    return Held(split, before_passes(original, task, split), answers(finished, task, split.take(slice(0, EXAMPLES))))


def before_passes(model: nn.Module, task: Task, split: Split) -> Scored:
    """The trained model before any pass, judged in torch: what every variant is compared with.

    Raises:
        InvalidInput: the model does not run, returns other outputs than the task names, or the metric cannot be.
    """
    return judged(task, answers(model, task, split), split.targets)


def answers(model: nn.Module, task: Task, split: Split) -> dict[str, Array]:
    """A model's outputs for a split, by public name.

    Raises:
        InvalidInput: it does not run, or returns other outputs than the task names.
    """
    with blaming(f"the model of task {task.name!r} does not run on the test data"), torch.no_grad():
        parts = [forward(model, [torch.from_numpy(one) for one in request.values()]) for request in requests(split, _BATCH)]
    if len(parts[0]) != len(task.outputs):
        raise InvalidInput(f"the model of task {task.name!r} returns {len(parts[0])} outputs, and the task names {', '.join(task.outputs)}")
    return {name: torch.cat([part[i] for part in parts]).numpy() for i, name in enumerate(task.outputs)}


def measured_variant(variant: Variant, source: Source, task: Task, held: Held, tell: Tell) -> Measured:
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
    outputs = predict(engine, held.split)
    same = {name: outputs[name][: len(array)] for name, array in held.finished.items()}
    if exporter.precision in ("fp32", "packed"):
        _check_numbers(variant, held.finished, same)
    after = judged(task, outputs, held.split.targets)
    probes = list(requests(held.split.take(slice(0, COUNT))))
    found = measured(variant.name, exporter.precision, exporter.format, file, engine, probes, after.accuracy, source.notes.get(file, []))
    tell(f"measure {variant.name}", 1, 1)
    return replace(
        found,
        drop=drop(task.judged_by, held.before, after),
        confusion=confusion(task.labels, held.before, after),
        parity=parity(runtime_of(source.model), held.finished, same, [engine.runtime], held.split.targets.dtype.kind in "biu"),
    )


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


def _check_numbers(variant: Variant, wanted: Mapping[str, Array], got: Mapping[str, Array]) -> None:
    """In single precision nothing may be lost: a converter that computes something else is caught here."""
    if found := off_by(wanted, got, _LARGEST_LOSS):
        raise ArgosyError(f"variant {variant.name} does not compute what the model computes: output {found[0]!r} is off by {found[1]:.3g}")


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
        parity=Parity(source=runtime_of(source.model), reason=_NOT_HERE.format(exporter.format)),
        notes=[_NOT_HERE.format(exporter.format), *source.notes.get(file, [])],
    )


def _spec(name: str, tensor: torch.Tensor) -> TensorSpec:
    return TensorSpec(name=name, dtype=str(tensor.dtype).removeprefix("torch."), shape=list(tensor.shape))
