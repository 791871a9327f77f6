"""Quantisation of a TFLite file by ai-edge-quantizer, with ranges of ours, and mixed precision over it."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from argosy_controller.pipeline.exporters.calibration import Range, observed_ranges
from argosy_controller.pipeline.exporters.interface import Source
from argosy_controller.pipeline.exporters.mixed import kept_float
from argosy_controller.pipeline.exporters.onnx_graph import quiet
from argosy_controller.pipeline.exporters.options import MixedConfig, StaticConfig
from argosy_controller.pipeline.exporters.tflite_convert import settle
from argosy_controller.pipeline.exporters.tflite_fp32 import TFLiteFp32
from argosy_controller.pipeline.task import Array, Split

SIGNATURE = "serving_default"
#: The operator whose kernels know one scale of weights alone.
ONE_SCALE = "BATCH_MATMUL"
Scales = Literal["minmax", "mse", "octav"]
_ALGORITHMS = {"minmax": "min_max_uniform_quantize", "mse": "MSE", "octav": "OCTAV"}
#: Tells a quantizer what to do with all operators.
Plan = Callable[[Any], None]


@dataclass(frozen=True)
class Layer:
    """An operator with weights and those without that follow it, up to the next with weights.

    Attributes:
        name: as torch calls the module.
        scopes: how the quantizer calls its operators.
    """

    name: str
    scopes: tuple[str, ...]


def export_mixed(source: Source, path: Path, config: MixedConfig, plan: Plan, ranges: Mapping[str, Range] | None = None) -> None:
    """Quantises what `TFLiteFp32` wrote; which layers stay float is found first, where the options ask for it."""
    plain = source.file(TFLiteFp32())
    found = layers(plain, [name for name, _ in source.network.named_modules() if name])
    with tempfile.TemporaryDirectory(dir=source.folder) as scratch:
        trial = Path(scratch) / "trial.tflite"

        def make(floats: frozenset[str]) -> Path:
            quantised(plain, trial, plan, ranges, [one for one in found if one.name in floats])
            settle(source, trial)
            return trial

        floats = kept_float(source, path, config, [one.name for one in found], make, plain, "tflite")
    quantised(plain, path, plan, ranges, [one for one in found if one.name in floats])
    for one in [*source.notes.get(plain, []), settle(source, path)]:
        if one:
            source.note(path, one)
    inner = _inner_outputs(plain)
    if inner:
        source.note(path, f"stay float because they give outputs with which others go on: {len(inner)} operators")


def quantised(file: Path, to: Path, plan: Plan, ranges: Mapping[str, Range] | None, floats: Collection[Layer]) -> None:
    """Writes the quantised form of a file; inputs, outputs, what gives an output with which others go on, and the layers named stay float."""
    from ai_edge_quantizer import qtyping, quantizer

    worker = quantizer.Quantizer(str(file))
    plan(worker)
    for end in (qtyping.TFLOperationName.INPUT, qtyping.TFLOperationName.OUTPUT):
        worker.update_quantization_recipe(regex=".*", operation_name=end, algorithm_key="no_quantize")
    scopes = [re.escape(scope) for scope in (*_inner_outputs(file), *(scope for one in floats for scope in one.scopes))]
    if scopes:
        everything = qtyping.TFLOperationName.ALL_SUPPORTED
        worker.update_quantization_recipe(regex=f"^(?:{'|'.join(scopes)})$", operation_name=everything, algorithm_key="no_quantize")
    known = None if ranges is None else {name: _as_seen(one) for name, one in ranges.items()}
    with quiet():
        to.write_bytes(worker.quantize(deepcopy(known), enable_progress_report=False).quantized_model)
    if _inner_outputs(file):
        _give_float(file, to)


def granularity(per_channel: bool) -> Any:
    """How many weights share a scale."""
    from ai_edge_quantizer import qtyping

    return qtyping.QuantGranularity.CHANNELWISE if per_channel else qtyping.QuantGranularity.TENSORWISE


def algorithm(scales: Scales) -> str:
    """The quantizer's name for a way to choose scales of weights."""
    return _ALGORITHMS[scales]


def _as_seen(ends: Range) -> dict[str, Array]:
    return {"min": np.array([[ends[0]]], np.float32), "max": np.array([[ends[1]]], np.float32)}


def calibrated(source: Source, config: StaticConfig, symmetric: bool) -> dict[str, Range]:
    """Ranges of every float tensor of what `TFLiteFp32` wrote."""
    examples = source.calibration.take(slice(0, config.examples or None))
    return observed_ranges(_observing(source.file(TFLiteFp32()), examples), config.calibration, config.percentile, symmetric)


def _observing(file: Path, examples: Split) -> Callable[[], Iterator[Mapping[str, Array]]]:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    worker = Interpreter(model_path=str(file), num_threads=1, experimental_preserve_all_tensors=True, experimental_op_resolver_type=plain)
    worker.allocate_tensors()
    moving = {int(index) for one in worker._get_ops_details() for index in one["outputs"]} | {
        one["index"] for one in worker.get_input_details()
    }
    details = [one for one in worker.get_tensor_details() if one["index"] in moving and one["name"]]
    floats = [(one["name"], one["index"]) for one in details if one["dtype"] == np.float32]
    runner = worker.get_signature_runner(SIGNATURE)
    kinds = {name: one["dtype"] for name, one in runner.get_input_details().items()}

    def run(number: int) -> dict[str, Array]:
        runner(**{name: np.asarray(array[number : number + 1], kinds[name], order="C") for name, array in examples.inputs.items()})
        return {name: worker.get_tensor(index) for name, index in floats}

    return lambda: (run(number) for number in range(len(examples)))


def layers(file: Path, modules: Collection[str]) -> list[Layer]:
    """The layers of a file's first graph, in order.

    Args:
        modules: torch's names of the model's modules.
    """
    from ai_edge_quantizer.utils import tfl_flatbuffer_utils as flatbuffers

    model = flatbuffers.read_model(str(file))
    graph = model.subgraphs[0]
    groups: list[tuple[list[str], str]] = []
    for operator in graph.operators:
        scope = flatbuffers.get_op_scope(operator, graph.tensors)
        kernel = next((one for one in (graph.tensors[i] for i in operator.inputs if i >= 0) if _is_kernel(model, one)), None)
        name = "" if kernel is None else _called(kernel.name.decode(), modules) or f"layer{len(groups)}"
        if not groups or (name and groups[-1][1]):
            groups.append(([scope], name))
        else:
            groups[-1] = ([*groups[-1][0], scope], name or groups[-1][1])
    return _distinct(groups)


def _inner_outputs(file: Path) -> list[str]:
    """The quantizer's names of operators that give one of the model's outputs with which others go on.

    It would give such an output two forms, and call by the public name the one that is not float.
    """
    from ai_edge_quantizer.utils import tfl_flatbuffer_utils as flatbuffers

    graph = flatbuffers.read_model(str(file)).subgraphs[0]
    inner = set(graph.outputs) & {i for one in graph.operators for i in one.inputs}
    return [flatbuffers.get_op_scope(one, graph.tensors) for one in graph.operators if inner & set(one.outputs)]


def _give_float(plain: Path, path: Path) -> None:
    """Makes outputs the float forms again: where others go on with an output, the quantizer gives what these take."""
    from ai_edge_litert.tools import flatbuffer_utils as flatbuffers

    before, model = flatbuffers.read_model(str(plain)), flatbuffers.read_model(str(path))
    names = {one.tensorIndex: one.name for one in before.signatureDefs[0].outputs}
    public = {one.name: one for one in model.signatureDefs[0].outputs}
    graph = model.subgraphs[0]
    for place, old in enumerate(before.subgraphs[0].outputs):
        signed = public[names[old]]
        floats = [one for one in (graph.outputs[place], signed.tensorIndex) if graph.tensors[one].type == 0]
        if floats:
            graph.outputs[place] = signed.tensorIndex = floats[0]
    flatbuffers.write_model(model, str(path))


def _is_kernel(model: Any, tensor: Any) -> bool:
    shape = tensor.shape if tensor.shape is not None else ()
    return tensor.type == 0 and len(shape) >= 2 and model.buffers[tensor.buffer].data is not None


def _called(name: str, modules: Collection[str]) -> str:
    return next((one for one in [name.partition(":")[0]] if one in modules), "")


def _distinct(groups: list[tuple[list[str], str]]) -> list[Layer]:
    found: list[Layer] = []
    for number, (scopes, name) in enumerate(groups):
        taken = any(other.name == name for other in found)
        found.append(Layer(f"{name or 'layer'}@{number}" if taken or not name else name, tuple(scopes)))
    return found
