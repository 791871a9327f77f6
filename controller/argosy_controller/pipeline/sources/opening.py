"""The front door for trained models that come as files."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram

from argosy.errors import InvalidInput
from argosy_controller.pipeline.files.formats import prepared_onnx
from argosy_controller.pipeline.methods.surgery import example
from argosy_controller.pipeline.sources.checkpoints import read_safetensors, read_trusted_pickle, with_weights
from argosy_controller.pipeline.sources.exported import read_exported
from argosy_controller.pipeline.sources.graphs import OnnxGraph
from argosy_controller.pipeline.sources.kinds import Kind, kind_of
from argosy_controller.pipeline.spelling import first_line
from argosy_controller.pipeline.task import Data, Task, task_model

#: By exporter: the one that devices' runtimes know, and the newest that torch's older exporter writes.
_OPSET = {True: 20, False: 17}


def open_trained(path: Path, task: Task, data: Data, seed: int, *, trust_pickle: bool = False) -> nn.Module:
    """A trained model out of a file, in evaluation mode.

    Where the task has a model(), the file's weights go into it by name, and every pass can work on its layers. Where it has
    none, an ONNX, .pt2 or TorchScript file is the model by itself: a graph (sources.graphs), which can be converted and
    quantised after training, but not trained or pruned; and so is a skops file with a fitted estimator (classical.fitted).

    Args:
        data: the names, dtypes and shapes of its inputs are what a graph must take.
        trust_pickle: open Python pickles too, which can run any code.

    Raises:
        NotFound, InvalidInput: the file cannot be read, is damaged or hostile, or does not fit the task.
    """
    kind = kind_of(path)
    if kind in (Kind.PICKLE, Kind.TORCH_PICKLE) and not trust_pickle:
        raise InvalidInput(
            f"{path.name} is a Python pickle, which can run any code when it is opened: "
            "save the weights as safetensors, or add --trust-pickle if you trust who made it"
        )
    if kind is Kind.ONNX:
        return _onnx(path, path.name, task, data)
    if kind in (Kind.SKOPS, Kind.PICKLE):
        return _estimator(path, task, data, trust_pickle)
    if kind is Kind.SAFETENSORS:
        return _with_weights(task, seed, read_safetensors(path), path)
    if kind is Kind.TORCH_PICKLE:
        found = read_trusted_pickle(path)
        return found.eval() if isinstance(found, nn.Module) else _with_weights(task, seed, found, path)
    if kind is Kind.EXPORTED:
        program = read_exported(path)
        return _with_weights(task, seed, program.state_dict, path) if task.has_model else _converted(program, True, path, task, data)
    script = _script(path)
    return _with_weights(task, seed, script.state_dict(), path) if task.has_model else _converted(script, False, path, task, data)


def _with_weights(task: Task, seed: int, weights: Mapping[str, torch.Tensor], path: Path) -> nn.Module:
    return with_weights(task_model(task, seed), weights, path.name).eval()


def _estimator(path: Path, task: Task, data: Data, trust_pickle: bool) -> nn.Module:
    from argosy_controller.pipeline.classical.families import check_data, check_labels
    from argosy_controller.pipeline.classical.fitted import Fitted
    from argosy_controller.pipeline.classical.reading import read_estimator

    if task.has_model:
        raise InvalidInput(f"{path.name} is a fitted estimator, and task {task.name!r} makes a model(): leave model() out of the task")
    estimator = read_estimator(path, trust_pickle)
    check_data(estimator, data.train)
    check_labels(estimator, task.labels)
    return Fitted(estimator, next(iter(data.train.inputs)), task.outputs).eval()


def _script(path: Path) -> nn.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            module: nn.Module = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
            return module
    except Exception as error:  # the reader raises what it likes
        raise InvalidInput(f"{path.name} cannot be read as TorchScript: {first_line(error)}") from error


def _onnx(path: Path, name: str, task: Task, data: Data) -> OnnxGraph:
    if task.has_model:
        raise InvalidInput(f"{name} is a whole model, and so is what model() of task {task.name!r} makes: leave model() out of the task")
    with tempfile.TemporaryDirectory() as scratch:
        prepared = Path(scratch) / "model.onnx"
        prepared_onnx(path, prepared)
        return OnnxGraph(prepared.read_bytes(), tuple(data.train.inputs), task.outputs, name, data.train.take(slice(0, 1)).inputs)


def _converted(given: nn.Module | ExportedProgram, dynamo: bool, path: Path, task: Task, data: Data) -> OnnxGraph:
    """A graph of torch's as an ONNX graph. Only torch's older exporter (`dynamo=False`) takes TorchScript."""
    names = list(data.train.inputs)
    inputs = example(data.train, 2)
    free: dict[str, Any] = {} if dynamo else {"dynamic_axes": {name: {0: "batch"} for name in (*names, *task.outputs)}}
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = Path(scratch) / "model.onnx"
        try:
            torch.onnx.export(
                given,
                inputs,
                file,
                dynamo=dynamo,
                opset_version=_OPSET[dynamo],
                input_names=names,
                output_names=list(task.outputs),
                external_data=False,
                verbose=False,
                **free,
            )
        except Exception as error:  # the exporter raises what it likes
            raise InvalidInput(f"{path.name} does not run on the task's data, or does not convert: {first_line(error)}") from error
        return _onnx(file, path.name, task, data)
