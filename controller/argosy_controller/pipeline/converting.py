"""An import with variants, inside its process: a ready ONNX file or a fitted estimator goes through what a build's model does.

The task is made of the file and its sample: the names and the data are theirs, and there are no targets.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
import torch
from torch import nn

from argosy.errors import InvalidInput
from argosy.protocol.card import TensorSpec
from argosy_controller.pipeline.bundling import judgements, write_bundle
from argosy_controller.pipeline.compressing import Compressed, compressed
from argosy_controller.pipeline.exporters.interface import Source
from argosy_controller.pipeline.files.engines import OnnxEngine
from argosy_controller.pipeline.files.formats import onnx_precision, prepared_onnx
from argosy_controller.pipeline.files.labels import LABELS_FILE, check_labels, written_labels
from argosy_controller.pipeline.files.sample import sample_examples
from argosy_controller.pipeline.import_wishes import NO_TARGETS, check_wishes
from argosy_controller.pipeline.lineage import packages, sha256_file, spelled
from argosy_controller.pipeline.measuring import Held, answers, measured_variant
from argosy_controller.pipeline.numbers.figures import Figures
from argosy_controller.pipeline.numbers.metrics import Metric
from argosy_controller.pipeline.numbers.parity import EXAMPLES
from argosy_controller.pipeline.numbers.stored_weights import stored_layers
from argosy_controller.pipeline.processes.messages import ImportRequest, Tell
from argosy_controller.pipeline.recipes.recipe import Recipe
from argosy_controller.pipeline.report import Report, Step
from argosy_controller.pipeline.reproducing import import_command
from argosy_controller.pipeline.sources.graphs import Foreign, OnnxGraph
from argosy_controller.pipeline.task import Array, Data, Split, Task
from argosy_controller.pipeline.variants import Measured, timed, with_needs

#: Fewer real inputs say little about parity.
_ENOUGH = 200


class ReadyTask(Task):
    """A ready model and its sample."""

    name = "import"

    def __init__(self, model: str, outputs: tuple[str, ...], split: Split) -> None:
        super().__init__({})
        self.name, self.outputs = model, outputs  # type: ignore[misc]
        self._split = split

    def data(self, seed: int) -> Data:
        """The sample, for everything: it is neither learnt from nor judged by."""
        del seed
        return Data(train=self._split, test=self._split)

    @property
    def judged_by(self) -> Metric:
        """Nothing: see the error."""
        raise InvalidInput(NO_TARGETS)


@dataclass(frozen=True)
class _Ready:
    """What is converted.

    Attributes:
        split: the sample; its targets say by their type alone whether the first output names classes.
        notes: what people must know about the file.
        labels: names of the classes, to be written beside the model.
    """

    model: Foreign
    outputs: tuple[str, ...]
    split: Split
    notes: list[str]
    labels: tuple[str, ...] = ()


def convert_graph(request: ImportRequest, companions: Sequence[Path], tell: Tell) -> None:
    """Makes the variants of an ONNX file.

    Raises:
        InvalidInput: it is quantised already, does not convert, or the sample does not fit.
        GoalsNotMet: report.json was written, variants were removed.
    """
    recipe, sample = check_wishes(request), Path(request.sample)
    tell("read", 0, 1)
    given = Path(request.file)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "model.onnx"
        notes = prepared_onnx(given, file)
        if (precision := onnx_precision(file)) != "fp32":
            raise InvalidInput(
                f"{given.name} is {precision} already, and variants are made of single precision: import it without --variant"
            )
        engine = OnnxEngine(file)
        arrays = sample_examples(sample, engine.inputs)
        outputs = tuple(one.name for one in engine.outputs)
        example = {name: np.asarray(array[slice(0, 1)], order="C") for name, array in arrays.items()}
        changing = [name for name, array in arrays.items() if not _same_in_all(array)]
        model = OnnxGraph(file.read_bytes(), tuple(arrays), outputs, given.name, example, changing)
    tell("read", 1, 1)
    _convert(request, recipe, _Ready(model, outputs, _split(arrays, _names_classes(engine.outputs)), notes), companions, tell)


def convert_estimator(request: ImportRequest, companions: Sequence[Path], tell: Tell) -> None:
    """Makes the variants of a fitted estimator. Raises as `convert_graph`."""
    from argosy_controller.pipeline.classical.families import usual_outputs
    from argosy_controller.pipeline.classical.fitted import INPUT, Fitted
    from argosy_controller.pipeline.classical.reading import read_estimator

    recipe, sample = check_wishes(request), Path(request.sample)
    tell("read", 0, 1)
    estimator = read_estimator(Path(request.file), trust_pickle=request.trust_pickle)
    columns = int(estimator.n_features_in_)
    arrays = sample_examples(sample, [TensorSpec(name=INPUT, dtype="float32", shape=[None, columns])])
    outputs = usual_outputs(estimator)
    model = Fitted(estimator, INPUT, outputs).eval()
    labels = () if _bring_labels(companions) else model.labels
    check_labels(labels, f"the estimator in {Path(request.file).name}")
    tell("read", 1, 1)
    ready = _Ready(model, outputs, _split(arrays, model.classifies), [], labels)
    _convert(request, recipe, ready, companions, tell)


def _split(arrays: Mapping[str, Array], classes: bool) -> Split:
    """The sample. Nothing looks at its targets: there are none."""
    return Split(dict(arrays), np.zeros(len(next(iter(arrays.values()))), np.int64 if classes else np.float32))


def _names_classes(outputs: Sequence[TensorSpec]) -> bool:
    """Whether a model's first output looks like a number for each class."""
    first = outputs[0]
    return first.dtype.startswith("float") and len(first.shape) == 2 and (first.shape[1] or 0) > 1


def _same_in_all(array: Array) -> bool:
    """Whether every example has the same, single number."""
    first = np.asarray(array[slice(0, 1)])
    return first.size == 1 and all(np.array_equal(np.asarray(array[slice(i, i + 1)]), first) for i in range(1, len(array)))


def _convert(request: ImportRequest, recipe: Recipe, ready: _Ready, companions: Sequence[Path], tell: Tell) -> None:
    torch.set_num_threads(1)
    task = ReadyTask(request.model, ready.outputs, ready.split)
    data = task.data(request.seed)
    made = compressed(recipe.steps, task, data, request.seed, Path(request.recipe).parent, tell, None, ready.model)
    with tempfile.TemporaryDirectory() as scratch:
        source = Source(made.model, task.outputs, data.calibrating, data.judging, task, Path(scratch))
        held = Held(data.test, None, answers(made.model, task, data.test.take(slice(0, EXAMPLES))))
        found = with_needs(timed([measured_variant(one, source, task, held, tell) for one in recipe.variants]))
        found = [_told(one, made.model, ready, len(data.test)) for one in found]
        _write(request, recipe, found, made, [*companions, *written_labels(ready.labels, Path(scratch))])


def _bring_labels(companions: Sequence[Path]) -> bool:
    """Whether names of the classes were given: those that an estimator knows are not written then."""
    return any(one.name.lower() == LABELS_FILE for one in companions)


def _told(found: Measured, model: nn.Module, ready: _Ready, count: int) -> Measured:
    """The variant with its layers, and what its parity rests on."""
    notes = [*ready.notes, *found.notes, *_of_import(found, model), "accuracy not measured: an import brings no held-out data"]
    parity = found.parity
    if parity is not None and parity.verified_by:
        few = "" if count >= _ENOUGH else f"the sample has {count} examples, of {_ENOUGH} that would say more"
        parity = msgspec.structs.replace(parity, examples=min(count, EXAMPLES), reason=parity.reason or few)
    return replace(found, parity=parity, notes=notes, layers=stored_layers(found.format, found.file))


def _of_import(found: Measured, model: nn.Module) -> list[str]:
    """For what a file holds that was converted by way of torch."""
    if found.format == "onnx" or not isinstance(model, OnnxGraph):
        return []
    values = ", ".join(f"{name} = {value}" for name, value in model.imported.fixed.items())
    fixed = [f"holds for {values} alone, as in the sample: the model goes another way for other values"] if values else []
    return fixed if model.imported.free_batch else [*fixed, "sizes are fixed as in the sample"]


def _write(request: ImportRequest, recipe: Recipe, found: list[Measured], made: Compressed, companions: Sequence[Path]) -> None:
    report = Report(
        kind="import",
        model=request.model,
        summary=recipe.summary or f"imported {Path(request.file).name}",
        variants=[],
        goals=judgements(recipe, found, lambda one: _figures(one, made.steps[-1])),
        steps=list(made.steps),
        lineage=_lineage(request, recipe),
        reproduce=import_command(request),
    )
    write_bundle(Path(request.out), report, found, companions)


def _figures(variant: Measured, last: Step) -> Figures:
    timing = variant.timings[0] if variant.timings else None
    return Figures(bytes=variant.length, timing=timing, macs=last.macs, parameters=last.parameters, not_zero=last.not_zero)


def _lineage(request: ImportRequest, recipe: Recipe) -> dict[str, str]:
    versions = ", ".join(f"{name} {version}" for name, version in packages().items())
    return {
        "file": Path(request.file).name,
        "file_sha256": sha256_file(Path(request.file)),
        "sample": Path(request.sample).name,
        "sample_sha256": sha256_file(Path(request.sample)),
        **({"recipe": Path(request.recipe).name, "recipe_sha256": sha256_file(Path(request.recipe))} if request.recipe else {}),
        "passes": spelled(recipe.steps),
        "packages": versions,
    }
