"""Measures a model file and writes its folder in a bundle: card, model, probes, companions."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from argosy.protocol.card import CARD_FILE, MODEL_FILES, PROBES_FILE, Accuracy, Card, FileRef, Needs, Parity, Probes, TensorSpec, Timing
from argosy.protocol.codec import to_json
from argosy_controller.pipeline.files.engines import Engine, open_model
from argosy_controller.pipeline.files.memory import Asked, memory_of
from argosy_controller.pipeline.files.needs import needs_of
from argosy_controller.pipeline.files.probes import Tensors, tolerance, write_probes
from argosy_controller.pipeline.lineage import sha256_file
from argosy_controller.pipeline.numbers.evaluation import timings
from argosy_controller.pipeline.report import Confusion, Drop, Layer, VariantReport
from argosy_controller.pipeline.task import Array

VARIANTS_FOLDER = "variants"
#: Files of more bytes than this are not held in memory together, so they are timed one after another.
_MOST_AT_ONCE = 1 << 29


@dataclass(frozen=True)
class Measured:
    """A model file with all that was found out about it.

    Attributes:
        requests: the probes' inputs; answers: what the file gave for them, empty where no engine runs it.
        accuracy, drop, confusion: on the test data, through the file.
        parity: with the model that the file was made of; None of a file that came ready.
        needs: what a device must have to run it.
        notes: what people must know, above all what was not measured and why.
    """

    name: str
    format: str
    precision: str
    file: Path
    inputs: list[TensorSpec]
    outputs: list[TensorSpec]
    requests: Sequence[Tensors] = ()
    answers: Sequence[Tensors] = ()
    probes: Probes | None = None
    accuracy: Accuracy | None = None
    drop: Drop | None = None
    confusion: Confusion | None = None
    parity: Parity | None = None
    needs: Needs = field(default_factory=Needs)
    layers: list[Layer] = field(default_factory=list)
    timings: list[Timing] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def length(self) -> int:
        """Size of the model file in bytes."""
        return self.file.stat().st_size


def measured(
    name: str,
    precision: str,
    model_format: str,
    file: Path,
    engine: Engine,
    requests: Sequence[Tensors],
    accuracy: Accuracy | None,
    notes: list[str],
) -> Measured:
    """Asks a file its probes, with the usual kernels and with others. `timed` adds how long it takes."""
    answers = [engine.run(one) for one in requests]
    return Measured(
        name=name,
        format=model_format,
        precision=precision,
        file=file,
        inputs=engine.inputs,
        outputs=engine.outputs,
        requests=requests,
        answers=answers,
        probes=tolerance(answers, _second_opinion(model_format, file, requests), precision),
        accuracy=accuracy,
        notes=notes,
    )


def timed(found: Sequence[Measured]) -> list[Measured]:
    """The variants with how long a request takes, measured turn about, and a note where quantising made one slower."""
    if sum(one.length for one in found if one.answers) > _MOST_AT_ONCE and len(found) > 1:
        return _with_notes([one for each in found for one in timed([each])])
    opened = {i: engine for i, one in enumerate(found) if one.answers and (engine := open_model(one.format, one.file))}
    times = dict(zip(opened, timings([(engine, found[i].requests) for i, engine in opened.items()]), strict=True))
    return _with_notes([replace(one, timings=[times[i]]) if i in times else one for i, one in enumerate(found)])


def with_needs(found: Sequence[Measured]) -> list[Measured]:
    """The variants with what each file asks of a device, and a note where that is more than usual."""
    memory = memory_of([Asked(one.format, one.file, next(iter(one.requests), {})) for one in found])
    return [_needing(one, count) for one, count in zip(found, memory, strict=True)]


def _needing(one: Measured, memory_bytes: int) -> Measured:
    needs, notes = needs_of(one.format, one.file)
    needs = msgspec.structs.replace(needs, memory_bytes=memory_bytes)
    return replace(one, needs=needs, notes=[*one.notes, *(note for note in notes if note not in one.notes)])


def _with_notes(found: list[Measured]) -> list[Measured]:
    single = {(one.format, one.timings[0].runtime): one for one in reversed(found) if one.precision == "fp32" and one.timings}
    return [replace(one, notes=[*one.notes, *_slower(one, single)]) for one in found]


def _slower(one: Measured, single: Mapping[tuple[str, str], Measured]) -> list[str]:
    """What is to be said of a quantised variant that takes longer than the same format in single precision."""
    for here in one.timings:
        other = single.get((one.format, here.runtime))
        if other is not None and one.precision != "fp32" and here.p50_us > other.timings[0].p50_us:
            text = f"{one.precision} is slower here: {_us(here.p50_us)} against {_us(other.timings[0].p50_us)} us ({other.name}, {here.runtime}, median)"
            return [text] if text not in one.notes else []
    return []


def _us(microseconds: float) -> str:
    return f"{microseconds:,.0f}" if microseconds >= 100 else f"{microseconds:.3g}"


def _second_opinion(model_format: str, file: Path, requests: Sequence[Tensors]) -> list[dict[str, Array]]:
    try:
        engine = open_model(model_format, file, plain=True)
        return [engine.run(one) for one in requests] if engine else []
    except Exception:  # runtimes raise what they like; some models run with the usual kernels only
        return []


def write_variant(bundle: Path, model: str, variant: Measured, companions: Sequence[Path], lineage: Mapping[str, str]) -> Card:
    """Writes a variant's folder; the card's version is 0 until the registry gives a number."""
    folder = bundle / VARIANTS_FOLDER / variant.name
    folder.mkdir(parents=True)
    shutil.copyfile(variant.file, folder / MODEL_FILES[variant.format])
    beside = [shutil.copyfile(one, folder / one.name) for one in companions]
    if variant.probes is not None:
        write_probes(folder / PROBES_FILE, variant.requests, variant.answers)
        beside.insert(0, folder / PROBES_FILE)
    card = Card(
        model=model,
        version=0,
        variant=variant.name,
        format=variant.format,
        precision=variant.precision,
        inputs=variant.inputs,
        outputs=variant.outputs,
        model_file=file_ref(folder / MODEL_FILES[variant.format]),
        companions=[file_ref(one) for one in beside],
        probes=variant.probes,
        accuracy=variant.accuracy,
        timings=variant.timings,
        parity=variant.parity,
        needs=variant.needs,
        lineage=dict(lineage),
    )
    (folder / CARD_FILE).write_bytes(to_json(card))
    return card


def file_ref(path: Path) -> FileRef:
    """A file's name, digest and size."""
    return FileRef(name=path.name, sha256=sha256_file(path), length=path.stat().st_size)


def row(card: Card, found: Measured) -> VariantReport:
    """A variant as reports show it."""
    return VariantReport(
        name=card.variant,
        format=card.format,
        precision=card.precision,
        sha256=card.model_file.sha256,
        bytes=card.model_file.length,
        accuracy=card.accuracy,
        drop=found.drop,
        timings=card.timings,
        probes=card.probes,
        parity=card.parity,
        needs=card.needs,
        layers=found.layers,
        confusion=found.confusion,
        notes=found.notes,
    )
