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
from argosy_controller.pipeline.files.engines import Engine, open_model, why_not
from argosy_controller.pipeline.files.probes import COUNT
from argosy_controller.pipeline.numbers.comparison import Scored, confusion, drop
from argosy_controller.pipeline.numbers.evaluation import as_declared, judged, predict, requests
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
_NOT_HERE = "not verified here: {}; it was converted, not run"
_INTERPRETED = "computed here by interpreting the file's program, not by Core ML: not timed, and no probes"
#: Examples that a program which takes one at a time is asked by interpreting it: a minute, for a small model.
_MOST_ONE_BY_ONE = 2000
_TOO_MANY = "accuracy not measured: the program takes one example at a time, and {} are too many to interpret"


@dataclass(frozen=True)
class Held:
    """The held-out examples, and what models answered to them before any file was made.

    Attributes:
        before: of the trained model before the first pass: what every drop is against; None where the examples have no targets.
        finished: of the model after the last pass, to the first examples: what every file must answer.
    """

    split: Split
    before: Scored | None
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
        InvalidInput: it does not run, returns other outputs than the task names, or not one row for each example.
    """
    with blaming(f"the model of task {task.name!r} does not run on the test data"), torch.no_grad():
        parts = [forward(model, [torch.from_numpy(one) for one in request.values()]) for request in requests(split, _BATCH)]
    if len(parts[0]) != len(task.outputs):
        raise InvalidInput(f"the model of task {task.name!r} returns {len(parts[0])} outputs, and the task names {', '.join(task.outputs)}")
    for i, name in enumerate(task.outputs):
        _check_rows(task, name, sum(part[i].shape[0] if part[i].dim() else 0 for part in parts), len(split))
    return {name: torch.cat([part[i] for part in parts]).numpy() for i, name in enumerate(task.outputs)}


def _check_rows(task: Task, name: str, rows: int, examples: int) -> None:
    """One row for each example; a state that a model hands on may have a few, as many for each."""
    if rows == 0 or rows % examples:
        raise InvalidInput(
            f"the model of task {task.name!r} gives {rows} rows of output {name!r} for {examples} examples: "
            "an output has one row for each example, whatever the values"
        )


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
    split = _asked(engine, held.split)
    outputs = predict(engine, split)
    same = {name: outputs[name][: len(array)] for name, array in held.finished.items()}
    if exporter.exact(variant.config):
        _check_numbers(variant, held.finished, same)
    after = judged(task, outputs, split.targets) if split is held.split and held.before else None
    found = _found(variant, exporter, file, engine, held.split, after, source.notes.get(file, []))
    tell(f"measure {variant.name}", 1, 1)
    return replace(
        found,
        drop=drop(task.judged_by, held.before, after) if held.before and after else None,
        confusion=confusion(task.labels, held.before, after) if held.before and after else None,
        parity=parity(runtime_of(source.model), held.finished, same, [engine.runtime], held.split.targets.dtype.kind in "biu"),
    )


def _asked(engine: Engine, split: Split) -> Split:
    """The held-out examples; of a program that must be interpreted one by one, only as many as parity needs."""
    one_by_one = engine.interprets and any(one.shape and one.shape[0] is not None for one in engine.inputs)
    return split.take(slice(0, EXAMPLES)) if one_by_one and len(split) > _MOST_ONE_BY_ONE else split


def _found(
    variant: Variant, exporter: Exporter[Any], file: Path, engine: Engine, split: Split, after: Scored | None, notes: list[str]
) -> Measured:
    """What probes tell, where the engine is one that serves."""
    accuracy = after.accuracy if after else None
    if not engine.interprets:
        probes = [as_declared(one, engine.inputs) for one in requests(split.take(slice(0, COUNT)))]
        return measured(variant.name, exporter.precision, exporter.format, file, engine, probes, accuracy, notes)
    return Measured(
        name=variant.name,
        format=exporter.format,
        precision=exporter.precision,
        file=file,
        inputs=engine.inputs,
        outputs=engine.outputs,
        accuracy=accuracy,
        notes=[_INTERPRETED, *([] if after or len(split) <= _MOST_ONE_BY_ONE else [_TOO_MANY.format(len(split))]), *notes],
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
    reason = _NOT_HERE.format(why_not(exporter.format, file))
    return Measured(
        name=variant.name,
        format=exporter.format,
        precision=exporter.precision,
        file=file,
        inputs=[_spec(name, one) for name, one in example.items()],
        outputs=[_spec(name, one) for name, one in zip(source.outputs, results, strict=True)],
        parity=Parity(source=runtime_of(source.model), reason=reason),
        notes=[reason, *source.notes.get(file, [])],
    )


def _spec(name: str, tensor: torch.Tensor) -> TensorSpec:
    return TensorSpec(name=name, dtype=str(tensor.dtype).removeprefix("torch."), shape=list(tensor.shape))
