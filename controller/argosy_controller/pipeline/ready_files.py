"""An import, inside its process: a ready ONNX or TFLite file becomes a bundle of one variant; converting.py makes several."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from argosy.errors import ArgosyError, InvalidInput
from argosy.names import check_file_name, check_name
from argosy.protocol.card import CARD_FILE, MODEL_FILES, PROBES_FILE
from argosy_controller.pipeline.bundling import write_bundle
from argosy_controller.pipeline.files.engines import Engine, open_model
from argosy_controller.pipeline.files.formats import detect, onnx_precision, prepared_onnx, tflite_precision
from argosy_controller.pipeline.files.sample import random_requests, sample_requests
from argosy_controller.pipeline.lineage import packages, sha256_file
from argosy_controller.pipeline.numbers.stored_weights import stored_layers
from argosy_controller.pipeline.processes.messages import ImportRequest, Tell
from argosy_controller.pipeline.report import Report
from argosy_controller.pipeline.reproducing import import_command
from argosy_controller.pipeline.sources.kinds import is_estimator
from argosy_controller.pipeline.spelling import first_line
from argosy_controller.pipeline.variants import Measured, measured, timed, with_needs

_MAX_COMPANIONS = 32


def import_file(request: ImportRequest, tell: Tell) -> None:
    """Runs an import into the folder `request.out`, which exists and is empty.

    Raises:
        InvalidInput: the message says which file is wrong, and in what.
    """
    tell("read", 0, 1)
    check_name("model", request.model)
    companions = checked_companions([Path(one) for one in request.companions])
    given = Path(request.file)
    if is_estimator(given, request.trust_pickle):
        _converting().convert_estimator(request, companions, tell)
        return
    model_format = detect(given)
    if request.variants or request.recipe:
        _check_converts(given, model_format)
        _converting().convert_graph(request, companions, tell)
        return
    with tempfile.TemporaryDirectory() as scratch:
        file, notes = _prepared(given, model_format, Path(scratch))
        engine = _opened(model_format, file, given.name)
        tell("read", 1, 1)
        _measure_and_write(request, model_format, file, engine, companions, notes, tell)


def _converting() -> ModuleType:
    """Loaded where something is converted: it brings torch."""
    from argosy_controller.pipeline import converting

    return converting


def _check_converts(given: Path, model_format: str) -> None:
    if model_format == "tflite":
        raise InvalidInput(
            f"{given.name} is a TFLite file, of which no other variants are made: import it without --variant and --recipe, "
            "or convert the model that it was made of"
        )


def checked_companions(paths: Sequence[Path]) -> list[Path]:
    """The companions, if they can travel beside a model.

    Raises:
        InvalidInput: one cannot be read, has a name that is reserved or no plain file name, or shares it with another.
    """
    reserved = {CARD_FILE, PROBES_FILE, *MODEL_FILES.values()}
    names: set[str] = set()
    if len(paths) > _MAX_COMPANIONS:
        raise InvalidInput(f"{len(paths)} companions are too many: at most {_MAX_COMPANIONS} files travel with a model")
    for path in paths:
        if not path.is_file():
            raise InvalidInput(f"companion {path} is not a file that can be read: check its name")
        name = check_file_name(path.name)
        if name.lower() in reserved:
            raise InvalidInput(f"companion {name!r} has a name that Argosy itself uses beside a model: rename the file")
        if name.lower() in names:
            raise InvalidInput(f"two companions are called {name!r}: they share a folder on the device, so rename one")
        names.add(name.lower())
    return list(paths)


def _prepared(given: Path, model_format: str, scratch: Path) -> tuple[Path, list[str]]:
    """A private copy, so that what is measured is what is registered; scikit-learn's maps at the end of ONNX are taken off."""
    file = scratch / MODEL_FILES[model_format]
    if model_format == "onnx":
        return file, prepared_onnx(given, file)
    shutil.copyfile(given, file)
    return file, []


def _opened(model_format: str, file: Path, name: str) -> Engine:
    try:
        engine = open_model(model_format, file)
    except ArgosyError:
        raise
    except Exception as error:  # runtimes raise what they like
        raise InvalidInput(f"{name} is damaged, or no {model_format} model that can run here: {first_line(error)}") from error
    assert engine is not None
    return engine


def _measure_and_write(
    request: ImportRequest, model_format: str, file: Path, engine: Engine, companions: list[Path], notes: list[str], tell: Tell
) -> None:
    tell("measure", 0, 1)
    if request.sample:
        requests, how = sample_requests(Path(request.sample), engine.inputs)
    else:
        requests, how = random_requests(engine.inputs, request.seed)
    precision = onnx_precision(file) if model_format == "onnx" else tflite_precision(file)
    notes = [*notes, how, "accuracy not measured: an import brings no held-out data"]
    try:
        (found,) = with_needs(
            timed([measured(f"{model_format}-{precision}", precision, model_format, file, engine, requests, None, notes)])
        )
    except Exception as error:  # runtimes raise what they like
        raise InvalidInput(f"the model does not run on these inputs: {first_line(error)}") from error
    found = _with_layers(found)
    report = Report(
        kind="import",
        model=request.model,
        summary=f"imported {Path(request.file).name}",
        variants=[],
        lineage=_lineage(request, how),
        reproduce=import_command(request),
    )
    write_bundle(Path(request.out), report, [found], companions)
    tell("measure", 1, 1)


def _with_layers(found: Measured) -> Measured:
    try:
        return replace(found, layers=stored_layers(found.format, found.file))
    except Exception as error:  # weights can be kept in ways that nothing here reads; the file is served all the same
        return replace(found, notes=[*found.notes, f"its layers cannot be told apart here: {first_line(error)}"])


def _lineage(request: ImportRequest, how: str) -> dict[str, str]:
    versions = ", ".join(f"{name} {version}" for name, version in packages(("onnxruntime", "ai-edge-litert", "numpy")).items())
    return {
        "file": Path(request.file).name,
        "file_sha256": sha256_file(Path(request.file)),
        "sample": Path(request.sample).name,
        "probes": how,
        "packages": versions,
    }
